"""Checks of rows with targets, and perhaps weights: the stages `data` and `training_data`."""

from __future__ import annotations

import numpy as np

from kfc.data.bad_cells import cell_place, first_bad_cell, is_finite, plain_value
from kfc.data.input_checks import FLOAT32_MAX, not_array
from kfc.data.precision import precision_loss
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.findings import run_checks
from kfc.spec import shown_value
from kfc.system import chunks


def check_rows(rows: Rows, where: str) -> None:
    """Runs the checks of the stages `inputs` and `data`.

    Args:
        rows: Inputs, targets and weights as their source gave them.
        where: Name of the rows in messages, such as `data.source tfds:mnist, test rows`.

    Raises:
        DataError: If a check refuses the rows.
    """
    if not rows.is_table:  # its columns were checked when they got their types
        run_checks("inputs", rows.x, where, rows.feature_names)
    run_checks("data", rows, where)


def target_not_array(rows: Rows, where: str) -> Finding | None:
    """Finds targets that are no array, or an array with masked cells."""
    return not_array(rows.y, "targets", where)


def weight_not_array(rows: Rows, where: str) -> Finding | None:
    """Finds weights that are no array, or an array with masked cells."""
    if rows.sample_weight is None:
        return None
    return not_array(rows.sample_weight, "weights", where)


def target_empty(rows: Rows, where: str) -> Finding | None:
    """Finds targets without a value."""
    if rows.y.size:
        return None
    got = f"targets of shape {rows.y.shape}"
    return Finding(
        where, "at least one row with at least one target", got, "Check the source."
    )


def row_mismatch(rows: Rows, where: str) -> Finding | None:
    """Finds inputs and targets of different length."""
    if len(rows.x) == len(rows.y):
        return None
    return Finding(
        where,
        "one target for each row",
        f"{len(rows.x):,} inputs and {len(rows.y):,} targets",
        "Cut both to the same rows.",
        evidence={"inputs": len(rows.x), "targets": len(rows.y)},
    )


def input_constant(rows: Rows, where: str) -> Finding | None:
    """Finds inputs that are the same in every row, at least once they are float32."""
    if rows.is_table:
        return None
    first = _as_trained(rows.x[:1])
    if len(rows) == 1 or any((_as_trained(p) != first).any() for _, p in chunks(rows.x)):
        return None
    got = f"{len(rows):,} equal rows"
    if any((part != rows.x[:1]).any() for _, part in chunks(rows.x)):
        if finding := precision_loss(rows.x, where, "x", rows.feature_names):
            return finding
        got += ", once they are float32"
    remedy = "Check how the inputs were read."
    return Finding(where, "rows that differ", got, remedy, evidence={"rows": len(rows)})


def target_type(rows: Rows, where: str) -> Finding | None:
    """Finds targets that are neither all numbers nor all text."""
    if rows.y.dtype.kind in "biufUS" or _is_text(rows.y):
        return None
    if rows.y.dtype.kind == "O":
        # The first target that is no text shows the problem, best one that is missing.
        no_text = [p for p in np.ndenumerate(rows.y) if not isinstance(p[1], (str, bytes))]
        cell, odd = next((p for p in no_text if not is_finite(p[1])), no_text[0])
        return Finding(
            cell_place(where, 0, cell),
            "targets that are all numbers or all text",
            f"{type(odd).__name__} such as {shown_value(odd)}",
            "Fill or drop missing targets; use y.astype(int) or y.astype(str).",
            evidence={"row": int(cell[0])},
        )
    got = f"{rows.y.dtype} such as {shown_value(plain_value(rows.y.flat[0]))}"
    return Finding(where, "targets that are numbers or text", got, "Use y.astype(float).")


def target_not_finite(rows: Rows, where: str) -> Finding | None:
    """Finds the first target that is NaN, infinite or beyond the range of float32."""
    if rows.y.dtype.kind != "f":
        return None
    return first_bad_cell(rows.y, _not_finite(rows.y), where, "finite targets")


def weight_shape(rows: Rows, where: str) -> Finding | None:
    """Finds weights that are not one per row."""
    weight = rows.sample_weight
    if weight is None or weight.shape == (len(rows),):
        return None
    got = f"weights of shape {weight.shape} for {len(rows):,} rows"
    return Finding(where, "one weight for each row", got, "Give them the shape (rows,).")


def weight_type(rows: Rows, where: str) -> Finding | None:
    """Finds weights of another type than booleans, integers and floats."""
    weight = rows.sample_weight
    if weight is None or weight.dtype.kind in "biuf":
        return None
    got = f"{weight.dtype} such as {shown_value(plain_value(weight.flat[0]))}"
    return Finding(where, "weights that are real numbers", got, "Use weights.astype(float).")


def weight_not_finite(rows: Rows, where: str) -> Finding | None:
    """Finds the first weight that is NaN, infinite or beyond the range of float32."""
    weight = rows.sample_weight
    if weight is None or weight.dtype.kind != "f":
        return None
    return first_bad_cell(weight, _not_finite(weight), where, "finite weights")


def weight_negative(rows: Rows, where: str) -> Finding | None:
    """Finds the first weight below 0."""
    weight = rows.sample_weight
    if weight is None:
        return None
    return first_bad_cell(weight, weight < 0, where, "weights of at least 0")


def weight_all_zero(rows: Rows, where: str) -> Finding | None:
    """Finds weights that are all 0, at least once they are float32."""
    if rows.sample_weight is None or rows.sample_weight.astype(np.float32).any():
        return None
    expected = "a weight above 0 for at least one row"
    return Finding(where, expected, "only zeros", "Leave the weights out to count all rows.")


def target_constant(rows: Rows, where: str, *, regression: bool) -> Finding | None:
    """Finds targets of a regression that are all the same, at least as float32."""
    if not regression or len(rows) == 1:
        return None
    targets = _as_trained(rows.y)
    if (targets != targets[:1]).any():
        return None
    got = f"only {plain_value(targets.flat[0])}"
    remedy = "Check how they were read."
    return Finding(where, "targets that differ", got, remedy, evidence={"rows": len(rows)})


def _not_finite(values: np.ndarray) -> np.ndarray:
    """Returns flags of the floats that are NaN or infinite, once they are float32."""
    if values.dtype.itemsize <= 4:  # a float16 cannot be compared with float32's largest
        return ~np.isfinite(values)
    return ~np.isfinite(values) | (np.abs(values) > FLOAT32_MAX)


def _as_trained(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint8 else values.astype(np.float32, copy=False)


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "OT" and all(isinstance(v, (str, bytes)) for v in values.flat)
