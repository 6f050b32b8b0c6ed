"""From the command to the first training step, against `import tensorflow, keras` alone.

Also the peak memory of each process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "import": ("-c", "import tensorflow, keras"),
    "import by kfc": ("-c", "from kfc.system import import_tensorflow as run; run()"),
    "help": ("-m", "kfc", "--help"),
    "digits": ("-m", "kfc", "fit", "digits", "training.epochs=1", "--json", "--quiet"),
    "mnist": ("-m", "kfc", "fit", "mnist", "training.epochs=1", "--json", "--quiet"),
    "whole mnist": ("-m", "kfc", "fit", "mnist", "--quiet"),
}
WHOLE = "whole mnist"
"""The command that is measured to its end, with the page of its run."""

AFTER_THE_START = ("compile", "train", "layers", "save", "evaluate")
"""Phases of a run that begin when it is ready for its first step."""


def measure(*, small: bool = False, mnist: bool = False) -> dict:
    """Returns medians of seconds to the first step, of ratios to the import's, and of memory.

    Each round starts every command once, in a process of its own, so that whatever else
    the machine does meets all of them.
    """
    names = [name for name in COMMANDS if mnist or "mnist" not in name]
    rounds = [{name: start(name) for name in names} for _ in range(1 if small else 7)]
    seconds, megabytes = (
        {name: [each[name][number] for each in rounds] for name in names} for number in (0, 1)
    )
    ratios = {
        name: [each[name][0] / each["import"][0] for each in rounds] for name in names[1:]
    }
    return {
        "seconds": _medians(seconds),
        "ratio": _medians(ratios),
        "peak_mb": _medians(megabytes),
        "rounds": seconds,
    }


def start(name: str) -> tuple[float, float]:
    """Returns a command's seconds until its first step, and its peak of memory in MB."""
    environment = {**os.environ, "KFC_REPORT": "on" if name == WHOLE else "off"}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name]],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
        )
        with process.stdout:
            printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = round(time.perf_counter() - began, 2)
        if status:
            raise SystemExit(f"{' '.join(COMMANDS[name])} failed")
        peak = usage.ru_maxrss * 1024 / 1e6  # in KiB on Linux
        if "--json" not in COMMANDS[name]:
            return took, peak
        run = Path(folder, json.loads(printed)["folder"])
        phases = json.loads((run / "result.json").read_text("utf-8"))["phases"]
        return until_first_step(took, phases), peak


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
