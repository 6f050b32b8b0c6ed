"""Compares models pairwise on the folds that both have, and ranks them.

The interval of a mean difference over k folds is Student's t with k - 1 degrees of freedom.
Its variance is that of the differences times (1 / k + test rows / training rows), because the
training rows of folds overlap:

    Nadeau, Bengio: Inference for the Generalization Error, Machine Learning 52, 2003,
    https://doi.org/10.1023/A:1024068626366
"""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

COVERAGE = 0.95
"""Coverage of the intervals."""

OF_TORCH = {"tabm": "tabm_mini_pwl_k8", "realmlp_s": "td_s", "realmlp": "td"}
"""Preset -> pytabkit's model of the same recipe."""

Line = Mapping[str, Any]
Errors = dict[str, dict[str, dict[int, Line]]]  # table -> model -> fold -> line


def summary(lines: Sequence[Line], baselines: Path) -> dict[str, Any]:
    """Returns errors by table and model, paired differences and mean ranks.

    Args:
        lines: Lines of trainings, see `run.measure`.
        baselines: CSV file of other models, whose names get the prefix `csv:`; only tables and
            folds of `lines` count. It may be missing.
    """
    errors: Errors = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        errors[line["table"]][line["model"]][line["fold"]] = line
    ours = list(dict.fromkeys(line["model"] for line in lines))
    measured = {(line["table"], line["fold"]) for line in lines}
    for line in _baselines(baselines):
        if (line["table"], line["fold"]) in measured:
            errors[line["table"]][line["model"]][line["fold"]] = line
    return {
        "tables": {name: _table(models) for name, models in errors.items()},
        "differences": {
            name: {
                model: {
                    other: difference(models[model], models[other])
                    for other in models
                    if other != model and {*models[model]} & {*models[other]}
                }
                for model in ours
                if model in models
            }
            for name, models in errors.items()
        },
        "mean_rank": mean_ranks(errors, ours),
        "error_against": {
            model: error_ratios(errors, model, ours) for model in ours
        },
    }  # fmt: skip


def _baselines(path: Path) -> list[Line]:
    """Returns the rows of `baselines.csv` in the form of lines."""
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            classification = bool(row["accuracy"])
            line = {
                "table": row["set"],
                "model": f"csv:{row['model']}",
                "fold": int(row["fold"]),
                "classification": classification,
                "train_rows": int(row["n_train"]),
                "test_rows": int(row["n_test"]),
                "error": 1 - float(row["accuracy"]) if classification else float(row["rmse"]),
                "seconds": float(row["fit_s"]),
            }
            scores = {"log_loss": row["logloss"], "auc": row["auc"]} if classification else {}
            found.append(line | {key: float(value) for key, value in scores.items() if value})
    return found


def _table(models: Mapping[str, Mapping[int, Line]]) -> dict[str, Any]:
    """Returns the mean over folds of each number of each model."""
    return {
        model: {
            "folds": len(folds),
            **{
                key: round(statistics.mean(line[key] for line in folds.values()), 6)
                for key in ("error", "log_loss", "auc", "seconds", "cpu_seconds")
                if all(key in line for line in folds.values())
            },
        }
        for model, folds in models.items()
    }


def difference(model: Mapping[int, Line], other: Mapping[int, Line]) -> dict[str, Any]:
    """Returns the mean of the error of a model minus that of another, with its interval.

    Args:
        model: Line of each fold.
        other: Line of each fold of the other model.

    Returns:
        `folds` in common, `mean`, and `low` and `high`, which are missing for a single fold.
    """
    common = sorted({*model} & {*other})
    found = np.array([model[fold]["error"] - other[fold]["error"] for fold in common])
    mean, count = float(found.mean()), len(common)
    if count < 2:
        return {"folds": count, "mean": round(mean, 6)}
    first = model[common[0]]
    factor = 1 / count + first["test_rows"] / first["train_rows"]
    width = stats.t.ppf((1 + COVERAGE) / 2, count - 1) * np.sqrt(found.var(ddof=1) * factor)
    low, high = round(mean - float(width), 6), round(mean + float(width), 6)
    return {"folds": count, "mean": round(mean, 6), "low": low, "high": high}


def against_torch(lines: Iterable[Line], baselines: Path) -> dict[str, dict[str, Any]]:
    """Returns the differences of the presets from pytabkit's models of the same recipes.

    Args:
        lines: Lines of all trainings, of both libraries.
        baselines: CSV file, whose folds of pytabkit's models count where `lines` lacks them.

    Returns:
        Preset and model, such as `tabm - tabm_mini_pwl_k8` -> table -> `difference`.
    """
    errors: Errors = defaultdict(lambda: defaultdict(dict))
    for line in _baselines(baselines):
        errors[line["table"]][line["model"].removeprefix("csv:")][line["fold"]] = line
    for line in lines:
        errors[line["table"]][line["model"]][line["fold"]] = line
    return {
        f"{ours} - {theirs}": {
            name: difference(models[ours], models[theirs])
            for name, models in errors.items()
            if {*models[ours]} & {*models[theirs]}
        }
        for ours, theirs in OF_TORCH.items()
    }


def mean_ranks(errors: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> Any:
    """Returns the rank of each model by its mean error, 1 for the best, averaged over tables.

    Tables on which one of the models is missing do not count.

    Args:
        errors: Table -> model -> fold -> line.
        models: Models to rank.
    """
    ranks = []
    for table in errors.values():
        if not all(model in table for model in models):
            continue
        folds = set.intersection(*({*table[model]} for model in models))
        if folds:
            means = [np.mean([table[model][f]["error"] for f in folds]) for model in models]
            ranks.append(stats.rankdata(means))
    if not ranks:
        return {}
    mean = [round(float(rank), 3) for rank in np.mean(ranks, axis=0)]
    return {"tables": len(ranks), **dict(zip(models, mean, strict=True))}


def error_ratios(errors: Mapping[str, Any], model: str, models: Sequence[str]) -> Any:
    """Returns the mean over tables of a model's error divided by that of each other model.

    A table on which the other model makes no error is left out.

    Args:
        errors: Table -> model -> fold -> line.
        model: Model whose error is divided.
        models: Models by whose error it is divided.
    """
    found = {}
    for other in models:
        ratios = []
        for table in errors.values():
            common = {*table.get(model, ())} & {*table.get(other, ())}
            below = sum(table[other][fold]["error"] for fold in common)
            if below > 0:
                ratios.append(sum(table[model][fold]["error"] for fold in common) / below)
        if ratios and other != model:
            found[other] = round(statistics.mean(ratios), 4)
    return found


def summary_text(found: Mapping[str, Any]) -> str:
    """Returns the errors and seconds of all models as a table in Markdown."""
    models = list(
        dict.fromkeys(model for table in found["tables"].values() for model in table)
    )
    rows = [("table", *models), ("---",) * (1 + len(models))]
    for name, table in found["tables"].items():
        cells = (
            f"{table[m]['error']:.4g} ({table[m]['seconds']:.1f} s)" if m in table else ""
            for m in models
        )
        rows.append((name, *cells))
    ranks = found["mean_rank"]
    rows.append(("mean rank", *(str(ranks.get(model, "")) for model in models)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
