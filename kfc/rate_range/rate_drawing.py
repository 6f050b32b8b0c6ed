"""Draws the result of a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kfc.reporting import (
    COLORS,
    drawing,
    make_logarithmic,
    name_axes,
    standalone_svg,
)
from kfc.system import atomic

if TYPE_CHECKING:
    from kfc.rate_range.range_test import RateRange


def write_picture(found: RateRange, path: Path) -> Path:
    """Writes the loss against the rate as SVG, and returns the path of the file.

    Args:
        found: Result of a test.
        path: File to write; an older one is replaced.

    Raises:
        DiskError: If the file cannot be written.
    """
    atomic.write_file(path, rate_picture(found))
    return path


def rate_picture(found: RateRange) -> str:
    """Returns the picture of a test as the text of an SVG file.

    Args:
        found: Result of a test.
    """
    losses = np.where(np.isfinite(found.losses), found.losses, np.nan)
    top = 1.1 * np.nanmax(found.smoothed[np.isfinite(found.smoothed)])
    alt = f"loss of {len(losses)} steps against a growing learning rate. {found.sentence()}"
    title = f"Learning-rate range test of {found.spec}"
    with drawing(title, alt, size=(5.4, 3.2)) as (axes, done):
        axes.plot(found.rates, losses, ".", color=COLORS[0], ms=3, alpha=0.5)
        axes.plot(found.rates, found.smoothed, color=COLORS[0])
        if found.fell:
            axes.axvline(found.suggested, color=COLORS[1], lw=1.8)
            label = f" suggested {found.suggested:g}"
            axes.text(found.suggested, 0.98 * top, label, va="top")
        if found.configured is not None:
            axes.axvline(found.configured, color=COLORS[2], lw=1.4, ls="--")
            label = f" spec {found.configured:g} "
            left = found.configured < found.suggested  # of the other line and its text
            side = "right" if left else "left"
            axes.text(found.configured, 0.9 * top, label, va="top", ha=side)
        make_logarithmic(axes, "x")
        axes.set_ylim(0, top)
        name_axes(axes, "learning rate", "loss")
    return standalone_svg(done[0])
