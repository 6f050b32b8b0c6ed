"""Turns a drawing of a page into a file of its own."""

from __future__ import annotations

import re
from importlib import resources

from kfc.reporting.blocks import Figure


def standalone_svg(figure: Figure) -> str:
    """Returns the SVG of a drawing in light colours, on white, as the text of a file.

    Args:
        figure: Drawing of `kfc.reporting.figures`.
    """
    css = resources.files("kfc.reporting").joinpath("page.css").read_text("utf-8")
    light = css[: css.index("@media")]  # the dark colours come behind
    colors = dict(re.findall(r"(--\w+): (#[0-9a-f]{6})", light))
    svg = re.sub(r"var\((--\w+)\)", lambda m: colors[m[1]], figure.svg)
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    width, height = (box[1], box[2]) if box else ("300", "200")
    space = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"'
    opened = svg.replace("<svg ", f'<svg {space} width="{width}" height="{height}" ', 1)
    return opened.replace(">", '><rect width="100%" height="100%" fill="white"/>', 1) + "\n"
