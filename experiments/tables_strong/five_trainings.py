"""Seconds of five folds and of five seeds of `realmlp_s`, and of pytabkit's five folds.

    python experiments/tables_strong/five_trainings.py --tables adult bikeshare
    python experiments/tables_strong/five_trainings.py --ways "one run" "five seeds"

    one run        kfc.fit on the training rows of the first fold
    five seeds     the same with `training.members: 5`, which averages five runs
    five folds     kfc.cross_validate on all rows, which averages and scores besides
    TD_S           pytabkit's RealMLP_TD_S, fitted on the training rows of each fold and asked
                   for its test rows

Each is measured once without counting and then in every round, all of them in turn, by the
processor's time and by the clock. `--ways` chooses some of them: TD_S needs pytabkit.
"""

from __future__ import annotations

import argparse
import gc
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
from folded_tables import FoldedTable, read_table
from networks import spec_of
from run import ROOT, machine

import kfc

PRESET, CONTENDER = "realmlp_s", "td_s"
"""Preset, and pytabkit's model of the same recipe."""

SEEDS = 5
"""Members of the average."""

WAYS = ("one run", "five seeds", "five folds", "TD_S")
"""What is measured."""

RATIOS = {
    "five seeds / one run": ("five seeds", "one run"),
    "five folds / TD_S": ("five folds", "TD_S"),
}
"""What is divided by what, within a round."""

Seconds = dict[str, float]  # "clock" and "processor"


def ways(table: FoldedTable, threads: int) -> dict[str, Callable[[str], object]]:
    """Returns what kfc is measured at; each function takes an empty folder for its runs."""
    fold = table.parts(0)
    rows = {"train": fold.train, "test": fold.test}

    def spec(**training: Any) -> dict[str, Any]:
        keys = {"preset": PRESET, "training": training}
        return spec_of(table, keys, threads=threads, seed=0, short=False)

    def fit(members: int) -> Callable[[str], object]:
        return lambda runs: kfc.fit(spec(members=members), data=rows, runs=runs, verbose=False)

    return {
        "one run": fit(1),
        "five seeds": fit(SEEDS),
        "five folds": lambda runs: kfc.cross_validate(
            spec(), data=table.columns, folds=table.fold, runs=runs, verbose=False
        ),
    }


def five_contenders(table: FoldedTable, threads: int) -> Seconds:
    """Returns the seconds of pytabkit's model over all folds."""
    return _seconds(
        lambda: [
            train_contender(CONTENDER, table, table.parts(number), threads=threads, seed=0)
            for number in range(table.folds)
        ]
    )


def _seconds(call: Callable[[], object]) -> Seconds:
    gc.collect()  # what others have left is not this one's work
    began = time.perf_counter(), time.process_time()
    call()
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    return dict(zip(("clock", "processor"), (round(t, 2) for t in took), strict=True))


def _in_a_folder(call: Callable[[str], object]) -> Seconds:
    with tempfile.TemporaryDirectory() as runs:
        return _seconds(lambda: call(runs))


def measure(
    table: FoldedTable, *, threads: int, rounds: int, names: Sequence[str] = WAYS
) -> dict[str, list[Seconds]]:
    """Returns the seconds of each of the named ways in each round, without the first one."""
    ours = {name: call for name, call in ways(table, threads).items() if name in names}
    found: dict[str, list[Seconds]] = {name: [] for name in names}
    # TensorFlow and torch in one process end it without a message on this stack.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as with_torch:
        for number in range(rounds + 1):
            taken = {}
            if "TD_S" in names:
                taken["TD_S"] = with_torch.submit(five_contenders, table, threads).result()
            taken |= {name: _in_a_folder(call) for name, call in ours.items()}
            for name, seconds in taken.items():
                found[name] += [seconds] if number else []  # the first one imports
    return found


def ratios(found: dict[str, list[Seconds]]) -> dict[str, dict[str, list[float]]]:
    """Returns the ratios of each round of what was measured, by processor and by clock."""
    return {
        name: {
            kind: [
                round(ours[kind] / theirs[kind], 2)
                for ours, theirs in zip(found[one], found[other], strict=True)
            ]
            for kind in ("processor", "clock")
        }
        for name, (one, other) in RATIOS.items()
        if {one, other} <= found.keys()
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Reads the options, measures and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the tables")
    parser.add_argument("--tables", nargs="+", default=["telco_churn", "adult", "bikeshare"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    tables = {}
    for name in options.tables:
        table = read_table(options.root, name)
        rounds: dict[str, Any] = {"threads": options.threads, "rounds": options.rounds}
        seconds = measure(table, **rounds, names=options.ways)
        tables[name] = {"seconds": seconds, "ratios": ratios(seconds)}
        print(name, json.dumps(tables[name]["ratios"]), flush=True)
    found = {
        "machine": machine(),
        "threads": options.threads,
        "tables": tables,
        "median": {
            name: {
                kind: round(
                    statistics.median(
                        ratio for t in tables.values() for ratio in t["ratios"][name][kind]
                    ),
                    2,
                )
                for kind in ("processor", "clock")
            }
            for name in next(iter(tables.values()))["ratios"]
        },
    }
    print(json.dumps(found["median"], indent=1))
    if options.summary:
        options.summary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
