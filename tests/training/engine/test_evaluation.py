import numpy as np
import pytest

import kfc
from kfc.spec.components import LossSpec
from kfc.training.compiling import evaluation_batch
from kfc.training.losses import is_mean_of_rows


def named(loss):
    return LossSpec.model_validate({"name": loss} if isinstance(loss, str) else loss)


@pytest.mark.parametrize(
    ("loss", "mean"),
    [
        ("mse", True),
        ("cross_entropy", True),
        ({"name": "mse", "reduction": "mean"}, True),
        ({"name": "mse", "reduction": "sum"}, False),
        ("dice", False),
        ("tversky", False),
        (None, True),
    ],
)
def test_losses_that_depend_on_the_size_of_a_batch_are_known(loss, mean):
    assert is_mean_of_rows(loss if loss is None else named(loss)) is mean


@pytest.mark.parametrize("loss", [{"name": "mse", "reduction": "sum"}, "dice"])
def test_such_a_loss_is_evaluated_in_batches_of_the_trainings_size(loss, problem):
    case = problem({"training.loss": loss, "training.batch_size": 8})
    assert evaluation_batch(case.spec) == 8
    actual = case.loop().evaluator.evaluate(case.held_out)
    expected = case.stock().evaluate(
        case.held_out.x, case.held_out.y, batch_size=8, verbose=0, return_dict=True
    )
    assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("engine", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_weights_that_stand_still_have_one_loss_on_all_rows(engine, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)).astype(np.float32)
    spec = {
        "data": {"scale": "none", "validation": 0.5},
        "network": {"hidden": []},
        "training": {
            "epochs": 1,
            "loss": {"name": "mse", "reduction": "sum"},
            "optimizer": {"name": "sgd", "learning_rate": 1e-12},
            "engine": engine,
        },
    }
    run = kfc.fit(spec, data=(x, x.sum(axis=1)), runs=tmp_path, verbose=False)
    assert run.history["val_loss"][0] == pytest.approx(run.history["loss"][0], rel=0.3)
    assert run.metrics["val_loss"] == pytest.approx(run.history["val_loss"][0], rel=1e-6)
