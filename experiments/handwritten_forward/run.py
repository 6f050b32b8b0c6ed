"""The hand-written forward pass on MNIST: the loss of every 100th batch, over seeds."""

import argparse
import json
import tempfile
from pathlib import Path

import kfc

HERE = Path(__file__).parent


def measure(*, full=False):
    """Returns lists over seeds: the printed losses by step, accuracies and seconds."""
    overrides = {} if full else {"data.rows": 13_000, "training.epochs": 1}
    found = {"batch_loss": {}, "train_accuracy": [], "test_accuracy": [], "seconds": []}
    for seed in range(5 if full else 1):
        with tempfile.TemporaryDirectory() as runs:
            run = kfc.fit(HERE / "spec.yaml", overrides={**overrides, "seed": seed}, runs=runs)
            lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
        for line in map(json.loads, lines):
            if "batch_loss" in line:
                losses = found["batch_loss"].setdefault(str(line["step"]), [])
                losses.append(round(line["batch_loss"], 4))
        found["train_accuracy"].append(round(run.history["accuracy"][-1], 4))
        found["test_accuracy"].append(round(run.metrics["test_accuracy"], 4))
        found["seconds"].append(round(run.seconds, 1))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="and write measured.json")
    full = parser.parse_args().full
    measured = json.dumps(measure(full=full), indent=1)
    if full:
        (HERE / "measured.json").write_text(measured + "\n", encoding="utf-8")
    print(measured)
