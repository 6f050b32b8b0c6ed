"""Mean-field formulas: how signals and gradients grow from layer to layer of wide networks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kfc import reference
from kfc.explaining.initial_weights import kernel_variance
from kfc.spec import HiddenSpec

Array = np.ndarray

_POINTS = 96  # of the quadrature: right to 1e-3 at the corner of relu


class LayerTheory(NamedTuple):
    """Predictions for one layer of infinitely many units.

    Args:
        signal: Root mean square of the layer's outputs.
        gain: Signal by that of its inputs.
        gradient_gain: Factor of the root mean square of gradients on their way back.
    """

    signal: float
    gain: float
    gradient_gain: float


def expected_layer(
    hidden: HiddenSpec, activation: reference.Activation, signal: float, inputs: int
) -> LayerTheory | None:
    """Returns the predictions for a layer; None for weights that are not random.

        q = inputs V s^2                       variance before the activation f
        gain^2 = E f(sqrt(q) z)^2 / s^2        z standard normal
        gradient_gain^2 = units V E f'(sqrt(q) z)^2

    V is the variance of the kernel, s the root mean square of the inputs. A normalization
    makes q 1. Signals keep their size at gain 1, and gradients at gradient gain 1: Poole et
    al., "Exponential expressivity in deep neural networks through transient chaos", 2016,
    https://arxiv.org/abs/1606.05340; Schoenholz et al., "Deep information propagation", 2017,
    https://arxiv.org/abs/1611.01232. For relu and V = 2 / inputs the gain is 1: He et al.,
    2015, https://arxiv.org/abs/1502.01852. For V = 2 / (inputs + units) both products are near
    1 in a linear network: Glorot and Bengio, 2010,
    https://proceedings.mlr.press/v9/glorot10a.html.

    Args:
        hidden: Options of the layer, with defaults filled in.
        activation: Its activation.
        signal: Root mean square s of the inputs.
        inputs: Number of inputs.
    """
    if hidden.init is None:
        return None
    variance = kernel_variance(hidden.init, (inputs, hidden.units))
    if variance is None or not signal:
        return None
    q = inputs * variance * signal**2
    slope = hidden.units * variance
    if hidden.normalization != "none":
        slope, q = slope / q, 1.0
    points, weights = np.polynomial.hermite_e.hermegauss(_POINTS)
    weights = weights / math.sqrt(2 * math.pi)
    z = math.sqrt(q) * points
    with np.errstate(all="ignore"):
        square = float(weights @ activation.forward(z) ** 2)
        slopes = float(weights @ activation.backward(z, np.ones_like(z)) ** 2)
    return LayerTheory(
        math.sqrt(square), math.sqrt(square) / signal, math.sqrt(slope * slopes)
    )
