import os

import numpy as np
import pytest

from kfc.errors import CheckpointError
from kfc.system import safe_open
from kfc.training.checkpoints import store
from kfc.training.checkpoints.store import Checkpoint


def save_numbered(folder, *numbers):
    for number in numbers:
        arrays = {"weights/0": np.full(50, number, np.float32)}
        facts = {"progress": {"epoch": number}, "callbacks": [], "states": []}
        store.save(folder, Checkpoint(arrays, facts))


def test_only_the_last_two_are_kept(tmp_path):
    save_numbered(tmp_path, 1, 2, 3, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000003", "000004"]
    assert store.newest(tmp_path).facts["progress"] == {"epoch": 4}


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
    save_numbered(tmp_path, 1, 2)
    damage(tmp_path / "000002" / name)
    state = store.newest(tmp_path)
    assert state.facts["progress"] == {"epoch": 1}
    assert np.all(state.arrays["weights/0"] == 1)


def test_the_checkpoint_after_the_999999th_is_the_newest(tmp_path):
    save_numbered(tmp_path, 1)
    (tmp_path / "000001").rename(tmp_path / "999999")
    save_numbered(tmp_path, 2)
    assert store.newest(tmp_path).facts["progress"] == {"epoch": 2}
    assert (tmp_path / "1000000").is_dir()


def test_without_a_whole_checkpoint_there_is_an_error(tmp_path):
    save_numbered(tmp_path, 1, 2)
    for folder in tmp_path.iterdir():
        flip(folder / "state.npz", 5)
    with pytest.raises(CheckpointError, match=r"000002: the sha256 of state\.npz differs"):
        store.newest(tmp_path)


def test_an_unfinished_checkpoint_is_not_read(tmp_path):
    save_numbered(tmp_path, 1)
    (tmp_path / "000001").rename(tmp_path / ".partial-000002")
    with pytest.raises(CheckpointError, match="expected a complete checkpoint, got none"):
        store.newest(tmp_path)


@pytest.mark.parametrize("kind", ["a link", "a file", "a pipe"])
def test_what_is_no_folder_in_place_of_the_checkpoints_is_refused(tmp_path, kind):
    place = tmp_path / "run" / "checkpoints"
    save_numbered(tmp_path / "elsewhere", 1)
    place.parent.mkdir()
    safe_open.distrust(place.parent)
    make = {
        "a link": lambda: place.symlink_to(tmp_path / "elsewhere"),
        "a file": lambda: place.write_bytes(b""),
        "a pipe": lambda: os.mkfifo(place),
    }
    make[kind]()
    for read in (store.newest, store.has_checkpoints):
        with pytest.raises(CheckpointError, match=r"the folder of a run's checkpoints"):
            read(place)
