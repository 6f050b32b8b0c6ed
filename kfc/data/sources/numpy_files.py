"""Reads arrays from `.npy` and `.npz` files after checking their headers.

A header of a hundred bytes may declare terabytes, or objects whose unpickling runs code.
"""

from __future__ import annotations

import io
import itertools
import math
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from kfc.data.sources.name_lists import join_names
from kfc.errors import DataError, Finding
from kfc.system import memory, open_file

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Reader of the header by version of the format. Version 3 is for field names in Unicode,
which plain arrays lack."""

_WRITE_NPZ = "Write the file with numpy.savez(file, x=..., y=...)."


def read_npy(path: Path, *, mapped: bool = False) -> np.ndarray:
    """Reads the array of a `.npy` file.

    Args:
        path: The file.
        mapped: Whether to return a read-only `numpy.memmap` instead of reading the array.

    Raises:
        DataError: If the file is missing, damaged or pickled, if it holds a single number,
            or more or fewer bytes than its header declares, or if it is larger than memory
            and not `mapped`.
    """
    remedy = "Write the file with numpy.save(file, rows)."
    with _refusing(path, "a .npy file of rows of numbers", remedy), open_file(path) as file:
        size = path.stat().st_size
        if not _checked_shape(file, path.name, size):
            raise ValueError("a single number")
        if mapped:
            return np.lib.format.open_memmap(path, mode="r")
        _check_size(size, path.name)
        return _read(file)


def read_npz(
    path: Path, *, needed: Sequence[str] = (), only: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Reads arrays of a `.npz` file by name.

    Args:
        path: The file.
        needed: Names of arrays that must be in the file.
        only: Names of the arrays to read; all arrays by default.

    Raises:
        DataError: If the file is missing, damaged or pickled, if an array is missing or has
            more or fewer bytes than its header declares, or if the arrays are larger than
            memory.
    """
    with _archive(path) as archive:
        names = _members(archive)
        arrays = _arrays(archive, names if only is None else only)
    if missing := sorted({*needed} - {*arrays}):
        expected = f"an array named {' and one named '.join(missing)}"
        raise DataError(
            Finding(str(path), expected, join_names(names, most=10) or "no arrays", _WRITE_NPZ)
        )
    return arrays


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Returns all arrays in the bytes of a `.npz` file by name.

    Raises:
        ValueError: If the bytes are damaged or pickled, if an array has more or fewer bytes
            than its header declares, or if the arrays are larger than memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _arrays(archive, _members(archive))
    # Damaged bytes make zipfile and NumPy raise a dozen classes of errors.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def names_in_npz(path: Path) -> list[str]:
    """Returns the sorted names of the arrays in a `.npz` file, without its other members.

    Raises:
        DataError: If the file is missing or damaged, or two arrays have the same name.
    """
    with _archive(path) as archive:
        arrays = {info.filename for info in archive.infolist()}
        return [name for name in _members(archive) if f"{name}.npy" in arrays]


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.npz` file, and turns every error of reading it into a `DataError`."""
    with (
        _refusing(path, "a .npz file of plain arrays", _WRITE_NPZ),
        open_file(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        yield archive


def _members(archive: zipfile.ZipFile) -> list[str]:
    """Returns the names of the arrays of a `.npz` file.

    Raises:
        ValueError: If two arrays have the same name, of which only one would be read.
    """
    names = sorted(info.filename.removesuffix(".npy") for info in archive.infolist())
    for name, following in itertools.pairwise(names):
        if name == following:
            raise ValueError(f"two arrays named {name}")
    return names


def _arrays(archive: zipfile.ZipFile, names: Collection[str]) -> dict[str, np.ndarray]:
    arrays, size = {}, 0
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name not in names:
            continue
        size += info.file_size
        with archive.open(info) as member:
            _checked_shape(member, info.filename, info.file_size)
            _check_size(size, name)
            arrays[name] = _read(member)
    return arrays


def _checked_shape(file: IO[bytes], name: str, size: int) -> tuple[int, ...]:
    """Returns the shape that the header of a `.npy` file declares.

    Args:
        file: A `.npy` file, at its beginning.
        name: Name of the file in messages.
        size: Size of the file in bytes.

    Raises:
        ValueError: If the header declares another size, or Python objects.
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


def _check_size(size: int, name: str) -> None:
    if size > (limit := memory.limit_bytes()):
        raise MemoryError(f"{name} of {size:,} bytes with {limit:,} bytes of memory")


def _read(file: IO[bytes]) -> np.ndarray:
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _refusing(path: Path, expected: str, remedy: str) -> Iterator[None]:
    """Turns every error of reading into a `DataError`."""
    try:
        yield
    # Damaged bytes make zipfile and NumPy raise a dozen classes of errors, such as
    # zlib.error, SyntaxError and NotImplementedError.
    except Exception as error:
        got = str(error) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            got = "no such file"
        if isinstance(error, MemoryError):
            expected = "arrays that fit into memory"
            remedy = "Split the file, or train on npy:FOLDER, whose inputs stay on the disk."
        raise DataError(Finding(str(path), expected, got, remedy)) from error
