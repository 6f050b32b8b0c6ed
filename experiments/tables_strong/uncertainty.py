"""Coverage of prediction intervals and calibration errors on the folds of thirteen tables.

    python experiments/tables_strong/uncertainty.py --out uncertainty.jsonl

Regressions are trained with `training.interval_coverage: 0.9`, classes with
`training.calibrate: temperature`. Everything is fitted on validation rows and measured on the
test rows of the fold. Each line of the file is one finished training; the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from folded_tables import FoldedTable, read_table, table_names
from networks import spec_of
from run import ROOT, machine

import kfc

COVERAGE = 0.9
"""Share of targets that the intervals should hold."""


def measure(
    table: FoldedTable, number: int, *, preset: str, threads: int | None, short: bool = False
) -> dict[str, Any]:
    """Trains on a fold, and returns the uncertainty measured on its test rows.

    Args:
        table: Table with its folds.
        number: Number of the fold, which is also the seed.
        preset: Preset of the network.
        threads: Threads of the training; None takes one per core.
        short: Whether to train for two epochs only.

    Returns:
        One line of the file: `test_coverage`, or `temperature`, `test_ece_before` and
        `test_ece_after`.
    """
    fold = table.parts(number)
    spec = spec_of(table, {"preset": preset}, threads=threads, seed=number, short=short)
    if table.classification:
        spec["training"]["calibrate"] = "temperature"
    else:
        spec["training"]["interval_coverage"] = COVERAGE
    with tempfile.TemporaryDirectory() as runs:
        data = {"train": fold.train, "test": fold.test}
        run = kfc.fit(spec, data=data, runs=runs, verbose=False)
    facts = run.uncertainty
    return {
        "table": table.name,
        "preset": preset,
        "fold": number,
        "test_rows": len(fold.test),
        **{
            key: facts[key]
            for key in ("test_coverage", "temperature", "test_ece_before", "test_ece_after")
            if key in facts
        },
    }


def summary(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the coverage over all test rows, and the calibration errors of each table.

    Args:
        lines: Lines of trainings, see `measure`.
    """
    covered, tables = [], {}
    for line in lines:
        entry = tables.setdefault(line["table"], {"folds": 0})
        entry["folds"] += 1
        if "test_coverage" in line:
            covered.append((line["test_rows"], line["test_coverage"][0]))
        for key in ("test_coverage", "test_ece_before", "test_ece_after"):
            if key in line:
                value = line[key][0] if key == "test_coverage" else line[key]
                entry[key] = entry.get(key, 0.0) + value
    for entry in tables.values():
        for key in [key for key in entry if key != "folds"]:
            entry[key] = round(entry[key] / entry["folds"], 5)
    calibrated = [entry for entry in tables.values() if "test_ece_after" in entry]
    rows = sum(count for count, _ in covered)
    return {
        "tables": tables,
        "pooled_coverage": round(sum(n * share for n, share in covered) / rows, 4)
        if rows
        else None,
        "not_worse_calibrated": [
            sum(each["test_ece_after"] <= each["test_ece_before"] for each in calibrated),
            len(calibrated),
        ],
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Reads the options, trains and prints the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--preset", default="realmlp_s")
    parser.add_argument("--tables", nargs="*", help="by default all")
    parser.add_argument("--folds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, help="by default one per core")
    parser.add_argument("--short", action="store_true", help="two tables, two epochs")
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    names = options.tables or table_names(options.root)
    if options.short:
        names, options.folds = names[:2], [0]
    known = {}
    if options.out.is_file():
        for text in options.out.read_text("utf-8").splitlines():
            line = json.loads(text)
            known[line["table"], line["preset"], line["fold"]] = line
    for name in names:
        table = read_table(options.root, name)
        for number in options.folds:
            job = name, options.preset, number
            if job not in known:
                known[job] = measure(
                    *(table, number),
                    preset=options.preset,
                    threads=options.threads,
                    short=options.short,
                )
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(known[job]) + "\n")
    wanted = [
        known[name, options.preset, number] for name in names for number in options.folds
    ]
    found = {"preset": options.preset, "machine": machine(), **summary(wanted)}
    print(json.dumps(found, indent=1))
    if options.summary:
        options.summary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
