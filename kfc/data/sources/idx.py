"""Reads IDX files, the format of MNIST, plain or gzipped.

LeCun, Cortes and Burges described the format (http://yann.lecun.com/exdb/mnist/, 1998): two
zero bytes, a type byte, the number of dimensions, each dimension as a big-endian
32-bit count, then the values in C order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kfc.errors import DataError, Finding
from kfc.system import memory, open_file

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 8
_CHUNK = 1 << 24  # 16 MiB, the most memory that a false header can make us waste


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file, gzipped where its name ends in `.gz`.

    Raises:
        DataError: If the file is missing, damaged, shorter or longer than its header declares.
    """
    try:
        with open_file(path) as file:
            if path.suffix != ".gz":
                return _read(file, path)
            with gzip.open(file) as unpacked:
                return _read(unpacked, path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise _damaged(path, "an IDX file", "no such file") from error
    # A path with a null character raises ValueError.
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, "a readable file", str(error)) from error


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> np.ndarray:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise _damaged(path, "an IDX header (0, 0, type, dimensions)", repr(head))
    dtype, num_dimensions = np.dtype(_TYPES[head[2]]), head[3]
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
        raise _damaged(path, f"1 to {_MAX_DIMENSIONS} dimensions", str(num_dimensions))
    sizes = file.read(4 * num_dimensions)
    if len(sizes) < 4 * num_dimensions:
        raise _damaged(path, f"{num_dimensions} sizes", f"{len(sizes)} bytes of them")
    shape = struct.unpack(f">{num_dimensions}I", sizes)
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes > (limit := memory.limit_bytes()):
        expected = f"at most {limit:,} bytes for shape {shape}, the size of the memory"
        raise _damaged(path, expected, f"{num_bytes:,}")

    content = bytearray()
    while len(content) <= num_bytes:  # one byte more than declared shows a longer file
        chunk = file.read(min(_CHUNK, num_bytes + 1 - len(content)))
        if not chunk:
            break
        content += chunk
    if len(content) != num_bytes:
        got = "more" if len(content) > num_bytes else f"{len(content):,}"
        raise _damaged(path, f"{num_bytes:,} bytes for shape {shape}", got)
    try:
        values = np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:  # such as (0, 2**32 - 1, 2**32 - 1)
        raise _damaged(path, "sizes that an array can have", str(shape)) from error
    return values.astype(dtype.newbyteorder("="), copy=False)


def _damaged(path: Path, expected: str, got: str) -> DataError:
    return DataError(
        Finding(str(path), expected, got, "Get the file again, or name another folder.")
    )
