"""Encodes checked rows as the arrays that training takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kfc.data.bad_cells import cell_place
from kfc.data.rows import Rows
from kfc.data.tables import TypedTable
from kfc.data.targets import Classes
from kfc.errors import Finding
from kfc.findings import run_checks
from kfc.system import DiskArray, chunks

_DARK = 128
"""Real pictures have some pixel that is at least as bright."""
_PIXELS = "8-bit pixels (uint8), whole numbers from 0 to 255"


def are_pixels(x: np.ndarray | DiskArray) -> bool:
    """Returns whether inputs are pictures of 8-bit pixels, by their shape and type.

    A row is a picture if at least two of its axes are longer than 1. Its numbers are bytes if
    they are uint8, or integers of another type from 0 to 255 whose largest is 255. A table of
    bytes, (rows, features), is a table of numbers.

    Args:
        x: Checked training inputs, (rows, ...).
    """
    if sum(size > 1 for size in x.shape[1:]) < 2 or x.dtype.kind not in "iu":
        return False
    if x.dtype == np.uint8:
        return True
    return not isinstance(x, DiskArray) and bool(x.min() >= 0 and x.max() == 255)


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
    run_checks("encoding", rows, where, classes, pixels)
    y = np.asarray(rows.y)
    if classes is not None:
        y = classes.numbers_of(y)  # (rows,)
    else:
        y = y.astype(np.float32).reshape(len(y), -1)  # (rows, outputs)
    weight = None if rows.sample_weight is None else np.asarray(rows.sample_weight, np.float32)
    return Rows(_encode_inputs(rows.x, pixels=pixels), y, weight)


def encode_held_out(
    train: Rows, rows: Rows | None, classes: Classes | None, where: str, *, cast: bool
) -> Rows | None:
    """Returns test or validation rows, encoded as the training rows are.

    Args:
        train: Encoded training rows.
        rows: Checked rows to encode; None gives None.
        classes: Classes of the targets; None for a regression.
        where: Name of the rows in messages.
        cast: Whether floats may hold pixels, because the spec calls the inputs pixels.

    Raises:
        DataError: If shapes, types or classes differ from those of the training rows, or the
            rows have weights.
    """
    if rows is None:
        return None
    run_checks("held_out", train, rows, where, cast)
    pixels = not train.is_table and train.x.dtype == np.uint8
    return encode_rows(rows, classes, where, pixels=pixels)


def _encode_inputs(x: Any, *, pixels: bool) -> Any:
    """Returns pixels as uint8 and other numbers as float32; a table is encoded later."""
    if isinstance(x, TypedTable):
        return x
    if isinstance(x, DiskArray):
        return x if pixels else x.astype(np.float32)
    x = np.asarray(x)
    if pixels:
        return np.ascontiguousarray(x.astype(np.uint8, copy=False))
    return np.ascontiguousarray(x.astype(np.float32))


def dark_pictures(x: np.ndarray | DiskArray, where: str, divided: bool) -> Finding | None:
    """Finds pictures of uint8 that are so dark that they may be other numbers.

    Args:
        x: Checked training inputs.
        where: Name of the rows in messages.
        divided: Whether pixels would be divided by 255; otherwise it makes no difference.
    """
    if not divided or x.dtype != np.uint8 or not are_pixels(x):
        return None
    if any(part.max() >= _DARK for _, part in chunks(x)):
        return None
    largest = max(int(part.max()) for _, part in chunks(x))
    return Finding(
        where,
        "pictures of uint8 with a pixel above half of 255, or a value of data.pixels",
        f"{largest} as their largest number",
        "Set data.pixels to true to divide them by 255, or to false to learn the range of "
        "each feature.",
        evidence={"largest": largest},
    )


def streamed_type(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds inputs on the disk that would have to be cast as they are read."""
    if not rows.on_disk:
        return None
    dtype = rows.x.dtype
    allowed = ("uint8",) if pixels else ("uint8", "float32")
    if dtype in allowed:
        return None
    expected = f"{' or '.join(allowed)}, for rows that are streamed from the disk"
    return Finding(where, expected, str(dtype), "Store them in this type.")


def pixel_range(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds the first number that is no 8-bit pixel."""
    if not pixels or rows.x.dtype == np.uint8:
        return None
    x = np.asarray(rows.x)
    bad = (x < 0) | (x > 255)
    if x.dtype.kind == "f":
        bad |= x != np.floor(x)
    if not bad.any():
        return None
    cell = np.unravel_index(int(bad.argmax()), bad.shape)
    got = f"{x[cell]}, of type {x.dtype}"
    remedy = "Pass pixels from 0 to 255, or set data.pixels to false."
    evidence = {"row": int(cell[0]), "bad_cells": int(bad.sum())}
    return Finding(cell_place(where, 0, cell), _PIXELS, got, remedy, evidence=evidence)


def pixels_scaled(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds pixels that were divided by 255 already."""
    if not pixels or rows.x.dtype.kind in "iu" or np.asarray(rows.x).max() > 1:
        return None
    remedy = "Pass pixels that are not scaled yet, or set data.pixels to false."
    return Finding(where, _PIXELS, f"{rows.x.dtype} from 0 to 1", remedy)


def target_not_numeric(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds targets of a regression that are no numbers, or several tables of them."""
    if classes is not None or (rows.y.dtype.kind in "biuf" and rows.y.ndim <= 2):
        return None
    return Finding(
        f"{where}, targets",
        "numbers, (rows,) or (rows, outputs), for regression",
        f"{rows.y.dtype} of shape {rows.y.shape}",
        "Set data.task to classification, or pass numbers.",
    )


def held_out_weight(train: Rows, rows: Rows, where: str, cast: bool) -> Finding | None:
    """Finds weights of rows that are only measured."""
    if rows.sample_weight is None:
        return None
    return Finding(
        where,
        "rows without weights, since all rows count the same in an evaluation",
        "weights",
        "Pass ((x, y, sample_weight), (x_test, y_test)).",
    )


def held_out_type(train: Rows, rows: Rows, where: str, cast: bool) -> Finding | None:
    """Finds floats where the training rows are pixels."""
    if train.is_table or train.x.dtype != np.uint8 or rows.x.dtype.kind in "iu" or cast:
        return None
    return Finding(
        where,
        "8-bit pixels (uint8) as in training",
        f"{rows.x.dtype}",
        "Give both the same type: pixels are divided by 255, other numbers are not.",
    )


def held_out_shape(train: Rows, rows: Rows, where: str, cast: bool) -> Finding | None:
    """Finds inputs or targets of another shape than in training."""
    shapes = [("inputs", train.x.shape[1:], rows.x.shape[1:])]
    if train.y.ndim == 2:  # a regression; the labels of a classification have no shape
        shapes.append(("targets", train.y.shape[1:], (math.prod(rows.y.shape[1:]),)))
    for noun, expected, got in shapes:
        if expected != got:
            return Finding(
                where,
                f"{noun} of shape {expected} as in training",
                f"{got}",
                f"Give both the same {noun}.",
            )
    return None
