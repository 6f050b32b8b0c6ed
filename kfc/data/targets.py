"""Raw targets -> the numbers of their classes, and what the classes are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.data.cells import plain_value
from kfc.data.rows import Source
from kfc.errors import DataError, Finding
from kfc.spec import shown_value

AMOUNTS = " Amounts need data.task: regression."
"""Said of numbers that were taken for classes and may be none."""

_MULTI_LABEL = (
    "Several labels per row (multi-label) are not supported: train a run per column."
)
_MOST_WHOLE_NUMBERS = 20  # a regression on so few different whole numbers is a rare thing
_MISSING = ("", "nan", "NaN", "NaT", "<NA>")  # as NumPy and pandas write what is not there


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, in the order of their numbers.

    Args:
        values: What targets hold, sorted, (classes,).
        class_names: What the classes are called.
    """

    values: np.ndarray
    class_names: tuple[str, ...]

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
            known = ", ".join(self.class_names[:10]) + (
                ", ..." if len(self.class_names) > 10 else ""
            )
            amounts = AMOUNTS if {y.dtype.kind, self.values.dtype.kind} <= set("iuf") else ""
            value = plain_value(y[row])
            got = shown_value(value).strip("'")
            remedy = f"Drop such rows, or add the label to the training rows.{amounts}"
            if str(value) in self.class_names:  # text that looks like a number, or a number
                kind = "numbers" if self.values.dtype.kind in "biuf" else "text"
                got = f"{shown_value(value)}, of type {y.dtype}"
                remedy = f"Give these targets as {kind}, as in training."
            raise DataError(
                Finding(
                    f"{where}, row {row}",
                    f"one of the {len(self.class_names)} labels {known}",
                    got,
                    remedy,
                )
            )
        return numbers.astype(np.int32)


def read_classes(source: Source, name: str, *, task: str | None) -> Classes | None:
    """Returns the classes of a source's training targets, or None for a regression.

    They are those the source names, or else the different targets, sorted.

    Args:
        source: Checked rows.
        name: What to call the source.
        task: `classification` or `regression` where the spec says which. Otherwise integers
            and text are classes, and other numbers a regression. A negative integer may mark
            a missing label, so it is a class only where the spec says `classification`.

    Raises:
        DataError: If rows have several targets, or all the same, or missing ones, or if
            targets may be classes or numbers.
    """
    if not _are_classes(source, name, task):
        return None
    where = f"{name}, training rows"
    y = _column(source.train.y, where)
    present = np.unique(y)
    if len(present) < 2:
        raise DataError(
            Finding(
                f"{name}, targets",
                "at least two classes",
                f"only the class {shown_value(plain_value(present[0]))}",
                "Check how the labels were read.",
            )
        )
    if task is None and present.dtype.kind in "iu" and present[0] < 0 and len(present) > 2:
        raise DataError(
            Finding(
                f"{where}, row {int(np.argmin(y))}, targets",
                "labels of at least 0, or data.task to say what the targets are",
                f"{present[0]}, among {len(present):,} different integers",
                "Set data.task to regression if they are amounts, or to classification if "
                "each is a class; if it marks a missing label, drop those rows.",
            )
        )
    if present.dtype.kind == "U":
        _check_texts(y, present, where)
    if source.class_names is None:
        return Classes(present, tuple(str(value) for value in present))
    return Classes(np.arange(len(source.class_names)), source.class_names)


def _are_classes(source: Source, name: str, task: str | None) -> bool:
    """Returns whether targets are classes, rather than numbers.

    Raises:
        DataError: If the spec does not say, and they may be either.
    """
    y = source.train.y
    if task is not None:
        return task == "classification"
    if source.class_names is not None or y.dtype.kind != "f":
        return True
    if _is_one_hot(y):
        got, remedy = "one-hot", "Use y.argmax(axis=1) for classes, or set data.task to"
    elif _has_flags(y):
        got = "several zeros and ones per row"
        remedy = f"{_MULTI_LABEL} Or, to fit them as numbers, set data.task to"
    elif _are_few_whole_numbers(y):
        got = "whole numbers"
        remedy = "Use y.astype(int) for classes, or set data.task to classification or"
    else:
        return False
    expected = "integers or text for classes, and numbers of any size for a regression"
    got, remedy = f"{y.dtype} that is {got}", f"{remedy} regression."
    raise DataError(Finding(f"{name}, targets", expected, got, remedy))


def _are_few_whole_numbers(y: np.ndarray) -> bool:
    """Returns whether floats, one per row, are few different whole numbers."""
    if y.ndim == 2 and y.shape[1] > 1:
        return False
    different = np.unique(y)
    few = 2 <= len(different) <= min(_MOST_WHOLE_NUMBERS, len(y) // 2)
    return few and bool((different == np.round(different)).all())


def _check_texts(y: np.ndarray, present: np.ndarray, where: str) -> None:
    """Refuses labels that are missing ones, or one label written in two ways."""
    if (missing := np.isin(np.char.strip(y), _MISSING)).any():
        row = int(missing.argmax())
        raise DataError(
            Finding(
                f"{where}, row {row}, targets",
                "a label",
                shown_value(str(y[row])),
                "Such text often marks a missing label: drop those rows, or rename it.",
            )
        )
    _, first, counts = np.unique(np.char.strip(present), return_index=True, return_counts=True)
    if (twice := np.flatnonzero(counts > 1)).size:
        same = np.char.strip(present) == np.char.strip(present[first[twice[0]]])
        raise DataError(
            Finding(
                f"{where}, targets",
                "labels that differ in more than blanks",
                " and ".join(shown_value(str(label)) for label in present[same]),
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
        raise DataError(no_label_per_row(y, where))
    return as_text(y)


def _is_one_hot(y: np.ndarray) -> bool:
    """Returns whether each row of targets, (rows, classes), has a single 1 among zeros."""
    return _has_flags(y) and bool((y.sum(axis=1) == 1).all())


def _has_flags(y: np.ndarray) -> bool:
    """Returns whether targets are several columns of nothing but 0 and 1."""
    several = y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf"
    return several and bool(np.isin(y, (0, 1)).all())


def no_label_per_row(y: np.ndarray, where: str) -> Finding:
    """Returns the finding of targets that are not one label per row."""
    remedy = "Pass a single column of labels."
    if _is_one_hot(y):
        remedy = "Turn one-hot rows into labels with y.argmax(axis=1)."
    elif _has_flags(y):
        remedy = f"{_MULTI_LABEL} Or set data.task to regression to fit them as numbers."
    elif y.dtype.kind in "biuf":
        remedy = "Several numbers per row need data.task: regression."
    return Finding(
        f"{where}, targets", "one label per row", f"targets of shape {y.shape}", remedy
    )
