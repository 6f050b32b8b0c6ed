"""Shows the types of columns and their reasons as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kfc.data.tables.column_types import ColumnReport
from kfc.errors import one_line

if TYPE_CHECKING:
    from rich.table import Table


def report_table(reports: Sequence[ColumnReport]) -> Table:
    """Returns a table with a line for each column: its type, and the reason of the type.

    Names and examples come from data, so characters that steer a terminal are escaped.
    """
    from rich.table import Table
    from rich.text import Text

    heads = ("column", "type", "distinct", "missing", "example", "why")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for report in reports:
        cells = (
            report.name,
            report.column.type,
            f"{report.distinct:,}" if report.distinct or not report.example else "-",
            f"{report.missing:,}",
            report.example,
            report.why,
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table
