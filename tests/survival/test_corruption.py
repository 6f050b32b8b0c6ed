"""Damage to the files of an interrupted run: found, and gone around or refused."""

import errno
import os
import random
import shutil
import types

import numpy as np
import pytest

from kfc.errors import CheckpointError
from kfc.runs import environment, result_file, resuming, sample_file
from kfc.spec import dump_spec, load_spec
from kfc.system import atomic, locks
from kfc.training.checkpoints import store
from kfc.training.checkpoints.log_files import LogFiles
from kfc.training.checkpoints.store import Checkpoint

SPEC = load_spec({"data": {"source": "sklearn:digits"}, "network": {"hidden": [4]}})
LINES = "".join(f'{{"epoch": {epoch}, "loss": {1 / epoch}}}\n' for epoch in range(1, 9))


def make_run(folder, seed=0, data="d" * 64):
    """The folder of an interrupted run, with two checkpoints and a log."""
    spec = SPEC.model_copy(update={"seed": seed})
    folder.mkdir()
    (folder / "spec.yaml").write_text(dump_spec(spec))
    given = {"data": False, "network": None, "callbacks": []}
    begun = {"given": given, "data_sha256": data, "resumed": [], "cwd": "/"}
    facts = environment.machine(None) | begun
    environment.write_environment(folder, facts | {"spec": environment.plain_spec(spec)})
    (folder / "metrics.jsonl").write_text(LINES[:200])
    rng = np.random.default_rng(seed)
    for epoch in (3, 4):
        arrays = {f"weights/{n}": rng.normal(size=(20, 3)).astype(np.float32) for n in (0, 1)}
        facts = {
            "progress": {"epoch": epoch, "step": 0, "stopped": False, "history": {}},
            "callbacks": ["MetricsLog"],
            "states": [LogFiles(folder / "metrics.jsonl").state()],
            "about": environment.identity(environment.plain_spec(spec), data),
        }
        store.save(folder / "checkpoints", Checkpoint(arrays, facts))
    (folder / "metrics.jsonl").write_text(LINES)  # and some more after the checkpoint
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return types.SimpleNamespace(
        run=make_run(place / "a"), other=make_run(place / "b", seed=1)
    )


def looked(folder):
    """What a resume would begin with: arrays by epoch, once everything is checked."""
    with locks.locked(folder):
        start = resuming.read_unfinished(folder).start
    log = LogFiles(folder / "metrics.jsonl")
    log.truncate_to(start.facts["states"][0])
    arrays = {name: values.tobytes() for name, values in start.arrays.items()}
    return start.facts["progress"]["epoch"], arrays, (folder / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def intact(runs, tmp_path_factory):
    """Epoch -> what a resume of the intact run begins with, for both of its checkpoints."""
    folder = tmp_path_factory.mktemp("intact") / "a"
    shutil.copytree(runs.run, folder)
    newest = looked(folder)
    shutil.rmtree(folder / "checkpoints" / "000002")
    return {4: newest, 3: looked(folder)}


# --- kinds of damage ----------------------------------------------------------------------


def flip(path, chosen, other):
    data = bytearray(path.read_bytes())
    data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    path.write_bytes(data)


def truncate(path, chosen, other):
    os.truncate(path, chosen.randrange(path.stat().st_size))


def empty(path, chosen, other):
    path.write_bytes(b"")


def remove(path, chosen, other):
    path.unlink()


def swap(path, chosen, other):
    shutil.copyfile(other, path)


def link(path, chosen, other):
    path.unlink()
    path.symlink_to(other)


def repeat(path, chosen, other):
    path.write_bytes(path.read_bytes() * 2)


def unreadable(path, chosen, other):
    path.unlink()
    path.mkdir()


KINDS = {
    kind.__name__: kind
    for kind in (flip, truncate, empty, remove, swap, link, repeat, unreadable)
}
FILES = (
    *("checkpoints/000002/state.npz", "checkpoints/000002/facts.json"),
    *("checkpoints/000002/manifest.json", "spec.yaml", "environment.json", "metrics.jsonl"),
)
SEEDS = {"flip": 30, "truncate": 10}  # the others are the same each time
CASES = [
    pytest.param(name, kind, seed, id=f"{kind} {name} {seed}")
    for name in FILES
    for kind in KINDS
    for seed in range(SEEDS.get(kind, 1))
]


def test_there_are_enough_cases():
    assert len(CASES) >= 250


@pytest.mark.parametrize(("name", "kind", "seed"), CASES)
def test_damage_is_found_and_gone_around_or_refused(runs, intact, tmp_path, name, kind, seed):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    KINDS[kind](folder / name, random.Random(f"{name} {kind} {seed}"), runs.other / name)
    try:
        found = looked(folder)
    except CheckpointError:
        # Only a link in the newest checkpoint is refused; otherwise the one before is used.
        assert kind == "link" or not name.startswith("checkpoints")
        return
    # JSON and YAML have spaces that mean nothing, and a spec ends with a default.
    unnoticed = name.endswith((".json", ".yaml")) and kind in ("flip", "truncate")
    after_the_commit = name == "metrics.jsonl"
    assert found == intact[4 if found[0] == 4 and (unnoticed or after_the_commit) else 3]


def test_a_bit_of_any_array_is_found(runs, intact, tmp_path):
    """Bytes all over the arrays' file, not only those that a zip archive checks."""
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    path = folder / "checkpoints" / "000002" / "state.npz"
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        assert resuming.read_unfinished(folder).start.facts["progress"]["epoch"] == 3


def test_checkpoints_under_each_others_names_are_refused(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    place = folder / "checkpoints"
    (place / "000001").rename(place / "x")
    (place / "000002").rename(place / "000001")
    (place / "x").rename(place / "000002")
    with pytest.raises(CheckpointError, match="it is number 1, renamed"):
        resuming.read_unfinished(folder)


def test_checkpoints_of_another_run_are_refused(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(runs.other / "checkpoints", folder / "checkpoints")
    with pytest.raises(CheckpointError, match="expected the checkpoints of this run"):
        resuming.read_unfinished(folder)


def test_damage_to_every_checkpoint_is_refused(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    for path in (folder / "checkpoints").glob("*/state.npz"):
        flip(path, random.Random(0), None)
    with pytest.raises(CheckpointError, match=r"000002: .*; 000001: .*") as caught:
        resuming.read_unfinished(folder)
    assert caught.value.exit_code == 7


def test_a_linked_checkpoints_folder_is_refused(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").symlink_to(runs.run / "checkpoints")
    with pytest.raises(CheckpointError, match="a link"), locks.locked(folder):
        resuming.read_unfinished(folder)


def test_a_changed_spec_is_refused_with_what_was_changed(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    text = (folder / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text(text.replace("seed: 0", "seed: 5  # changed"))
    with pytest.raises(CheckpointError, match="seed: 0 then, 5 now"):
        resuming.read_unfinished(folder)


def test_a_comment_in_a_spec_changes_nothing(runs, tmp_path, intact):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    text = (folder / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text("# mine\n" + text)
    assert looked(folder) == intact[4]


# --- a finished run -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flip", "truncate", "empty", "remove", "repeat"])
@pytest.mark.parametrize("seed", range(12))
def test_damage_to_the_sample_of_a_run_is_found(tmp_path, kind, seed):
    kept = sample_file.Sample(np.arange(12.0).reshape(4, 3), np.ones((4, 2), np.float32))
    sha256 = sample_file.write_sample(tmp_path, kept)
    KINDS[kind](tmp_path / sample_file.FILE, random.Random(seed), None)
    with pytest.raises(CheckpointError) as caught:
        sample_file.read_sample(tmp_path, sha256)
    assert caught.value.exit_code == 7


def test_a_read_error_of_the_disk_passes_over_a_checkpoint(runs, tmp_path, monkeypatch):
    folder = tmp_path / "a"
    shutil.copytree(runs.run, folder)
    read = atomic.read_bytes

    def broken(path):
        if path.parent.name == "000002":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(atomic, "read_bytes", broken)
    assert resuming.read_unfinished(folder).start.facts["progress"]["epoch"] == 3


def test_a_finished_run_is_no_unfinished_one(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    assert result_file.is_finished(tmp_path)
    resuming.check_resumable(tmp_path)
