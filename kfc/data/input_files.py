"""Reads files of rows for a trained network, to predict or to measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kfc.data.preparation import read_source
from kfc.data.rows import Source
from kfc.data.sources import read_idx, read_npy, read_npz
from kfc.errors import DataError, Finding
from kfc.registry import SOURCES
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
