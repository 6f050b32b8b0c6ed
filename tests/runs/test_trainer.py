import numpy as np
import pytest

from kfc.errors import CheckpointError
from kfc.runs.plan import make_plan
from kfc.runs.trainer import compile_trainer, weights_sha256
from kfc.training.callbacks.from_spec import named_callbacks
from kfc.training.checkpoints import store

BASE = {
    "data": {"source": "sklearn:iris"},
    "network": {"hidden": [8], "dropout": 0.2},
    "training": {
        "epochs": 6,
        "optimizer": {
            "name": "adam",
            "learning_rate": {"name": "cosine", "initial_learning_rate": 0.01},
        },
    },
}


@pytest.fixture
def trainer():
    def make(overrides=None):
        return compile_trainer(make_plan(BASE, overrides))

    return make


def train(trainer, folder, **options):
    callbacks = named_callbacks(trainer.plan.spec, folder)
    progress = trainer.train(folder, callbacks, **options)
    trainer.save_checkpoint(folder, callbacks, progress)
    return progress


@pytest.mark.parametrize(
    "engine",
    # test_kills.py is eager, test_carried.py pauses in XLA.
    ["graph", *(pytest.param(form, marks=pytest.mark.slow) for form in ("xla", "eager"))],
)
@pytest.mark.parametrize(
    "pauses", [pytest.param((2,), marks=pytest.mark.slow), (1, 3)], ids=str
)
def test_pauses_change_no_bit(trainer, tmp_path, engine, pauses):
    overrides = {"training.engine": engine}
    whole = trainer(overrides)
    expected = train(whole, tmp_path / "whole")
    start = None
    for until in (*pauses, None):
        paused = trainer(overrides)
        progress = train(paused, tmp_path / "paused", until=until, start=start)
        start = store.newest(tmp_path / "paused" / "checkpoints")
        assert progress.epoch == (until or 6)
    assert progress == expected
    assert weights_sha256(paused.plan.network) == weights_sha256(whole.plan.network)


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.early_stopping": {"monitor": "val_loss", "patience": 9}},
        {"training.optimizer": {"name": "adam", "use_ema": True}},
    ],
    ids=["best weights", "averages"],
)
def test_what_ends_a_training_waits_for_its_end(trainer, tmp_path, overrides):
    whole = trainer(overrides)
    train(whole, tmp_path / "whole")
    train(trainer(overrides), tmp_path / "paused", until=3)
    start = store.newest(tmp_path / "paused" / "checkpoints")
    resumed = trainer(overrides)
    train(resumed, tmp_path / "paused", start=start)
    assert weights_sha256(resumed.plan.network) == weights_sha256(whole.plan.network)


def test_a_training_that_was_stopped_goes_no_further(trainer, tmp_path):
    overrides = {
        "training.early_stopping": {"monitor": "val_loss", "patience": 1, "min_delta": 100.0}
    }
    stopped = train(trainer(overrides), tmp_path, until=4)
    assert stopped.stopped
    start = store.newest(tmp_path / "checkpoints")
    again = trainer(overrides)
    assert train(again, tmp_path, start=start).epoch == stopped.epoch


def test_the_state_of_another_network_is_refused(trainer, tmp_path):
    train(trainer(), tmp_path, until=1)
    start = store.newest(tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match="shape"):
        trainer({"network.hidden": [9]}).train(tmp_path, [], start=start)


def test_measuring_one_part_leaves_the_others_alone(trainer, tmp_path):
    one = trainer()
    train(one, tmp_path)
    everything, validation = one.measure("val", "test"), one.measure("val")
    assert set(validation) == {"val_loss", "val_accuracy"}
    assert set(everything) == {*validation, "test_loss", "test_accuracy"}
    assert validation.items() <= everything.items()


def test_the_hash_tells_weights_apart(trainer):
    one, other = trainer().plan.network, trainer().plan.network
    assert weights_sha256(one) == weights_sha256(other)
    weights = [np.array(weight) for weight in other.get_weights()]
    weights[0][0, 0] += 1e-7
    other.set_weights(weights)
    assert weights_sha256(one) != weights_sha256(other)
