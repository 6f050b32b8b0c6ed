"""A process that is killed, and killed again, ends with the bits of one that is not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfc.training.checkpoints import store

# --- a toy --------------------------------------------------------------------------------


def killed_at(toy, folder, disk, step):
    """Trains until a step before which the process is gone; says whether it came to it."""

    def before_step(number):
        if number == step:
            disk.die()

    with disk:
        toy.train(folder, before_step)
    return disk.has_failed


def test_a_toy_killed_at_any_step_ends_with_the_same_bits(
    toy, expected, faulty_disk, tmp_path
):
    for step in range(expected.steps):
        folder = tmp_path / str(step)
        folder.mkdir()
        assert killed_at(toy, folder, faulty_disk(), step)
        with faulty_disk():
            again = toy.train(folder)
        assert toy.outcome(folder) == expected.outcome, step
        assert step + again == expected.steps  # not one of the saved steps is repeated


def test_a_toy_killed_at_every_step_ends_with_the_same_bits(
    toy, expected, faulty_disk, tmp_path
):
    folder, kills = tmp_path / "killed", 0
    folder.mkdir()
    while killed_at(toy, folder, faulty_disk(), 1):
        kills += 1
    assert kills == expected.steps - 1
    assert toy.outcome(folder) == expected.outcome


# --- kfc itself ---------------------------------------------------------------------------

SIGNALS = {
    "whole": [],
    "kills": [
        ["step", 1, "SIGKILL"],
        ["epoch edge", 1, "SIGKILL"],
        ["validation", 1, "SIGKILL"],
        ["step", 4, "SIGKILL"],
    ],
    "interrupts": [
        ["step", 2, "SIGINT", "SIGINT"],
        ["step", 2, "SIGTERM"],
        ["validation", 1, "SIGINT"],
    ],
}

TABLES = {
    "table": [["step", 2, "SIGKILL"], ["validation", 1, "SIGKILL"]],
    "streamed": [
        ["piece", 3, "SIGKILL"],
        ["encoded part", 2, "SIGKILL"],
        ["step", 2, "SIGKILL"],
        ["epoch edge", 1, "SIGKILL"],
    ],
    "streamed parquet": [["piece", 3, "SIGKILL"], ["encoded part", 2, "SIGKILL"]],
}


def table_settings(folder, name):
    """Writes a table, and returns the values of a spec that trains on it."""
    rng = np.random.default_rng(0)
    size, plan = rng.random(200), rng.choice(["basic", "plus", ""], 200)
    if name == "streamed parquet":
        source = f"parquet:{folder}/table.parquet"
        table = pa.table({"size": size, "plan": plan, "big": size > 0.5})
        pq.write_table(table, folder / "table.parquet")
    else:
        source = f"csv:{folder}/table.csv"
        lines = [f"{s:.3f},{p},{s > 0.5}" for s, p in zip(size, plan, strict=True)]
        (folder / "table.csv").write_text("\n".join(["size,plan,big", *lines]))
    stream = "never" if name == "table" else "always"
    return [f"data.source={source}", "data.target=big", f"data.stream={stream}"]


# Line by line a process starts in half the time; compiled, it is resumed in test_resume.py.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param("eager", marks=pytest.mark.long),
        pytest.param("graph", marks=pytest.mark.slow),
    ],
)
def killed(request, tmp_path_factory):
    """The folder of the runs of `SIGNALS`, with the exit codes of their processes."""
    folder = tmp_path_factory.mktemp("killed")
    settings = [f"training.engine={request.param}"]
    plans = {name: {"signals": each, "set": settings} for name, each in SIGNALS.items()}
    plans["interrupts"]["set"] = [*settings, "training.checkpoint_seconds=1000000"]
    for name in TABLES:
        of_table = {"set": [*settings, *table_settings(folder, name)]}
        plans[name] = {"signals": TABLES[name], **of_table}
        plans[f"{name}, whole"] = {"signals": [], **of_table}
    script = Path(__file__).with_name("killing.py")
    command = [sys.executable, script, folder, json.dumps(plans)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def outcome(folder):
    """Everything that a run left but for seconds, and what it says of interruptions."""
    (run,) = folder.glob("0*")
    state = store.newest(run / "checkpoints")
    arrays = {name: values.tobytes() for name, values in state.arrays.items()}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    for untimed in (*lines, result):
        untimed.pop("seconds")
    kept = ("metrics", "epochs", "history", "weights_sha256", "sample_sha256")
    progress = state.facts["progress"]
    best = [
        {name: value for name, value in of.items() if name not in ("files", "epoch_began")}
        for of in state.facts["states"]
    ]
    return (
        arrays,
        lines,
        {name: result[name] for name in kept},
        (progress["epoch"], progress["step"], progress["stopped"]),
        best,
    )


def resumed_at(folder):
    (run,) = folder.glob("0*")
    resumed = json.loads((run / "result.json").read_text())["resumed"]
    return [(each["epoch"], each["step"]) for each in resumed]


@pytest.mark.parametrize("name", ["kills", "interrupts"])
def test_an_ended_run_is_resumed_to_the_same_bits(killed, name):
    folder, codes, _ = killed
    expected = [
        {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[signals[2]] for signals in SIGNALS[name]
    ]
    assert codes[name] == [*expected, 0]
    for got, want in zip(outcome(folder / name), outcome(folder / "whole"), strict=True):
        assert got == want


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_killed_as_it_is_encoded_or_trained_ends_with_the_same_bits(
    killed, name
):
    folder, codes, _ = killed
    assert codes[name] == [*([-9] * len(TABLES[name])), 0]
    for got, want in zip(
        outcome(folder / name), outcome(folder / f"{name}, whole"), strict=True
    ):
        assert got == want


def test_what_killed_processes_wrote_of_a_table_is_gone(killed):
    folder, _, _ = killed
    left = {path.name for path in (folder / "streamed" / ".tables").rglob("*")}
    assert not {name for name in left if name.startswith(".partial")}
    assert "columns" not in left


def test_what_a_kill_costs_is_the_work_since_the_last_checkpoint(killed):
    folder, _, _ = killed
    assert resumed_at(folder / "kills") == [(0, 0), (0, 2), (1, 0), (2, 0)]


def test_an_interrupt_waits_for_the_step_and_a_checkpoint_and_a_second_one_for_nothing(killed):
    folder, _, said = killed
    assert resumed_at(folder / "interrupts") == [(0, 0), (0, 2), (1, 1)]
    assert f"`kfc resume {folder / 'interrupts'}/0001-killed` continues the run." in said
