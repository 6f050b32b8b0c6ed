"""The scores of a cross-validation: of each fold, their mean and their spread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ValidationError
from rich.table import Table

from kfc.ensembles.plan_file import Member
from kfc.errors import CheckpointError, Finding, reason
from kfc.runs import result_file
from kfc.system import atomic

if TYPE_CHECKING:
    from kfc.runs import Run

FILE = "cross_validation.json"
_TEST = "test_"


@dataclass(frozen=True)
class FoldScore:
    """Scores of one fold's run on its held-out rows.

    Args:
        folder: Name of the run's folder.
        repeat: Number of the repeat, from 0.
        fold: Number of the fold, from 0.
        rows: Number of rows of each part; `test` are the held-out rows.
        metrics: Scores on the held-out rows, by name without a prefix.
        baseline: The same scores of a constant prediction.
        epochs: Epochs trained.
        seconds: Duration of the training.
        weights_sha256: SHA-256 of the weights.
    """

    folder: str
    repeat: int
    fold: int
    rows: dict[str, int]
    metrics: dict[str, float]
    baseline: dict[str, float]
    epochs: int
    seconds: float
    weights_sha256: str

    @classmethod
    def of(cls, member: Member, run: Run) -> FoldScore:
        """Returns the scores of a finished run."""
        return cls(
            member.folder.name,
            member.repeat,
            member.number,
            dict(run.num_rows),
            _held_out(run.metrics),
            _held_out(run.baseline),
            run.epochs,
            run.seconds,
            run.weights_sha256,
        )


def _held_out(metrics: dict[str, float]) -> dict[str, float]:
    return {
        name.removeprefix(_TEST): value
        for name, value in metrics.items()
        if name.startswith(_TEST)
    }


def mean_and_spread(
    folds: Sequence[FoldScore],
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the mean of each score over all folds, and its standard deviation.

        spread = sqrt(sum((score - mean)^2) / (folds - 1))

    The spread says how much one fold's score differs from another's. It is no error of the
    mean: the folds share training rows, so that their scores are not independent. A score
    that some fold does not have, such as `auc` without a class, is left out.

    Args:
        folds: Scores of all folds of all repeats.
    """
    names = [name for name in folds[0].metrics if all(name in f.metrics for f in folds)]
    values = {name: np.array([fold.metrics[name] for fold in folds]) for name in names}
    means = {name: float(each.mean()) for name, each in values.items()}
    return means, {name: float(each.std(ddof=1)) for name, each in values.items()}


class _FoldRecord(BaseModel, strict=True, extra="forbid"):
    folder: str
    repeat: int
    fold: int
    rows: dict[str, int]
    metrics: dict[str, float]
    baseline: dict[str, float]
    epochs: int
    seconds: float
    weights_sha256: str


class _ScoresRecord(BaseModel, strict=True, extra="forbid"):
    folds: list[_FoldRecord]
    pooled: dict[str, float]
    out_of_fold_sha256: str
    sha256: str


def write_scores(
    folder: Path, folds: Sequence[FoldScore], pooled: dict[str, float], rows_sha256: str
) -> None:
    """Writes `cross_validation.json`, the last file of a cross-validation.

    Args:
        folder: Folder of the cross-validation.
        folds: Scores of each fold.
        pooled: Scores of all held-out rows together.
        rows_sha256: SHA-256 of `out_of_fold.npz`.

    Raises:
        DiskError: If the file cannot be written.
    """
    facts = {
        "folds": [asdict(fold) for fold in folds],
        "pooled": pooled,
        "out_of_fold_sha256": rows_sha256,
    }
    atomic.write_file(folder / FILE, result_file.as_json(result_file.with_sha256(facts)))


def read_scores(folder: Path) -> tuple[tuple[FoldScore, ...], dict[str, float], str]:
    """Returns the scores of each fold, those of all rows, and the SHA-256 of the rows.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        facts: dict[str, Any] = json.loads(atomic.read_text(folder / FILE))
        result_file.check_sha256(facts)
        _ScoresRecord.model_validate(facts)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        got = f"a damaged {FILE} ({reason(error)})"
        remedy = f"Remove {folder / FILE}, and run `kfc resume` on the folder."
        raise CheckpointError(Finding(str(folder), "its scores", got, remedy)) from error
    folds = tuple(FoldScore(**fold) for fold in facts["folds"])
    return folds, facts["pooled"], facts["out_of_fold_sha256"]


def score_table(folds: Sequence[FoldScore]) -> Table:
    """Returns a table with a line for each fold, then the mean and the spread."""
    means, spreads = mean_and_spread(folds)
    several = len({fold.repeat for fold in folds}) > 1
    table = Table(box=None, pad_edge=False)
    for name in (*(["repeat"] if several else []), "fold", "rows", "epochs", *means):
        table.add_column(name, justify="right")

    def add(places: list[str], values: dict[str, float]) -> None:
        table.add_row(*places, *(f"{values[name]:.4f}" for name in means))

    for fold in folds:
        places = [str(fold.fold), f"{fold.rows['test']:,}", str(fold.epochs)]
        add([str(fold.repeat), *places] if several else places, fold.metrics)
    blank = [""] * (3 if several else 2)
    add(["mean", *blank], means)
    add(["spread", *blank], spreads)
    return table
