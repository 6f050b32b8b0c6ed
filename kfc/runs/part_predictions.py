"""Predicts the rows of Parquet files part by part, in constant memory; a kill costs a part."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kfc.data import Task
from kfc.data.tables import (
    Part,
    RawTable,
    RemoteFile,
    open_part,
    parquet_parts,
    refusing_damage,
    settled,
)
from kfc.errors import DataError, Finding, SpecError, UnseenValuesWarning
from kfc.runs.predictions import Predictions
from kfc.runs.run_writer import say
from kfc.system import atomic, locks, progress_console, user_paths

BATCH_ROWS = 65_536
"""Rows that are in memory at once: 200 MB of a table of 20 columns, with their encoding and
predictions."""

_ABOUT = b"kfc"
"""Key of the metadata of a Parquet file that say from what it was made."""


@dataclass(frozen=True)
class PartResult:
    """One file of predictions.

    Examples:
        >>> from pathlib import Path
        >>> kfc.PartResult(Path("scored/a.parquet"), rows=20, skipped=False).rows
        20

    Args:
        path: The file.
        rows: Number of its rows.
        skipped: Whether an earlier call had finished it.
    """

    path: Path
    rows: int
    skipped: bool


def predict_parts(
    model: Any,
    source: str | Path,
    output: str | Path,
    *,
    keep: Sequence[str] = (),
    verbose: bool = True,
) -> list[PartResult]:
    """Predicts each Parquet file of a folder, and writes one file of predictions for each.

    A file of predictions has the name of the file it was made from and its rows in their
    order: the kept columns, then `label`, `probability` and the probability of each class, or
    `value` with `lower` and `upper` where the run has intervals. It appears when it is
    complete. The same call continues after a kill: files that are there are skipped if they
    were made by the same model from the same file. A few batches of 65,536 rows are in memory
    at once.

    Args:
        model: Run, ensemble or loaded export of a table.
        source: Parquet file or folder, with or without `parquet:` before it, or an address
            such as `s3://bucket/folder`.
        output: Folder for the files; it is made if it is missing.
        keep: Columns of the table that are written beside the predictions.
        verbose: Whether a line is printed on stderr for each file.

    Returns:
        The files of predictions, in the order of the files that they were made from.

    Raises:
        DataError: If a file cannot be read, or lacks a column.
        SpecError: If the model was not trained on a table, a kept column has the name of a
            prediction, the folder has files of other predictions, or the rows are in it.
        BusyError: If another process writes the same folder.
        DiskError: If a file cannot be written.

    Warns:
        UnseenValuesWarning: Once at the end for each column with categories that training has
            not seen, with their number in all files of this call.

    Examples:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"a": range(20), "b": ["x", "y"] * 10, "target": [0, 1] * 10})
        >>> run = kfc.fit({"training": {"epochs": 1}}, data=rows, verbose=False)
        >>> rows.to_parquet("new.parquet")
        >>> options = {"keep": ["a"], "verbose": False}
        >>> [part.rows for part in kfc.predict_parts(run, "new.parquet", "scored", **options)]
        [20]
        >>> pd.read_parquet("scored/new.parquet").columns.tolist()[:3]
        ['a', 'label', 'probability']
    """
    task: Task = model.task
    if task.table is None:
        expected, got = "a model of a table", "one of arrays"
        raise SpecError(Finding("model", expected, got, "Call predict with the arrays."))
    parts = parquet_parts(str(source).removeprefix("parquet:"))
    names = _column_names(task)
    if taken := [name for name in keep if name in names]:
        expected, got = "columns with other names than the predictions", taken[0]
        raise SpecError(Finding("keep", expected, got, "Rename it, or leave it out."))
    folder = user_paths.absolute(output)
    for part in parts:
        if isinstance(part, Path) and part.resolve().parent == folder.resolve():
            expected, remedy = "a folder other than that of the rows", "Name another folder."
            raise SpecError(Finding("output", expected, str(output), remedy))
    atomic.make_folder(folder)
    unseen: Counter[str] = Counter()
    console = progress_console(verbose)
    results: list[PartResult] = []
    with locks.locked(folder):
        for number, part in enumerate(parts, 1):
            about = _about(model, part, keep)
            path = folder / part.name
            skipped = path.exists()
            if skipped:
                done = _rows_of(path, about)
            else:
                with _counting(unseen):
                    done = _predict_part(model, part, path, about, keep, names)
            results.append(PartResult(path, done, skipped))
            there = ", finished before" if skipped else ""
            say(console, f"{part.name}  {done:,} rows  {number}/{len(parts)}{there}")
    rows = sum(each.rows for each in results if not each.skipped)
    for name, count in unseen.items():
        warnings.warn(UnseenValuesWarning(name, count, rows), stacklevel=2)
    return results


def _column_names(task: Task) -> list[str]:
    """Returns the names of the columns of predictions."""
    if task.classification:
        return ["label", "probability", *(f"probability_{each}" for each in task.class_names)]
    kinds = ["value"] if task.intervals is None else ["value", "lower", "upper"]
    ends = [""] if task.outputs == 1 else [f"_{number}" for number in range(task.outputs)]
    return [f"{kind}{end}" for kind in kinds for end in ends]


def _about(model: Any, part: Part, keep: Sequence[str]) -> bytes:
    """Returns what the predictions of a part depend on, as JSON."""
    if isinstance(part, RemoteFile):
        size, changed = part.size, part.mtime_ns
    else:
        status = part.stat()
        size, changed = status.st_size, status.st_mtime_ns
    facts = {
        "model": model.weights_sha256,
        "source": {"name": part.name, "size": size, "changed": changed},
        "keep": list(keep),
    }
    return json.dumps(facts, sort_keys=True).encode()


def _rows_of(path: Path, about: bytes) -> int:
    """Returns the number of rows of a finished file.

    Raises:
        SpecError: If it is not the file that would be written.
    """
    with refusing_damage(path):
        metadata = pq.read_metadata(path)
    if (metadata.metadata or {}).get(_ABOUT) != about:
        expected = "no file, or one of the same model, rows and kept columns"
        remedy = "Name another folder, or remove the file."
        raise SpecError(Finding(str(path), expected, "a file of other predictions", remedy))
    return int(metadata.num_rows)


def _predict_part(
    model: Any, part: Part, path: Path, about: bytes, keep: Sequence[str], names: list[str]
) -> int:
    """Writes the predictions of one file, batch by batch, and returns their number."""
    done = 0

    def write(partial: Path) -> None:
        nonlocal done
        with refusing_damage(part), open_part(part) as file:
            opened = pq.ParquetFile(file)
            found = opened.schema_arrow
            _check_columns(part, found.names, [*model.task.table.columns, *keep])
            wanted = dict.fromkeys([*keep, *model.task.table.columns])
            schema = _schema(found, keep, names).with_metadata({_ABOUT: about})
            with pq.ParquetWriter(partial, schema) as writer:
                for batch in opened.iter_batches(BATCH_ROWS, columns=list(wanted)):
                    table = settled(pa.Table.from_batches([batch]).select(list(wanted)))
                    place = f"{part}, after {done:,} rows" if done else str(part)
                    raw = RawTable(table, str(part), ((place, len(table)),))
                    predictions = _as_columns(model.predict(raw), model.task)
                    columns = [batch.column(name) for name in keep]
                    columns += [pa.array(each) for each in predictions]
                    cast = [
                        column.cast(field.type)
                        for column, field in zip(columns, schema, strict=True)
                    ]
                    writer.write_table(pa.table(cast, schema=schema))
                    done += len(table)

    atomic.write_file_with(path, write)
    return done


def _check_columns(part: Part, found: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        remedy = f"Known columns: {', '.join(found[:12])}."
        raise DataError(Finding(str(part), f"a column {missing[0]!r}", "none", remedy))


def _schema(found: pa.Schema, keep: Sequence[str], names: Sequence[str]) -> pa.Schema:
    """Returns the columns of a file of predictions with their types."""
    kept = [found.field(name).with_metadata(None) for name in keep]
    kinds = [pa.string() if name == "label" else pa.float32() for name in names]
    return pa.schema([*kept, *map(pa.field, names, kinds)])


def _as_columns(predictions: Predictions, task: Task) -> list[np.ndarray]:
    """Returns the columns of predictions, (rows,) each, in the order of their names."""
    if task.classification:
        return [predictions.label, predictions.probability, *predictions.probabilities.T]
    found = [predictions.value]
    if task.intervals is not None:
        found += [predictions.lower, predictions.upper]
    return [column for each in found for column in each.T]


@contextmanager
def _counting(unseen: Counter[str]) -> Iterator[None]:
    """Adds up the values that training has not seen, instead of a warning for each batch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if isinstance(warning.message, UnseenValuesWarning):
            unseen[warning.message.column] += warning.message.count
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
