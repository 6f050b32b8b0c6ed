"""Tunes dense networks on MNIST and Fashion-MNIST, within 40 trials each."""

import argparse
import json
import sys
import time
from pathlib import Path

EXPECTED = {"fashion_mnist": 0.90, "mnist": 0.985}  # test accuracy, at least
HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> dict:
    """Prints each search's answer; returns name -> what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(EXPECTED))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--small", action="store_true", help="2 trials on 2,000 rows")
    given = parser.parse_args(arguments)
    import kfc

    overrides = {}
    if given.small:
        small = {"data.rows": 2000, "training.epochs": 3, "search.trials": 2}
        overrides = {**small, "search.repeats": 2, "search.finalists": 1}
    results = {}
    for name in given.names:
        began = time.monotonic()
        search = kfc.tune(HERE / f"{name}.yaml", overrides=overrides, runs=given.runs)
        seconds = time.monotonic() - began
        results[name] = {
            "test_accuracy": search.metrics["test_accuracy"],
            "trials": len(search.trials),
            "minutes": round(seconds / 60, 1),
            "values": search.best.values,
            "val_accuracy": search.best.score,
            "repeats": [trial.score for trial in search.finalists[0].repeats],
        }
        print(json.dumps({name: results[name]}, indent=1))
        if not given.small and search.metrics["test_accuracy"] < EXPECTED[name]:
            sys.exit(f"{name}: expected {EXPECTED[name]} or more")
    return results


if __name__ == "__main__":
    main()
