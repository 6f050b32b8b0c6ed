"""Whether XLA is worth compiling, and how much of a training: trainings around both lines.

Each round trains each spec in three ways, each in a process of its own: in the plain graph,
with the steps of full batches compiled by XLA, and with everything compiled. It adds up the
two phases in which they differ, `compile` and `train` of `result.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

DIGITS = {"data.source": "sklearn:digits"}
MNIST = {"data.source": "tfds:mnist", "data.rows": 10_000, "training.batch_size": 128}
TRAININGS = {
    "digits, 256, 40 epochs": {**DIGITS, "network.hidden": [256], "training.epochs": 40},
    "digits, 142-367-128, 40": {
        **DIGITS,
        "network.hidden": [142, 367, 128],
        "training.epochs": 40,
    },
    "digits, 326, 80": {**DIGITS, "network.hidden": [326], "training.epochs": 80},
    "digits, 215-501-91, 80": {
        **DIGITS,
        "network.hidden": [215, 501, 91],
        "training.epochs": 80,
    },
    "digits, 256, 200": {**DIGITS, "network.hidden": [256], "training.epochs": 200},
    "mnist, 128, 20": {**MNIST, "network.hidden": [128], "training.epochs": 20},
    "mnist, 256-128, 20": {**MNIST, "network.hidden": [256, 128], "training.epochs": 20},
    "mnist, 256-128, 40": {**MNIST, "network.hidden": [256, 128], "training.epochs": 40},
    "digits, 32, 500": {**DIGITS, "network.hidden": [32], "training.epochs": 500},
    "digits, 256, 500": {**DIGITS, "network.hidden": [256], "training.epochs": 500},
    "digits, 32, 1000": {**DIGITS, "network.hidden": [32], "training.epochs": 1000},
}
LIMITS = {"graph": 0.0, "steps": float("inf"), "everything": 0.0}
"""Form -> number of epochs from which on XLA compiles everything."""


def train(name: str, form: str) -> dict[str, float]:
    """Returns the seconds of compiling and training, and the saving that the rule expects."""
    import kfc
    from kfc.training.engine import choice

    choice._EPOCHS_WORTH_COMPILING = LIMITS[form]

    with tempfile.TemporaryDirectory() as folder:
        run = kfc.fit(
            {"name": "choosing"},
            overrides={
                **TRAININGS[name],
                "training.engine": "graph" if form == "graph" else "xla",
            },
            runs=folder,
            verbose=False,
        )
        result = json.loads((run.folder / "result.json").read_text("utf-8"))
    rows, weights = result["rows"]["train"], run.model.count_params()
    seconds = result["phases"]["compile"] + result["phases"]["train"]
    return {
        "seconds": seconds,
        "saved": choice.xla_savings(run.spec, num_rows=rows, num_weights=weights),
    }


def measure(name: str, form: str) -> dict[str, float]:
    """Returns what `train` does, from a process of its own."""
    command = [sys.executable, __file__, "--form", form, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Prints a row of a table for each training, the smallest saving first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--form", choices=LIMITS, help="in this process, the one named")
    parser.add_argument("names", nargs="*", metavar="TRAINING", help="instead of all")
    given = parser.parse_args(arguments)
    names = given.names or list(TRAININGS)
    if given.form:
        print(json.dumps(train(names[0], given.form)))
        return
    rows = []
    for name in names:
        rounds = [{form: measure(name, form) for form in LIMITS} for _ in range(given.rounds)]
        graph, *compiled = ([each[form]["seconds"] for each in rounds] for form in LIMITS)
        saved = rounds[0]["steps"]["saved"]
        cells = [name, f"{saved:.1e}", f"{statistics.median(graph):.2f}"]
        for seconds in compiled:
            ratios = [b / a for a, b in zip(graph, seconds, strict=True)]
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append(f"{statistics.median(seconds):.2f}")
            cells.append(f"{statistics.median(ratios):.2f} {spread}")
        rows.append((saved, f"| {' | '.join(cells)} |"))
    for _, row in sorted(rows):
        print(row)


if __name__ == "__main__":
    main()
