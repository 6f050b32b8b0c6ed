"""What the doctor costs on MNIST: seconds beyond the start-up, and a share of the training.

    python experiments/doctor/cost.py

Processor time is measured beside the clock, since other programs may use the machine.
Trainings with and without monitoring alternate, and the medians are compared.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

from kfc.runs.watching import TrainingWatch
from kfc.training.callbacks import LayerLog

_DOCTOR = """
import sys, time
import kfc
from kfc.runs import start_for_spec
from kfc.spec import load_spec
spec = load_spec(sys.argv[1])
start_for_spec(spec, insist_on_threads=False)
began = time.monotonic(), time.process_time()
found = kfc.doctor(spec)
print(time.monotonic() - began[0], time.process_time() - began[1], len(found.findings))
"""


def doctor_seconds(spec: str) -> tuple[float, float]:
    """Returns clock and processor seconds of a diagnosis in a new process, after its start."""
    command = [sys.executable, "-c", _DOCTOR, spec]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    clock, processor, _ = map(float, done.stdout.split())
    return clock, processor


@contextlib.contextmanager
def without_monitoring() -> Iterator[None]:
    """Runs trainings that nothing looks at: no watch, and no numbers of layers."""
    off: dict[Any, dict[str, Any]] = {
        TrainingWatch: {"on_epoch_end": _nothing, "_look": _nothing},
        LayerLog: {"on_epoch_end": _nothing, "next_due": _nothing},
    }
    with contextlib.ExitStack() as stack:
        for kind, methods in off.items():
            for name, function in methods.items():
                stack.enter_context(mock.patch.object(kind, name, function))
        yield


def training_seconds(spec: str, epochs: int) -> tuple[float, float]:
    """Returns clock and processor seconds of `kfc.fit`, checks of the start left out."""
    import kfc

    changes = {"training.epochs": epochs}
    with tempfile.TemporaryDirectory() as runs:
        began = time.monotonic(), time.process_time()
        kfc.fit(spec, overrides=changes, runs=runs, verbose=False, checks="none")
        return time.monotonic() - began[0], time.process_time() - began[1]


def _nothing(*_: Any, **__: Any) -> None:
    pass


def main() -> None:
    """Prints the seconds of each round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    rounds: dict[str, list[tuple[float, float]]] = {"doctor": [], "off": [], "on": []}
    training_seconds(given.spec, 1)  # starts TensorFlow
    for number in range(given.rounds):
        rounds["doctor"].append(doctor_seconds(given.spec))
        for name in ("on", "off") if number % 2 else ("off", "on"):
            with without_monitoring() if name == "off" else contextlib.nullcontext():
                rounds[name].append(training_seconds(given.spec, given.epochs))
        print(json.dumps({name: each[-1] for name, each in rounds.items()}), flush=True)
    for place, unit in enumerate(("clock", "processor")):
        medians = {
            name: statistics.median(each[place] for each in found)
            for name, found in rounds.items()
        }
        share = medians["on"] / medians["off"] - 1
        shown = ", ".join(f"{name} {value:.2f} s" for name, value in medians.items())
        print(f"{unit}: {shown}; monitoring {share:.1%}")


if __name__ == "__main__":
    main()
