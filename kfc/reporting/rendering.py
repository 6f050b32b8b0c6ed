"""Renders sections as one HTML file that needs no network; jinja2 escapes every text."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kfc.reporting.blocks import Figure, Section, shown
from kfc.reporting.figures import ANCHOR

_HERE = Path(__file__).parent


def page_html(title: str, kind: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Returns a page.

    Its only script sorts tables. A content security policy lets the browser run this script
    alone, by its hash, so that no text from data or specs could run even if it were not
    escaped.

    Args:
        title: Title of the page.
        kind: Kind of the result, such as `run`.
        subtitle: Line below the title; may be empty.
        sections: Sections, in their order.
    """
    import jinja2
    from markupsafe import Markup

    script = (_HERE / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    numbers = itertools.count(1)

    def inline(svg: str) -> Markup:
        # Drawings are made by `figures`, whose texts matplotlib has escaped.
        return Markup(svg.replace(ANCHOR, f"f{next(numbers)}-"))

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = environment.from_string((_HERE / "page.html.jinja").read_text("utf-8"))
    html = template.render(
        title=shown(title),
        kind=shown(kind),
        subtitle=shown(subtitle, 400),
        sections=sections,
        grouped=_grouped,
        inline=inline,
        kind_of=lambda block: type(block).__name__,
        style=Markup((_HERE / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        version=_version(),
    )
    # A lone surrogate, as in the name of a file, has no form in UTF-8.
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def _grouped(blocks: Sequence[Any]) -> Iterator[list[Any]]:
    """Yields blocks one by one, and figures that follow each other together."""
    for are_figures, group in itertools.groupby(
        blocks, lambda b: isinstance(b, Figure) and not b.wide
    ):
        found = list(group)
        if are_figures:
            yield found
        else:
            yield from ([each] for each in found)


def _version() -> str:
    from importlib.metadata import version

    return version("keras-fully-connected")
