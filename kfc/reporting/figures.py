"""Draws with matplotlib as inline SVG whose colours follow the page, in dark and in light."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from kfc.reporting.blocks import Figure, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, GRID = "#010101", "#020202", "#030303"
"""Colours of text, of secondary lines and of the grid, which the page replaces."""

COLORS = ("#040404", "#050505", "#060606", "#070707", "#080808", "#090909")
"""Colours of data, after Okabe and Ito's palette, which colour-blind people tell apart."""

STYLES = ("-", "--", "-.", ":")
"""Styles of lines, so that colour alone distinguishes nothing."""

ANCHOR = "figure-id-"
"""Beginning of the ids within a drawing; the page gives each drawing its own."""

_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GRID: "var(--line)",
    **{color: f"var(--c{i})" for i, color in enumerate(COLORS, 1)},
}
_SIZE = (3.9, 2.7)
"""Inches of 72 px: a phone shows the drawing without making its text smaller."""

_WIDE = 4.5
"""Inches beyond which a drawing is alone in its line."""

_STYLE: Any = {  # the names of matplotlib's settings are a type of their own
    "svg.fonttype": "none",  # text stays text, which is small and can be read aloud
    "svg.hashsalt": "kfc",
    "font.size": 9.5,
    "text.parse_math": False,  # a name with two dollars is no formula
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.unicode_minus": False,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "path.simplify_threshold": 0.5,
}


@contextmanager
def drawing(
    title: str, alt: str, *, size: tuple[float, float] = _SIZE
) -> Iterator[tuple[Axes, list[Figure]]]:
    """Gives axes to draw on, and a list that has the finished figure after the block.

    Args:
        title: Title above the drawing.
        alt: Description for someone who does not see it.
        size: Width and height in inches of 72 px.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as MatplotlibFigure

    done: list[Figure] = []
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Names in other scripts: the browser has letters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph ")
        figure = MatplotlibFigure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        yield axes, done
        text = io.StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    done.append(Figure(_inline(text.getvalue(), alt), title, alt, size[0] > _WIDE))


def _inline(text: str, alt: str) -> str:
    """Returns the SVG without a size and a frame of XML, in the colours of the page."""
    from markupsafe import escape

    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([\d. ]+)"', body)
    inner = body[body.index(">") + 1 :]
    # Ids are those of the figure; several figures share a page.
    used = {*re.findall(r'(?:href="#|url\(#)([^")]+)', inner)}
    inner = re.sub(
        r' id="([^"]+)"', lambda m: f' id="{ANCHOR}{m[1]}"' if m[1] in used else "", inner
    )
    inner = re.sub(r'(href="#|url\(#)', rf"\g<1>{ANCHOR}", inner)
    for color, variable in _VARIABLES.items():
        inner = inner.replace(color, variable)
    inner = inner.replace("xlink:href", "href").replace(
        "stroke: #000000", "stroke: var(--ink)"
    )
    inner = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", inner)
    inner = re.sub(r"\n\s*", "\n", inner)
    view = box[1] if box else "0 0 300 200"
    label = escape(shown(alt, 600))
    return f'<svg viewBox="{view}" role="img" aria-label="{label}">{inner}'


def make_logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Makes an axis of a finished drawing logarithmic, with plain numbers.

    Powers of ten as matplotlib writes them are formulas, which a page shows as they are.

    Args:
        axes: Axes of the drawing.
        which: The horizontal or the vertical axis.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axes, f"set_{which}scale")("log")
    low, high = getattr(axes, f"get_{which}lim")()
    # Of less than two powers of ten, also 2 and 5 times a power have a label.
    subs = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(10, subs=subs, numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Names both axes.

    Args:
        axes: Axes.
        x: Quantity and unit of the horizontal axis.
        y: Quantity and unit of the vertical axis.
    """
    axes.set_xlabel(shown(x, 40))
    axes.set_ylabel(shown(y, 40))
    axes.tick_params(length=0)


def add_legend(axes: Axes, **options: Any) -> None:
    """Adds a legend above the axes, where it hides no data."""
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        [shown(name, 28) for name in names],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=options.pop("ncols", 2),
        borderaxespad=0,
        handlelength=1.8,
        columnspacing=1.2,
        **options,
    )


def bars(
    title: str,
    alt: str,
    names: Sequence[str],
    values: Sequence[float],
    *,
    spread: Sequence[float] | None = None,
    unit: str,
) -> Figure:
    """Draws a horizontal bar for each name, the first one at the top.

    Args:
        title: Title above the drawing.
        alt: Description for someone who does not see it.
        names: Names of the bars.
        values: Lengths of the bars.
        spread: Standard deviation of each value.
        unit: Quantity and unit of the lengths.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing(title, alt, size=(_SIZE[0], 0.75 + 0.27 * len(names))) as (axes, done):
        places = range(len(names))
        axes.barh(places, values, height=0.62, color=COLORS[0], xerr=spread, ecolor=INK)
        axes.set_yticks(places, [shown(name, 24) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(visible=False, axis="y")
        name_axes(axes, unit, "")
    return done[0]


def intervals(
    title: str,
    alt: str,
    names: Sequence[str],
    values: Sequence[float],
    *,
    unit: str,
    kind: str,
    lows: Sequence[float] | None = None,
    highs: Sequence[float] | None = None,
    line: float | None = None,
) -> Figure:
    """Draws a dot for each name, with an interval if it has one, the first one at the top.

    Args:
        title: Title above the drawing.
        alt: Description for someone who does not see it.
        names: Names of the dots.
        values: Values of the dots.
        unit: Quantity and unit of the values.
        kind: Kind of the names, such as `fold`.
        lows: Lower ends of the intervals.
        highs: Upper ends.
        line: Value that a vertical line marks, such as the mean.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing(title, alt, size=(_SIZE[0], 0.8 + 0.27 * len(names))) as (axes, done):
        places = range(len(names))
        if lows is not None and highs is not None:
            axes.hlines(places, lows, highs, color=COLORS[0], lw=2)
        if line is not None:
            axes.axvline(line, color=INK, lw=1, ls=":")
        axes.plot(values, places, "o", color=COLORS[0], ms=6)
        axes.set_yticks(places, [shown(name, 24) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(visible=False, axis="y")
        name_axes(axes, unit, kind)
    return done[0]
