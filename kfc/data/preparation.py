"""Prepares the data of a spec: reads, checks, encodes and splits rows, and fits scalings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data.encoded_parts import EncodedParts
from kfc.data.encoded_tables import EncodedTable
from kfc.data.encoding import are_pixels, encode_held_out, encode_rows
from kfc.data.raw_rows import RawRows, read_rows
from kfc.data.row_checks import check_rows
from kfc.data.row_parts import choose_parts
from kfc.data.rows import Rows, Source
from kfc.data.shared_steps import share_checks, share_facts
from kfc.data.source_reading import read_source
from kfc.data.table_cache import cached_parts, streams_table
from kfc.data.tables import ArrowFiles, ColumnReport, RowLabels, TypedTable
from kfc.data.targets import read_classes
from kfc.data.task import Task
from kfc.errors import Finding
from kfc.findings import is_accepted, run_checks
from kfc.preprocessing import InputScaling, NumericScaling, TargetScaling, fit_scaling
from kfc.spec import Spec
from kfc.system import SharedWork, first_features


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs of the data.

    Class targets are the numbers 0, 1, ... of the classes, int32; other targets are float32,
    (rows, outputs). Inputs are uint8 for pixels, otherwise float32. Only training rows have
    weights (float32): validation and test rows are measured without.

    Args:
        train: Rows to train on.
        validation: Rows that are measured during training, or None.
        test: Rows that are measured after training, or None.
        task: Shape of a row, class names and scalings.
        sha256: Hash of all rows of the source.
        resolved: Keys of the spec's `data` whose values depend on the rows, with these values.
        reports: Facts about each column of a table, and the reason of its type.
        test_columns: The columns of some test rows of a table, evenly spaced and not yet
            encoded, of which a run keeps a sample; None for arrays.
        warnings: Findings that do not refuse the rows, without those that the spec accepts.
        outside: Test rows of the source itself, where the test rows are those of a fold.
        test_numbers: Numbers of the source's rows that are the test rows; None where the
            source has test rows of its own.
        interval_rows: Rows that give the intervals of a regression, and no metric that
            chooses an epoch; None without `training.interval_coverage`.
        kept: Results of these rows alone, which other runs on them take.
    """

    train: Rows
    validation: Rows | None
    test: Rows | None
    task: Task
    sha256: str
    resolved: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[ColumnReport, ...] = ()
    test_columns: TypedTable | None = None
    warnings: tuple[Finding, ...] = ()
    outside: Rows | None = None
    test_numbers: np.ndarray | None = None
    interval_rows: Rows | None = None
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def held_out(self) -> dict[str, Rows]:
        """The rows that are only measured, by the prefix of their metrics: `val`, `test`."""
        parts = {"val": self.validation, "test": self.test}
        return {prefix: rows for prefix, rows in parts.items() if rows is not None}

    @property
    def watched(self) -> tuple[str, Rows] | None:
        """The prefix and the rows that are measured during training: validation, else test.

        None where there are neither.
        """
        return next(iter(self.held_out.items()), None)

    @property
    def shown(self) -> Rows:
        """The rows of which a run keeps a sample: test, else validation, else training."""
        return self.test or self.validation or self.train


def prepare(
    spec: Spec,
    data: Any = None,
    *,
    read: Callable[[str], Source] = read_source,
    cache: Path | None = None,
    raw: RawRows | None = None,
) -> Prepared:
    """Reads, checks, encodes and splits the data of `spec`, and fits its scalings.

    The test rows are those of the source, or 20 % of it, or none. The validation rows are
    those of the source, those of another source, or a share of the rest. With `data.fold` the
    test rows are the held-out rows of that fold. Splits are shuffled, stratified and seeded,
    or follow `data.groups` or `data.order`; scalings are fitted on the training rows that
    remain. Rows keep their order within a part.

    Args:
        spec: Valid spec.
        data: Rows in memory instead of `data.source`, see `kfc.data.sources.from_memory`.
        read: Function that reads a source by name, perhaps with a cache.
        cache: Folder of encoded tables that are larger than the memory, unless `data.cache`
            names one; by default `.tables` in the folder `runs`.
        raw: Rows that `read_rows` has read for a spec with the same source; None to read them.

    Raises:
        DataError: If the data cannot be read, or a check refuses them.
        DiskError: If a table cannot be written to the cache.
    """
    if data is None and streams_table(spec.data):

        def encode(work: SharedWork) -> EncodedParts:
            return _encoded_parts(spec, read_rows(spec, data, read, ArrowFiles(work)), work)

        parts = cached_parts(spec, cache, encode)
    else:
        parts = _encoded_parts(spec, raw or read_rows(spec, data, read))
    task = _task(spec, parts)
    for x, where in parts.raw_inputs:
        run_checks("scaled", task.scaling, x, where, task.feature_names)
    validation, interval_rows = _for_intervals(spec, parts.validation)
    return Prepared(
        parts.train,
        validation,
        parts.test,
        task,
        parts.sha256,
        {**parts.resolved(), "scale": _scale(spec, parts.table)},
        parts.table.reports if parts.table else (),
        parts.table.test_columns if parts.table else None,
        tuple(finding for finding in parts.warnings if not is_accepted(finding, spec.accept)),
        parts.outside,
        parts.test_numbers,
        interval_rows,
    )


def _for_intervals(spec: Spec, rows: Rows | None) -> tuple[Rows | None, Rows | None]:
    """Returns validation rows, and every second one apart if the spec asks for intervals.

    Residuals of the rows that have chosen the best epoch are too small, and so the intervals.
    """
    if rows is None or spec.training.interval_coverage is None:
        return rows, None
    numbers = np.arange(len(rows))
    apart = rows.take(numbers[1::2]) if len(rows) > 1 else None
    return rows.take(numbers[::2]), apart


def _encoded_parts(spec: Spec, raw: RawRows, work: SharedWork | None = None) -> EncodedParts:
    """Checks, encodes and splits rows.

    Args:
        spec: Valid spec.
        raw: Rows as their source gave them.
        work: Work of which each process does a part, for a table that does not fit into the
            memory; None for rows in memory.

    Raises:
        DataError: If a check refuses the rows.
    """
    source = raw.source

    # Check the rows as their source gave them, so that messages show the user's own values.
    for part, where in raw.parts:
        check_rows(replace(part, feature_names=source.feature_names), where)
    classes = read_classes(source, raw.name, task=spec.data.task)

    # Encode: pixels as uint8, other inputs as float32, classes as their numbers.
    pixels = spec.data.pixels
    if pixels is None:
        pixels = _are_pixels(source.train, raw.train_name, _scale(spec, raw.tables))
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

    # Choose the rows of each part. In a fold, the source's own test rows are outside.
    labels = raw.tables.labels if raw.tables else RowLabels()
    choose = functools.partial(
        choose_parts,
        spec,
        train.y,
        stratify=classes is not None,
        labels=labels,
        given=raw.folds,
        has_test=test is not None,
        validation=raw.validation,
        test_name=raw.test_name,
    )
    sha256, chosen = share_facts(work, raw.sha256, choose)
    outside = test if spec.data.fold is not None else None
    if chosen.validation is not None:
        validation = train.take(chosen.validation)
    if chosen.test is not None:
        test = train.take(chosen.test)
    if len(chosen.train) < len(train):
        train = train.take(chosen.train)

    # Parts that were split off the training rows may have weights.
    held_out = {"test": test, "validation": validation, "outside": outside}
    parts = {"train": train} | {
        name: replace(rows, sample_weight=None)
        for name, rows in held_out.items()
        if rows is not None
    }
    parts, table, warnings, scaling = _encoded_inputs(spec, raw, parts, work)
    return EncodedParts(
        name=raw.train_name,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        outside=parts.get("outside"),
        test_numbers=chosen.test,
        sha256=sha256,
        class_names=classes.class_names if classes else None,
        pixels=pixels,
        origin=raw.validation,
        feature_names=source.feature_names,
        targets=source.targets,
        table=table,
        raw_inputs=() if table else tuple((rows.x, where) for rows, where in raw.parts),
        warnings=warnings,
        scaling=scaling,
    )


def _encoded_inputs(
    spec: Spec, raw: RawRows, parts: dict[str, Rows], work: SharedWork | None
) -> tuple[
    dict[str, Rows],
    EncodedTable | None,
    tuple[Finding, ...],
    tuple[str, InputScaling] | None,
]:
    """Encodes the inputs of a table; those of arrays stay as they are.

    Args:
        spec: Valid spec.
        raw: Rows as their source gave them.
        parts: Rows of each part; the encoding is fitted on those that are called `train`.
        work: Work of which each process does a part, or None.

    Returns:
        The parts, facts about the table, warnings, and the name of a scaling with the scaling
        that was learned, if it was.

    Raises:
        DataError: If a value cannot be encoded, or a check refuses the encoded rows.
    """
    if raw.tables is None:
        return parts, None, (), None
    train = parts["train"]
    shown = parts.get("test", parts.get("validation", train))
    table = EncodedTable.fit(spec, raw.tables, train, shown, work)
    parts = {name: table.encode(rows, name, work) for name, rows in parts.items()}
    names = {"test": raw.test_name, "validation": raw.validation_name}
    others = {where: parts[name] for name, where in names.items() if name in parts}
    scale, train = _scale(spec, table), parts["train"]
    check = functools.partial(run_checks, "encoded_table", table.encoding, train, others)
    fit = functools.partial(_fitted_scaling, scale, train, table)
    found, scaling = share_checks(work, check, fit)
    learned = None if scaling is None else (scale, scaling)
    return parts, table, raw.tables.warnings + found, learned


def _are_pixels(train: Rows, where: str, scale: str) -> bool:
    """Returns whether inputs are pixels, where the spec does not say so."""
    if train.is_table:
        return False
    run_checks("pixels", train.x, where, scale in ("unit", "centered"))
    return are_pixels(train.x)


def _scale(spec: Spec, table: object | None) -> str:
    """Returns the scaling of the inputs: by default that of arrays, or that of a table."""
    return spec.data.scale or ("unit" if table is None else "standard")


def _scaled_inputs(train: Rows, table: EncodedTable | None) -> Any:
    return train.x if table is None else first_features(train.x, table.encoding.num_numbers)


def _fitted_scaling(scale: str, train: Rows, table: EncodedTable | None) -> InputScaling:
    """Returns the scaling of the inputs that are numbers, learned from training rows."""
    x = _scaled_inputs(train, table)
    return fit_scaling(scale, x) if x.shape[-1] else NumericScaling()


def _task(spec: Spec, parts: EncodedParts) -> Task:
    """Fits the scalings on the training rows and returns the task."""
    train, table, scale = parts.train, parts.table, _scale(spec, parts.table)
    classification = parts.class_names is not None
    x = _scaled_inputs(train, table)
    name, scaling = parts.scaling or (scale, None)
    if scaling is None or name != scale:
        scaling = _fitted_scaling(scale, train, table)
    scale_target = "none" if classification else spec.data.scale_target
    if x.shape[-1]:
        run_checks("scaling", scaling, x, parts.name, scale, accept=spec.accept)
    return Task(
        input_shape=train.x.shape[1:],
        input_dtype=str(train.x.dtype),
        class_names=parts.class_names or (),
        outputs=1 if classification else train.y.shape[1],
        scaling=scaling,
        target_scaling=TargetScaling.fit(scale_target, train.y),
        feature_names=table.encoding.feature_names if table else parts.feature_names,
        targets=() if classification else parts.targets,
        table=table.task(spec, scale, train.x) if table else None,
    )
