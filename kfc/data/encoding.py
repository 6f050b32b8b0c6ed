"""Checked rows -> the numbers that training takes."""

from __future__ import annotations

import numpy as np

from kfc.data.cells import place_of
from kfc.data.rows import Rows
from kfc.data.targets import Classes
from kfc.errors import DataError, Finding
from kfc.system import Mapped, chunks

_DARK = 128
"""Pixels of real pictures are brighter than half of 255 somewhere."""


def are_pixels(x: np.ndarray | Mapped, where: str, *, divided: bool) -> bool:
    """Returns whether inputs are 8-bit pixels: pictures of bytes, by their shape and type.

    A row is a picture where at least two of its axes are longer than 1. Its numbers are bytes
    where they are uint8, or where integers of another type lie within 0 to 255 and reach 255.
    A table of bytes, (rows, features), is a table of numbers.

    Args:
        x: Checked training inputs.
        where: What to call them.
        divided: Whether pixels would be divided by 255.

    Raises:
        DataError: If pictures of uint8 are so dark that they may be other numbers, and it
            matters.
    """
    if sum(size > 1 for size in x.shape[1:]) < 2 or x.dtype.kind not in "iu":
        return False
    if x.dtype != np.uint8:
        return not isinstance(x, Mapped) and bool(x.min() >= 0 and x.max() == 255)
    if not divided or any(part.max() >= _DARK for _, part in chunks(x)):
        return True
    largest = max(int(part.max()) for _, part in chunks(x))
    raise DataError(
        Finding(
            where,
            "pictures of uint8 that reach above half of 255, or data.pixels to say what "
            "their numbers are",
            f"a largest number of {largest}",
            "Set data.pixels to true to divide them by 255, or to false to learn the range of "
            "each feature.",
        )
    )


def encoded(rows: Rows, classes: Classes | None, where: str, *, pixels: bool) -> Rows:
    """Returns rows as training takes them: classes as their numbers, numbers as float32.

    Args:
        rows: Checked rows.
        classes: The classes of the targets; None for a regression.
        where: What to call the rows.
        pixels: Whether inputs are 8-bit pixels, which are kept as uint8.

    Raises:
        DataError: If they are not for the task.
    """
    x, y = _stored(rows.x, where, pixels=pixels), np.asarray(rows.y)
    if classes is not None:
        y = classes(y, where)
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


def _stored(x: np.ndarray | Mapped, where: str, *, pixels: bool) -> np.ndarray | Mapped:
    """Returns inputs as they are kept: pixels as uint8, other numbers as float32."""
    if isinstance(x, Mapped):
        if x.dtype not in (np.uint8, np.float32) or (pixels and x.dtype != np.uint8):
            kinds = "uint8" if pixels else "uint8 or float32"
            expected = f"{kinds}, for rows that are streamed from the disk"
            raise DataError(Finding(where, expected, str(x.dtype), "Store them as such."))
        return x if pixels else x.astype(np.float32)
    x = np.asarray(x)
    if not pixels:
        return np.ascontiguousarray(x.astype(np.float32))
    if x.dtype != np.uint8:
        _check_pixels(x, where)
    return np.ascontiguousarray(x.astype(np.uint8, copy=False))


def _check_pixels(x: np.ndarray, where: str) -> None:
    """Refuses numbers that are no raw 8-bit pixels."""
    expected = "8-bit pixels (uint8), whole numbers from 0 to 255"
    bad = (x < 0) | (x > 255)
    if x.dtype.kind == "f":
        bad |= x != np.floor(x)
    if bad.any():
        cell = np.unravel_index(int(bad.argmax()), bad.shape)
        got = f"{x[cell]}, of type {x.dtype}"
        remedy = "Pass raw pixels, or set data.pixels to false."
        raise DataError(Finding(place_of(where, 0, cell), expected, got, remedy))
    if x.dtype.kind not in "iu" and x.max() <= 1:
        got = f"{x.dtype} from 0 to 1"
        remedy = "Pass pixels that nobody has scaled, or set data.pixels to false."
        raise DataError(Finding(where, expected, got, remedy))


def encoded_like(
    train: Rows, rows: Rows | None, classes: Classes | None, where: str, *, cast: bool
) -> Rows | None:
    """Returns rows that are measured like the training rows, which they must resemble.

    Args:
        train: Encoded training rows.
        rows: Checked rows, or None.
        classes: The classes of the targets; None for a regression.
        where: What to call the rows.
        cast: Whether the spec says that inputs are pixels; then floats may hold them too.

    Raises:
        DataError: If they are not like them.
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
    like = encoded(rows, classes, where, pixels=pixels)
    for what, wanted, got in (
        ("inputs", train.x.shape[1:], like.x.shape[1:]),
        ("targets", train.y.shape[1:], like.y.shape[1:]),
    ):
        if wanted != got:
            raise DataError(
                Finding(
                    where,
                    f"{what} of shape {wanted} as in training",
                    f"{got}",
                    f"Give both the same {what}.",
                )
            )
    return Rows(like.x, like.y)
