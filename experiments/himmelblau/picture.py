"""Paths over Himmelblau's function -> its surface with one of them, contours with several."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from descent import MINIMA, himmelblau, report

# Name -> legend, colour (Okabe and Ito's, told apart by colour-blind readers too), marker.
COMPARED = {
    "tape_sgd": ("tape_sgd, rate 0.01", "#000000", "o"),
    "momentum": ("sgd, momentum 0.9, rate 0.01", "#E69F00", "s"),
    "nesterov": ("sgd, Nesterov 0.9, rate 0.01", "#009E73", "^"),
    "adam": ("adam, rate 0.01", "#0072B2", "D"),
    "adam_cosine": ("adam, cosine from 0.1", "#56B4E9", "v"),
    "rmsprop": ("rmsprop, rate 0.01", "#CC79A7", "P"),
    "adagrad": ("adagrad, rate 0.01", "#D55E00", "X"),
}
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
SIDE = np.linspace(-5.5, 5.5, 221)


def draw(paths, folder):
    """Writes `surface.png` and `contours.png`.

    Args:
        paths: Optimizer -> its path, (steps + 1, 2), all from the same start.
        folder: Where to write.
    """
    draw_surface(paths["tape_sgd"], folder / "surface.png")
    draw_contours(paths, folder / "contours.png")


def draw_surface(path, file):
    """Draws the surface as a logarithm, in which the four minima show, with a path on it."""
    figure = plt.figure(figsize=(8, 6.2))
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    x, y = np.meshgrid(SIDE, SIDE)
    options = {"cmap": "cividis", "rstride": 4, "cstride": 4, "linewidth": 0.1}
    axes.plot_surface(x, y, _log(x, y), edgecolor="white", alpha=0.85, **options)
    heights = _log(*path.T) + 0.05  # just above, so that it is not hidden by its own ground
    axes.plot(*path.T, heights, "o-", color="#D55E00", markersize=3, linewidth=1.5, zorder=5)
    text = {"ha": "center", "va": "center", "zorder": 6, "bbox": BEHIND}
    axes.text(-4.1, -0.9, heights[0] + 0.2, "start (-4, 0)", **(text | {"ha": "right"}))
    for name, (a, b) in MINIMA.items():
        axes.text(a + 0.9, b, 1.9, name, fontweight="bold", **text)
    axes.set(xlabel="x", ylabel="y", zlabel="log10(1 + f(x, y))")
    axes.set_title(f"{len(path) - 1} steps of tape_sgd, rate 0.01, on Himmelblau's function")
    axes.view_init(elev=58, azim=-105)
    _save(figure, file)


def draw_contours(paths, file):
    """Draws the contours with a path for each optimizer of `COMPARED` that is there."""
    figure, axes = plt.subplots(figsize=(8.4, 6.6))
    x, y = np.meshgrid(SIDE, SIDE)
    levels = (2, 10, 25, 50, 100, 150, 200, 300, 500, 800)
    lines = axes.contour(x, y, himmelblau(x, y), levels, colors="0.75", linewidths=0.8)
    axes.clabel(lines, fontsize=7, colors="0.45")
    for name in (name for name in COMPARED if name in paths):
        label, color, marker = COMPARED[name]
        path, minimum = paths[name], report(paths[name])["minimum"]
        label += f": {minimum}" if minimum else ": on its way"
        end = {
            "marker": marker,
            "markersize": 9,
            "markeredgecolor": "white",
            "markevery": [-1],
        }
        axes.plot(*path.T, color=color, linewidth=1.6, label=label, **end)
    start = paths["tape_sgd"][0]
    axes.plot(*start, "k*", markersize=13)
    text = {"textcoords": "offset points", "ha": "center", "bbox": BEHIND}
    axes.annotate("start (-4, 0)", start, (-8, 12), **text)
    for name, place in MINIMA.items():
        axes.annotate(name, place, (22, -16), fontweight="bold", **text)
    steps = len(paths["tape_sgd"]) - 1
    axes.set(xlabel="x", ylabel="y", aspect="equal")
    axes.set_title(f"Where {steps} steps from (-4, 0) lead on Himmelblau's function")
    axes.legend(title="end of the path", loc="center left", bbox_to_anchor=(1.01, 0.5))
    _save(figure, file)


def _log(x, y):
    return np.log10(1 + himmelblau(x, y))


def _save(figure, file):
    # Without the version of matplotlib equal paths give equal bytes.
    figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
