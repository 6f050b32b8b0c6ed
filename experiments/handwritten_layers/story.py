"""A spec of one case -> the numbers its run left behind, also where it ended with an error."""

import json
import tempfile
from pathlib import Path

import kfc
from kfc.errors import KfcError

GOALS = (0.90, 0.93)
EPOCHS = (50, 180)


def tell(spec, overrides):
    """Trains once and returns what the tutorial prints, or how the training ended."""
    with tempfile.TemporaryDirectory() as runs:
        try:
            run = kfc.fit(spec, overrides=overrides, runs=runs)
        except KfcError as error:
            losses = [line["batch_loss"] for line in _lines(runs)]
            return {
                "exit_code": error.exit_code,
                "error": str(error).partition(". ")[0],
                "first_loss": losses[0] if losses else None,
                "batch_losses": losses,
            }
        phases = json.loads((run.folder / "result.json").read_text("utf-8"))["phases"]
        lines = _lines(runs)
        log = (run.folder / "run.log").read_text("utf-8").splitlines()
    accuracies = [line["test_accuracy"] for line in lines]
    compiling = phases["build"] + phases["compile"]
    told = {
        "train_accuracy": round(lines[-1]["accuracy"], 4),
        "test_accuracy": round(accuracies[-1], 4),
        "test_loss": round(lines[-1]["test_loss"], 4),
        "seconds": round(run.seconds, 1),
        "seconds_per_epoch": round(lines[-1]["seconds"] / len(lines), 3),
        "log": [log[0], log[-1]],
    }
    for epoch in EPOCHS:
        if epoch < len(lines):
            told[f"test_accuracy_at_{epoch}"] = round(accuracies[epoch - 1], 4)
    for goal in GOALS:
        first = next((n for n, value in enumerate(accuracies) if value >= goal), None)
        told[f"epochs_to_{goal:.2f}"] = None if first is None else first + 1
        told[f"seconds_to_{goal:.2f}"] = (
            None if first is None else round(compiling + lines[first]["seconds"], 1)
        )
    return told


def _lines(runs):
    """Returns the lines of the one run's `metrics.jsonl`, or none where it has not begun."""
    return [
        json.loads(line)
        for path in Path(runs).glob("*/metrics.jsonl")
        for line in path.read_text("utf-8").splitlines()
    ]
