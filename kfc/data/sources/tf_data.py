"""Reads a `tf.data.Dataset` into memory."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from kfc.data.rows import Rows
from kfc.data.targets import decode_text
from kfc.errors import DataError, Finding
from kfc.spec import shown_value
from kfc.system import memory

_COMPARED = 16  # elements that are read twice, to see whether a data set shuffles itself


def is_dataset(data: Any) -> bool:
    """Returns whether `data` is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def from_dataset(dataset: Any) -> Rows:
    """Returns the rows of a data set of (x, y) or (x, y, sample_weight).

    If the data set shuffles itself, that is, if its order changes each time, the rows are
    sorted by the hash of their bytes. The same rows then give the same run.

    Args:
        dataset: Data set of rows or of batches, as its element specs show.

    Raises:
        DataError: If the elements have another form, if they may be rows or batches, or if
            the data set does not end or cannot be read.
    """
    import tensorflow as tf  # already imported by the caller, who made the data set

    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise _not_dense(spec)
    if not all(isinstance(part, tf.TensorSpec) for part in spec):
        raise _not_dense(spec)
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        got, remedy = "one that repeats endlessly", "Drop repeat()."
        raise DataError(Finding("data", "a data set that ends", got, remedy))
    elements = list(_elements(dataset))
    if not elements:
        raise DataError(
            Finding("data", "at least one row", "an empty tf.data.Dataset", "Fill it.")
        )
    join = np.concatenate if _are_batches(spec, elements) else np.stack
    try:
        x, y, *weight = (join(parts) for parts in zip(*elements, strict=True))
    except ValueError as error:
        raise DataError(
            Finding("data", "rows of the same shape", str(error), "Pad or drop the others.")
        ) from error
    rows = Rows(x, y, weight[0] if weight else None)
    return _sorted(rows) if _shuffles_itself(dataset, elements) else rows


def _are_batches(spec: tuple[Any, ...], elements: list[tuple[Any, ...]]) -> bool:
    """Returns whether the elements of a data set are batches; otherwise they are rows.

    Args:
        spec: Element specs of x, y and weights. `batch()` leaves the size of the first axis
            of each open.
        elements: All elements.

    Raises:
        DataError: If the elements may be batches or rows.
    """
    if any(np.ndim(part) == 0 for element in elements for part in element):
        return False  # a batch has at least the axis of its rows
    sizes = [[len(part) for part in element] for element in elements]
    if any(len(set(lengths)) > 1 for lengths in sizes):
        return False  # the parts of a batch have the same number of rows
    if all(part.shape.rank is not None and part.shape[0] is None for part in spec):
        # If other sizes are open too, the first one may be a size of the row.
        others = any(None in part.shape.as_list()[1:] for part in spec)
        if others and len({lengths[0] for lengths in sizes}) == 1:
            raise _sizes_open(elements[0])
        return True
    if all(lengths[0] == 1 for lengths in sizes):
        return np.ndim(elements[0][0]) > 1  # one row either way, of one feature or of more
    shapes = " and ".join(str(np.shape(part)) for part in elements[0])
    size = sizes[0][0]
    raise DataError(
        Finding(
            "data",
            "a tf.data.Dataset whose element specs distinguish rows from batches",
            f"elements of shapes {shapes}, each of which may be {size} rows or one row",
            f"If they are batches, pass dataset.unbatch().batch({size}); if each is one row, "
            f"pass dataset.batch({size}).",
        )
    )


def _sizes_open(element: tuple[Any, ...]) -> DataError:
    """Returns the error for elements of open sizes, which may be batches or rows."""
    x, y = np.shape(element[0]), np.shape(element[1])
    batches = f"tf.ensure_shape(x, {(None, *x[1:])}), tf.ensure_shape(y, {(None, *y[1:])})"
    return DataError(
        Finding(
            "data",
            "a tf.data.Dataset whose element specs distinguish rows from batches",
            f"elements of shapes {x} and {y} whose specs leave all sizes open",
            f"If they are batches, pass dataset.map(lambda x, y: ({batches})); if each is one "
            f"row, give every size and pass dataset.batch({x[0]}).",
        )
    )


def _shuffles_itself(dataset: Any, elements: list[tuple[Any, ...]]) -> bool:
    """Returns whether a data set starts with other elements when it is read again."""
    try:
        again = list(itertools.islice(_elements(dataset), _COMPARED))
    except DataError:  # it can be read only once
        return False
    return any(
        not _same(np.asarray(one), np.asarray(other))
        for parts in zip(elements, again, strict=False)
        for one, other in zip(*parts, strict=True)
    )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Returns whether two arrays are equal; NaN equals NaN."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _sorted(rows: Rows) -> Rows:
    """Returns the same rows in an order that depends on their values alone."""
    parts = [decode_text(np.asarray(part)) for part in rows.parts]
    keys = [
        hashlib.sha256(b"".join(part[row].tobytes() for part in parts)).digest()
        for row in range(len(rows))
    ]
    return rows.take(np.array(sorted(range(len(rows)), key=keys.__getitem__)))


def _elements(dataset: Any) -> Iterator[tuple[Any, ...]]:
    """Yields the elements of a data set, which may be endless without declaring it."""
    size, limit = 0, memory.limit_bytes()
    iterator = dataset.as_numpy_iterator()
    while True:
        try:
            element = next(iterator, None)
        # The functions of a data set may raise any error, and TensorFlow its own.
        except Exception as error:
            first = re.sub(r"\{\{.*?\}\}\s*", "", (str(error).splitlines() or [""])[0])
            got = f"{type(error).__name__}: {first}"
            expected, remedy = (
                "a data set that can be read",
                "Fix the functions of the data set.",
            )
            raise DataError(Finding("data", expected, got, remedy)) from error
        if element is None:
            return
        size += sum(np.asarray(part).nbytes for part in element)
        if size > limit:
            got = f"more than the {limit:,} bytes of memory"
            remedy = "Use take(n), or save the rows for npy:FOLDER."
            raise DataError(Finding("data", "a data set that fits in memory", got, remedy))
        yield element


def _not_dense(spec: Any) -> DataError:
    """Returns the error for elements other than tuples of dense tensors."""
    return DataError(
        Finding(
            "data",
            "a tf.data.Dataset of (x, y) or (x, y, sample_weight), one dense tensor each",
            f"a tf.data.Dataset of {shown_value(spec)}",
            "Return such tuples from dataset.map; for a dict of features, use "
            "tf.stack(list(features.values()), axis=-1).",
        )
    )


def refused_data(
    got: str, remedy: str = "Pass for example data=(x, y) with two NumPy arrays."
) -> DataError:
    """Returns the error for a `data=` of a form that kfc does not read.

    Args:
        got: Description of the object.
        remedy: Next step for the caller.
    """
    return DataError(
        Finding(
            "data",
            "(x, y), (x, y, sample_weight), ((x, y), (x_test, y_test)), a mapping of train, "
            "validation and test to such parts, a DataFrame or a tf.data.Dataset of (x, y)",
            got,
            remedy,
        )
    )
