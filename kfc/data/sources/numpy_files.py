"""A `.npy` or `.npz` file -> its arrays, no header believed before it is checked.

A header of a hundred bytes may declare terabytes, or objects whose reading runs code.
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

from kfc.errors import DataError, Finding
from kfc.system import memory, open_file

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By version of the format; the third is for names of columns, which plain arrays lack."""

_WRITE_NPZ = "Write it with numpy.savez(file, x=..., y=...)."
_SHOWN, _SHOWN_CHARACTERS = 10, 80  # of names of arrays


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
        needed: Arrays that must be there.
        only: Arrays to read; all of them by default.

    Raises:
        DataError: If the file is missing, damaged or pickled, lacks an array, or one holds
            more or less than it declares, or together they are larger than memory.
    """
    with _archive(path) as archive:
        names = _members(archive)
        arrays = _arrays(archive, names if only is None else only)
    if missing := sorted({*needed} - {*arrays}):
        expected = f"an array named {' and one named '.join(missing)}"
        raise DataError(Finding(str(path), expected, listed(names) or "no arrays", _WRITE_NPZ))
    return arrays


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Returns all arrays of the bytes of a `.npz` file by name.

    Raises:
        ValueError: If they are damaged or pickled, or an array holds more or less than it
            declares, or together they are larger than memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _arrays(archive, _members(archive))
    # On damaged bytes zipfile and NumPy raise a dozen kinds.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def names_in_npz(path: Path) -> list[str]:
    """Returns the names of the arrays of a `.npz` file, sorted; other members are left out.

    Raises:
        DataError: If the file is missing or damaged, or two arrays have the same name.
    """
    with _archive(path) as archive:
        arrays = {info.filename for info in archive.infolist()}
        return [name for name in _members(archive) if f"{name}.npy" in arrays]


def listed(names: Sequence[str]) -> str:
    """Returns the names of arrays, of very many or very long ones the beginning."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:_SHOWN_CHARACTERS] for name in names[:_SHOWN]) + more


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.npz` file, and turns whatever reading it raises into a `DataError`."""
    with (
        _refusing(path, "a .npz file of plain arrays", _WRITE_NPZ),
        open_file(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        yield archive


def _members(archive: zipfile.ZipFile) -> list[str]:
    """Returns the names of the arrays of a `.npz` file.

    Raises:
        ValueError: If one is there twice: which of them was meant?
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


def _check_size(size: int, name: str) -> None:
    if size > (limit := memory.limit_bytes()):
        raise MemoryError(f"{name} of {size:,} bytes where {limit:,} can be had")


def _read(file: IO[bytes]) -> np.ndarray:
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
        raise DataError(Finding(str(path), expected, got, remedy)) from error
