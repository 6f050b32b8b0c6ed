"""Turns a drawing of a page into a file of its own."""

from __future__ import annotations

import re

from kfc.reporting.blocks import Figure

_LIGHT = {
    "--ink": "#1b1f24",
    "--faint": "#5b6470",
    "--line": "#d9dee4",
    "--c1": "#0072b2",
    "--c2": "#d55e00",
    "--c3": "#009e73",
    "--c4": "#b0548a",
    "--c5": "#8f6b00",
    "--c6": "#3f7fa6",
}
"""Colours of a page in light, as in `page.css`."""


def standalone_svg(figure: Figure) -> str:
    """Returns the SVG of a drawing in light colours, on white, as the text of a file.

    Args:
        figure: Drawing of `kfc.reporting.figures`.
    """
    svg = re.sub(r"var\((--\w+)\)", lambda m: _LIGHT[m[1]], figure.svg)
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    width, height = (box[1], box[2]) if box else ("300", "200")
    space = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"'
    opened = svg.replace("<svg ", f'<svg {space} width="{width}" height="{height}" ', 1)
    return opened.replace(">", '><rect width="100%" height="100%" fill="white"/>', 1) + "\n"
