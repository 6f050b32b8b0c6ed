"""Processor time of an epoch of `tabm`, beside that of pytabkit's TabM-mini.

    python experiments/tables_strong/epoch_seconds.py --tables adult hpc_jobs

Early stopping decides after how many epochs a training ends, and two libraries that draw other
numbers end at other epochs. This compares the epochs themselves: the processor time of twelve
epochs minus that of two, divided by ten, on one thread, after a first training that compiles.
RealMLP always trains for 256 epochs, so that its seconds in `run.py` can be compared.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from contenders import train_contender
from folded_tables import FoldedTable, read_table, table_names
from networks import spec_of
from run import ROOT, machine

import kfc

PRESET, CONTENDER = "tabm", "tabm_mini_pwl_k8"
"""Preset, and pytabkit's model of the same recipe."""

FEW, MANY = 2, 12
"""Numbers of epochs whose times are compared."""


def of_kfc(table: FoldedTable) -> float:
    """Returns the seconds of an epoch of the preset, without early stopping."""
    fold = table.parts(0)

    def train(epochs: int) -> None:
        spec = spec_of(table, {"preset": PRESET}, threads=1, seed=0, short=False)
        spec["training"] |= {"epochs": epochs, "early_stopping": None}
        with tempfile.TemporaryDirectory() as runs:
            data = {"train": fold.train, "test": fold.test}
            kfc.fit(spec, data=data, runs=runs, verbose=False)

    return _seconds_of_epoch(train)


def of_pytabkit(table: FoldedTable) -> float:
    """Returns the seconds of an epoch of the contender."""
    fold = table.parts(0)
    return _seconds_of_epoch(
        lambda epochs: train_contender(
            CONTENDER, table, fold, threads=1, seed=0, epochs=epochs
        )
    )


def _seconds_of_epoch(train: Callable[[int], Any]) -> float:
    seconds = []
    for epochs in (FEW, FEW, MANY):  # the first one compiles and imports
        began = time.process_time()
        train(epochs)
        seconds.append(time.process_time() - began)
    return (seconds[2] - seconds[1]) / (MANY - FEW)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Reads the options, measures and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the tables")
    parser.add_argument("--tables", nargs="*", help="by default all")
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    seconds, ratios = {}, []
    # TensorFlow and torch in one process end it without a message on this stack.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as with_torch:
        for name in options.tables or table_names(options.root):
            table = read_table(options.root, name)
            theirs, ours = with_torch.submit(of_pytabkit, table).result(), of_kfc(table)
            ratios.append(ours / theirs)
            seconds[name] = {PRESET: round(ours, 4), CONTENDER: round(theirs, 4)}
            print(name, seconds[name], flush=True)
    found = {
        "machine": machine(),
        "seconds": seconds,
        "ratio": {
            "median": round(statistics.median(ratios), 3),
            "low": round(min(ratios), 3),
            "high": round(max(ratios), 3),
        },
    }
    print(json.dumps(found["ratio"], indent=1))
    if options.summary:
        options.summary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
