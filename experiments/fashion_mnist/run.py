"""Fashion-MNIST with Keras layers: the test accuracy every 500 steps, over seeds."""

import argparse
import json
import tempfile
from pathlib import Path

from endless import show_endless

import kfc

HERE = Path(__file__).parent


def measure(*, full=False):
    """Returns lists over seeds: accuracies by step, at best and at the end, and seconds."""
    overrides = {} if full else {"data.rows": 6_000, "training.epochs": 10}
    found = {"by_step": {}, "best": [], "test_accuracy": [], "seconds": []}
    for seed in range(5 if full else 1):
        with tempfile.TemporaryDirectory() as runs:
            run = kfc.fit(HERE / "spec.yaml", overrides={**overrides, "seed": seed}, runs=runs)
            lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
        for line in map(json.loads, lines):
            if line["step"] % run.spec.training.evaluate_every == 0:
                same = found["by_step"].setdefault(str(line["step"]), [])
                same.append(round(line["test_accuracy"], 4))
        found["best"].append(max(values[-1] for values in found["by_step"].values()))
        found["test_accuracy"].append(round(run.metrics["test_accuracy"], 4))
        found["seconds"].append(round(run.seconds, 1))
    return {**found, "endless": show_endless(epochs=3 if full else 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="and write measured.json")
    full = parser.parse_args().full
    measured = json.dumps(measure(full=full), indent=1)
    if full:
        (HERE / "measured.json").write_text(measured + "\n", encoding="utf-8")
    print(measured)
