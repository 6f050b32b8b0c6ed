"""The built-in `digits` spec over ten seeds: what `kfc fit` prints, and how it spreads."""

import argparse
import json
import statistics
from pathlib import Path

import kfc


def measure(*, small: bool = False, runs: str | Path = "runs") -> dict:
    """Returns test accuracies and seconds, one per seed."""
    seeds = range(1 if small else 10)
    found = [kfc.fit("digits", overrides={"seed": seed}, runs=runs) for seed in seeds]
    accuracies = [round(run.metrics["test_accuracy"], 4) for run in found]
    return {
        "test_accuracy": accuracies,
        "median": statistics.median(accuracies),
        "seconds": [round(run.seconds, 2) for run in found],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="one seed, the built-in one")
    print(json.dumps(measure(small=parser.parse_args().small), indent=1))
