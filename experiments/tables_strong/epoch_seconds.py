"""Processor time of an epoch: networks of kfc beside pytabkit's of the same recipe.

    python experiments/tables_strong/epoch_seconds.py --tables adult hpc_jobs

Early stopping decides after how many epochs a training ends, and two libraries that draw other
numbers end at other epochs. This compares the epochs themselves: the processor time of twelve
epochs minus that of two, divided by ten, on one thread, after a first training that compiles.
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

PAIRS = {"tabm": "tabm_mini_pwl_k8", "realmlp_s": "td_s"}
"""Preset -> pytabkit's model of the same recipe."""

FEW, MANY = 2, 12
"""Numbers of epochs whose times are compared."""


def of_kfc(table: FoldedTable, preset: str) -> float:
    """Returns the seconds of an epoch of a preset, without early stopping."""
    fold = table.parts(0)

    def train(epochs: int) -> None:
        spec = spec_of(table, {"preset": preset}, threads=1, seed=0, short=False)
        spec["training"] |= {"epochs": epochs, "early_stopping": None}
        with tempfile.TemporaryDirectory() as runs:
            data = {"train": fold.train, "test": fold.test}
            kfc.fit(spec, data=data, runs=runs, verbose=False)

    return _seconds_of_epoch(train)


def of_pytabkit(table: FoldedTable, name: str) -> float:
    """Returns the seconds of an epoch of a contender."""
    fold = table.parts(0)
    return _seconds_of_epoch(
        lambda epochs: train_contender(name, table, fold, threads=1, seed=0, epochs=epochs)
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
    parser.add_argument("--presets", nargs="*", choices=[*PAIRS], default=[*PAIRS])
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"machine": machine(), "seconds": {}, "ratio": {}}
    # TensorFlow and torch in one process end it without a message on this stack.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as with_torch:
        for preset in options.presets:
            ratios = []
            for name in options.tables or table_names(options.root):
                table = read_table(options.root, name)
                theirs = with_torch.submit(of_pytabkit, table, PAIRS[preset]).result()
                ours = of_kfc(table, preset)
                ratios.append(ours / theirs)
                line = {preset: round(ours, 4), PAIRS[preset]: round(theirs, 4)}
                found["seconds"].setdefault(name, {}).update(line)
                print(name, line, flush=True)
            found["ratio"][preset] = {
                "median": round(statistics.median(ratios), 3),
                "low": round(min(ratios), 3),
                "high": round(max(ratios), 3),
            }
    print(json.dumps(found["ratio"], indent=1))
    if options.summary:
        options.summary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
