"""Updates of weights in NumPy float64, formula by formula, as Keras's optimizers make them.

Weights and gradients are lists in one order, as in `kfc.reference`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from kfc.reference import Array, Weights

_ZEROS: Any = repeat(0.0)  # the first v and m
_ONES: Any = repeat(1.0)  # factors of the rate, by weight


def decay(weights: Weights, shrinkages: Sequence[float]) -> list[Array]:
    """Returns the weights after a decoupled decay, w <- w (1 - shrinkage), before an update.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019,
    https://arxiv.org/abs/1711.05101.
    """
    return [w * (1 - s) for w, s in zip(weights, shrinkages, strict=True)]


def clip(
    gradients: Weights,
    *,
    clipnorm: float | None = None,
    global_clipnorm: float | None = None,
    clipvalue: float | None = None,
) -> list[Array]:
    """Returns the gradients before an update, made smaller where they are too large.

        g <- g c / max(norm of g, c)             clipnorm c, for each weight
        g <- g c / max(norm of all g, c)         global_clipnorm c, for all weights together
        g <- min(max(g, -c), c)                  clipvalue c, for each number

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks",
    2013, section 3.2, https://arxiv.org/abs/1211.5063.
    """
    if clipvalue is not None:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    norms = [float(np.linalg.norm(g)) for g in gradients]
    if global_clipnorm is not None:
        norms, clipnorm = [float(np.linalg.norm(norms))] * len(norms), global_clipnorm
    if clipnorm is None:
        return [*gradients]
    factors = [clipnorm / max(norm, clipnorm) for norm in norms]
    return [g * factor for g, factor in zip(gradients, factors, strict=True)]


@dataclass
class Momentum:
    """Descent with a velocity: v <- momentum v - rate g, w <- w + v.

    Nesterov's variant looks ahead, w <- w + momentum v - rate g: Sutskever et al., "On the
    importance of initialization and momentum in deep learning", 2013,
    https://proceedings.mlr.press/v28/sutskever13.html.
    """

    learning_rate: float
    momentum: float
    nesterov: bool = False
    factors: Sequence[float] = _ONES
    v = _ZEROS

    def step(self, weights: Weights, gradients: Weights) -> list[Array]:
        """Returns the weights after one update."""
        factors = zip(self.factors, gradients, strict=False)
        moves = [-self.learning_rate * factor * g for factor, g in factors]
        self.v = [self.momentum * v + move for v, move in zip(self.v, moves, strict=False)]
        ahead = zip(self.v, moves, strict=True)
        moves = [self.momentum * v + move for v, move in ahead] if self.nesterov else self.v
        return [w + move for w, move in zip(weights, moves, strict=True)]


@dataclass
class SGD(Momentum):
    """Gradient descent without a velocity: w <- w - rate g."""

    momentum: float = field(default=0.0, init=False)
    nesterov: bool = field(default=False, init=False)


@dataclass
class Adam:
    """Adam: the size of a step depends on the rate, not on the size of the gradients.

        m <- b1 m + (1 - b1) g     v <- b2 v + (1 - b2) g^2      t <- t + 1
        w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, at the end of section 2,
    https://arxiv.org/abs/1412.6980.
    """

    learning_rate: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    factors: Sequence[float] = _ONES
    t, m, v = 0, _ZEROS, _ZEROS

    def step(self, weights: Weights, gradients: Weights) -> list[Array]:
        """Returns the weights after one update."""
        b1, b2, self.t = self.beta_1, self.beta_2, self.t + 1
        self.m = [b1 * m + (1 - b1) * g for m, g in zip(self.m, gradients, strict=False)]
        self.v = [b2 * v + (1 - b2) * g**2 for v, g in zip(self.v, gradients, strict=False)]
        rate = self.learning_rate * np.sqrt(1 - b2**self.t) / (1 - b1**self.t)
        parts = zip(weights, self.m, self.v, self.factors, strict=False)
        return [w - rate * f * m / (np.sqrt(v) + self.epsilon) for w, m, v, f in parts]


UPDATES: dict[str, Callable[..., Any]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
