"""Turns the encoded rows of a table back into the texts of their cells."""

from __future__ import annotations

import numpy as np

from kfc.preprocessing import (
    BooleanColumn,
    CategoryColumn,
    ColumnEncoding,
    DateColumn,
    NumberColumn,
    TableEncoding,
)

MISSING, UNSEEN, RARE = "(missing)", "(not in training)", "(rare)"


def decoded_cells(encoding: TableEncoding, x: np.ndarray) -> dict[str, list[str]]:
    """Returns column -> text of the cell in each row.

    Numbers have the digits that float32 keeps of their distance from the column's center. A
    missing cell of a column without missing cells in training shows what replaces it.

    Args:
        encoding: Encoding of the table.
        x: Encoded rows, (rows, features).
    """
    places = encoding.places
    return {
        column.name: _texts(column, np.asarray(x[:, places[column.name]]))
        for column in encoding.columns
    }


def _texts(column: ColumnEncoding, features: np.ndarray) -> list[str]:
    if isinstance(column, CategoryColumn):
        return [_category(column, int(code)) for code in features[:, 0]]
    missing = features[:, -1] > 0 if column.gaps else np.zeros(len(features), bool)
    if isinstance(column, BooleanColumn):
        found = [
            "true" if sign > 0 else "false" if sign < 0 else MISSING for sign in features[:, 0]
        ]
    elif isinstance(column, NumberColumn):
        found = [_number(float(distance), column.center) for distance in features[:, 0]]
    elif isinstance(column, DateColumn):
        found = [_date(float(days), column) for days in features[:, 0]]
    else:
        found = [f"{value:.6g}" for value in features[:, 0]]
    return [MISSING if gone else text for gone, text in zip(missing, found, strict=True)]


def _category(column: CategoryColumn, code: int) -> str:
    if 1 <= code <= len(column.vocabulary):
        return column.vocabulary[code - 1]
    if column.gaps and code == column.missing_code:
        return MISSING
    return RARE if column.rare else UNSEEN


def _number(distance: float, center: float) -> str:
    value = distance + center
    rounding = abs(distance) * 1e-6 + abs(center) * 1e-12
    if abs(value - round(value)) <= rounding + 1e-9:
        return str(round(value))
    return f"{value:.6g}"


def _date(distance: float, column: DateColumn) -> str:
    minutes = round((distance + column.centers[0]) * 24 * 60)
    moment = np.datetime64(minutes, "m")
    if len(column.centers) < 5:  # all dates of training are midnight
        return str((moment + np.timedelta64(12, "h")).astype("M8[D]"))
    return str(moment).replace("T", " ")
