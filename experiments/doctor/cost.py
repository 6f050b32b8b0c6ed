"""What the doctor costs on MNIST: seconds beyond the start-up, and a share of the training.

    python experiments/doctor/cost.py

A diagnosis runs in a process of its own, whose imports are not counted; the reading of the
data, which every training does, is shown apart. Monitoring is the time within the watch that
looks for faults and within the log of the layers that it reads, by that of the training loop.
Processor time is measured beside the clock, since other programs may use the machine.
"""

import argparse
import contextlib
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any
from unittest import mock

from kfc.runs.watching import TrainingWatch
from kfc.training import Loop
from kfc.training.callbacks import LayerLog

_DOCTOR = """
import json, sys, time
import kfc
from kfc.diagnosing import of_spec
from kfc.runs import start_for_spec
from kfc.spec import load_spec

def now():
    return time.monotonic(), time.process_time()

def read(*given):
    began = now()
    found = prepare_data(*given)
    reading.append([after - before for after, before in zip(now(), began)])
    return found

reading, prepare_data = [], of_spec.prepare_data
of_spec.prepare_data = read
spec = load_spec(sys.argv[1])
start_for_spec(spec, insist_on_threads=False)
began = now()
kfc.doctor(spec)
all_of_it = [after - before for after, before in zip(now(), began)]
print(json.dumps([all_of_it, reading[0]]))
"""


def doctor_seconds(spec: str) -> dict[str, list[float]]:
    """Returns clock and processor seconds of a diagnosis, of its reading, and of the rest."""
    command = [sys.executable, "-c", _DOCTOR, spec]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole, reading = json.loads(done.stdout.splitlines()[-1])
    rest = [after - before for after, before in zip(whole, reading, strict=True)]
    return {"doctor": whole, "reading": reading, "checks": rest}


def monitoring_share(spec: str, epochs: int) -> dict[str, float]:
    """Returns the seconds of the training loop of `kfc.fit`, and those of its monitoring."""
    import kfc

    spent = {"loop": 0.0, "watch": 0.0, "layers": 0.0}

    def timed(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*given: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **options)
            finally:
                spent[name] += time.perf_counter() - began

        return call

    patched = [(Loop, "run", "loop")]
    patched += [(TrainingWatch, each, "watch") for each in ("on_epoch_end", "_look")]
    patched += [(LayerLog, each, "layers") for each in ("on_epoch_end", "next_due", "flush")]
    with contextlib.ExitStack() as stack:
        runs = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.dict("os.environ", KFC_REPORT="off"))
        for kind, method, name in patched:
            call = timed(name, getattr(kind, method))
            stack.enter_context(mock.patch.object(kind, method, call))
        kfc.fit(spec, overrides={"training.epochs": epochs}, runs=runs, verbose=False)
    return spent


def main() -> None:
    """Prints the seconds of each round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    diagnoses, trainings = [], []
    for _ in range(given.rounds):
        diagnoses.append(doctor_seconds(given.spec))
        trainings.append(monitoring_share(given.spec, given.epochs))
        print(json.dumps({**diagnoses[-1], **trainings[-1]}), flush=True)
    for place, unit in enumerate(("clock", "processor")):
        medians = {
            name: statistics.median(each[name][place] for each in diagnoses)
            for name in diagnoses[0]
        }
        print(f"{unit}: " + ", ".join(f"{name} {s:.2f} s" for name, s in medians.items()))
    for name in ("watch", "layers"):
        shares = [each[name] / each["loop"] for each in trainings]
        middle, most = statistics.median(shares), max(shares)
        print(f"{name}: {middle:.2%} of the training, at most {most:.2%}")


if __name__ == "__main__":
    main()
