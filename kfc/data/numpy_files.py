"""A `.npy` or `.npz` file -> its arrays, no header believed before it is checked.

A header of a hundred bytes may declare terabytes, or objects whose reading runs code.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from kfc import memory
from kfc.errors import DataError, Fault

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By version of the format; the third is for names of columns, which plain arrays lack."""


def read_npy(path: Path, *, mapped: bool = False) -> np.ndarray:
    """Reads the array of a `.npy` file.

    Args:
        path: The file.
        mapped: Leave it on the disk, as a read-only `numpy.memmap` of any size.

    Raises:
        DataError: If the file is missing, damaged, pickled or of a single number, holds more
            or less than it declares, or is to be read and larger than memory.
    """
    remedy = "Write it with numpy.save(file, rows)."
    with _refusing(path, "a .npy file of rows of numbers", remedy), path.open("rb") as file:
        size = path.stat().st_size
        if not _checked_shape(file, path.name, size):
            raise ValueError("a single number")
        if mapped:
            return np.lib.format.open_memmap(path, mode="r")
        return _read(file, path.name, size)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a `.npz` file by name.

    Raises:
        DataError: If the file is missing, damaged or pickled, or an array holds more or less
            than it declares, or is larger than memory.
    """
    remedy = "Write it with numpy.savez(file, x=..., y=...)."
    arrays = {}
    with (
        _refusing(path, "a .npz file of plain arrays", remedy),
        zipfile.ZipFile(path) as archive,
    ):
        for info in archive.infolist():
            with archive.open(info) as member:
                _checked_shape(member, info.filename, info.file_size)
                array = _read(member, info.filename, info.file_size)
            arrays[info.filename.removesuffix(".npy")] = array
    return arrays


def _checked_shape(file: IO[bytes], name: str, size: int) -> tuple[int, ...]:
    """Returns the shape of an array whose header declares what follows it.

    Args:
        file: A `.npy` file, at its beginning.
        name: What to call it.
        size: How many bytes it has.

    Raises:
        ValueError: If the header declares another number of them, or Python objects.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{name} of .npy version {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    if any(length < 0 for length in shape):
        raise ValueError(f"{name} of shape {shape}")
    declared, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if declared != held:
        raise ValueError(f"{name} declares {declared:,} bytes and holds {held:,}")
    return shape


def _read(file: IO[bytes], name: str, size: int) -> np.ndarray:
    if size > (limit := memory.limit()):
        raise MemoryError(f"{name} of {size:,} bytes where {limit:,} can be had")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _refusing(path: Path, expected: str, remedy: str) -> Iterator[None]:
    """Turns whatever reading raises into a `DataError`."""
    try:
        yield
    # On damaged bytes zipfile and NumPy raise a dozen kinds, zlib.error, SyntaxError and
    # NotImplementedError among them.
    except Exception as error:
        got = str(error) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            got = "no such file"
        if isinstance(error, MemoryError):
            expected = "arrays that fit into memory"
            remedy = "Split the file, or train on npy:FOLDER, whose inputs stay on the disk."
        raise DataError(Fault(str(path), expected, got, remedy)) from error
