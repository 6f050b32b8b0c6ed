"""Turns the `data=` of `kfc.fit` into a `Source`, and rows to predict into an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kfc.data.rows import Rows, Source
from kfc.data.sources.frames import Frame, column, is_frame, is_pandas, read_frame
from kfc.data.sources.name_lists import join_names
from kfc.data.sources.tf_data import from_dataset, is_dataset, refused_data
from kfc.errors import DataError, Finding, nearest
from kfc.spec import shown_value
from kfc.system import DiskArray

_TARGET_NAMES = ("target", "label")
"""Names that the target column of a DataFrame may have."""

_PARTS = ("train", "validation", "test")
_NAMES = ("x", "y", "sample_weight")


class _Part(NamedTuple):
    """Rows of one part of the data, such as the training rows.

    Args:
        rows: Inputs, targets and weights.
        feature_names: Names of the inputs; empty where they have none.
        targets: Names of several targets; empty where they have none.
    """

    rows: Rows
    feature_names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def from_memory(data: Any) -> Source:
    """Returns the source for the `data=` of a caller.

    Args:
        data: The training part; a pair of a training and a test part; or a mapping from
            `train`, `validation` and `test` to parts, where `train` is required. A part is
            `(x, y)` or `(x, y, sample_weight)`, a DataFrame with a column `target` or
            `label`, or a `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`. A
            DataFrame of numbers may take the place of x. A DataFrame is one of pandas or
            polars, or an Arrow table. Series of pandas are sorted by the index of x.

    Raises:
        DataError: If `data` has another form, or its parts do not fit together.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, Mapping):
        return _source(_named_parts(data))
    if is_dataset(data) or is_frame(data):
        return _source({"train": data})
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise refused_data(type(data).__name__)
    if not all(_is_part(part) for part in data):
        return _source({"train": data})
    if len(data) == 3:
        raise refused_data(
            "three parts with inputs of their own",
            "Name them: data={'train': ..., 'validation': ..., 'test': ...}.",
        )
    return _source(dict(zip(("train", "test"), data, strict=True)))


def as_inputs(x: Any, feature_names: tuple[str, ...]) -> Any:
    """Returns rows to predict as an array.

    Args:
        x: Array, nested lists, or DataFrame.
        feature_names: Names of the training inputs; empty where they had none.

    Raises:
        DataError: If `x` is none of these, or a DataFrame with other columns.
    """
    if isinstance(x, (str, bytes, Mapping)) or x is None or is_dataset(x):
        raise DataError(
            Finding(
                "rows to predict",
                "an array or a DataFrame of inputs",
                type(x).__name__,
                "Pass for example run.predict(x) with a NumPy array.",
            )
        )
    if not is_frame(x):
        return _array(x, "rows to predict")
    frame = read_frame(x)
    if feature_names:
        _check_names("rows to predict", feature_names, frame.texts)
    return frame.numbers("rows to predict")


def _named_parts(data: Mapping[Any, Any]) -> Mapping[str, Any]:
    """Checks the names and the forms of a mapping of parts, and returns it."""
    for name in data:
        if name not in _PARTS:
            hint = nearest(str(name), _PARTS)
            remedy = f"{hint}Write data={{'train': (x, y), 'test': (x_test, y_test)}}."
            expected = f"a mapping with the keys {join_names(_PARTS)}"
            got = f"{type(data).__name__} with the key {shown_value(name)}"
            raise DataError(Finding("data", expected, got, remedy))
    if data.get("train") is None:
        got = f"only {join_names(data)}" if data else "an empty mapping"
        raise DataError(Finding("data", "a part named train", got, "Add 'train': (x, y)."))
    for name, part in data.items():
        has_targets = is_dataset(part) or is_frame(part)
        if part is not None and not has_targets and not _is_pair(part):
            expected = "(x, y), a DataFrame with a target or a tf.data.Dataset"
            got = type(part).__name__
            remedy = f"Write data={{'{name}': (x, y)}}."
            raise DataError(Finding(f"data, {name}", expected, got, remedy))
    return data


def _is_pair(part: Any) -> bool:
    return isinstance(part, (tuple, list)) and len(part) in (2, 3)


def _is_part(part: Any) -> bool:
    """Returns whether `part` has both inputs and targets."""
    if is_dataset(part):
        return True
    if is_frame(part):
        return len(_target_positions(read_frame(part))) == 1
    return _is_pair(part) and (is_frame(part[0]) or len(getattr(part[0], "shape", ())) > 0)


def _source(named: Mapping[str, Any]) -> Source:
    """Returns the source with the named parts, whose columns must be the same."""
    parts = {
        name: _read(part, "" if name == "train" else f"_{name}")
        for name, part in named.items()
        if part is not None
    }
    train = parts["train"]
    for name, part in parts.items():
        if name == "train":
            continue
        where = f"data, {name} rows"
        if train.feature_names and part.feature_names:
            _check_names(where, train.feature_names, part.feature_names)
        if train.targets and part.targets:
            _check_names(f"{where}, targets", train.targets, part.targets)
    test, validation = (
        parts[name].rows if name in parts else None for name in ("test", "validation")
    )
    return Source(
        train.rows,
        test,
        feature_names=train.feature_names,
        validation=validation,
        targets=train.targets,
    )


def _read(part: Any, suffix: str) -> _Part:
    """Returns the rows of one part.

    Args:
        part: (x, y), (x, y, sample_weight), a DataFrame with a target, or a data set.
        suffix: Ending of the names of its arrays in messages, such as `_test`.
    """
    if is_dataset(part):
        return _Part(from_dataset(part))
    if is_frame(part):
        return _from_frame(read_frame(part), suffix)
    x, y, *weights = aligned(part, suffix)
    inputs = read_frame(x) if is_frame(x) else None
    targets = read_frame(y) if is_frame(y) else None
    if inputs is not None:
        _check_separate(inputs, targets, y)
    rows = Rows(
        _array(x, f"x{suffix}") if inputs is None else inputs.numbers(f"x{suffix}"),
        per_row(y, f"y{suffix}"),
        per_row(weights[0], f"sample_weight{suffix}") if weights else None,
    )
    # The name of a single column of targets carries no meaning.
    several = targets is not None and len(targets.names) > 1
    return _Part(
        rows,
        feature_names=() if inputs is None else inputs.texts,
        targets=targets.texts if targets is not None and several else (),
    )


def _from_frame(frame: Frame, suffix: str) -> _Part:
    found = _target_positions(frame)
    if len(found) != 1:
        raise DataError(
            Finding(
                "data",
                f"a DataFrame with one column named {' or '.join(_TARGET_NAMES)}",
                f"the columns {join_names(frame.names)}",
                "Rename the target's column, or pass data=(frame of inputs, targets).",
            )
        )
    inputs = frame.without(found[0])
    target = _array(frame.columns[found[0]], f"y{suffix}")
    return _Part(Rows(inputs.numbers(f"x{suffix}"), target), inputs.texts)


def _target_positions(frame: Frame) -> list[int]:
    return [number for number, name in enumerate(frame.names) if name in _TARGET_NAMES]


def per_row(values: Any, name: str) -> Any:
    """Returns targets or weights as an array; a frame with one column gives this column.

    Args:
        values: Array, series, nested lists or frame.
        name: Name of the values in messages, such as `y`.

    Raises:
        DataError: If the values are no array.
    """
    if not is_frame(values):
        return _array(values, name)
    frame = read_frame(values)
    return _array(frame.columns[0], name) if len(frame.columns) == 1 else frame.numbers(name)


def aligned(parts: Sequence[Any], suffix: str) -> list[Any]:
    """Returns x, y and weights; those of pandas are sorted by the first index among them.

    Raises:
        DataError: If two indexes differ in more than their order.
    """
    aligned = list(parts)
    indexed = [number for number, part in enumerate(parts) if is_pandas(part)]
    for number in indexed[1:]:
        first, index = parts[indexed[0]].index, parts[number].index
        if index.equals(first) or len(index) != len(
            first
        ):  # the check `row_mismatch` refuses another length
            continue
        leader = f"{_NAMES[indexed[0]]}{suffix}"
        got = ""
        if not (first.is_unique and index.is_unique):
            got = "duplicate labels, in another order"
        elif len(missing := first.difference(index, sort=False)):
            got = f"an index without the label {shown_value(missing[0])}"
        if got:
            raise DataError(
                Finding(
                    f"data, {_NAMES[number]}{suffix}",
                    f"the index of {leader}, in any order and without duplicates",
                    got,
                    "Select the rows by the same index; to pair them by position, use "
                    "reset_index(drop=True) on both or pass arrays.",
                )
            )
        aligned[number] = parts[number].loc[first]
    return aligned


def _check_separate(inputs: Frame, targets: Frame | None, y: Any) -> None:
    """Refuses two frames with the same columns, and inputs that contain the targets."""
    names = (getattr(y, "name", None),) if targets is None else targets.names
    # Names that are numbers are often just the positions of the columns.
    shared = [name for name in names if isinstance(name, str) and name in inputs.names]
    if len(shared) > 1:
        raise DataError(
            Finding(
                "data",
                "inputs and targets, or training and test rows in two DataFrames that both "
                f"have a column {' or '.join(_TARGET_NAMES)}",
                f"two DataFrames with the columns {join_names(shared)}",
                "Name the column of the targets `target` in both, or pass "
                "((x, y), (x_test, y_test)).",
            )
        )
    values = np.ravel(per_row(y, "y"))
    for name, column_values in zip(inputs.names, inputs.columns, strict=True):
        # Arithmetic with a column keeps its name, so the values are compared too.
        if name in (*shared, *_TARGET_NAMES) and np.array_equal(column(column_values), values):
            raise DataError(
                Finding(
                    "data, x",
                    "inputs without the targets",
                    f"a column {shown_value(name)} that is equal to y",
                    "Drop it from the inputs.",
                )
            )


def _check_names(where: str, wanted: tuple[str, ...], got: tuple[str, ...]) -> None:
    if wanted != got:
        expected = f"the columns {join_names(wanted)}, in this order"
        remedy = "Select them by name, in the order of the training rows."
        raise DataError(Finding(where, expected, join_names(got), remedy))


def _array(values: Any, name: str) -> Any:
    if isinstance(values, np.memmap) and name == "x":
        return DiskArray(values)
    if isinstance(values, np.ma.MaskedArray):
        return values  # the check `input_not_array` or `target_not_array` refuses a mask
    try:
        return column(values)
    except DataError:
        raise
    # Ragged lists raise ValueError; arrays of other libraries may raise any error.
    except Exception as error:
        got = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            Finding(f"data, {name}", "rows of the same shape", got, "Pass a NumPy array.")
        ) from error
