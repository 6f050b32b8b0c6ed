"""Draws the figures of a run: learning curves, ROC, calibration and predicted values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kfc.data import evenly
from kfc.reporting.blocks import Figure, number_text, shown
from kfc.reporting.class_numbers import Curve, Reliability
from kfc.reporting.figures import (
    COLORS,
    FAINT,
    INK,
    STYLES,
    add_legend,
    drawing,
    make_logarithmic,
    name_axes,
)
from kfc.spec import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 300
_DOTS = 800
_TOLD_APART = 3
"""Curves that get a colour and a name; others are faint lines behind them."""


def learning_curves(
    metric: str, lines: Mapping[str, Sequence[float]], best: int | None
) -> Figure:
    """Draws a metric over the epochs.

    Args:
        metric: Name of the metric.
        lines: Name of the rows -> one value per epoch.
        best: Number of the best epoch, from 1; None marks none.
    """
    ends = ", ".join(f"{name} {number_text(values[-1])}" for name, values in lines.items())
    alt = f"{metric} over {len(next(iter(lines.values())))} epochs; at the end: {ends}"
    with drawing(metric, alt) as (axes, done):
        for place, (name, values) in enumerate(lines.items()):
            epochs = np.arange(1, len(values) + 1)
            kept = evenly(len(values), _MOST_POINTS)
            style: dict[str, Any] = {"color": COLORS[place % 6], "ls": STYLES[place % 4]}
            if len(values) < 3:
                style["marker"] = "o"
            axes.plot(epochs[kept], np.asarray(values, float)[kept], label=name, **style)
        if best:
            axes.axvline(best, color=FAINT, lw=1, ls=":")
            rises = METRICS.get(metric) == "max"  # the text stands where no curve is
            axes.annotate(
                f"best epoch {best}",
                (best, 0.02 if rises else 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                va="bottom" if rises else "top",
                ha="left" if best < 0.6 * len(values) else "right",
                fontsize=8.5,
            )
        _whole_epochs(axes)
        name_axes(axes, "epoch", metric)
        add_legend(axes)
    return done[0]


def layer_curves(
    quantity: str, epochs: Sequence[int], lines: Mapping[str, Sequence[float]]
) -> Figure:
    """Draws a quantity of each layer over the epochs, on a logarithmic axis.

    Args:
        quantity: Name of the quantity.
        epochs: Numbers of the epochs, from 1.
        lines: Name of a layer -> one value for each of these epochs.
    """
    ends = ", ".join(f"{name} {number_text(values[-1])}" for name, values in lines.items())
    alt = f"{quantity} of each layer, epochs {epochs[0]} to {epochs[-1]}; at the end: {ends}"
    kept = evenly(len(epochs), _MOST_POINTS)
    with drawing(quantity, alt) as (axes, done):
        for place, (name, values) in enumerate(lines.items()):
            drawn = np.asarray(values, float)[kept]
            drawn[~(np.isfinite(drawn) & (drawn > 0))] = np.nan  # a logarithm has no zero
            style: dict[str, Any] = {"color": COLORS[place % 6], "ls": STYLES[place % 4]}
            marker = "o" if len(kept) < 3 else None
            label = shown(name, 24)
            axes.plot(np.asarray(epochs)[kept], drawn, label=label, marker=marker, **style)
        make_logarithmic(axes, "y")
        _whole_epochs(axes, rows=False)
        name_axes(axes, "epoch", quantity)
        add_legend(axes)
    return done[0]


def _whole_epochs(axes: Axes, *, rows: bool = True) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if rows:
        axes.yaxis.set_major_locator(MaxNLocator(5))


def class_curves(
    curves: Sequence[Curve],
    names: Sequence[str],
    *,
    title: str,
    axes_names: tuple[str, str],
    area: str,
    diagonal: bool = False,
) -> Figure:
    """Draws a curve for each class; of many, the three with the smallest areas get a name.

    Args:
        curves: One curve per class, at least one.
        names: Names of all classes.
        title: Title above the drawing.
        axes_names: Names of the horizontal and the vertical axis.
        area: Name of the area.
        diagonal: Whether the diagonal, a model that knows nothing, is drawn.
    """
    worst = sorted(curves, key=lambda curve: curve.area)[:_TOLD_APART]
    facts = ", ".join(f"{names[c.of_class]} {c.area:.4f}" for c in worst)
    few = len(curves) > len(worst)
    alt = f"{title}; {'smallest ' if few else ''}{area}: {facts}"
    with drawing(title, alt) as (axes, done):
        if diagonal:
            axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=":")
        for curve in curves:
            if curve not in worst:
                axes.plot(*_thinned(curve), color=FAINT, lw=0.8, alpha=0.7)
        for place, curve in enumerate(worst):
            label = f"{shown(names[curve.of_class], 18)} ({curve.area:.3f})"
            style: dict[str, Any] = {"color": COLORS[place], "ls": STYLES[place]}
            axes.plot(*_thinned(curve), label=label, **style)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        name_axes(axes, *axes_names)
        add_legend(axes, ncols=1 if max(len(names[c.of_class]) for c in worst) > 9 else 2)
    return done[0]


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    kept = evenly(len(curve.x), _MOST_POINTS)
    return curve.x[kept], curve.y[kept]


def reliability_figure(found: Reliability) -> Figure:
    """Draws the share of right answers by their probability, above a share of the rows."""
    alt = (
        f"share of right answers by probability in {len(found.rows)} bins; expected "
        f"calibration error {found.error:.4f}"
    )
    with drawing("Calibration", alt) as (axes, done):
        share = found.rows / found.rows.sum()
        axes.bar(
            found.probability,
            share,
            width=0.04,
            color=COLORS[1],
            alpha=0.35,
            label="share of rows",
        )
        axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=":")
        axes.plot(
            found.probability,
            found.accuracy,
            "o-",
            color=COLORS[0],
            ms=4,
            label="right answers",
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        name_axes(axes, "probability of the answer", "share")
        add_legend(axes)
    return done[0]


def predicted_against_true(y: np.ndarray, value: np.ndarray, target: str) -> Figure:
    """Draws the predicted values of some rows against the true ones.

    Args:
        y: True values, (rows,).
        value: Predicted values, (rows,).
        target: Name of the target.
    """
    rows = evenly(len(y), _DOTS)
    ends = [min(y[rows].min(), value[rows].min()), max(y[rows].max(), value[rows].max())]
    few = "" if len(rows) == len(y) else f" ({len(rows)} of {len(y):,} rows)"
    alt = f"predicted against true values of {len(rows)} rows, "
    alt += f"from {ends[0]:.4g} to {ends[1]:.4g}"
    with drawing(f"Predicted against true{few}", alt, size=(3.9, 3.1)) as (axes, done):
        axes.plot(ends, ends, color=INK, lw=1, ls=":")
        axes.plot(y[rows], value[rows], "o", color=COLORS[0], ms=3, alpha=0.45, mew=0)
        _few_ticks(axes)
        name_axes(axes, f"true {target}", f"predicted {target}")
    return done[0]


def residual_figure(y: np.ndarray, value: np.ndarray, target: str) -> Figure:
    """Draws how often which error occurs.

    Args:
        y: True values, (rows,).
        value: Predicted values, (rows,).
        target: Name of the target.
    """
    errors = value.astype(np.float64) - y
    low, high = np.quantile(errors, [0.005, 0.995])
    alt = (
        f"histogram of predicted minus true; mean {errors.mean():.4g}, standard deviation "
        f"{errors.std():.4g}, 99 % of rows from {low:.4g} to {high:.4g}"
    )
    with drawing("Residuals", alt, size=(3.9, 3.1)) as (axes, done):
        ends = (low, high) if high > low else (low - 1, high + 1)
        counts, edges = np.histogram(
            errors, bins=min(41, 3 + int(np.sqrt(len(errors)))), range=ends
        )
        axes.stairs(counts, edges, fill=True, color=COLORS[0])
        axes.axvline(0, color=INK, lw=1, ls=":")
        _few_ticks(axes)
        name_axes(axes, f"predicted - true {target}", "rows")
    return done[0]


def _few_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6))
