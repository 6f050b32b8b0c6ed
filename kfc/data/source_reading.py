"""Reads a source of arrays by its name, and checks the answer of a plug-in's source."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from kfc.data.rows import Rows, Source
from kfc.data.tables import is_table_source
from kfc.errors import DataError, Finding, PluginError
from kfc.registry import SOURCES
from kfc.spec import NO_TEST, OWN, Spec, shown_value
from kfc.system import DiskArray


def read_source(name: str) -> Source:
    """Reads `kind:argument` with the source that is registered for `kind`.

    Raises:
        DataError: If the data cannot be read.
        PluginError: If a plug-in's source returns something else than a `Source`.
    """
    kind, _, argument = name.partition(":")
    if is_table_source(name):
        expected, remedy = "a source of arrays", "Use a table as data.source and data.test."
        raise DataError(Finding(name, expected, "a table", remedy))
    read = SOURCES.get(kind, "data.source")
    with SOURCES.guard(kind, name):
        source = read(argument)
    for expected, got in _broken_promises(source):
        remedy = "Fix the source; kfc.testing.check_source tests it."
        raise PluginError(Finding(f"source {kind!r}", expected, got, remedy))
    return source


def _broken_promises(source: Any) -> Iterator[tuple[str, str]]:
    """Yields (expected, got) for each part of a source's answer that is wrong."""
    if not isinstance(source, Source):
        yield "a kfc.data.Source", type(source).__name__
        return
    for rows in (source.train, source.test, source.validation):
        parts = rows.parts if isinstance(rows, Rows) else (rows,)
        missing = rows is None and rows is not source.train
        if not missing and not all(isinstance(p, (np.ndarray, DiskArray)) for p in parts):
            got = ", ".join(type(part).__name__ for part in parts)
            yield "kfc.data.Rows of NumPy arrays", got
    for noun, names in (
        ("class names", source.class_names),
        ("feature names", source.feature_names),
    ):
        if names is None and noun == "class names":
            continue
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            yield f"{noun} as a tuple of text", shown_value(names)
        elif len(set(names)) < len(names):
            yield f"{noun} that differ", shown_value(names)
    if source.class_names is not None and len(source.class_names) < 2:
        yield "at least two class names", shown_value(source.class_names)


def key_without_effect(spec: Spec, kind: str, parts: Collection[str] = ()) -> list[Finding]:
    """Finds keys of `data` that these rows would leave without effect.

    Args:
        spec: Spec of the training.
        kind: Form of the rows: `arrays`, `frame` or `table in a file`.
        parts: Names of the parts of frames, such as `train`.
    """
    data, findings = spec.data, []
    if kind == "arrays":
        for key in ("target", "test", "columns", "cache", "groups", "order"):
            if getattr(data, key) and not (key == "test" and data.test == NO_TEST):
                remedy = "Remove the key; arrays bring their own targets and test rows."
                findings.append(Finding(f"data.{key}", "a table", "arrays", remedy))
        return findings
    if data.pixels:
        remedy = "Remove the key."
        findings.append(Finding("data.pixels", "arrays", "a table", remedy))
    if data.stream == "always" and kind == "frame":
        got = "always, for a table that is in memory"
        remedy = (
            "Remove the key, or write the table to a file and use csv:FILE or parquet:FILE."
        )
        findings.append(Finding("data.stream", "auto or never", got, remedy))
    for key in ("test", "validation"):
        name = getattr(data, key)
        word = NO_TEST if key == "test" else OWN
        if isinstance(name, str) and name != word and not is_table_source(name):
            remedy = "Write csv:FILE or parquet:FILE."
            findings.append(Finding(f"data.{key}", "a table, as data.source", name, remedy))
    if data.test is not None and "test" in parts:
        expected, remedy = "one place from which test rows come", "Remove the key or the part."
        got = f"{data.test}, while data= has a part 'test'"
        findings.append(Finding("data.test", expected, got, remedy))
    return findings
