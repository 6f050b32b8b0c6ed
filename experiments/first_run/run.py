"""All 60,000 MNIST images through one spec, over five seeds; `--small` is a slice of it."""

import argparse
import json
import statistics
from pathlib import Path

import kfc

HERE = Path(__file__).parent


def measure(*, small: bool = False, runs: str | Path = "runs") -> dict:
    """Returns test accuracies and seconds, one per seed, and the parameters."""
    overrides = {"data.rows": 3000, "training.epochs": 1} if small else {}
    seeds = range(1 if small else 5)
    found = [
        kfc.fit(HERE / "spec.yaml", overrides={**overrides, "seed": seed}, runs=runs)
        for seed in seeds
    ]
    accuracies = [round(run.metrics["test_accuracy"], 4) for run in found]
    return {
        "test_accuracy": accuracies,
        "median": statistics.median(accuracies),
        "seconds": [round(run.seconds, 1) for run in found],
        "parameters": found[0].model.count_params(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="3,000 rows, one epoch, one seed")
    print(json.dumps(measure(small=parser.parse_args().small), indent=1))
