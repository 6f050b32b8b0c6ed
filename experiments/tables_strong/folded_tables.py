"""The tables of `KFC_DATASETS/tables`, and the parts of each fold."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kfc.data.tables import read_raw
from kfc.spec import CsvSpec


@dataclass(frozen=True)
class Fold:
    """The training and the test rows of one fold of a table.

    Args:
        train: Training rows with the target, as text and numbers, as the file has them.
        test: Test rows, with the target.
    """

    train: pa.Table
    test: pa.Table


@dataclass(frozen=True)
class FoldedTable:
    """A table with its folds.

    Args:
        name: Name of the table, such as `ames`.
        columns: Every row of the folds, with a target.
        fold: Number of the fold in which a row is tested, (rows,).
        facts: Entry of `meta.json`: `target`, `task`, and names of the columns by their kind,
            `numeric`, `category`, `date` and `drop`.
    """

    name: str
    columns: pa.Table
    fold: np.ndarray
    facts: dict[str, Any]

    @property
    def target(self) -> str:
        """Name of the target's column."""
        return self.facts["target"]

    @property
    def classification(self) -> bool:
        """Whether targets are classes."""
        return self.facts["task"] != "regression"

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    def parts(self, number: int) -> Fold:
        """Returns the rows of a fold."""
        tested = self.fold == number
        return Fold(self.columns.filter(pa.array(~tested)), self.columns.filter(tested))


def table_names(root: Path) -> list[str]:
    """Returns the names of the tables that have folds, small ones first."""
    meta = _meta(root)
    return sorted((name for name in meta if (root / "folds" / f"{name}.npz").is_file()),
                  key=lambda name: (meta[name]["rows"], name))  # fmt: skip


def read_table(root: Path, name: str) -> FoldedTable:
    """Reads a table and its folds; rows without a target are left out.

    Args:
        root: Folder with `meta.json`, the CSV files and `folds`.
        name: Name of the table.
    """
    facts = _meta(root)[name]
    missing = tuple(text for text in facts["missing"] if text)
    raw = read_raw(f"csv:{root / facts['file']}", CsvSpec(missing_values=missing))
    chosen = np.load(root / "folds" / f"{name}.npz")
    columns = raw.columns.take(pa.array(chosen["rows"]))
    present = np.asarray(columns.column(facts["target"]).is_valid())
    return FoldedTable(name, columns.filter(pa.array(present)), chosen["fold"][present], facts)


@functools.lru_cache
def _meta(root: Path) -> dict[str, dict[str, Any]]:
    return json.loads((root / "meta.json").read_text("utf-8"))
