"""Reads files of rows for a trained network, to predict or to measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kfc.data.rows import Source
from kfc.data.source_reading import read_source
from kfc.data.sources import read_idx, read_npy, read_npz
from kfc.data.tables import CSV_NAMES, RawTable, is_table_source, read_raw, table_kind
from kfc.errors import DataError, Finding
from kfc.registry import SOURCES
from kfc.spec import CsvSpec
from kfc.system import user_paths


def read_inputs(path: Path) -> np.ndarray:
    """Reads inputs from `.npy`, from the array `x` of `.npz`, or from an IDX file.

    Raises:
        DataError: If the file is missing, damaged or of another kind.
    """
    path = user_paths.expanded(path)
    if path.suffix == ".npz":
        return read_npz(path, needed=["x"], only=["x"])["x"]
    if path.suffix == ".npy":
        return read_npy(path)
    if "idx" in path.name:
        return read_idx(path)
    raise _refused(path, "a file ending in .npy, .npz or an IDX file", path.name)


def is_table_file(path: str | Path) -> bool:
    """Returns whether a path, or a source such as `csv:FILE`, is that of a table."""
    place = str(path)
    names = (*CSV_NAMES, ".tsv", ".parquet", ".pq")
    return is_table_source(place) or place.lower().endswith(names)


def read_table_file(place: str | Path, csv: CsvSpec) -> RawTable:
    """Reads a CSV or Parquet file, or a source such as `csv:FILE`.

    Args:
        place: Path of the file or name of the source.
        csv: Form of a CSV file. UTF-8 and UTF-16 are recognised all the same.

    Raises:
        DataError: If the file cannot be read.
    """
    if csv.encoding is not None and csv.encoding.lower().startswith("utf"):
        csv = csv.model_copy(update={"encoding": None})
    name = str(place)
    if not is_table_source(name):
        name = f"{table_kind(Path(name))}:{name}"
    return read_raw(name, csv)


def read_labelled(place: str) -> Source:
    """Reads labelled rows from a `.npz` file, a folder of `.npy` files, or a source.

    Args:
        place: Path, or source such as `idx:FOLDER`.

    Raises:
        DataError: If `place` is none of these, or cannot be read.
    """
    kind, colon, _ = place.partition(":")
    if colon and kind in SOURCES.names():
        return read_source(place)
    path = user_paths.expanded(place)
    if path.is_dir():
        return read_source(f"npy:{path}")
    if path.suffix == ".npz":
        return read_source(f"npz:{path}")
    raise DataError(
        Finding(
            place,
            "labelled rows: a .npz file of x and y, a folder of x.npy and y.npy, or a source",
            "a file of another kind" if path.exists() else "no such file",
            "Write the file with numpy.savez(file, x=..., y=...).",
        )
    )


def _refused(path: Path, expected: str, got: str) -> DataError:
    return DataError(
        Finding(str(path), expected, got, "Write the file with numpy.save(file, rows).")
    )
