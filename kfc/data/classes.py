"""Raw targets -> the numbers of their classes, and what the classes are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.data.cells import plain_value
from kfc.data.rows import Source
from kfc.errors import DataError, Fault
from kfc.spec.plain import shown

_MISSING = ("", "nan", "NaN", "NaT", "<NA>")  # as NumPy and pandas write what is not there


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, in the order of their numbers.

    Args:
        values: What targets hold, sorted, (classes,).
        labels: What the classes are called.
    """

    values: np.ndarray
    labels: tuple[str, ...]

    def __call__(self, y: np.ndarray, where: str) -> np.ndarray:
        """Returns the number of each target's class, (rows,), int32.

        Raises:
            DataError: If a target is of no class.
        """
        y = _column(y, where)
        numbers = np.searchsorted(self.values, y).clip(max=len(self.values) - 1)
        unknown = self.values[numbers] != y
        if unknown.any():
            row = int(np.argmax(unknown))
            known = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
            raise DataError(
                Fault(
                    f"{where}, row {row}",
                    f"one of the {len(self.labels)} labels {known}",
                    shown(plain_value(y[row])).strip("'"),
                    "Drop such rows, or add the label to the training rows.",
                )
            )
        return numbers.astype(np.int32)


def read_classes(source: Source, name: str) -> Classes:
    """Returns the classes of a source's training targets.

    They are those the source names, or else the different targets, sorted.

    Args:
        source: Checked rows.
        name: What to call the source.

    Raises:
        DataError: If rows have several targets, or all the same, or missing ones.
    """
    where = f"{name}, training rows"
    y = _column(source.train.y, where)
    present = np.unique(y)
    if len(present) < 2:
        raise DataError(
            Fault(
                f"{name}, targets",
                "at least two classes",
                f"only the class {shown(plain_value(present[0]))}",
                "Check how the labels were read.",
            )
        )
    if present.dtype.kind in "iu" and present[0] < 0 and len(present) > 2:
        raise DataError(
            Fault(
                f"{where}, row {int(np.argmin(y))}, targets",
                "labels of at least 0",
                f"{present[0]}",
                "A negative label often marks a missing one: drop those rows.",
            )
        )
    if present.dtype.kind == "U":
        _check_texts(y, present, where)
    if source.labels is None:
        return Classes(present, tuple(str(value) for value in present))
    return Classes(np.arange(len(source.labels)), source.labels)


def _check_texts(y: np.ndarray, present: np.ndarray, where: str) -> None:
    """Refuses labels that are missing ones, or one label written in two ways."""
    if (missing := np.isin(np.char.strip(y), _MISSING)).any():
        row = int(missing.argmax())
        raise DataError(
            Fault(
                f"{where}, row {row}, targets",
                "a label",
                shown(str(y[row])),
                "Such text often marks a missing label: drop those rows, or rename it.",
            )
        )
    _, first, counts = np.unique(np.char.strip(present), return_index=True, return_counts=True)
    if (twice := np.flatnonzero(counts > 1)).size:
        same = np.char.strip(present) == np.char.strip(present[first[twice[0]]])
        raise DataError(
            Fault(
                f"{where}, targets",
                "labels that differ in more than blanks",
                " and ".join(shown(str(label)) for label in present[same]),
                "Use numpy.char.strip(y).",
            )
        )


def as_text(values: np.ndarray) -> np.ndarray:
    """Returns text of any storage as NumPy text; other values as they are."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "backslashreplace")
    if values.dtype.kind in "OT":
        texts = [
            v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else str(v)
            for v in values.flat
        ]
        return np.array(texts).reshape(values.shape)
    return values


def _column(y: np.ndarray, where: str) -> np.ndarray:
    """Returns one target per row, (rows,)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            Fault(
                f"{where}, targets",
                "one label per row",
                f"targets of shape {y.shape}",
                "Turn one-hot rows into labels with y.argmax(axis=1).",
            )
        )
    return as_text(y)
