"""Seconds of a five-fold cross-validation of digits, against those of one training.

Both as commands, each in a process of its own, and in one process in which TensorFlow runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

FIT = ("-m", "kfc", "fit", "digits", "--quiet")
COMMANDS = {"one training": FIT, "five folds": (*FIT, "--folds", "5")}


def measure(rounds: int = 5) -> dict:
    """Returns the seconds of each round, by what was timed, and the ratios of the rounds.

    Args:
        rounds: How often both are timed, in turn.
    """
    found: dict[str, dict[str, list[float]]] = {
        "command": {name: [] for name in COMMANDS},
        "in one process": {name: [] for name in COMMANDS},
    }
    calls = calls_in_this_process()
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            took = {
                "command": seconds(lambda folder, command=command: run(command, folder)),
                "in one process": seconds(calls[name]),
            }
            for kind, value in took.items():
                found[kind][name] += [value] if number else []  # the first one warms up
    return {
        kind: {
            "seconds": by_name,
            "ratio": [
                round(five / one, 2) for one, five in zip(*by_name.values(), strict=True)
            ],
        }
        for kind, by_name in found.items()
    }


def calls_in_this_process() -> dict[str, Callable[[str], object]]:
    """Returns the functions that train once, and in five folds, into a folder."""
    import kfc

    return {
        "one training": lambda folder: kfc.fit("digits", runs=folder, verbose=False),
        "five folds": lambda folder: kfc.cross_validate(
            "digits", folds=5, runs=folder, verbose=False
        ),
    }


def run(command: tuple[str, ...], folder: str) -> None:
    """Runs Python with some arguments."""
    subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, check=True)


def seconds(call: Callable[[str], object]) -> float:
    """Returns the seconds of a function that is called with an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        call(folder)
        return round(time.perf_counter() - began, 2)


def table(measured: dict) -> str:
    """Returns the medians, Markdown, with the range of the ratios."""
    lines = ["| | one training | five folds | ratio |", "|---|---|---|---|"]
    for kind, found in measured.items():
        one, five = (statistics.median(values) for values in found["seconds"].values())
        ratio = found["ratio"]
        lines.append(
            f"| {kind} | {one:.2f} s | {five:.2f} s | {statistics.median(ratio):.2f} "
            f"({min(ratio):.2f} to {max(ratio):.2f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    measured = measure(parser.parse_args().rounds)
    print(json.dumps(measured))
    print(table(measured))
