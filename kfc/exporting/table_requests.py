"""Raw rows of a table for a served model: a request, and rows that must give NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.data import Task
from kfc.exporting import serving_signature
from kfc.runs import Sample

_MOST_BAD_ROWS = 16
_BAD: Mapping[str, Any] = {"number": np.inf, "date": "no date", "boolean": "neither"}
"""Type of a column -> a value that has no encoding."""


@dataclass(frozen=True)
class TableRequest:
    """One call of a served model with raw columns: a real row, and a copy that lacks a value.

    A missing number is NaN, which TensorFlow Serving reads in JSON; a missing text is empty.

    Args:
        columns: Columns of the rows, by the names of the inputs.
    """

    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, sample: Sample) -> TableRequest:
        """Returns the request for the first rows of a sample, see `kfc.runs.table_sample`."""
        return cls({name: values[:2] for name, values in sample.columns.items()})

    @property
    def signature(self) -> str:
        """Name of the signature to call."""
        return serving_signature.DEFAULT

    @property
    def num_rows(self) -> int:
        """Number of rows, the first ones of the sample."""
        return len(next(iter(self.columns.values())))

    @property
    def body(self) -> str:
        """The body of the HTTP request, JSON with NaN for a missing number."""
        values = {name: column.tolist() for name, column in self.columns.items()}
        rows = [{n: column[i] for n, column in values.items()} for i in range(self.num_rows)]
        return json.dumps({"instances": rows}) + "\n"

    def inputs(self, dtype: str) -> dict[str, np.ndarray]:
        """Returns the inputs by name as a server parses the body.

        Args:
            dtype: Type of an encoded row, which raw columns do not have.
        """
        rows = json.loads(self.body)["instances"]
        return {
            name: np.asarray([row[name] for row in rows], column.dtype)
            for name, column in self.columns.items()
        }


def with_bad_rows(sample: Sample, task: Task) -> tuple[dict[str, np.ndarray], int]:
    """Returns copies of a sample's first row that must give NaN, and then the row itself.

    Args:
        sample: Rows of a table.
        task: Task of the network.

    Returns:
        Columns by input name, and the number of copies; each copy has one value that has no
        encoding, such as an infinite number or a text that is no date.
    """
    table, encoding = task.table, serving_signature.encoding_of(task)
    bad: dict[str, Any] = {}
    for column, (name, values) in zip(encoding.columns, sample.columns.items(), strict=True):
        kind = table.columns[column.name].type if table else ""
        if kind in _BAD and values.dtype.kind != "b":
            bad[name] = _BAD[kind]
    chosen = list(bad)[:_MOST_BAD_ROWS]
    columns = {}
    for name, values in sample.columns.items():
        rows = values[:1].tolist() * (len(chosen) + 1)
        if name in chosen:
            rows[chosen.index(name)] = bad[name]
        columns[name] = np.array(rows, np.str_ if values.dtype.kind == "U" else values.dtype)
    return columns, len(chosen)
