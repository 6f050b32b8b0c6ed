"""The columns of a table as its file or its frame gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from kfc.data.sources import join_names
from kfc.data.tables.arrow_files import ArrowFiles
from kfc.errors import DataError, Finding


@dataclass(frozen=True)
class RawTable:
    """Named columns, not yet of the types that a network takes.

    Args:
        columns: Columns with different names. Those of a CSV file are all text, where a
            missing cell is null; those of other origins have the types of their origin.
        name: Name of the table in messages, such as `csv:customers.csv`.
        files: (path, number of rows) of each file, in the order of the rows; empty for a
            frame.
        csv: Delimiter, decimal mark, encoding and missing values that were recognised or
            said; empty for a table of another kind.
        arrow_files: Files in which the columns are, and in which others made of them are
            kept; None for a table in memory.
        sample_weight: Weights of the rows that were passed beside a frame, (rows,), or None.
        targets: Several targets for each row that were passed beside a frame, (rows, outputs);
            None where the target is a column.
        target_names: Names of several targets; empty where they have none.
    """

    columns: pa.Table
    name: str
    files: tuple[tuple[str, int], ...] = ()
    csv: dict[str, Any] = field(default_factory=dict)
    arrow_files: ArrowFiles | None = None
    sample_weight: np.ndarray | None = None
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def check_targets(self, names: tuple[str, ...], *, several: bool) -> None:
        """Checks that this table has its targets where the training table has them.

        Args:
            names: Names of several targets of the training table; empty where they have none.
            several: Whether several targets are beside the training table.

        Raises:
            DataError: If they are elsewhere, or have other names.
        """
        same = not (names and self.target_names) or names == self.target_names
        if same and (self.targets is not None) == several:
            return
        expected, got = "a column that is the target", "several targets beside the table"
        if several:
            of_names = f" {join_names(names)}, in this order" if names else ""
            expected = f"targets{of_names}, beside the table"
            own = f"those named {join_names(self.target_names)}"
            got = own if self.target_names else "none"
        remedy = "Pass the targets as for the training rows, such as (frame, targets)."
        raise DataError(Finding(self.name, expected, got, remedy))

    def release(self) -> None:
        """Drops the pages of mapped files from memory."""
        if self.arrow_files is not None:
            self.arrow_files.release()

    def place(self, row: int, column: str | None = None) -> str:
        """Returns the name of a cell in messages: file, row and column.

        Args:
            row: Number of the row in the table, from 0. In the message the first row of a
                file that follows its header is row 1; the first row of a frame is row 0.
            column: Name of the column, if the message is about one.
        """
        named, number = self.name, row
        for path, count in self.files:
            if number < count:
                named, number = path, number + 1
                break
            number -= count
        cell = "" if column is None else f", column {column!r}"
        return f"{named}, row {number}{cell}"
