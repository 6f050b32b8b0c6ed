"""From the command to the first training step, against `import tensorflow, keras` alone."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "import": ("-c", "import tensorflow, keras"),
    "help": ("-m", "kfc", "--help"),
    "digits": ("-m", "kfc", "fit", "digits", "training.epochs=1", "--json", "--quiet"),
    "mnist": ("-m", "kfc", "fit", "mnist", "training.epochs=1", "--json", "--quiet"),
}
AFTER_THE_START = ("compile", "train", "layers", "save", "evaluate")
"""Phases of a run that begin when it is ready for its first step."""


def measure(*, small: bool = False, mnist: bool = False) -> dict:
    """Returns medians of seconds to the first step, and their ratios to the import's.

    Each round starts every command once, in a process of its own, so that whatever else
    the machine does meets all of them.
    """
    names = [name for name in COMMANDS if mnist or name != "mnist"]
    rounds = [{name: seconds(name) for name in names} for _ in range(1 if small else 7)]
    measured = {name: [each[name] for each in rounds] for name in names}
    ratios = {name: [each[name] / each["import"] for each in rounds] for name in names[1:]}
    return {
        "seconds": _medians(measured),
        "ratio": _medians(ratios),
        "rounds": measured,
    }


def seconds(name: str) -> float:
    """Returns what a command takes from the start of its process to the first step."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *COMMANDS[name]], cwd=folder, stdout=subprocess.PIPE, check=True
        )
        took = round(time.perf_counter() - began, 2)
        if "--json" not in COMMANDS[name]:
            return took
        run = Path(folder, json.loads(done.stdout)["folder"])
        phases = json.loads((run / "result.json").read_text("utf-8"))["phases"]
        return until_first_step(took, phases)


def until_first_step(took: float, phases: dict[str, float]) -> float:
    """Returns the seconds of a whole process without those after its start."""
    return round(took - sum(phases[name] for name in AFTER_THE_START), 2)


def _medians(values: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(all_), 2) for name, all_ in values.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="one round instead of seven")
    parser.add_argument("--mnist", action="store_true", help="also with tfds:mnist, prepared")
    options = parser.parse_args()
    print(json.dumps(measure(small=options.small, mnist=options.mnist), indent=1))
