"""Decides whether targets are classes or numbers, and gives each class a number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.data.bad_cells import plain_value
from kfc.data.rows import Rows, Source
from kfc.errors import Finding
from kfc.findings import run_checks
from kfc.spec import shown_value

_MULTI_LABEL = (
    "Several labels per row (multi-label) are not supported: train one run per label."
)
_MOST_WHOLE_NUMBERS = 20  # distinct ones; a regression on so few is rare
_MISSING = ("", "nan", "NaN", "NaT", "<NA>")  # NumPy's and pandas' text for a missing value
_MOST_NAMES = 10  # class names in a message


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, in the order of their numbers.

    Args:
        values: Distinct targets, sorted, (classes,).
        class_names: Names of the classes.
    """

    values: np.ndarray
    class_names: tuple[str, ...]

    def numbers_of(self, y: np.ndarray) -> np.ndarray:
        """Returns the number of each target's class, (rows,), int32.

        Args:
            y: Targets, (rows,) or (rows, 1), each of one of the classes.
        """
        return self._nearest(_column(y)).astype(np.int32)

    def unknown_rows(self, y: np.ndarray) -> np.ndarray:
        """Returns the row numbers of the targets that are of none of the classes."""
        y = _column(y)
        return np.flatnonzero(self.values[self._nearest(y)] != y)

    def _nearest(self, y: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.values, y).clip(max=len(self.values) - 1)


def read_classes(source: Source, name: str, *, task: str | None) -> Classes | None:
    """Returns the classes of a source's training targets, or None for a regression.

    The classes are those that the source names, or else the distinct targets, sorted.

    Args:
        source: Checked rows.
        name: Name of the source in messages.
        task: `classification`, `regression` or None. With None, integers and text are
            classes, and other numbers a regression. A negative integer may mark a missing
            label, so it is a class only with `classification`.

    Raises:
        DataError: If the targets may be classes or numbers; or if those of a classification
            are several per row, all the same, or missing.
    """
    run_checks("task", source, name, task)
    if task == "regression":
        return None
    if task is None and source.class_names is None and source.train.y.dtype.kind == "f":
        return None
    run_checks("classes", source, name, task)
    if source.class_names is not None:
        return Classes(np.arange(len(source.class_names)), source.class_names)
    present = np.unique(_column(source.train.y))
    return Classes(present, tuple(str(value) for value in present))


def target_ambiguous(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds floats that look like classes, where spec and source leave the task open."""
    y = source.train.y
    if task is not None or source.class_names is not None or y.dtype.kind != "f":
        return None
    if _is_one_hot(y):
        got, remedy = "one-hot", "Use y.argmax(axis=1) for classes, or set data.task to"
    elif _has_flags(y):
        got = "several zeros and ones per row"
        remedy = f"{_MULTI_LABEL} Or, to fit them as numbers, set data.task to"
    elif _are_few_whole_numbers(y):
        got = "whole numbers"
        remedy = "Use y.astype(int) for classes, or set data.task to classification or"
    else:
        return None
    return Finding(
        f"{name}, targets",
        "integers or text for classes, and numbers of any size for a regression",
        f"{y.dtype} that is {got}",
        f"{remedy} regression.",
    )


def several_labels(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds targets of a classification that are not one label per row."""
    y = source.train.y
    if _is_column(y):
        return None
    return no_label_per_row(y, f"{name}, training rows")


def only_one_class(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds targets that are all of one class."""
    y = _column(source.train.y)
    one_of_several = len(y) == 1 and len(source.class_names or ()) > 1
    if one_of_several or (y != y[0]).any():
        return None
    return Finding(
        f"{name}, targets",
        "at least two classes",
        f"only the class {shown_value(plain_value(y[0]))}",
        "Check how the labels were read.",
        evidence={"rows": len(y)},
    )


def negative_label(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds a negative integer among several labels, which may mark a missing one."""
    y = _column(source.train.y)
    if task is not None or y.dtype.kind not in "iu" or y.min() >= 0:
        return None
    distinct = len(np.unique(y))
    if distinct <= 2:  # -1 and 1 are a usual pair of classes
        return None
    row = int(np.argmin(y))
    return Finding(
        f"{name}, training rows, row {row}, targets",
        "labels of at least 0, or a value of data.task",
        f"{y[row]}, among {distinct:,} different integers",
        "Set data.task to regression if they are amounts, or to classification if each is a "
        "class; if it marks a missing label, drop those rows.",
        evidence={"row": row, "distinct": distinct},
    )


def missing_label(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds text such as `nan`, which often marks a missing label."""
    y = _column(source.train.y)
    if y.dtype.kind != "U":
        return None
    present = np.unique(y)
    if not np.isin(np.char.strip(present), _MISSING).any():
        return None
    missing = np.isin(np.char.strip(y), _MISSING)
    row = int(missing.argmax())
    return Finding(
        f"{name}, training rows, row {row}, targets",
        "a label",
        shown_value(str(y[row])),
        "Such text often marks a missing label: drop those rows, or rename it.",
        evidence={"row": row, "missing": int(missing.sum())},
    )


def labels_differ_in_blanks(source: Source, name: str, task: str | None) -> Finding | None:
    """Finds two labels that are the same except for blanks around them."""
    y = _column(source.train.y)
    if y.dtype.kind != "U":
        return None
    present = np.unique(y)
    stripped, counts = np.unique(np.char.strip(present), return_counts=True)
    if counts.max() == 1:
        return None
    same = present[np.char.strip(present) == stripped[counts.argmax()]]
    return Finding(
        f"{name}, training rows, targets",
        "labels that differ in more than blanks",
        " and ".join(shown_value(str(label)) for label in same),
        "Remove the blanks, for example with numpy.char.strip(y).",
    )


def label_shape(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds targets of a classification that are not one label per row."""
    return None if classes is None or _is_column(rows.y) else no_label_per_row(rows.y, where)


def unknown_label(
    rows: Rows, where: str, classes: Classes | None, pixels: bool
) -> Finding | None:
    """Finds the first target that is of none of the classes."""
    if classes is None or not (unknown := classes.unknown_rows(rows.y)).size:
        return None
    y, row = _column(rows.y), int(unknown[0])
    names, kinds = classes.class_names, {rows.y.dtype.kind, classes.values.dtype.kind}
    value = plain_value(y[row])
    got = shown_value(value).strip("'")
    remedy = "Drop such rows, or add the label to the training rows."
    if kinds <= set("iuf"):
        remedy += " Amounts need data.task: regression."
    if str(value) in names:  # text that looks like a number, or a number
        kind = "numbers" if classes.values.dtype.kind in "biuf" else "text"
        got = f"{shown_value(value)}, of type {y.dtype}"
        remedy = f"Give these targets as {kind}, as in training."
    known = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return Finding(
        f"{where}, row {row}",
        f"one of the {len(names)} labels {known}",
        got,
        remedy,
        evidence={"row": row, "bad_rows": int(unknown.size)},
    )


def no_label_per_row(y: np.ndarray, where: str) -> Finding:
    """Returns the finding for targets that are not one label per row.

    Args:
        y: Targets, (rows, ...).
        where: Name of the rows in messages.
    """
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


def decode_text(values: np.ndarray) -> np.ndarray:
    """Returns text of any storage as NumPy text, and other values unchanged."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "backslashreplace")
    if values.dtype.kind in "OT":
        texts = [
            v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else str(v)
            for v in values.flat
        ]
        return np.array(texts).reshape(values.shape)
    return values


def _is_column(y: np.ndarray) -> bool:
    return y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)


def _column(y: np.ndarray) -> np.ndarray:
    """Returns targets of the shape (rows,) or (rows, 1) as (rows,), text as NumPy text."""
    return decode_text(y.reshape(len(y)))


def _is_one_hot(y: np.ndarray) -> bool:
    """Returns whether each row of targets, (rows, classes), has a single 1 among zeros."""
    return _has_flags(y) and bool((y.sum(axis=1) == 1).all())


def _has_flags(y: np.ndarray) -> bool:
    """Returns whether targets are several columns with the values 0 and 1."""
    several = y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf"
    return several and bool(np.isin(y, (0, 1)).all())


def _are_few_whole_numbers(y: np.ndarray) -> bool:
    """Returns whether floats, one per row, are few distinct whole numbers."""
    if y.ndim == 2 and y.shape[1] > 1:
        return False
    distinct = np.unique(y)
    few = 2 <= len(distinct) <= min(_MOST_WHOLE_NUMBERS, len(y) // 2)
    return few and bool((distinct == np.round(distinct)).all())
