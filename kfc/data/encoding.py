"""Checked rows -> the numbers that training takes."""

from __future__ import annotations

import numpy as np

from kfc.data.classes import Classes
from kfc.data.mapped import Mapped
from kfc.data.rows import Rows
from kfc.errors import DataError, Fault


def encoded(rows: Rows, classes: Classes | None, where: str) -> Rows:
    """Returns rows as training takes them: classes as their numbers, numbers as float32.

    Args:
        rows: Checked rows.
        classes: The classes of the targets; None for a regression.
        where: What to call the rows.

    Raises:
        DataError: If they are not for the task.
    """
    x, y = _stored(rows.x, where), np.asarray(rows.y)
    if classes is not None:
        y = classes(y, where)
    elif y.dtype.kind not in "biuf" or y.ndim > 2:
        raise DataError(
            Fault(
                f"{where}, targets",
                "numbers, (rows,) or (rows, outputs), for regression",
                f"{y.dtype} of shape {y.shape}",
                "Set data.task to classification, or pass numbers.",
            )
        )
    else:
        y = y.astype(np.float32).reshape(len(y), -1)
    weight = None if rows.weight is None else np.asarray(rows.weight, np.float32)
    return Rows(x, y, weight)


def _stored(x: np.ndarray | Mapped, where: str) -> np.ndarray | Mapped:
    """Returns inputs as they are kept: pixels as uint8, other numbers as float32.

    Integers that reach exactly from 0 to 255 are pixels that a table or a frame has
    widened: `unit` must divide them by 255 too.
    """
    if isinstance(x, Mapped):
        if x.dtype not in (np.uint8, np.float32):
            kinds = "uint8 or float32, for rows that are streamed from the disk"
            raise DataError(Fault(where, kinds, str(x.dtype), "Store them as such."))
        return x
    x = np.asarray(x)
    if x.dtype.kind in "iu" and x.min() == 0 and x.max() == 255:
        x = x.astype(np.uint8)
    return np.ascontiguousarray(x if x.dtype == np.uint8 else x.astype(np.float32))


def encoded_like(
    train: Rows, rows: Rows | None, classes: Classes | None, where: str
) -> Rows | None:
    """Returns rows that are measured like the training rows, which they must resemble.

    Args:
        train: Encoded training rows.
        rows: Checked rows, or None.
        classes: The classes of the targets; None for a regression.
        where: What to call the rows.

    Raises:
        DataError: If they are not like them.
    """
    if rows is None:
        return None
    like = encoded(rows, classes, where)
    for what, wanted, got in (
        ("inputs", train.x.shape[1:], like.x.shape[1:]),
        ("targets", train.y.shape[1:], like.y.shape[1:]),
    ):
        if wanted != got:
            raise DataError(
                Fault(
                    where,
                    f"{what} of shape {wanted} as in training",
                    f"{got}",
                    f"Give both the same {what}.",
                )
            )
    if train.x.dtype == np.uint8 != like.x.dtype and not _are_pixels(rows.x):
        raise DataError(
            Fault(
                where,
                "8-bit pixels (uint8) as in training",
                f"{rows.x.dtype}",
                "Give both the same type: pixels are divided by 255, other numbers are not.",
            )
        )
    x = like.x
    if not isinstance(x, Mapped):
        return Rows(x.astype(train.x.dtype, copy=False), like.y)
    if x.dtype != train.x.dtype:
        kind = f"inputs of type {train.x.dtype} as in training"
        raise DataError(Fault(where, kind, str(x.dtype), "Give both the same type."))
    return Rows(x, like.y)


def _are_pixels(x: np.ndarray | Mapped) -> bool:
    if isinstance(x, Mapped) or x.dtype.kind not in "iu":
        return False
    return bool(x.min() >= 0 and x.max() <= 255)
