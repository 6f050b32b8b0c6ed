"""The rows of all parts as training takes them, before scalings are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.data.encoded_tables import EncodedTable
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.preprocessing import InputScaling


@dataclass(frozen=True)
class EncodedParts:
    """Encoded rows of each part, and the facts that a task needs besides.

    Args:
        name: Name of the training rows in messages.
        train: Rows to train on.
        validation: Rows that are measured during training, or None.
        test: Rows that are measured after training, or None.
        sha256: Hash of all rows of the source.
        class_names: Names of the classes; None for a regression.
        pixels: Whether inputs are 8-bit pixels.
        origin: Origin of the validation rows: a share of the training rows, the name of
            another source, or `own`.
        feature_names: Names of the inputs of arrays; empty where they have none.
        targets: Names of several targets; empty where they have none.
        table: Facts about the table; None for arrays.
        raw_inputs: Inputs of arrays as their source gave them, with the name of each part in
            messages; none for tables, whose inputs were checked when they were encoded.
        warnings: Findings that do not refuse the rows.
        outside: Test rows of the source itself, where the test rows are those of a fold.
        test_numbers: Numbers of the source's rows that are the test rows; None where the
            source has test rows of its own.
        scaling: Name of a scaling of the inputs, and the scaling that was learned from the
            training rows; None where it has not been learned yet.
    """

    name: str
    train: Rows
    validation: Rows | None
    test: Rows | None
    sha256: str
    class_names: tuple[str, ...] | None
    pixels: bool
    origin: float | str
    feature_names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    table: EncodedTable | None = None
    raw_inputs: tuple[tuple[Any, str], ...] = ()
    warnings: tuple[Finding, ...] = ()
    outside: Rows | None = None
    test_numbers: np.ndarray | None = None
    scaling: tuple[str, InputScaling] | None = None

    def resolved(self) -> dict[str, Any]:
        """Returns the keys of the spec's `data` whose values depend on the rows."""
        return {
            **(self.table.keys() if self.table else {}),
            "task": "regression" if self.class_names is None else "classification",
            "pixels": self.pixels,
            "validation": self.origin,
            "stream": "always" if self.train.on_disk else "never",
        }
