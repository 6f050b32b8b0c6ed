from types import SimpleNamespace

import keras
import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec
from kfc.training.engine import choice
from kfc.training.engine.choice import choose_at_once, choose_engine, compiles_steps_only


def chosen(overrides=None, *, callbacks=(), rows=60_000):
    spec = load_spec({"training": {"epochs": 10}}, overrides)
    return choose_engine(spec, num_rows=rows, num_weights=235_146, callbacks=callbacks)


def test_a_long_training_is_compiled():
    assert chosen() == "xla"


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.optimizer": "nadam"},
        {"training.optimizer": {"name": "adam", "gradient_accumulation_steps": 2}},
        {
            "training.optimizer": {
                "name": "adam",
                "use_ema": True,
                "ema_overwrite_frequency": 2,
            }
        },
        {"training.callbacks": ["TerminateOnNaN"]},
        {"training.engine": "graph"},
    ],
    ids=str,
)
def test_what_xla_cannot_carry_or_is_cut_short_at_every_step_runs_in_a_graph(overrides):
    assert chosen(overrides) == "graph"


@pytest.mark.parametrize(
    "overrides", [{"network.dropout": 0.2}, {"network.normalization": "batch"}]
)
def test_dropout_and_normalization_are_compiled_too(overrides):
    assert chosen(overrides) == "xla"


def test_a_short_training_is_not_worth_compiling():
    assert chosen(rows=1_000) == "graph"


def test_a_training_that_may_stop_early_is_expected_to_be_short():
    many = {"training.epochs": 1000, "training.early_stopping.patience": 5}
    assert chosen({"training.epochs": 1000}, rows=1_000) == "xla"
    assert chosen(many, rows=1_000) == "graph"
    assert chosen(many, rows=60_000) == "xla"
    assert chosen({**many, "training.early_stopping.patience": None}, rows=1_000) == "xla"


def test_members_are_compiled_for_many_steps_only():
    batch = {"training.batch_size": 256}
    assert chosen(batch) == "xla"
    assert chosen({**batch, "network.members": 8}) == "graph"
    assert chosen({**batch, "network.members": 8, "training.epochs": 100}) == "xla"


def test_epoch_callbacks_stay_on_the_fast_path():
    plateau = keras.callbacks.ReduceLROnPlateau()
    assert chosen({"training.callbacks": ["csv_log"]}, callbacks=[plateau]) == "xla"


def test_a_log_of_ours_that_a_spec_names_stays_on_the_fast_path():
    log = {"name": "metrics_log", "filename": "more.jsonl"}
    assert chosen({"training.callbacks": [log]}) == "xla"


def test_a_callback_at_every_step_runs_in_a_graph():
    assert chosen(callbacks=[keras.callbacks.TerminateOnNaN()]) == "graph"


def test_asking_for_xla_is_granted_where_it_is_possible():
    assert chosen({"training.engine": "xla", "network.dropout": 0.2}) == "xla"


@pytest.mark.parametrize("optimizer", ["nadam", "schedulefreeadamw"])
def test_asking_for_xla_with_an_optimizer_it_cannot_carry_is_refused(optimizer):
    with pytest.raises(SpecError, match=r"training\.engine: expected graph or auto"):
        chosen({"training.engine": "xla", "training.optimizer": optimizer})


def test_a_small_network_is_compiled_where_it_takes_many_steps():
    spec = load_spec("digits")
    sizes = {"num_rows": 1437, "num_weights": 2410}
    assert choose_engine(spec, **sizes) == "graph"
    longer = load_spec("digits", {"training.epochs": 1000})
    assert choose_engine(longer, **sizes) == "xla"


@pytest.mark.parametrize(
    ("epochs", "patience", "steps_only"),
    [(20, None, True), (499, None, True), (500, None, False), (1000, 5, True)],
)
def test_few_epochs_compile_the_steps_of_full_batches_alone(epochs, patience, steps_only):
    stopping = {"training.early_stopping.patience": patience} if patience else {}
    spec = load_spec({"training": {"epochs": epochs}}, stopping)
    assert compiles_steps_only(spec) == steps_only


def at_once(overrides=None, *, num_weights=20_000, row_bytes=0, on_disk=False, gpu=True):
    spec = load_spec({"training": {"epochs": 10}}, overrides)
    sizes = {"num_weights": num_weights, "row_bytes": row_bytes}
    return choose_at_once(spec, **sizes, on_disk=on_disk, gpu=gpu)


ALWAYS = {"training.at_once": "always"}
ALONE = [
    {"training.optimizer": "nadam"},
    {"training.optimizer": {"name": "adam", "gradient_accumulation_steps": 2}},
    {"training.engine": "eager"},
]


def test_small_networks_train_at_once_where_there_is_a_gpu():
    assert at_once()
    assert not at_once(gpu=False)
    assert not at_once({"training.at_once": "never"})


def test_a_step_that_fills_a_gpu_is_not_shared():
    assert at_once(num_weights=1_000_000, overrides={"training.batch_size": 1000})
    assert not at_once(num_weights=1_000_001, overrides={"training.batch_size": 1000})
    assert at_once({**ALWAYS, "training.batch_size": 1000}, num_weights=1_000_001)


def test_many_rows_of_folds_are_not_held_at_once():
    assert at_once(row_bytes=2**30)
    assert not at_once(row_bytes=2**30 + 1)
    assert at_once(ALWAYS, row_bytes=2**30 + 1)


def test_always_trains_at_once_without_a_gpu():
    assert at_once(ALWAYS, gpu=False)


def test_callbacks_of_every_step_leave_networks_in_turn():
    overrides = {"training.callbacks": ["TerminateOnNaN"]}
    assert not at_once(overrides)
    assert at_once({**ALWAYS, **overrides})


@pytest.mark.parametrize("overrides", ALONE, ids=str)
def test_networks_that_share_no_graph_train_in_turn(overrides):
    assert not at_once(overrides)
    with pytest.raises(SpecError, match="at_once"):
        at_once({**ALWAYS, **overrides})


def test_streamed_rows_leave_networks_in_turn():
    assert not at_once(on_disk=True)
    with pytest.raises(SpecError, match="streamed"):
        at_once(ALWAYS, on_disk=True)


def test_blocks_of_plug_ins_train_in_turn(monkeypatch):
    monkeypatch.setattr(choice, "BLOCKS", SimpleNamespace(builtins=("dense",)))
    overrides = {"network.block": "residual"}
    assert not at_once(overrides)
    with pytest.raises(SpecError, match="plug-in"):
        at_once({**ALWAYS, **overrides})
