"""Draws the trials of a search: all of them at once, and by each hyperparameter."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from kfc.reporting.blocks import Figure, shown
from kfc.reporting.figures import COLORS, FAINT, INK, drawing, make_logarithmic, name_axes
from kfc.tuning import Trial, objective_direction, short_value

_AXES = 8


def _numbers(values: Sequence[Any]) -> tuple[np.ndarray, list[str], bool]:
    """Returns a number for each value, the names of categories, and whether steps are factors.

    Values that are not all numbers are categories, numbered in the order of their text.
    """
    if all(isinstance(each, Real) and not isinstance(each, bool) for each in values):
        found = np.array(values, float)
        factors = bool(found.min() > 0 and found.max() / found.min() >= 50)
        return found, [], factors
    texts = [shown(short_value(each), 14) if each is not None else "" for each in values]
    order = sorted(set(texts))
    return np.array([order.index(text) for text in texts], float), order, False


def short_point_name(name: str) -> str:
    """Returns the last part of the name of a hyperparameter, such as `learning_rate`."""
    return name.rpartition(".")[2]


def value_against_score(trials: Sequence[Trial], name: str, objective: str) -> Figure:
    """Draws the score of each trial against its value of one hyperparameter.

    Args:
        trials: Trials with a score.
        name: Name of the hyperparameter; trials without it are left out.
        objective: Metric of the validation rows.
    """
    chosen = [trial for trial in trials if name in trial.point]
    values, names, factors = _numbers([trial.point[name] for trial in chosen])
    name = short_point_name(name)
    scores = np.array([trial.score for trial in chosen])
    alt = f"{objective} of {len(chosen)} trials against {name}"
    with drawing(shown(name, 40), alt, size=(3.6, 2.4)) as (axes, done):
        axes.plot(values, scores, "o", color=COLORS[0], ms=5, alpha=0.75, mew=0)
        best = int(np.argmax(scores * _sign(objective)))
        axes.plot(values[best], scores[best], "D", color=COLORS[1], ms=7, mec=INK, mew=0.8)
        if names:
            axes.set_xticks(range(len(names)), names, rotation=20 if len(names) > 3 else 0)
            axes.set_xlim(-0.5, len(names) - 0.5)
        _few_ticks(axes, values, by_category=bool(names), by_factor=factors)
        name_axes(axes, name, objective)
    return done[0]


def parallel_coordinates(
    trials: Sequence[Trial], names: Sequence[str], objective: str
) -> Figure:
    """Draws a line for each trial through its values and its score, the best tenth strong.

    Args:
        trials: Trials with a score.
        names: Hyperparameters; those that some trial lacks are left out.
        objective: Metric of the validation rows.
    """
    common = [name for name in names if all(name in trial.point for trial in trials)][:_AXES]
    columns, ends = [], []
    for name in common:
        values, texts, factors = _numbers([trial.point[name] for trial in trials])
        columns.append(_unit(np.log(values) if factors else values))
        low, high = (
            (texts[0], texts[-1]) if texts else (f"{values.min():.3g}", f"{values.max():.3g}")
        )
        ends.append((low, high))
    scores = np.array([trial.score for trial in trials])
    columns.append(_unit(scores))
    ends.append((f"{scores.min():.4g}", f"{scores.max():.4g}"))
    order = np.argsort(scores * _sign(objective))
    strong = set(order[-max(1, len(order) // 10) :].tolist())
    lines = np.array(columns)  # (axes, trials)
    width = 3.9 if len(columns) < 5 else 1.15 * len(columns)
    alt = f"one line for each of {len(trials)} trials through its values and its {objective}"
    with drawing("Parallel coordinates", alt, size=(width, 3.0)) as (axes, done):
        for place in order:
            best = int(place) in strong
            style: dict[str, Any] = {"color": COLORS[1] if best else COLORS[0]}
            style |= {"lw": 2.0 if best else 0.9, "alpha": 1.0 if best else 0.35}
            axes.plot(range(len(columns)), lines[:, place], **style)
        for place, (low, high) in enumerate(ends):
            axes.axvline(place, color=FAINT, lw=1)
            axes.text(place, -0.06, low, ha="center", va="top", fontsize=8)
            axes.text(place, 1.04, high, ha="center", va="bottom", fontsize=8)
        labels = [shown(short_point_name(name), 16) for name in common] + [
            shown(objective, 16)
        ]
        slanted: dict[str, Any] = {"rotation": 20, "ha": "right"} if len(labels) > 4 else {}
        axes.set_xticks(range(len(labels)), labels, **slanted)
        axes.set_yticks([])
        axes.set(ylim=(-0.2, 1.16), xlim=(-0.35, len(labels) - 0.65))
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    return done[0]


def _unit(values: np.ndarray) -> np.ndarray:
    width = values.max() - values.min()
    return (values - values.min()) / width if width else np.full(len(values), 0.5)


def _sign(objective: str) -> int:
    return 1 if objective_direction(objective) == "max" else -1


def _few_ticks(axes: Any, values: np.ndarray, *, by_category: bool, by_factor: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5))
    if by_factor:
        make_logarithmic(axes, "x")
    elif not by_category:
        whole = bool((values == np.round(values)).all())
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole))
