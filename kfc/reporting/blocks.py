"""The parts of a page as plain values, which a test reads without HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from kfc.errors import one_line

_LONGEST = 200
"""Characters of a text from the data that a page shows."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: Text of the cell.
        value: Number by which the column is sorted; None for a text.
        shade: Depth of the background, in [0, 1].
        strong: Whether the cell is the one to look at.
    """

    text: str
    value: float | None = None
    shade: float = 0.0
    strong: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        text: Plain text.
        kind: `plain`, or `note` for what limits the numbers around it.
    """

    text: str
    kind: Literal["plain", "note"] = "plain"


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Args:
        caption: Title of the table.
        head: Names of the columns.
        rows: Cells of each row; a text becomes a cell.
        sortable: Whether a click on the head of a column sorts the rows.
        corner: Text above the columns of a matrix; empty for an ordinary table.
        wide: Whether rows stay on one line, however wide the table is.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    sortable: bool = False
    corner: str = ""
    wide: bool = False

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """The rows, each cell as a `Cell`."""
        return [
            [each if isinstance(each, Cell) else Cell(shown(each)) for each in row]
            for row in self.rows
        ]

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether all cells of each column that have a text are numbers."""
        filled = [[row[i] for row in self.cells if row[i].text] for i in range(len(self.head))]
        return [
            place > 0 and bool(cells) and all(cell.value is not None for cell in cells)
            for place, cells in enumerate(filled)
        ]


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Args:
        svg: SVG without a size of its own, whose texts are escaped.
        title: Title above the drawing.
        alt: Description for someone who does not see it.
        wide: Whether it takes all of the page; a phone scrolls it.
    """

    svg: str
    title: str
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """A small picture, such as a row of pixels.

    Args:
        uri: PNG as a data URI.
        alt: Description for someone who does not see it.
        caption: Lines below the picture.
    """

    uri: str
    alt: str
    caption: Sequence[str] = ()


@dataclass(frozen=True)
class Pictures:
    """A row of small pictures.

    Args:
        title: Title above them.
        pictures: The pictures.
    """

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class CodeText:
    """A text in letters of equal width, folded until someone opens it.

    Args:
        title: Text to click on.
        text: The text.
    """

    title: str
    text: str


Block = Text | Table | Figure | Pictures | CodeText


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Args:
        key: Name of the anchor, such as `confusion`.
        title: Heading.
        blocks: Parts of the section, in their order.
    """

    key: str
    title: str
    blocks: Sequence[Any] = field(default_factory=list)

    def table(self, caption: str) -> Table:
        """Returns the table whose caption begins with a text.

        Raises:
            KeyError: If there is none.
        """
        for block in self.blocks:
            if isinstance(block, Table) and block.caption.startswith(caption):
                return block
        raise KeyError(caption)


def shown(text: object, longest: int = _LONGEST) -> str:
    """Returns a text from the data as one line that no control character can steer.

    Args:
        text: Any value.
        longest: Largest number of characters.
    """
    line = one_line(str(text))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def number(value: float, digits: int = 4) -> Cell:
    """Returns a cell with a number; a very large or a very small one has an exponent.

    Args:
        value: Number, which may be NaN.
        digits: Decimals.
    """
    return Cell(number_text(value, digits), float(value))


def number_text(value: float, digits: int = 4) -> str:
    """Returns the text of a number, see `number`."""
    value = float(value)
    if not math.isfinite(value):
        return "none" if math.isnan(value) else str(value)
    size = abs(value)
    if size and (size < 10.0**-digits or size >= 1e7):
        return f"{value:.3g}"
    if size >= 100_000 or (size >= 100 and value.is_integer()):
        return f"{value:,.0f}"
    if size >= 1000:
        return f"{value:,.1f}"
    return f"{value:.{digits}f}"


def count(value: int) -> Cell:
    """Returns a cell with a whole number."""
    return Cell(f"{int(value):,}", float(value))
