"""Seconds and memory of a hundred fits of 200 rows, 10 columns and 5 epochs in one process.

python experiments/estimators/many_fits.py
"""

from __future__ import annotations

import time

import numpy as np

import kfc
from kfc.system import memory

FITS, ROWS, COLUMNS, EPOCHS = 100, 200, 10, 5


def measure(fits: int = FITS) -> dict[str, float]:
    """Returns seconds, processor seconds and megabytes of the fits after the first one.

    Args:
        fits: Number of fits.
    """
    generator = np.random.default_rng(0)

    def fit(seed: int) -> None:
        x = generator.normal(size=(ROWS, COLUMNS))
        y = x[:, 0] + generator.normal(size=ROWS) > 0
        kfc.Classifier(epochs=EPOCHS, random_state=seed).fit(x, y)

    fit(0)
    before, began, cpu = memory.used_bytes(), time.perf_counter(), time.process_time()
    for seed in range(fits):
        fit(seed)
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "processor_seconds": round(time.process_time() - cpu, 2),
        "megabytes": round((memory.used_bytes() - before) / 1e6, 1),
    }


if __name__ == "__main__":
    print(measure())
