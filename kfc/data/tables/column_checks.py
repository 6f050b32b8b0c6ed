"""Checks of the columns of a table that its spec says: warnings, since they do not refuse."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pyarrow.compute as pc

from kfc.data.sources import join_names
from kfc.data.tables.column_types import ColumnReport
from kfc.data.tables.number_types import number_type
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.typed_columns import declare, ignoring, typed_column
from kfc.errors import Finding

_FEW = 50  # rows below which a category that differs in each row is no sign of a name
_FEW_KINDS = 20  # different numbers, which may be sizes or grades
_LOOKED_AT = 10_000  # rows
_NEARLY = 0.9  # share of the rows, as in the rule by which types are inferred


def column_constant(
    raw: RawTable, target: str, reports: Iterable[ColumnReport]
) -> list[Finding]:
    """Finds inputs that are empty, or have one value in every row."""
    return [
        _finding(
            raw,
            report,
            "an input that varies",
            "no value in any row" if report.missing else "one value in every row",
            distinct=report.distinct,
            missing=report.missing,
        )
        for report in reports
        if report.column.type != "ignore"
        and (report.missing == len(raw) or (report.distinct == 1 and not report.missing))
    ]


def category_nearly_unique(
    raw: RawTable, target: str, reports: Iterable[ColumnReport]
) -> list[Finding]:
    """Finds categories that are different in nearly every row, as names and ids are."""
    return [
        _finding(
            raw,
            report,
            "a category whose values repeat",
            f"{report.distinct:,} different values in {len(raw) - report.missing:,} rows",
            distinct=report.distinct,
            rows=len(raw) - report.missing,
        )
        for report in reports
        if report.column.type == "category"
        and len(raw) - report.missing > _FEW
        and report.distinct > _NEARLY * (len(raw) - report.missing)
    ]


def number_is_id(raw: RawTable, target: str, reports: Iterable[ColumnReport]) -> list[Finding]:
    """Finds numbers that the rule of inference takes for an id."""
    return [
        _finding(
            raw,
            report,
            "a number that measures something",
            "a different integer in every row, as in an id",
            distinct=report.distinct,
        )
        for report in reports
        if report.column.type == "number"
        and report.distinct == len(raw) > 1
        and number_type(report.name, typed_column(raw, report.name, report.column)).kind
        == "ignore"
    ]


def category_of_measurements(
    raw: RawTable, target: str, reports: Iterable[ColumnReport]
) -> list[Finding]:
    """Finds categories that are numbers with fractions, as of measurements.

    A category forgets their order, so that 20.1 is as far from 20.2 as from 35.
    """
    found = []
    for report in reports:
        if report.column.type != "category" or report.distinct <= _FEW_KINDS:
            continue
        kinds = pc.unique(raw.columns[report.name].slice(0, _LOOKED_AT)).to_pylist()
        kinds = [kind for kind in kinds if kind is not None]
        numbers = [float(kind) for kind in kinds if _is_number(kind)]
        fractions = sum(not number.is_integer() for number in numbers)
        if len(numbers) < _NEARLY * len(kinds) or fractions < len(numbers) / 2:
            continue
        name, number = report.name, declare(report.name, "number")
        found.append(
            Finding(
                f"{raw.name}, column {name!r}",
                "categories that have no order",
                f"{report.distinct:,} numbers with fractions, such as {kinds[0]}, whose order "
                "is lost",
                f"Use {number}.",
                evidence={"distinct": report.distinct},
                cure={path: "number" for path in ignoring([name])},
            )
        )
    return found


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False


def column_not_in_training(train: RawTable, other: RawTable) -> Finding | None:
    """Finds columns of test or validation rows that the training rows lack."""
    known = set(train.columns.column_names)
    extra = [name for name in other.columns.column_names if name not in known]
    if not extra:
        return None
    return Finding(
        other.name,
        f"the columns of {train.name}",
        f"also {join_names(extra, most=6)}",
        "It is ignored; check that both files are of the same table.",
        evidence={"columns": len(extra)},
    )


def _finding(
    raw: RawTable, report: ColumnReport, expected: str, got: str, **evidence: int
) -> Finding:
    where = f"{raw.name}, column {report.name!r}"
    remedy = f"Use {declare(report.name, 'ignore')} unless it is meant."
    cure = ignoring([report.name])
    return Finding(where, expected, got, remedy, evidence=evidence, cure=cure)
