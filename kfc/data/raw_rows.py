"""Reads the rows of a spec, of arrays or of a table, before anything is encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kfc.data.fold_splits import GivenFolds, read_folds
from kfc.data.rows import Rows, Source
from kfc.data.sources import from_memory
from kfc.data.tables import (
    ArrowFiles,
    RawTable,
    TableSource,
    TypedTable,
    has_table_files,
    is_table_source,
    read_raw,
    read_tables,
    tables_in_memory,
)
from kfc.data.targets import decode_text
from kfc.errors import DataError, Finding, SpecError
from kfc.findings import run_checks
from kfc.spec import OWN, Spec, from_preset, shown_value
from kfc.system import DiskArray, chunks, memory

_VALIDATION_SHARE = 0.1  # of the training rows, unless the data or the spec say otherwise
_FILES = "table in a file"
RESIDENT_SHARE = 0.25
"""Share of the memory that inputs in memory may take: TensorFlow copies them, and a split
copies them too."""


@dataclass(frozen=True)
class RawRows:
    """The rows of a source before they are encoded.

    Args:
        source: Rows and names.
        name: Name of the source in messages.
        validation: Origin of the validation rows: a share of the training rows, the name of
            another source, or `own`.
        tables: The table that the rows come from, or None.
        folds: Folds of the file that the spec names, if it does.
    """

    source: Source
    name: str
    validation: float | str
    tables: TableSource | None = None
    folds: GivenFolds | None = None

    @property
    def parts(self) -> Iterator[tuple[Rows, str]]:
        """The rows of each part that there is, training first, with their name in messages."""
        yield self.source.train, self.train_name
        if self.source.test is not None:
            yield self.source.test, self.test_name
        if self.source.validation is not None:
            yield self.source.validation, self.validation_name

    @property
    def train_name(self) -> str:
        """The name of the training rows in messages."""
        return f"{self.name}, training rows"

    @property
    def test_name(self) -> str:
        """The name of the test rows in messages."""
        return f"{self.name}, test rows"

    @property
    def validation_name(self) -> str:
        """The name of the validation rows in messages, which may be of another source."""
        other = self.validation if ":" in str(self.validation) else self.name
        return f"{other}, validation rows"

    def sha256(self) -> str:
        """Returns the hash of every input, target and weight, which shows when data change."""
        digest = hashlib.sha256()
        for rows, _ in self.parts:
            for values in rows.parts:
                if isinstance(values, TypedTable):
                    values.add_to_hash(digest)
                    continue
                values = values if isinstance(values, DiskArray) else decode_text(values)
                digest.update(f"{values.shape} {values.dtype}".encode())
                for _, part in chunks(values):
                    digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        if self.tables is not None:
            self.tables.labels.add_to_hash(digest)
        if self.folds is not None:
            for values in (self.folds.rows, self.folds.fold):
                digest.update(values.data)
        return digest.hexdigest()


def read_rows(
    spec: Spec,
    data: Any,
    read: Callable[[str], Source],
    arrow_files: ArrowFiles | None = None,
) -> RawRows:
    """Reads all rows, of a table or of arrays, and the folds of a file.

    Args:
        spec: Valid spec.
        data: Rows in memory instead of `data.source`; `RawRows` are returned as they are.
        read: Function that reads a source of arrays by name.
        arrow_files: Files that are to hold the columns of tables; None for the memory.

    Raises:
        DataError: If the data cannot be read, or a check refuses them.
    """
    rows = data if isinstance(data, RawRows) else _read_rows(spec, data, read, arrow_files)
    if spec.data.fold is None or spec.data.fold.file is None:
        return rows
    return replace(rows, folds=read_folds(spec.data.fold.file))


def rows_of_table(spec: Spec, table: RawTable) -> RawRows:
    """Returns rows of a table that stand for all rows of the spec's source.

    Args:
        spec: Valid spec whose source is a table.
        table: The rows.

    Raises:
        DataError: If a check refuses them.
    """
    run_checks("source", spec, _FILES, ())
    tables = read_tables(spec.data, {"train": table})
    origin = _validation(spec, tables.source, table.name)
    return RawRows(tables.source, table.name, origin, tables)


def _read_rows(
    spec: Spec, data: Any, read: Callable[[str], Source], arrow_files: ArrowFiles | None
) -> RawRows:
    name = "data" if data is not None else str(spec.data.source)
    of_file = data is None and is_table_source(spec.data.source)
    in_memory = tables_in_memory(data, spec.data)
    kind = "arrays" if in_memory is None and not of_file else "frame"
    if of_file and has_table_files(spec.data.source):
        kind = _FILES
    run_checks("source", spec, kind, tuple(in_memory or ()))
    if of_file:
        in_memory = {"train": read_raw(name, spec.data.csv, arrow_files)}
    if in_memory is None:
        return _read(spec, data, read)
    tables = read_tables(spec.data, in_memory, arrow_files)
    if is_table_source(str(spec.data.validation)):  # read with the tables
        return RawRows(tables.source, name, str(spec.data.validation), tables)
    return RawRows(tables.source, name, _validation(spec, tables.source, name), tables)


def _read(spec: Spec, data: Any, read: Callable[[str], Source]) -> RawRows:
    """Reads all rows, and leaves training inputs on the disk where they are streamed."""
    source, name = _source(spec, data, read)
    validation = _validation(spec, source, name)
    if ":" in str(validation):
        rows = _rows_of_other_source(source, str(validation), read)
        source = replace(source, validation=rows)
    if _streams(spec, source):
        source = replace(source, train=_on_disk(source.train))
    else:
        loaded = {
            part: rows.loaded()
            for part in ("train", "test", "validation")
            if (rows := getattr(source, part)) is not None
        }
        source = replace(source, **loaded)
    return RawRows(source, name, validation)


def _source(spec: Spec, data: Any, read: Callable[[str], Source]) -> tuple[Source, str]:
    """Returns the source and its name in messages."""
    if data is not None:
        return data if isinstance(data, Source) else from_memory(data), "data"
    if spec.data.source is None:
        expected = "a source, or data= in Python"
        remedy = "Add for example source: sklearn:digits."
        raise SpecError(Finding("data.source", expected, "neither", remedy))
    return read(spec.data.source), spec.data.source


def _validation(spec: Spec, source: Source, name: str) -> float | str:
    """Returns the origin of the validation rows: a share, another source, or `own`.

    Raises:
        DataError: If the spec asks for `own` rows and the data have none, or for other rows
            and the data have their own.
    """
    wanted = spec.data.validation
    if source.validation is None:
        if wanted == OWN:
            expected = "validation rows of their own in the data"
            got = f"{OWN}, while {name} has none"
            remedy = "Pass data={'train': ..., 'validation': ...}, or set a share such as 0.1."
            raise DataError(Finding("data.validation", expected, got, remedy))
        return _VALIDATION_SHARE if wanted is None else wanted
    # A share of a preset is for data that have no validation rows of their own.
    if wanted not in (None, OWN) and not from_preset(spec.said, ("data", "validation")):
        expected = "one place from which validation rows come"
        got = f"{shown_value(wanted)}, while {name} has validation rows of its own"
        remedy = f"Leave data.validation out or set it to {OWN}; or drop those rows."
        raise DataError(Finding("data.validation", expected, got, remedy))
    return OWN


def _rows_of_other_source(source: Source, name: str, read: Callable[[str], Source]) -> Rows:
    """Returns the validation rows of another source, which must have the same names.

    Raises:
        DataError: If features or classes have other names, or another order.
    """
    other = read(name)
    if other.train.x.shape[1:] != source.train.x.shape[1:]:
        return other.train  # refused later, for its shape
    for noun, wanted, got in (
        ("columns", source.feature_names, other.feature_names),
        ("classes", source.class_names, other.class_names),
    ):
        if wanted and got and wanted != got:
            expected = f"the {noun} {', '.join(wanted[:10])}, in this order, as in training"
            remedy = "Choose a source with the same names."
            where = f"{name}, validation rows"
            raise DataError(Finding(where, expected, ", ".join(got[:10]), remedy))
    return other.train


def _streams(spec: Spec, source: Source) -> bool:
    """Returns whether training rows are read from the disk as they are needed."""
    if spec.data.stream != "auto":
        return spec.data.stream == "always"
    train = source.train
    return train.on_disk and train.x.nbytes > RESIDENT_SHARE * memory.limit_bytes()


def _on_disk(rows: Rows) -> Rows:
    """Returns rows whose inputs are read in windows, also where they are in memory now."""
    # The checks refuse masked arrays and single numbers, so these stay as they are.
    if isinstance(rows.x, (DiskArray, np.ma.MaskedArray)) or rows.x.ndim == 0:
        return rows
    return replace(rows, x=DiskArray(rows.x))
