"""Sample of a table: some test rows, and copies of them with a missing or unseen value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pyarrow as pa

from kfc.data.tables import TypedTable
from kfc.preprocessing import ColumnEncoding, TableEncoding
from kfc.runs.sample_file import Sample, outputs_on_cpu


def take_table_sample(
    network: keras.Model, encoding: TableEncoding, table: TypedTable
) -> Sample:
    """Returns rows of a table and copies of them, with a trained network's outputs.

    Each row comes before its copy, in which one cell is missing or has a category that the
    training rows lack. The first copy has a missing cell if any column may miss one.

    Args:
        network: Trained network that takes encoded rows.
        encoding: Encoding of the table.
        table: Some test rows, in their types.
    """
    table = _with_copies(encoding, _without_gaps(encoding, table))
    x = encoding.apply(table.columns)
    # The names depend on that of the network, a layer of the model that takes raw columns.
    columns = raw_columns(encoding, table, encoding.signature_names((network.name,)))
    return Sample(x, outputs_on_cpu(network, x), columns)


def raw_columns(
    encoding: TableEncoding, table: TypedTable, names: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Returns the raw columns as a SavedModel takes them, by their names in its signature.

    Args:
        encoding: Encoding of the table.
        table: Rows in their types.
        names: Name in the signature of each column.

    Raises:
        DataError: If a value has no form in the model's input.
    """
    raw, inputs = encoding.raw_inputs(table.columns), encoding.input_names()
    return {name: _array(raw[inputs[column]]) for column, name in names.items()}


def _array(tensor: Any) -> np.ndarray:
    values = np.asarray(tensor)
    if values.dtype != object:
        return values
    return np.array([text.decode() for text in values], np.str_)


def _without_gaps(encoding: TableEncoding, table: TypedTable) -> TypedTable:
    """Returns rows with `false` for a missing value that no raw input can express.

    No training row lacks a value of such a column, but a test row may, as in a small fold.
    """
    filled = {c.name for c in encoding.columns if c.input_dtype == "bool"}
    columns = {
        name: values.fill_null(False) if name in filled else values
        for name, values in table.columns.items()
    }
    return TypedTable(columns, len(table))


def _with_copies(encoding: TableEncoding, table: TypedTable) -> TypedTable:
    """Returns each row, followed by a copy in which one cell is missing or unseen."""
    changes: list[tuple[str, str | None]]
    changes = [(c.name, None) for c in encoding.columns if _may_be_missing(c)]
    changes += [(c.name, _unseen(c)) for c in encoding.columns if c.codes]
    if not changes or not len(table):
        return table
    rows = np.repeat(np.arange(len(table)), 2)
    columns = dict(table.take(rows).columns)
    by_column: dict[str, dict[int, str | None]] = {}
    for row in range(len(table)):
        name, value = changes[row % len(changes)]
        by_column.setdefault(name, {})[2 * row + 1] = value
    for name, cells in by_column.items():
        columns[name] = _with_cells(columns[name], cells)
    return TypedTable(columns, len(rows))


def _with_cells(values: pa.ChunkedArray, cells: dict[int, str | None]) -> pa.ChunkedArray:
    """Returns a column with other values in some rows."""
    of_text = pa.types.is_dictionary(values.type)
    plain = values.cast(pa.string()) if of_text else values
    found = plain.to_pylist()
    for row, value in cells.items():
        found[row] = value
    changed = pa.array(found, plain.type)
    return pa.chunked_array([changed.dictionary_encode() if of_text else changed])


def _may_be_missing(column: ColumnEncoding) -> bool:
    """Returns whether the raw input of a column can express a missing value."""
    return column.input_dtype != "bool" and not getattr(column, "refuse", False)


def _unseen(column: ColumnEncoding) -> str:
    """Returns a text that is no category of the training rows."""
    config, text = column.get_config(), "another category"
    while text in config["vocabulary"] or text in config["rare"]:
        text += "_"
    return text
