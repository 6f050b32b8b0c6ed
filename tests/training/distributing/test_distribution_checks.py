import keras
import pytest

import kfc
from kfc.errors import SpecError

CASES = {
    "xla": ({"training.engine": "xla"}, "training.engine"),
    "eager": ({"training.engine": "eager"}, "training.engine"),
    "batch normalization": ({"network.normalization": "batch"}, "network.normalization"),
    "of one layer": (
        {"network.hidden": [{"units": 4, "normalization": "batch"}]},
        "network.normalization",
    ),
    "accumulated gradients": (
        {
            "training.optimizer.name": "adam",
            "training.optimizer.gradient_accumulation_steps": 2,
        },
        "training.optimizer",
    ),
    "rows of each member": (
        {"network.members": 2, "training.share_batches": False},
        "training.share_batches",
    ),
    "dropout of members": ({"network.members": 2, "network.dropout": 0.1}, "network.dropout"),
}
OF_WORKERS = {
    "a log": ([{"name": "CSVLogger", "filename": "log.csv"}], "CSVLogger"),
    "a folder": ([{"name": "TensorBoard"}], "TensorBoard"),
}


def refusal(overrides, **options):
    with pytest.raises(SpecError) as caught:
        kfc.fit("digits", overrides={"training.epochs": 1, **overrides}, **options)
    (finding,) = caught.value.findings
    assert finding.name == "not_distributed"
    assert "training.distribute" in finding.remedy
    return finding


@pytest.mark.parametrize("how", ["mirrored", "multi_worker"])
@pytest.mark.parametrize("case", CASES)
def test_what_no_replicas_can_train_is_refused(case, how, tmp_path):
    overrides, where = CASES[case]
    found = refusal({**overrides, "training.distribute": how}, runs=tmp_path)
    assert found.where == where
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", OF_WORKERS)
def test_a_callback_that_writes_is_refused_on_workers(case, tmp_path):
    callbacks, name = OF_WORKERS[case]
    given = {"training.callbacks": callbacks, "training.distribute": "multi_worker"}
    assert name in refusal(given, runs=tmp_path).got


def test_callbacks_of_the_caller_are_refused_on_workers(tmp_path):
    given = {"training.distribute": "multi_worker"}
    found = refusal(given, runs=tmp_path, callbacks=[keras.callbacks.Callback()])
    assert found.where == "callbacks"


def test_a_callback_that_stops_is_not_refused(tmp_path):
    overrides = {
        "training.distribute": "multi_worker",
        "training.epochs": 1,
        "training.callbacks": [{"name": "ReduceLROnPlateau"}],
        "training.early_stopping": {},
    }
    assert kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False).epochs == 1
