import math

import keras
import numpy as np
import pytest

from kfc.errors import CheckpointError, PluginError
from kfc.training import loop
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.checkpoints import store, training_state
from kfc.training.checkpoints.training_state import Progress, capture

HARD = {  # everything that has a state of its own
    "network.hidden": [6, {"units": 5, "dropout": 0.4, "normalization": "batch"}],
    "training.optimizer": {"name": "adam", "learning_rate": 0.05, "use_ema": True},
    "training.shuffle": True,
    "training.epochs": 6,
    "training.checkpoint_seconds": 1e-9,
    "training.evaluate_every": 1,
}


def stopping():
    return EarlyStopping(monitor="val_loss", patience=2)


def train(problem, kept=None):
    """Trains to the end, keeping a copy of the state wherever the loop checkpoints."""
    model, callbacks = problem(HARD).model(), [stopping()]

    def checkpoint(progress):
        state = training_state.capture(model, callbacks, progress)
        if kept is not None:
            kept[progress.epoch, progress.step] = state

    progress = problem(HARD).loop(callbacks, checkpoint, model).run(Progress())
    return training_state.capture(model, callbacks, progress)


def resume(problem, state):
    model, callbacks = problem(HARD).model(), [stopping()]
    resumed = problem(HARD).loop(callbacks, model=model)
    progress = training_state.prepare_callbacks(state, callbacks)
    return training_state.capture(model, callbacks, resumed.run(progress, state=state))


def check_same(actual, expected):
    for state in (actual, expected):
        state.facts["progress"].pop("seconds", None)
    assert actual.facts == expected.facts
    assert actual.arrays.keys() == expected.arrays.keys()
    for name, values in expected.arrays.items():
        np.testing.assert_array_equal(actual.arrays[name], values, err_msg=name)


@pytest.fixture(scope="module")
def trained(problem):
    kept = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            loop, "_CHECKPOINT_SHARE", math.inf
        )  # a checkpoint wherever one is possible
        return train(problem, kept), kept


@pytest.mark.parametrize("place", [(0, 1), (1, 0)], ids=str)
def test_a_resumed_training_ends_with_the_same_bits(problem, trained, tmp_path, place):
    expected, kept = trained
    store.save(tmp_path, kept[place])
    check_same(resume(problem, store.newest(tmp_path)), expected)


def test_a_captured_state_does_not_move_with_the_training(problem, trained):
    _, kept = trained
    for (epoch, step), state in kept.items():
        progress = state.facts["progress"]
        assert (progress["epoch"], progress["step"]) == (epoch, step)
        assert all(len(values) == epoch for values in progress["history"].values())


def test_a_state_holds_everything_that_decides_how_training_goes_on(trained):
    state, _ = trained
    groups = {name.partition("/")[0] for name in state.arrays}
    assert groups == {"weights", "metrics", "seeds", "optimizer", "callback"}


def test_a_committed_state_is_read_back_whole(trained, tmp_path):
    state, _ = trained
    store.save(tmp_path, state)
    check_same(store.newest(tmp_path), state)


def test_a_state_of_another_network_is_refused(problem, trained):
    state, _ = trained
    model = problem({**HARD, "network.hidden": [9]}).model()
    with pytest.raises(CheckpointError, match=r"weights/0: expected shape \(4, 9\)"):
        training_state.restore(state, model, [stopping()])
    with pytest.raises(CheckpointError, match=r"hidden_1/kernel: expected shape \(4, 9\)"):
        training_state.restore_network(state, model)


def test_a_state_of_other_callbacks_is_refused(problem, trained):
    state, _ = trained
    with pytest.raises(CheckpointError, match=r"callbacks: expected \['EarlyStopping'\]"):
        training_state.prepare_callbacks(state, [])


def test_weights_alone_go_into_a_network(problem, trained):
    state, _ = trained
    network = problem(HARD).network()
    training_state.restore_network(state, network)
    for number, weight in enumerate(network.weights):
        np.testing.assert_array_equal(weight, state.arrays[f"weights/{number}"])


class Stateful(keras.callbacks.Callback):
    def __init__(self, state):
        super().__init__()
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def test_numpy_scalars_are_state_that_json_can_hold(problem, tmp_path):
    state = {"value": np.float32(1.5)}
    state = capture(problem().loop().engine.model, [Stateful(state)], Progress())
    store.save(tmp_path, state)
    assert store.newest(tmp_path).facts["states"] == [{"value": 1.5}]


def test_state_that_json_cannot_hold_is_refused_by_its_callback(problem):
    with pytest.raises(PluginError, match=r"Stateful\.get_state"):
        capture(problem().loop().engine.model, [Stateful({"value": {1, 2}})], Progress())
