"""What a source gives: rows with targets, untouched, and what their labels are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.system import Mapped


@dataclass(frozen=True)
class Rows:
    """Inputs and targets of the same length, and weights where there are any.

    Args:
        x: Inputs, (rows, ...), in memory or on the disk.
        y: Targets, (rows,), or (rows, outputs) for several numbers at once.
        sample_weight: How much each row counts in the loss, (rows,), float32; None where all
            count the same.
        feature_names: Names of the inputs, for messages; empty where nobody named them.
    """

    x: np.ndarray | Mapped
    y: np.ndarray
    sample_weight: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def parts(self) -> tuple[Any, ...]:
        """Inputs, targets and, where there are any, weights."""
        return (
            (self.x, self.y)
            if self.sample_weight is None
            else (self.x, self.y, self.sample_weight)
        )

    def take(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, in that order."""
        weight = None if self.sample_weight is None else self.sample_weight[indices]
        x = self.x.take(indices) if isinstance(self.x, Mapped) else self.x[indices]
        return Rows(x, self.y[indices], weight)


@dataclass(frozen=True)
class Source:
    """Everything a source knows.

    Args:
        train: Rows to train and validate on.
        test: Rows kept apart by the source itself, if it has any.
        class_names: Names of the classes 0, 1, ..., where the source knows them; without them
            classes are the different values of the targets, sorted.
        feature_names: Names of the inputs, where they have any.
        validation: Rows that the source itself keeps apart for validation, if it has any;
            they take the place of a share of the training rows.
        targets: Names of the targets, where there are several and they have any.
    """

    train: Rows
    test: Rows | None = None
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    validation: Rows | None = None
    targets: tuple[str, ...] = ()
