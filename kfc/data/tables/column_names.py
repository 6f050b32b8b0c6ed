"""Checks of the names of columns, which all kinds of tables share."""

from __future__ import annotations

from collections.abc import Sequence

from kfc.errors import DataError, Finding
from kfc.spec import shown_value


def check_names(names: Sequence[str], where: str) -> None:
    """Refuses names of columns that are empty, or that two columns share.

    Args:
        names: Names of all columns, in order.
        where: Name of the table in messages.

    Raises:
        DataError: If a name is empty, occurs twice, or differs from another one only by
            blanks around it.
    """
    seen: dict[str, tuple[int, str]] = {}
    for number, name in enumerate(names, 1):
        key = name.strip()
        if not key:
            got = f"an empty name of column {number}"
            raise DataError(
                Finding(
                    where,
                    "a name for each column",
                    got,
                    _no_name(number),
                    evidence={"column": number},
                )
            )
        if key in seen:
            first, other = seen[key]
            got = f"{shown_value(name)} for the columns {first} and {number}"
            if name != other:
                got = (
                    f"{shown_value(other)} and {shown_value(name)} for the columns "
                    f"{first} and {number}, which differ by blanks alone"
                )
            remedy = "Rename or drop one of them."
            raise DataError(Finding(where, "each name once", got, remedy))
        seen[key] = number, name


def _no_name(number: int) -> str:
    if number == 1:  # pandas writes the index into a first column without a name
        return "Name the column, or write it with to_csv(..., index=False) if it is an index."
    return "Name or drop the column."
