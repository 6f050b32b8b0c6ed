"""Seconds of a search: one worker on one core, two processes, and two workers on Ray.

    python experiments/ray/run.py              # measures
    python experiments/ray/run.py --predict    # the model, beside what was measured

The model of a search on n machines, of which each trains one network at a time:

    seconds = start + trainings x seconds of one / n + the slowest last training

`start` ends with the first training, so the model counts those after it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TWO_NODES = HERE.parent.parent / "tests" / "cluster" / "two_nodes.py"
ALONE = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
ALONE += ["--mount-proc", sys.executable, str(TWO_NODES)]
KFC = [sys.executable, "-m", "kfc", "tune", str(HERE / "spec.yaml"), "--folder", "search"]

CONTENDERS = {
    "one core": ["taskset", "-c", "0", *KFC],
    "processes": [*KFC, "--workers", "2"],
    "ray": [*KFC, "--workers", "2", "--ray"],
}
SHORT = [*KFC, "training.epochs=12", "--ray", "ADDRESS"]
EVENTS = {
    name: [*ALONE, name, "search/trials/0012", "--", *SHORT]
    for name in ("none", "kill", "stop")
}

MEASURED = {
    "one core": {"workers": 1, "total": 36.4, "after_first_trial": 30.1},
    "processes": {"workers": 2, "total": 30.5, "after_first_trial": 16.5},
    "ray": {"workers": 2, "total": 32.3, "after_first_trial": 16.2},
}
"""Medians of two rounds on two cores, as in `README.md`."""

TRAININGS = 40 + 3 * 2
"""Trials, and two repeats of three finalists."""


def predicted(start: float, trainings: int, each: float, machines: int, last: float) -> float:
    """Returns the seconds of a search on some machines.

    Args:
        start: Seconds to the end of the first training.
        trainings: Number of trainings after the first one.
        each: Mean seconds of a training.
        machines: Number of machines.
        last: Seconds of the slowest last training, for which the others wait; 0 for one
            machine, which waits for none.
    """
    return start + trainings * each / machines + (last if machines > 1 else 0.0)


def checks() -> str:
    """Returns the model beside the measured seconds, in Markdown.

    The seconds of a training are those of one core, and the start is each contender's own. A
    last training counts as a mean one, since no slower one is known before a search.
    """
    more = TRAININGS - 1
    each = MEASURED["one core"]["after_first_trial"] / more
    lines = ["| contender | start, s | measured, s | predicted, s |", "|---|---|---|---|"]
    for name, row in MEASURED.items():
        start = row["total"] - row["after_first_trial"]
        model = predicted(start, more, each, int(row["workers"]), each)
        lines.append(f"| {name} | {start:.1f} | {row['total']} | {model:.1f} |")
    return "\n".join(lines)


def costs(start: float = 20.0, trainings: int = 400, slowest: float = 3.0) -> str:
    """Returns predicted minutes of a search on some machines, in Markdown.

    A training takes one minute or ten, and the slowest last one `slowest` times as long.
    """
    counts = (1, 4, 16, 64)
    lines = [
        "| a training takes | " + " | ".join(f"n = {n}" for n in counts) + " |",
        "|---|" + "---|" * len(counts),
    ]
    for minutes in (1, 10):
        each = 60.0 * minutes
        found = [predicted(start, trainings, each, n, slowest * each) / 60 for n in counts]
        lines.append(f"| {minutes} min | " + " | ".join(f"{m:,.0f} min" for m in found) + " |")
    return "\n".join(lines)


def run(command: list[str]) -> dict[str, Any]:
    """Runs a search in an empty folder.

    Args:
        command: Command of the search.

    Returns:
        `total`, seconds of the command; `search`, seconds from its first line to the last
        training; `trials`, number, weights and score of each trial; `lines` on stderr, each
        with its second.
    """
    lines: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--json"],
            cwd=folder,
            env={**os.environ, "KFC_REPORT": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def read() -> None:
            for line in process.stderr or ():
                lines.append((time.monotonic() - began, line.rstrip()))

        reader = threading.Thread(target=read)
        reader.start()
        answer = process.stdout.read() if process.stdout else ""
        reader.join()
        if process.wait():
            raise SystemExit("\n".join(line for _, line in lines))
        total = time.monotonic() - began
    keys = ("number", "weights_sha256", "score")
    trials = [[each[key] for key in keys] for each in json.loads(answer)["trials"]]
    shown = [second for second, line in lines if line.startswith(("trial ", "finalist "))]
    first = next(second for second, line in lines if "(1 of" in line)
    return {
        "total": round(total, 1),
        "search": round(shown[-1] - shown[0], 1),
        "after_first_trial": round(shown[-1] - first, 1),
        "trials": trials,
        "lines": lines,
    }


def measure(contenders: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    """Runs the contenders in turn, and checks that their tables are equal."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, command in contenders.items():
            found[name].append(run(command))
            result = found[name][-1]
            numbers = {key: result[key] for key in ("total", "search", "after_first_trial")}
            print(name, json.dumps(numbers), file=sys.stderr, flush=True)
            happened = [s for s, line in result["lines"] if line.startswith((*EVENTS,))]
            lost = [s for s, line in result["lines"] if line.startswith("lost node")]
            if happened and lost:
                seconds = round(lost[0] - happened[0], 1)
                print(f"{name}: noticed after {seconds} s", file=sys.stderr, flush=True)
                result["noticed"] = seconds
    tables = [each["trials"] for results in found.values() for each in results]
    keys = ("total", "search", "after_first_trial", "noticed")
    medians = {
        name: {
            key: statistics.median(each[key] for each in results)
            for key in keys
            if key in results[0]
        }
        for name, results in found.items()
    }
    return {
        "medians": medians,
        "same_table": all(table == tables[0] for table in tables),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Prints the medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", action="store_true", help="kill and stop one of two nodes")
    parser.add_argument("--predict", action="store_true", help="print the model alone")
    options = parser.parse_args()
    if options.predict:
        print(checks(), costs(), sep="\n\n")
        return
    contenders = EVENTS if options.nodes else CONTENDERS
    print(json.dumps(measure(contenders, options.rounds), indent=1))


if __name__ == "__main__":
    main()
