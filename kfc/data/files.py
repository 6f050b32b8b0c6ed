"""A file of raw rows to predict -> an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kfc import user_paths
from kfc.data.idx import read_idx
from kfc.data.numpy_files import read_npy, read_npz
from kfc.errors import DataError, Fault


def read_inputs(path: Path) -> np.ndarray:
    """Reads `.npy`, `.npz` (its array `x`), or an IDX file, plain or gzipped.

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


def _refused(path: Path, expected: str, got: str) -> DataError:
    return DataError(Fault(str(path), expected, got, "Write it with numpy.save(file, rows)."))
