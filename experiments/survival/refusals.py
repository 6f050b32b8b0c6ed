"""Times refusals: from rows that are in memory to the error that says what is wrong with them.

python experiments/survival/refusals.py [--rows 60000] [--rounds 5]
"""

import argparse
import json
import statistics
import tempfile
import time

import numpy as np

import kfc


def findings(rows):
    """Yields a finding, and rows that have it: in the last, where it has a place."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
    numbers = random.normal(size=(rows, 784)).astype(np.float32)
    labels = random.integers(0, 10, rows)
    for name, value in {"NaN": np.nan, "infinity": np.inf}.items():
        spoiled = numbers.copy()
        spoiled[-1, -1] = value
        yield f"{name} in the last cell", spoiled, labels
    yield "one class", pixels, np.zeros_like(labels)
    yield "a class that one row has", pixels, np.append(labels[:-1], 10)
    yield "a label too few", pixels, labels[:-1]
    yield "numbers as text", np.full((rows, 28), "1,5"), labels
    yield "rows all alike", np.zeros_like(pixels), labels


def measure(rows, rounds):
    """Returns the median and the largest number of seconds until each error."""
    kfc.fit  # noqa: B018 - imports TensorFlow, which is no part of a refusal
    found = {}
    for name, x, y in findings(rows):
        took = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as runs:
                began = time.perf_counter()
                try:
                    kfc.fit("mnist", data=(x, y), runs=runs, verbose=False)
                except kfc.KfcError as error:
                    took.append(time.perf_counter() - began)
                    found[name] = {"error": type(error).__name__}
                else:
                    raise SystemExit(f"{name} was not refused")
        found[name] |= {
            "median, s": round(statistics.median(took), 2),
            "largest, s": round(max(took), 2),
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure(options.rows, options.rounds), indent=1))
