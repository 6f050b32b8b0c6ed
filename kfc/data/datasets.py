"""A `tf.data.Dataset` -> rows in memory, as many as memory holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from kfc import memory
from kfc.data.rows import Rows
from kfc.errors import DataError, Fault
from kfc.spec.plain import shown


def from_dataset(dataset: Any) -> Rows:
    """Returns the rows of a data set of (x, y) or (x, y, sample_weight).

    Args:
        dataset: Of rows or of batches.

    Raises:
        DataError: If it is of something else, does not end, or cannot be read.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise refused_data(f"a tf.data.Dataset of {shown(spec)}")
    if any(not hasattr(part, "shape") for part in spec):
        raise refused_data(f"a tf.data.Dataset of {shown(spec)}")
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        got, remedy = "one that repeats for ever", "Drop repeat()."
        raise DataError(Fault("data", "a data set that ends", got, remedy))
    elements = list(_elements(dataset))
    if not elements:
        raise DataError(
            Fault("data", "at least one row", "an empty tf.data.Dataset", "Fill it.")
        )
    # A batch of rows has at least two dimensions, a batch of targets at least one.
    single = np.ndim(elements[0][0]) < 2 or np.ndim(elements[0][1]) < 1
    join = np.stack if single else np.concatenate
    try:
        x, y, *weight = (join(parts) for parts in zip(*elements, strict=True))
    except ValueError as error:
        raise DataError(
            Fault("data", "rows of the same shape", str(error), "Pad or drop the others.")
        ) from error
    return Rows(x, y, weight[0] if weight else None)


def _elements(dataset: Any) -> Iterator[tuple[Any, ...]]:
    """Yields the elements of a data set, which may have no end that it knows of."""
    size, limit = 0, memory.limit()
    iterator = dataset.as_numpy_iterator()
    while True:
        try:
            element = next(iterator, None)
        # Whatever its own functions raise, TensorFlow's errors among it.
        except Exception as error:
            first = re.sub(r"\{\{.*?\}\}\s*", "", (str(error).splitlines() or [""])[0])
            got = f"{type(error).__name__}: {first}"
            expected, remedy = "a data set that can be read", "Mend its functions."
            raise DataError(Fault("data", expected, got, remedy)) from error
        if element is None:
            return
        if not all(isinstance(part, (np.ndarray, np.generic, bytes)) for part in element):
            kinds = ", ".join(type(part).__name__ for part in element)
            raise refused_data(f"a tf.data.Dataset of {kinds}")
        size += sum(np.asarray(part).nbytes for part in element)
        if size > limit:
            got = f"more than the {limit:,} bytes of memory"
            remedy = "Use take(n), or save the rows for npy:FOLDER."
            raise DataError(Fault("data", "a data set that fits in memory", got, remedy))
        yield element


def refused_data(got: str) -> DataError:
    """Returns the error for what is no data at all."""
    return DataError(
        Fault(
            "data",
            "(x, y), (x, y, sample_weight), ((x, y), (x_test, y_test)), a DataFrame or a "
            "tf.data.Dataset of (x, y)",
            got,
            "Pass for example data=(x, y) with two NumPy arrays.",
        )
    )
