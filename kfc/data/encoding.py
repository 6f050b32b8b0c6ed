"""Encodes checked rows as the arrays that training takes."""

from __future__ import annotations

import numpy as np

from kfc.data.bad_cells import cell_place
from kfc.data.rows import Rows
from kfc.data.targets import Classes
from kfc.errors import DataError, Finding
from kfc.system import DiskArray, chunks

_DARK = 128
"""Real pictures have some pixel that is at least as bright."""


def are_pixels(x: np.ndarray | DiskArray, where: str, *, divided: bool) -> bool:
    """Returns whether inputs are pictures of 8-bit pixels, by their shape and type.

    A row is a picture if at least two of its axes are longer than 1. Its numbers are bytes if
    they are uint8, or integers of another type from 0 to 255 whose largest is 255. A table of
    bytes, (rows, features), is a table of numbers.

    Args:
        x: Checked training inputs, (rows, ...).
        where: Name of the rows in messages.
        divided: Whether pixels would be divided by 255.

    Raises:
        DataError: If `divided`, and pictures of uint8 are so dark that they may be other
            numbers.
    """
    if sum(size > 1 for size in x.shape[1:]) < 2 or x.dtype.kind not in "iu":
        return False
    if x.dtype != np.uint8:
        return not isinstance(x, DiskArray) and bool(x.min() >= 0 and x.max() == 255)
    if not divided or any(part.max() >= _DARK for _, part in chunks(x)):
        return True
    largest = max(int(part.max()) for _, part in chunks(x))
    raise DataError(
        Finding(
            where,
            "pictures of uint8 with a pixel above half of 255, or a value of data.pixels",
            f"{largest} as their largest number",
            "Set data.pixels to true to divide them by 255, or to false to learn the range of "
            "each feature.",
            evidence={"largest": largest},
        )
    )


def encode_rows(rows: Rows, classes: Classes | None, where: str, *, pixels: bool) -> Rows:
    """Returns rows as training takes them, with classes as integers and numbers as float32.

    Args:
        rows: Checked rows.
        classes: Classes of the targets; None for a regression.
        where: Name of the rows in messages.
        pixels: Whether inputs are 8-bit pixels, which stay uint8.

    Raises:
        DataError: If the targets are not of the task, or the inputs are no pixels.
    """
    x, y = _encode_inputs(rows.x, where, pixels=pixels), np.asarray(rows.y)
    if classes is not None:
        y = classes.numbers_of(y, where)
    elif y.dtype.kind not in "biuf" or y.ndim > 2:
        raise DataError(
            Finding(
                f"{where}, targets",
                "numbers, (rows,) or (rows, outputs), for regression",
                f"{y.dtype} of shape {y.shape}",
                "Set data.task to classification, or pass numbers.",
            )
        )
    else:
        y = y.astype(np.float32).reshape(len(y), -1)
    weight = None if rows.sample_weight is None else np.asarray(rows.sample_weight, np.float32)
    return Rows(x, y, weight)


def _encode_inputs(
    x: np.ndarray | DiskArray, where: str, *, pixels: bool
) -> np.ndarray | DiskArray:
    """Returns pixels as uint8 and other numbers as float32."""
    if isinstance(x, DiskArray):
        if x.dtype not in (np.uint8, np.float32) or (pixels and x.dtype != np.uint8):
            kinds = "uint8" if pixels else "uint8 or float32"
            expected = f"{kinds}, for rows that are streamed from the disk"
            raise DataError(Finding(where, expected, str(x.dtype), "Store them in this type."))
        return x if pixels else x.astype(np.float32)
    x = np.asarray(x)
    if not pixels:
        return np.ascontiguousarray(x.astype(np.float32))
    if x.dtype != np.uint8:
        _check_pixels(x, where)
    return np.ascontiguousarray(x.astype(np.uint8, copy=False))


def _check_pixels(x: np.ndarray, where: str) -> None:
    """Refuses numbers that are no unscaled 8-bit pixels."""
    expected = "8-bit pixels (uint8), whole numbers from 0 to 255"
    bad = (x < 0) | (x > 255)
    if x.dtype.kind == "f":
        bad |= x != np.floor(x)
    if bad.any():
        cell = np.unravel_index(int(bad.argmax()), bad.shape)
        got = f"{x[cell]}, of type {x.dtype}"
        remedy = "Pass pixels from 0 to 255, or set data.pixels to false."
        raise DataError(Finding(cell_place(where, 0, cell), expected, got, remedy))
    if x.dtype.kind not in "iu" and x.max() <= 1:
        got = f"{x.dtype} from 0 to 1"
        remedy = "Pass pixels that are not scaled yet, or set data.pixels to false."
        raise DataError(Finding(where, expected, got, remedy))


def encode_held_out(
    train: Rows, rows: Rows | None, classes: Classes | None, where: str, *, cast: bool
) -> Rows | None:
    """Returns test or validation rows, encoded as the training rows are, without weights.

    Args:
        train: Encoded training rows.
        rows: Checked rows to encode; None gives None.
        classes: Classes of the targets; None for a regression.
        where: Name of the rows in messages.
        cast: Whether floats may hold pixels, because the spec calls the inputs pixels.

    Raises:
        DataError: If shapes, types or classes differ from those of the training rows.
    """
    if rows is None:
        return None
    pixels = train.x.dtype == np.uint8
    if pixels and rows.x.dtype.kind not in "iu" and not cast:
        raise DataError(
            Finding(
                where,
                "8-bit pixels (uint8) as in training",
                f"{rows.x.dtype}",
                "Give both the same type: pixels are divided by 255, other numbers are not.",
            )
        )
    encoded = encode_rows(rows, classes, where, pixels=pixels)
    for noun, wanted, got in (
        ("inputs", train.x.shape[1:], encoded.x.shape[1:]),
        ("targets", train.y.shape[1:], encoded.y.shape[1:]),
    ):
        if wanted != got:
            raise DataError(
                Finding(
                    where,
                    f"{noun} of shape {wanted} as in training",
                    f"{got}",
                    f"Give both the same {noun}.",
                )
            )
    return Rows(encoded.x, encoded.y)
