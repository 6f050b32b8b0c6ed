"""Checks of the names of columns, which all kinds of tables share."""

from __future__ import annotations

from collections.abc import Sequence

from kfc.errors import Finding
from kfc.spec import shown_value


def column_name_empty(names: Sequence[str], where: str) -> Finding | None:
    """Finds the first column without a name.

    Args:
        names: Names of all columns, in order.
        where: Name of the table in messages.
    """
    number = next((number for number, name in enumerate(names, 1) if not name.strip()), None)
    if number is None:
        return None
    remedy = "Name or drop the column."
    if number == 1:  # pandas writes the index into a first column without a name
        remedy = (
            "Name the column, or write it with to_csv(..., index=False) if it is an index."
        )
    return Finding(
        where,
        "a name for each column",
        f"an empty name of column {number}",
        remedy,
        evidence={"column": number},
    )


def column_name_repeated(names: Sequence[str], where: str) -> Finding | None:
    """Finds the first name that two columns share, or that differs by blanks around it.

    Args:
        names: Names of all columns, in order.
        where: Name of the table in messages.
    """
    seen: dict[str, tuple[int, str]] = {}
    for number, name in enumerate(names, 1):
        first, other = seen.setdefault(name.strip(), (number, name))
        if first == number:
            continue
        got = f"{shown_value(name)} for the columns {first} and {number}"
        if name != other:
            got = (
                f"{shown_value(other)} and {shown_value(name)} for the columns "
                f"{first} and {number}, which differ by blanks alone"
            )
        remedy = "Rename or drop one of them."
        evidence = {"first": first, "column": number}
        return Finding(where, "each name once", got, remedy, evidence=evidence)
    return None
