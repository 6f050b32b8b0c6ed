"""Prepares the data of a spec: reads, checks, encodes and splits rows, and fits scalings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kfc.data.encoded_tables import (
    encoded,
    some_rows,
    table_encoding,
    table_keys,
    table_task,
)
from kfc.data.encoding import are_pixels, encode_held_out, encode_rows
from kfc.data.row_checks import check_rows
from kfc.data.rows import Rows, Source
from kfc.data.source_reading import read_source
from kfc.data.sources import from_memory
from kfc.data.splits import SplitRequest, split
from kfc.data.tables import (
    ColumnReport,
    TableSource,
    TypedTable,
    is_table_source,
    read_raw,
    read_tables,
    tables_in_memory,
)
from kfc.data.targets import Classes, decode_text, read_classes
from kfc.data.task import Task
from kfc.errors import DataError, Finding, SpecError
from kfc.findings import run_checks
from kfc.preprocessing import (
    NumericScaling,
    TableEncoding,
    TargetScaling,
    fit_scaling,
)
from kfc.spec import OWN, Spec, shown_value
from kfc.system import DiskArray, chunks, memory

TEST_SHARE = 0.2  # of the rows of a source without test rows
_VALIDATION_SHARE = 0.1  # of the training rows, unless the data or the spec say otherwise
_KEPT_ROWS = 64  # test rows of a table that stay beside the encoded ones
_RESIDENT_SHARE = 0.25
"""Share of the memory that inputs in memory may take: TensorFlow copies them, and a split
copies them too."""


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs of the data.

    Class targets are the numbers 0, 1, ... of the classes, int32; other targets are float32,
    (rows, outputs). Inputs are uint8 for pixels, otherwise float32. Only training rows have
    weights (float32): validation and test rows are measured without.

    Args:
        train: Rows to train on.
        validation: Rows that are measured during training, or None.
        test: Rows that are measured after training.
        task: Shape of a row, class names and scalings.
        sha256: Hash of all rows of the source.
        resolved: Keys of the spec's `data` whose values depend on the rows, with these values.
        reports: Facts about each column of a table, and the reason of its type.
        test_columns: The columns of some test rows of a table, evenly spaced and not yet
            encoded, of which a run keeps a sample; None for arrays.
    """

    train: Rows
    validation: Rows | None
    test: Rows
    task: Task
    sha256: str
    resolved: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[ColumnReport, ...] = ()
    test_columns: TypedTable | None = None

    @property
    def held_out(self) -> dict[str, Rows]:
        """The rows that are only measured, by the prefix of their metrics: `val`, `test`."""
        validation = {} if self.validation is None else {"val": self.validation}
        return {**validation, "test": self.test}

    @property
    def watched(self) -> tuple[str, Rows]:
        """The prefix and the rows that are measured during training: validation, else test."""
        return next(iter(self.held_out.items()))


@dataclass(frozen=True)
class _Raw:
    """The rows of a source before they are encoded.

    Args:
        source: Rows and names.
        name: Name of the source in messages.
        validation: Origin of the validation rows: a share of the training rows, the name of
            another source, or `own`.
        tables: The table that the rows come from, or None.
    """

    source: Source
    name: str
    validation: float | str
    tables: TableSource | None = None

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


def prepare(
    spec: Spec, data: Any = None, *, read: Callable[[str], Source] = read_source
) -> Prepared:
    """Reads, checks, encodes and splits the data of `spec`, and fits its scalings.

    The test rows are those of the source, or 20 % of it. The validation rows are those of the
    source, those of another source, or a share of the rest. Splits are shuffled, stratified
    and seeded; scalings are fitted on the training rows that remain. Rows keep their order
    within a part.

    Args:
        spec: Valid spec.
        data: Rows in memory instead of `data.source`, see `kfc.data.sources.from_memory`.
        read: Function that reads a source by name, perhaps with a cache.

    Raises:
        DataError: If the data cannot be read, or a check refuses them.
    """
    raw = _read_rows(spec, data, read)
    source = raw.source

    # Check the rows as their source gave them, so that messages show the user's own values.
    for part, where in raw.parts:
        check_rows(replace(part, feature_names=source.feature_names), where)
    sha256 = _sha256(raw)
    classes = read_classes(source, raw.name, task=spec.data.task)

    # Encode: pixels as uint8, other inputs as float32, classes as their numbers.
    pixels = spec.data.pixels
    if pixels is None:
        pixels = _are_pixels(spec, source.train, raw.train_name)
    train = encode_rows(source.train, classes, raw.train_name, pixels=pixels)
    named = replace(source.train, feature_names=source.feature_names)
    run_checks("training_data", named, raw.train_name, regression=classes is None)
    test, validation = (
        encode_held_out(train, rows, classes, where, cast=spec.data.pixels is True)
        for rows, where in (
            (source.test, raw.test_name),
            (source.validation, raw.validation_name),
        )
    )

    # Split. Of the training rows `data.rows` are kept, the second part of such a split.
    if test is None:
        train, test = _split(train, spec, TEST_SHARE, raw.test_name, classes)
    if spec.data.rows is not None and spec.data.rows < len(train):
        _, train = _split(train, spec, spec.data.rows, "data.rows", classes)
    if isinstance(raw.validation, float) and raw.validation > 0:
        train, validation = _split(train, spec, raw.validation, "data.validation", classes)

    # Fit what is learned on the training rows that remain, and encode a table by it.
    encoding = table_encoding(spec, train, raw.tables)
    test_columns = some_rows(test, _KEPT_ROWS) if encoding else None
    train, test, validation = (encoded(encoding, rows) for rows in (train, test, validation))
    task = _task(spec, train, classes, raw, encoding)
    for part, where in () if encoding else raw.parts:
        run_checks("scaled", task.scaling, part.x, where, task.feature_names)
    resolved = {
        **table_keys(raw.tables),
        "task": "classification" if classes else "regression",
        "pixels": pixels,
        "validation": raw.validation,
        "stream": "always" if train.on_disk else "never",
    }
    # Parts that were split off the training rows may have weights.
    test = replace(test, sample_weight=None)
    if validation is not None:
        validation = replace(validation, sample_weight=None)
    reports = raw.tables.reports if raw.tables else ()
    return Prepared(train, validation, test, task, sha256, resolved, reports, test_columns)


def _read_rows(spec: Spec, data: Any, read: Callable[[str], Source]) -> _Raw:
    """Reads all rows, of a table or of arrays."""
    name = "data" if data is not None else str(spec.data.source)
    of_file = data is None and is_table_source(spec.data.source)
    in_memory = tables_in_memory(data, spec.data)
    run_checks("source", spec, of_file or in_memory is not None)
    if of_file:
        in_memory = {"train": read_raw(name, spec.data.csv)}
    if in_memory is None:
        return _read(spec, data, read)
    tables = read_tables(spec.data, in_memory)
    if is_table_source(str(spec.data.validation)):  # read with the tables
        return _Raw(tables.source, name, str(spec.data.validation), tables)
    return _Raw(tables.source, name, _validation(spec, tables.source, name), tables)


def _read(spec: Spec, data: Any, read: Callable[[str], Source]) -> _Raw:
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
    return _Raw(source, name, validation)


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
    if wanted not in (None, OWN):
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
    return train.on_disk and train.x.nbytes > _RESIDENT_SHARE * memory.limit_bytes()


def _on_disk(rows: Rows) -> Rows:
    """Returns rows whose inputs are read in windows, also where they are in memory now."""
    # The checks refuse masked arrays and single numbers, so these stay as they are.
    if isinstance(rows.x, (DiskArray, np.ma.MaskedArray)) or rows.x.ndim == 0:
        return rows
    return replace(rows, x=DiskArray(rows.x))


def _are_pixels(spec: Spec, train: Rows, where: str) -> bool:
    """Returns whether inputs are pixels, where the spec does not say so."""
    if train.is_table:
        return False
    run_checks("pixels", train.x, where, spec.data.scale in ("unit", "centered"))
    return are_pixels(train.x)


def _task(
    spec: Spec,
    train: Rows,
    classes: Classes | None,
    raw: _Raw,
    encoding: TableEncoding | None,
) -> Task:
    """Fits the scalings on the training rows and returns the task."""
    x = train.x if encoding is None else train.x[:, : encoding.num_numbers]
    scaling = fit_scaling(spec.data.scale, x) if x.shape[-1] else NumericScaling()
    scale_target = "none" if classes else spec.data.scale_target
    if x.shape[-1]:
        run_checks("scaling", scaling, x, raw.train_name, spec.data.scale, accept=spec.accept)
    return Task(
        input_shape=train.x.shape[1:],
        input_dtype=str(train.x.dtype),
        class_names=classes.class_names if classes else (),
        outputs=1 if classes else train.y.shape[1],
        scaling=scaling,
        target_scaling=TargetScaling.fit(scale_target, train.y),
        feature_names=encoding.feature_names if encoding else raw.source.feature_names,
        targets=() if classes else raw.source.targets,
        table=table_task(spec, raw.tables, encoding),
    )


def _split(
    rows: Rows, spec: Spec, share: float | int, where: str, classes: Classes | None
) -> tuple[Rows, Rows]:
    """Returns two parts of the rows, the second one with `share` of them."""
    request = SplitRequest(rows.y, share, spec.seed, stratify=classes is not None, where=where)
    first, second = split(request)
    return rows.take(first), rows.take(second)


def _sha256(raw: _Raw) -> str:
    """Returns the hash of every input, target and weight, which shows when data change."""
    digest = hashlib.sha256()
    for rows, _ in raw.parts:
        for values in rows.parts:
            if isinstance(values, TypedTable):
                values.add_to_hash(digest)
                continue
            values = values if isinstance(values, DiskArray) else decode_text(values)
            digest.update(f"{values.shape} {values.dtype}".encode())
            for _, part in chunks(values):
                digest.update(np.ascontiguousarray(part).view(np.uint8).data)
    return digest.hexdigest()
