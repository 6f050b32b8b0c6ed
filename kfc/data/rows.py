"""Rows of inputs and targets, and the source that gives them with the names of their parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kfc.data.tables import TypedTable
from kfc.system import DiskArray, take_aligned


@dataclass(frozen=True)
class Rows:
    """Inputs and targets of the same length, perhaps with weights.

    Args:
        x: Inputs, (rows, ...), in memory or on the disk; or the columns of a table that is
            not encoded yet.
        y: Targets, (rows,), or (rows, outputs) for several numbers per row.
        sample_weight: Factors of the rows in the loss, (rows,), float32; None for equal ones.
        feature_names: Names of the inputs, for messages; empty where they are unknown.
    """

    x: Any
    y: np.ndarray
    sample_weight: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def on_disk(self) -> bool:
        """Whether inputs are read from a file when they are needed."""
        return isinstance(self.x, DiskArray)

    @property
    def is_table(self) -> bool:
        """Whether inputs are columns of a table that are not encoded yet."""
        return isinstance(self.x, TypedTable)

    def loaded(self) -> Rows:
        """Returns the same rows with their inputs in memory."""
        return replace(self, x=self.x[:]) if self.on_disk else self

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
        weight = self.sample_weight
        # Rows on the disk stay there: only their numbers are kept.
        unread = isinstance(self.x, (DiskArray, TypedTable))
        return Rows(
            self.x.take(indices) if unread else take_aligned(self.x, indices),
            take_aligned(self.y, indices),
            None if weight is None else take_aligned(weight, indices),
        )


@dataclass(frozen=True)
class Source:
    """Rows of a data set with the names of their classes, features and targets.

    Args:
        train: Rows to train on, of which a share may be held out.
        test: Test rows of the data set itself, if it has any.
        class_names: Names of the classes 0, 1, ...; None where the classes are the distinct
            values of the targets, sorted.
        feature_names: Names of the inputs; empty where they have none.
        validation: Validation rows of the data set itself, if it has any. They replace a
            share of the training rows.
        targets: Names of several targets; empty where they have none.
    """

    train: Rows
    test: Rows | None = None
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    validation: Rows | None = None
    targets: tuple[str, ...] = ()
