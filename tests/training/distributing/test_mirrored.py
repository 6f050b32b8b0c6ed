"""Devices of one process train as one device does; see `mirrored_fits.py` for the problems."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("mirrored_fits.py")
DEFAULT = ["adam with dropout, decay and clipping", "a loss of whole batches", "regression"]
SLOW = [
    *("tape_sgd", "adam", "class weights", "members", "rows on the disk", "early stopping"),
    "relu, one step",
]


def differences(folder, names):
    command = [sys.executable, str(SCRIPT), str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found):
    for name, values in found.items():
        assert values["weights"] < (1e-5 if name.startswith("relu") else 1e-6), name
        assert values["metrics"] < 1e-5, name


def test_three_devices_train_as_one_device_does(tmp_path):
    check(differences(tmp_path, DEFAULT))


@pytest.mark.slow
def test_three_devices_train_other_problems_as_one_device_does(tmp_path):
    found = differences(tmp_path, SLOW)
    check(found)
    assert found["early stopping"]["epochs"] < 9
