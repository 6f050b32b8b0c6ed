"""Functions and their slopes -> one picture."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kfc.reference import ACTIVATIONS, LOSSES

X = np.linspace(-4, 4, 401)
_BLUE, _ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito's, safe to tell apart


def curves():
    """Yields a title, the values over X and the slopes over X."""
    for name in ("sigmoid", "tanh", "relu", "leaky_relu"):
        forward, backward = ACTIVATIONS[name]
        yield name.replace("_", " "), forward(X), backward(X, np.ones_like(X))
    pairs = [LOSSES["mse"](np.array([[x]]), np.zeros((1, 1))) for x in X]
    yield "squared error of x, target 0", *np.array([(e, g[0, 0]) for e, g in pairs]).T
    pairs = [LOSSES["cross_entropy"](np.array([[x, 0]]), np.zeros(1, int)) for x in X]
    yield "cross-entropy of logits (x, 0)", *np.array([(e, g[0, 0]) for e, g in pairs]).T


def draw(path):
    """Writes one panel for each function."""
    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, sharex=True)
    for panel, (title, values, slopes) in zip(panels.flat, curves(), strict=True):
        panel.plot(X, values, color=_BLUE, linewidth=2, label="value")
        panel.plot(X, slopes, color=_ORANGE, linewidth=2, linestyle="--", label="slope")
        panel.set_title(title, fontsize=10)
        panel.set_ylim(-1.6, 4.2)
        panel.grid(color="#dddddd", linewidth=0.6)
    for panel in panels[1]:
        panel.set_xlabel("x")
    panels[0, 0].legend(loc="upper left", frameon=False)
    figure.savefig(path)
