import keras
import numpy as np
import pytest

from kfc.errors import CheckpointError, PluginError
from kfc.training import checkpoint
from kfc.training.checkpoint import Checkpoint, Progress, capture, commit, newest
from kfc.training.stopping import EarlyStopping

HARD = {  # everything that has a state of its own
    "network.hidden": [6, {"units": 5, "dropout": 0.4, "normalization": "batch"}],
    "training.optimizer": {"name": "adam", "learning_rate": 0.05, "use_ema": True},
    "training.shuffle": True,
    "training.epochs": 6,
    "training.commit_seconds": 1e-9,
    "training.evaluate_every": 1,
}


def stopping():
    return EarlyStopping(monitor="val_loss", patience=2)


def train(problem, kept=None):
    """Trains to the end, keeping a copy of the state wherever the loop commits."""
    model, callbacks = problem(HARD).model(), [stopping()]

    def commit(progress):
        state = checkpoint.capture(model, callbacks, progress)
        if kept is not None:
            kept[progress.epoch, progress.step] = state

    progress = problem(HARD).loop(callbacks, commit, model).run(Progress())
    return checkpoint.capture(model, callbacks, progress)


def resume(problem, state):
    model, callbacks = problem(HARD).model(), [stopping()]
    loop = problem(HARD).loop(callbacks, model=model)
    progress = checkpoint.restore(state, model, callbacks)
    return checkpoint.capture(model, callbacks, loop.run(progress))


def check_same(actual, expected):
    assert actual.facts == expected.facts
    assert actual.arrays.keys() == expected.arrays.keys()
    for name, values in expected.arrays.items():
        np.testing.assert_array_equal(actual.arrays[name], values, err_msg=name)


@pytest.fixture(scope="module")
def trained(problem):
    kept = {}
    return train(problem, kept), kept


@pytest.mark.parametrize("place", [(0, 1), (0, 2), (1, 0), (2, 1)], ids=str)
def test_a_resumed_training_ends_with_the_same_bits(problem, trained, tmp_path, place):
    expected, kept = trained
    checkpoint.commit(tmp_path, kept[place])
    check_same(resume(problem, checkpoint.newest(tmp_path)), expected)


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
    checkpoint.commit(tmp_path, state)
    check_same(checkpoint.newest(tmp_path), state)


def commit_numbers(folder, *numbers):
    for number in numbers:
        arrays = {"weights/0": np.full(50, number, np.float32)}
        facts = {"progress": {"epoch": number}, "callbacks": [], "states": []}
        checkpoint.commit(folder, Checkpoint(arrays, facts))


def test_only_the_last_two_are_kept(tmp_path):
    commit_numbers(tmp_path, 1, 2, 3, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000003", "000004"]
    assert checkpoint.newest(tmp_path).facts["progress"] == {"epoch": 4}


FILES = ("state.npz", "facts.json", "manifest.json")


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position * len(data) // 10] ^= 0b100
    path.write_bytes(data)


DAMAGE = {
    **{f"a bit at {n} tenths": lambda path, n=n: flip(path, n) for n in range(10)},
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "null": lambda path: path.write_bytes(b"null"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, name, damage):
    commit_numbers(tmp_path, 1, 2)
    damage(tmp_path / "000002" / name)
    state = checkpoint.newest(tmp_path)
    assert state.facts["progress"] == {"epoch": 1}
    assert np.all(state.arrays["weights/0"] == 1)


def test_without_a_whole_checkpoint_there_is_an_error(tmp_path):
    commit_numbers(tmp_path, 1, 2)
    for folder in tmp_path.iterdir():
        flip(folder / "state.npz", 5)
    with pytest.raises(CheckpointError, match=r"000002: the sha256 of state\.npz differs"):
        checkpoint.newest(tmp_path)


def test_an_unfinished_commit_is_not_read(tmp_path):
    commit_numbers(tmp_path, 1)
    (tmp_path / "000001").rename(tmp_path / ".partial-000002")
    with pytest.raises(CheckpointError, match="expected a whole checkpoint, got none"):
        checkpoint.newest(tmp_path)


def test_a_state_of_another_network_is_refused(problem, trained):
    state, _ = trained
    model = problem({**HARD, "network.hidden": [9]}).model()
    with pytest.raises(CheckpointError, match=r"weights/0: expected shape \(4, 9\)"):
        checkpoint.restore(state, model, [stopping()])
    with pytest.raises(CheckpointError, match=r"hidden_1/kernel: expected shape \(4, 9\)"):
        checkpoint.restore_network(state, model)


def test_a_state_of_other_callbacks_is_refused(problem, trained):
    state, _ = trained
    with pytest.raises(CheckpointError, match=r"callbacks: expected \['EarlyStopping'\]"):
        checkpoint.restore(state, problem(HARD).model(), [])


def test_weights_alone_go_into_a_network(problem, trained):
    state, _ = trained
    network = problem(HARD).network()
    checkpoint.restore_network(state, network)
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
    commit(tmp_path, capture(problem().loop().engine.model, [Stateful(state)], Progress()))
    assert newest(tmp_path).facts["states"] == [{"value": 1.5}]


def test_state_that_json_cannot_hold_is_refused_by_its_callback(problem):
    with pytest.raises(PluginError, match=r"Stateful\.get_state"):
        capture(problem().loop().engine.model, [Stateful({"value": {1, 2}})], Progress())
