"""Every table of `KFC_DATASETS/tables` through the network that `kfc new` drafts, five folds.

Rows and folds are those of `baselines.csv`, at most 5,000 rows of each table.
"""

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import kfc
from kfc.data import prepare
from kfc.data.tables import read_raw
from kfc.spec import CsvSpec, load_spec

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("KFC_DATASETS", ".")) / "tables"
NETWORK = {
    "network": {"hidden": [256, 128], "dropout": 0.1},
    "training": {
        "batch_size": 128,
        "epochs": 100,
        "early_stopping": {"monitor": "val_loss", "patience": 8},
    },
}
"""The network and the training of a spec that `kfc new` drafts."""


def measure_table(name: str, facts: dict[str, Any], *, folds: int) -> dict[str, Any]:
    """Returns the metric of each fold, and the seconds of reading, encoding and training."""
    began = time.perf_counter()
    missing = tuple(text for text in facts["missing"] if text)
    raw = read_raw(f"csv:{ROOT / facts['file']}", CsvSpec(missing_values=missing))
    seconds = {"read": [time.perf_counter() - began], "encode": [], "train": []}

    # The folds of the baselines, and only rows that have a target.
    chosen = np.load(ROOT / "folds" / f"{name}.npz")
    rows, fold = chosen["rows"], chosen["fold"]
    target = facts["target"]
    present = np.asarray(raw.columns.column(target).take(pa.array(rows)).is_valid())
    rows, fold = rows[present], fold[present]
    regression = facts["task"] == "regression"
    data = {
        "target": target,
        "task": "regression" if regression else "classification",
        "scale": "standard",
        "columns": {
            **dict.fromkeys(facts["drop"], "ignore"),
            **dict.fromkeys(facts["category"], "category"),
        },
    }
    spec = {"name": name, "data": data, **NETWORK}
    metric = "test_rmse" if regression else "test_accuracy"
    found = []
    for number in range(folds):
        parts = {
            "train": raw.columns.take(pa.array(rows[fold != number])),
            "test": raw.columns.take(pa.array(rows[fold == number])),
        }
        began = time.perf_counter()
        prepare(load_spec(spec), parts)
        seconds["encode"].append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as runs:
            run = kfc.fit(spec, data=parts, runs=runs, verbose=False)
        seconds["train"].append(run.seconds)
        found.append(run.metrics[metric])
    return {
        "metric": metric.removeprefix("test_"),
        "folds": [round(value, 4) for value in found],
        "mean": round(statistics.mean(found), 4),
        "deviation": round(statistics.pstdev(found), 4),
        "seconds": {key: round(statistics.median(v), 3) for key, v in seconds.items()},
    }


def boosted_trees() -> dict[str, float]:
    """Returns the mean accuracy, or RMSE, of boosted trees in `baselines.csv` by table."""
    values: dict[str, list[float]] = {}
    with (ROOT / "baselines.csv").open() as file:
        for row in csv.DictReader(file):
            if row["model"] == "hgb":
                value = float(row["rmse"] or row["accuracy"])
                values.setdefault(row["set"], []).append(value)
    return {name: round(statistics.mean(found), 4) for name, found in values.items()}


def main() -> None:
    """Measures the tables that are named, or all, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="tables; by default all")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file to write, for all tables")
    options = parser.parse_args()
    meta = json.loads((ROOT / "meta.json").read_text())
    trees, results = boosted_trees(), {}
    for name in options.names or meta:
        if not meta[name]["file"].endswith(".csv"):
            continue
        results[name] = measure_table(name, meta[name], folds=options.folds)
        results[name]["boosted_trees"] = trees.get(name)
        print(name, json.dumps(results[name]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
