"""The checks that rows must pass before anything trains on them, as one table.

Each is a function from rows to a `Finding`, or None where nothing is wrong. Keras trains on
most of what they refuse and reports success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kfc.data.cells import (
    DECIMAL_COMMA,
    first_cell,
    has_decimal_comma,
    is_finite,
    place_of,
    plain_value,
    reads_as_number,
)
from kfc.data.precision import swallowed
from kfc.data.rows import Rows
from kfc.errors import DataError, Finding
from kfc.spec import shown_value
from kfc.system import Mapped, chunks

_SHOWN = 10  # of names of fields
_FLOAT32_MAX = float(np.finfo(np.float32).max)
UNSCALED_RMS = 30.0
"""Inputs of this root mean square make a first loss in the thousands: MNIST's raw 0..255
have 79, scikit-learn's raw 0..16 digits 7.8, anything standardised 1."""


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Args:
        code: What a spec's `accept` and a report call it.
        find: Returns what is wrong with the rows called `where`, or None.
    """

    code: str
    find: Callable[[Rows, str], Finding | None]


def check_rows(rows: Rows, where: str) -> None:
    """Runs the table over `rows`; the first finding refuses.

    Args:
        rows: Inputs and targets as their source gave them.
        where: What to call them, such as `data.source tfds:mnist, test rows`.

    Raises:
        DataError: With the first finding.
    """
    for check in CHECKS:
        if finding := check.find(rows, where):
            raise DataError(finding)


def check_inputs(x: np.ndarray, where: str, feature_names: tuple[str, ...] = ()) -> None:
    """Runs the checks of the table that need no targets.

    Args:
        x: Inputs.
        where: What to call them.
        feature_names: Names of the features, where they are known.

    Raises:
        DataError: With the first finding.
    """
    rows = Rows(x, np.zeros(x.shape[:1]), feature_names=feature_names)
    for check in CHECKS:
        if check.find in _OF_INPUTS and (finding := check.find(rows, where)):
            raise DataError(finding)


def _no_rows(rows: Rows, where: str) -> Finding | None:
    for what, values in (
        ("inputs", rows.x),
        ("targets", rows.y),
        ("weights", rows.sample_weight),
    ):
        if values is None or isinstance(values, Mapped):
            continue
        if values.ndim == 0:
            value = values.item() if values.dtype.kind != "V" else "one record"
            got = "None" if value is None else shown_value(value)
            remedy = "Pass (x, y) or (x, y, sample_weight), arrays all of them."
            if hasattr(value, "toarray"):
                remedy = "Use x.toarray() for a sparse matrix."
            return Finding(where, f"an array of {what}", got, remedy)
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            got = f"{int(np.ma.getmaskarray(values).sum()):,} masked {what}"
            return Finding(where, "values without a mask", got, "Drop or fill such cells.")
    return None


def _empty(rows: Rows, where: str) -> Finding | None:
    if rows.x.size and rows.y.size:
        return None
    got = f"inputs of shape {rows.x.shape} and targets of shape {rows.y.shape}"
    return Finding(where, "at least one row with at least one value", got, "Check the source.")


def _length(rows: Rows, where: str) -> Finding | None:
    if len(rows.x) == len(rows.y):
        return None
    got = f"{len(rows.x):,} inputs and {len(rows.y):,} targets"
    return Finding(where, "one target for each row", got, "Cut both to the same rows.")


def _input_shape(rows: Rows, where: str) -> Finding | None:
    if rows.x.ndim >= 2:
        return None
    got = f"inputs of shape {rows.x.shape}"
    remedy = "Use x[:, None] for one feature."
    if rows.x.dtype.names:
        got = f"records with the fields {', '.join(rows.x.dtype.names[:_SHOWN])}"
        remedy = "Use numpy.lib.recfunctions.structured_to_unstructured(x)."
    return Finding(where, "inputs (rows, features)", got, remedy)


def _input_type(rows: Rows, where: str) -> Finding | None:
    if rows.x.dtype.kind in "biuf":
        return None
    row, part = next(chunks(rows.x))
    cell = next(
        (cell for cell in np.ndindex(part.shape) if not reads_as_number(part[cell])), None
    )
    remedy = "Mend or drop such cells, then use x.astype(float)."
    if cell is None:  # only the type is wrong
        cell, remedy = (0,) * part.ndim, "Use x.astype(float)."
    elif has_decimal_comma(part[cell]):
        remedy = DECIMAL_COMMA
    got = f"{shown_value(plain_value(part[cell]))}, of type {rows.x.dtype}"
    place = place_of(where, row, cell, rows.feature_names)
    return Finding(place, "inputs that are real numbers", got, remedy)


def _input_not_finite(rows: Rows, where: str) -> Finding | None:
    if rows.x.dtype.kind != "f":
        return None
    return _first_input(rows, lambda x: ~np.isfinite(x), where, "finite inputs")


def _input_overflow(rows: Rows, where: str) -> Finding | None:
    if rows.x.dtype.kind != "f" or rows.x.dtype.itemsize <= 4:
        return None
    return _first_input(
        rows, lambda x: np.abs(x) > _FLOAT32_MAX, where, "inputs that fit in float32"
    )


def _input_constant(rows: Rows, where: str) -> Finding | None:
    first = _as_trained(rows.x[:1])
    if len(rows) == 1 or any((_as_trained(p) != first).any() for _, p in chunks(rows.x)):
        return None
    got = f"{len(rows):,} equal rows"
    if any((part != rows.x[:1]).any() for _, part in chunks(rows.x)):
        if finding := swallowed(rows.x, where, "x", rows.feature_names):
            return finding
        got += ", once they are float32"
    return Finding(where, "rows that differ", got, "Check how the inputs were read.")


def _target_type(rows: Rows, where: str) -> Finding | None:
    if rows.y.dtype.kind in "biufUS" or _is_text(rows.y):
        return None
    if rows.y.dtype.kind == "O":  # the first that is no text tells more
        no_text = [p for p in np.ndenumerate(rows.y) if not isinstance(p[1], (str, bytes))]
        cell, odd = next((p for p in no_text if not is_finite(p[1])), no_text[0])
        got = f"{type(odd).__name__} such as {shown_value(odd)}"
        remedy = "Fill or drop missing targets; use y.astype(int) or y.astype(str)."
        expected = "targets that are all numbers or all text"
        return Finding(place_of(where, 0, cell), expected, got, remedy)
    got = f"{rows.y.dtype} such as {shown_value(plain_value(rows.y.flat[0]))}"
    return Finding(where, "targets that are numbers or text", got, "Use y.astype(float).")


def _target_not_finite(rows: Rows, where: str) -> Finding | None:
    if rows.y.dtype.kind != "f":
        return None
    return first_cell(rows.y, _not_finite(rows.y), where, "finite targets")


def _weight_shape(rows: Rows, where: str) -> Finding | None:
    if rows.sample_weight is None or rows.sample_weight.shape == (len(rows),):
        return None
    got = f"weights of shape {rows.sample_weight.shape} for {len(rows):,} rows"
    return Finding(where, "one weight for each row", got, "Give them the shape (rows,).")


def _weight_type(rows: Rows, where: str) -> Finding | None:
    if rows.sample_weight is None or rows.sample_weight.dtype.kind in "biuf":
        return None
    first = shown_value(plain_value(rows.sample_weight.flat[0]))
    got = f"{rows.sample_weight.dtype} such as {first}"
    return Finding(where, "weights that are real numbers", got, "Use weights.astype(float).")


def _weight_not_finite(rows: Rows, where: str) -> Finding | None:
    if rows.sample_weight is None or rows.sample_weight.dtype.kind != "f":
        return None
    return first_cell(
        rows.sample_weight, _not_finite(rows.sample_weight), where, "finite weights"
    )


def _weight_negative(rows: Rows, where: str) -> Finding | None:
    if rows.sample_weight is None:
        return None
    return first_cell(
        rows.sample_weight, rows.sample_weight < 0, where, "weights of at least 0"
    )


def _weight_all_zero(rows: Rows, where: str) -> Finding | None:
    if rows.sample_weight is None or rows.sample_weight.astype(np.float32).any():
        return None
    expected = "a weight above 0 for at least one row"
    return Finding(where, expected, "only zeros", "Leave the weights out to count all rows.")


CHECKS = (
    Check("no_rows", _no_rows),
    Check("empty_data", _empty),
    Check("row_mismatch", _length),
    Check("input_shape", _input_shape),
    Check("input_type", _input_type),
    Check("input_not_finite", _input_not_finite),
    Check("input_overflow", _input_overflow),
    Check("input_constant", _input_constant),
    Check("target_type", _target_type),
    Check("target_not_finite", _target_not_finite),
    Check("weight_shape", _weight_shape),
    Check("weight_type", _weight_type),
    Check("weight_not_finite", _weight_not_finite),
    Check("weight_negative", _weight_negative),
    Check("weight_all_zero", _weight_all_zero),
)
_OF_INPUTS = (_no_rows, _empty, _input_shape, _input_type, _input_not_finite, _input_overflow)


def check_scaled(rms: float, scale: str, where: str) -> None:
    """Refuses inputs that are still far too large after scaling: `unscaled_input`.

    Args:
        rms: Root mean square of the scaled training inputs.
        scale: The spec's `data.scale`.
        where: What to call the rows.

    Raises:
        DataError: If `rms` is above `UNSCALED_RMS`.
    """
    if not rms <= UNSCALED_RMS:  # NaN is as bad
        raise DataError(
            Finding(
                where,
                f"inputs with a root mean square of at most {UNSCALED_RMS:g}",
                f"{rms:.4g} with data.scale: {scale}",
                "Set data.scale to unit or standard; to train on it all the same, say "
                "accept: [unscaled_input].",
            )
        )


def check_targets_differ(y: np.ndarray, where: str) -> None:
    """Refuses a regression whose training targets are one number: there is nothing to learn.

    Args:
        y: Checked training targets.
        where: What to call them.

    Raises:
        DataError: If they are all the same, once they are float32.
    """
    targets = _as_trained(y)
    if len(y) > 1 and (targets == targets[:1]).all():
        got = f"only {plain_value(targets.flat[0])}"
        raise DataError(
            Finding(where, "targets that differ", got, "Check how they were read.")
        )


def _not_finite(values: np.ndarray) -> np.ndarray:
    """Returns where floats are NaN or infinite, once they are float32."""
    if values.dtype.itemsize <= 4:  # a float16 cannot be compared with float32's largest
        return ~np.isfinite(values)
    return ~np.isfinite(values) | (np.abs(values) > _FLOAT32_MAX)


def _as_trained(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint8 else values.astype(np.float32, copy=False)


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "OT" and all(isinstance(v, (str, bytes)) for v in values.flat)


def _first_input(
    rows: Rows, is_bad: Callable[[np.ndarray], np.ndarray], where: str, wanted: str
) -> Finding | None:
    for row, part in chunks(rows.x):
        if finding := first_cell(
            part, is_bad(part), where, wanted, first_row=row, feature_names=rows.feature_names
        ):
            return finding
    return None
