"""A cross-validation that is killed, and killed again, ends with the same table."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kfc.system import atomic

KILLED = -signal.SIGKILL


# Two cases are seven processes, of three seconds each.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param((2, 1), id="2 cases", marks=pytest.mark.long),
        pytest.param((20, 1), id="20 cases", marks=pytest.mark.slow),
        pytest.param((3, 2), id="3 cases of two workers", marks=pytest.mark.slow),
    ],
)
def killed(request, tmp_path_factory):
    """The folder of the cases, their number, and what the script has printed."""
    folder, (cases, workers) = tmp_path_factory.mktemp("killed"), request.param
    script = Path(__file__).with_name("cross_killing.py")
    command = [sys.executable, script, folder, str(cases), str(workers)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder, cases, json.loads(ended.stdout.splitlines()[-1])


def outcome(folder):
    """Everything that a cross-validation left, but for seconds and hashes of these."""
    (place,) = (folder / "runs").iterdir()
    table = json.loads((place / "cross_validation.json").read_text())
    average = json.loads((place / "average.json").read_text())
    printed = json.loads((folder / "stdout").read_text())
    for of_fold in (*table["folds"], *printed["folds"]):
        del of_fold["seconds"]
    del table["sha256"], printed["folder"]
    return table, average, printed, (place / "out_of_fold.npz").read_bytes()


def test_a_killed_cross_validation_ends_with_the_same_table(killed):
    folder, cases, _ = killed
    expected = outcome(folder / "whole")
    assert len(expected[0]["folds"]) == 3
    for case in range(cases):
        for got, want in zip(outcome(folder / str(case)), expected, strict=True):
            assert got == want, case


def test_the_processes_were_killed_and_the_last_one_ended(killed):
    _, cases, printed = killed
    assert printed["points"] > 10
    codes = printed["codes"]
    assert codes["whole"] == [0]
    for case in range(cases):
        first, second, last = codes[str(case)]
        # The second process may have fewer points left than its number: it then ends.
        assert first == KILLED
        assert second in (KILLED, 0)
        assert last == 0
    assert sum(codes[str(case)][1] == KILLED for case in range(cases)) >= cases / 2


def test_nothing_that_was_half_written_is_left(killed):
    folder, cases, _ = killed
    for case in range(cases):
        assert not list((folder / str(case) / "runs").rglob(f"{atomic.PARTIAL}*"))
