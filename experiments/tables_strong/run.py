"""Networks of kfc and other libraries' models on the same folds of thirteen real tables.

    python experiments/tables_strong/run.py --out strong.jsonl

Each line of the file is one finished training; the same command goes on where it was stopped.
A summary is printed at the end, and `--summary FILE` writes it as JSON.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import multiprocessing
import os
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from contenders import CONTENDERS, installed_contenders, library_of, train_contender
from folded_tables import FoldedTable, read_table, table_names
from networks import NETWORKS, train_network
from report import against_torch, summary, summary_text
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from threadpoolctl import threadpool_limits

from kfc import UnseenValuesWarning

ROOT = Path(os.environ.get("KFC_DATASETS", ".")) / "tables"
SHORT_MODELS = ("default", "realmlp_s", "sk_mlp", "hgb")
"""Models of the short form, which are always installed."""

Job = tuple[str, str, int]  # names of a table and of a model, and a fold


def measure(
    table: FoldedTable, model: str, number: int, *, threads: int, short: bool = False
) -> dict[str, Any]:
    """Trains a model on a fold and returns its errors on the fold's test rows.

    Args:
        table: Table with its folds.
        model: Name of a network of kfc or of a contender.
        number: Number of the fold, which is also the seed.
        threads: Threads of the training.
        short: Whether networks of kfc train for two epochs only.

    Returns:
        One line of the file: `error` is the share of wrong classes, or the root of the mean
        squared error; `seconds` are those of fitting and of predicting the test rows, by the
        clock, and `cpu_seconds` by the processor, which other programs disturb less.
    """
    fold = table.parts(number)
    import_for(model)  # imports take seconds, once for a process
    began, cpu_began = time.perf_counter(), time.process_time()
    options: dict[str, Any] = {"threads": threads, "seed": number}
    with warnings.catch_warnings(), threadpool_limits(threads):
        # scikit-learn's network stops after 200 epochs by default, and says so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Folds of some tables have categories that the training rows lack.
        warnings.simplefilter("ignore", UnseenValuesWarning)
        if model in NETWORKS:
            outputs, classes = train_network(model, table, fold, short=short, **options)
        else:
            outputs, classes = train_contender(model, table, fold, **options)
    seconds = time.perf_counter() - began
    cpu_seconds = time.process_time() - cpu_began
    return {
        "table": table.name,
        "model": model,
        "fold": number,
        "classification": table.classification,
        "train_rows": len(fold.train),
        "test_rows": len(fold.test),
        "threads": threads,
        "short": short,
        **_errors(np.asarray(fold.test.column(table.target)), outputs, classes),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
    }


def import_for(model: str) -> None:
    """Imports the library of a model."""
    importlib.import_module("tensorflow" if model in NETWORKS else library_of(model))


def _errors(target: np.ndarray, outputs: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Returns the error of predictions, and for classes log-loss and AUC, one against rest."""
    if not classes:
        difference = outputs - target.astype(float)
        return {"error": float(np.sqrt(np.mean(np.square(difference))))}
    labels = np.array([classes.index(str(label)) for label in target])
    shares = outputs / outputs.sum(axis=1, keepdims=True)
    scores = shares[:, 1] if len(classes) == 2 else shares
    return {
        "error": float(np.mean(shares.argmax(axis=1) != labels)),
        "log_loss": float(log_loss(labels, shares, labels=range(len(classes)))),
        "auc": float(roc_auc_score(labels, scores, multi_class="ovr")),
    }


def jobs(
    root: Path, tables: Sequence[str], models: Sequence[str], folds: Sequence[int] | None
) -> Iterator[Job]:
    """Yields the trainings, all models of a fold one after the other."""
    for name in tables:
        numbers = range(read_table(root, name).folds) if folds is None else folds
        for number in numbers:
            for model in models:
                yield name, model, number


def finished(out: Path) -> dict[Job, dict[str, Any]]:
    """Returns the complete lines of a file; a line that was cut off is left out."""
    lines = {}
    for text in out.read_text("utf-8").splitlines() if out.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # killed while it was written
        lines[line["table"], line["model"], line["fold"]] = line
    return lines


def run(
    out: Path,
    *,
    root: Path = ROOT,
    tables: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    threads: int | None = None,
    short: bool = False,
) -> list[dict[str, Any]]:
    """Trains what `out` does not have yet, and returns all lines that were asked for.

    Args:
        out: File of one JSON line for each training, to which lines are added.
        root: Folder of the tables.
        tables: Names of tables; by default all.
        models: Names of models; by default the networks and every installed contender.
        folds: Numbers of folds; by default all.
        threads: Threads of each training; by default one per core.
        short: Whether networks train for two epochs, on the first fold of two small tables.
    """
    if short:
        tables, models = tables or table_names(root)[:2], models or SHORT_MODELS
        folds = (0,) if folds is None else folds
    tables = tables or table_names(root)
    models = models or (*NETWORKS, *installed_contenders())
    cores = threads or os.cpu_count() or 1
    known = finished(out)
    read = functools.lru_cache(maxsize=1)(read_table)
    wanted = list(jobs(root, tables, models, folds))
    cut_off = out.is_file() and not out.read_bytes().endswith(b"\n")
    # TensorFlow and torch in one process end it without a message on this stack.
    spawn = multiprocessing.get_context("spawn")
    with (
        out.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(1, mp_context=spawn) as with_torch,
    ):
        file.write("\n" * cut_off)
        for job in wanted:
            if job in known:
                continue
            table, model, number = job
            columns, options = read(root, table), {"threads": cores, "short": short}
            if model in CONTENDERS and library_of(model) == "pytabkit":
                line = with_torch.submit(measure, columns, model, number, **options).result()
            else:
                line = measure(columns, model, number, **options)
            known[job] = line
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(f"{table} {model} {number}: {line['error']:.5g}, {line['seconds']:.1f} s")
    return [known[job] for job in wanted]


def machine() -> dict[str, Any]:
    """Returns the cores and the versions of the libraries."""
    versions = {}
    for name in (
        *("keras-fully-connected", "keras", "tensorflow", "scikit-learn", "lightgbm"),
        *("catboost", "xgboost", "xgboost-cpu", "pytabkit", "torch"),
    ):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"cores": os.cpu_count(), "machine": platform.machine(), "versions": versions}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Reads the options, trains and prints the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--tables", nargs="*", help="by default all")
    parser.add_argument("--models", nargs="*", choices=[*NETWORKS, *CONTENDERS])
    parser.add_argument("--folds", nargs="*", type=int, help="by default all")
    parser.add_argument("--threads", type=int, help="by default one per core")
    parser.add_argument("--short", action="store_true", help="two tables, two epochs")
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = vars(parser.parse_args(arguments))
    path, root = options.pop("summary"), options["root"]
    out, baselines = options.pop("out"), root / "baselines.csv"
    lines = run(out, **options)
    found = {"machine": machine(), **summary(lines, baselines)}
    found["torch"] = against_torch(finished(out).values(), baselines)
    print(summary_text(found))
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
