"""Updates of weights in NumPy float64, formula by formula, as Keras's optimizers make them.

Weights and gradients are lists in one order, as in `kfc.reference`.
"""

from abc import ABC, abstractmethod
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

    With amsgrad, the largest v so far stands in the place of v: Reddi, Kale and Kumar, "On the
    convergence of Adam and beyond", 2018, https://arxiv.org/abs/1904.09237.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, at the end of section 2,
    https://arxiv.org/abs/1412.6980.
    """

    learning_rate: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    factors: Sequence[float] = _ONES
    amsgrad: bool = False
    t, m, v, largest = 0, _ZEROS, _ZEROS, _ZEROS

    def step(self, weights: Weights, gradients: Weights) -> list[Array]:
        """Returns the weights after one update."""
        b1, b2, self.t = self.beta_1, self.beta_2, self.t + 1
        self.m = [b1 * m + (1 - b1) * g for m, g in zip(self.m, gradients, strict=False)]
        self.v = [b2 * v + (1 - b2) * g**2 for v, g in zip(self.v, gradients, strict=False)]
        if self.amsgrad:
            before = zip(self.largest, self.v, strict=False)
            self.largest = [np.maximum(old, v) for old, v in before]
        rate = self.learning_rate * np.sqrt(1 - b2**self.t) / (1 - b1**self.t)
        roots = self.largest if self.amsgrad else self.v
        parts = zip(weights, self.m, roots, self.factors, strict=False)
        return [w - rate * f * m / (np.sqrt(v) + self.epsilon) for w, m, v, f in parts]


@dataclass
class Adaptive(ABC):
    """Base class of rules that update each weight from its gradient and a state of its own.

    Args:
        learning_rate: Learning rate; it may be changed between two steps.
        factors: Factors of the rate, by weight.
    """

    learning_rate: float
    factors: Sequence[float] = field(default=_ONES, kw_only=True)
    t = 0

    def step(self, weights: Weights, gradients: Weights) -> list[Array]:
        """Returns the weights after one update."""
        if not self.t:
            self._states = [self.start(w) for w in weights]
        self.t += 1
        parts = zip(weights, gradients, self._states, self.factors, strict=False)
        found = [self.move(w, g, s, self.learning_rate * f) for w, g, s, f in parts]
        self._states = [state for _, state in found]
        return [w for w, _ in found]

    def start(self, w: Array) -> tuple[Array, ...]:
        """Returns the first state of a weight."""
        return np.zeros_like(w), np.zeros_like(w)

    @abstractmethod
    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state.

        Args:
            w: Weight.
            g: Gradient.
            state: State before the update.
            rate: Learning rate of this weight.
        """


@dataclass
class RMSprop(Adaptive):
    """Divides gradients by the root of their mean square.

        v <- rho v + (1 - rho) g^2     u <- momentum u + rate g / sqrt(v + epsilon)
        w <- w - u

    The centered form subtracts the square of the mean gradient from v. Tieleman and Hinton,
    "Lecture 6.5: RMSProp", 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/
    lecture_slides_lec6.pdf.
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def start(self, w: Array) -> tuple[Array, ...]:
        """Returns v, u and the mean gradient, all 0."""
        return np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        v, u, mean = state
        v = self.rho * v + (1 - self.rho) * g**2
        mean = self.rho * mean + (1 - self.rho) * g if self.centered else mean
        u = self.momentum * u + rate * g / np.sqrt(v - mean**2 + self.epsilon)
        return w - u, (v, u, mean)


@dataclass
class Adagrad(Adaptive):
    """Divides gradients by the root of the sum of their squares.

        v <- v + g^2     w <- w - rate g / sqrt(v + epsilon)

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, https://jmlr.org/papers/v12/duchi11a.html.
    """

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def start(self, w: Array) -> tuple[Array, ...]:
        """Returns v, the initial value of the accumulator."""
        return (np.full_like(w, self.initial_accumulator_value),)

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        v = state[0] + g**2
        return w - rate * g / np.sqrt(v + self.epsilon), (v,)


@dataclass
class Adadelta(Adaptive):
    """Divides gradients by their size, and multiplies them by that of earlier updates.

        v <- rho v + (1 - rho) g^2     d = sqrt(u + epsilon) / sqrt(v + epsilon) g
        u <- rho u + (1 - rho) d^2     w <- w - rate d

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012,
    https://arxiv.org/abs/1212.5701.
    """

    rho: float = 0.95
    epsilon: float = 1e-7

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        v, u = state
        v = self.rho * v + (1 - self.rho) * g**2
        d = np.sqrt(u + self.epsilon) / np.sqrt(v + self.epsilon) * g
        return w - rate * d, (v, self.rho * u + (1 - self.rho) * d**2)


@dataclass
class Adamax(Adaptive):
    """Adam with the largest gradient of late in the place of the root of their squares.

        m <- b1 m + (1 - b1) g     u <- max(b2 u, |g|)
        w <- w - rate / (1 - b1^t) m / (u + epsilon)

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7.1,
    https://arxiv.org/abs/1412.6980.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        m, u = state
        m = self.beta_1 * m + (1 - self.beta_1) * g
        u = np.maximum(self.beta_2 * u, np.abs(g))
        return w - rate / (1 - self.beta_1**self.t) * m / (u + self.epsilon), (m, u)


@dataclass
class Nadam(Adaptive):
    """Adam whose momentum looks ahead.

        c_t = b1 (1 - 0.96^t / 2)     C_t = c_1 ... c_t
        n = c_(t+1) m / (1 - C_(t+1)) + (1 - c_t) g / (1 - C_t)
        w <- w - rate n / (sqrt(v / (1 - b2^t)) + epsilon)

    with m and v of Adam. Dozat, "Incorporating Nesterov momentum into Adam", 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    _product: float = field(default=1.0, init=False)

    def step(self, weights: Weights, gradients: Weights) -> list[Array]:
        """Returns the weights after one update."""
        self._product *= self._factor(self.t + 1)  # of the momentum so far
        return super().step(weights, gradients)

    def _factor(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        m = self.beta_1 * state[0] + (1 - self.beta_1) * g
        v = self.beta_2 * state[1] + (1 - self.beta_2) * g**2
        now, after = self._factor(self.t), self._factor(self.t + 1)
        ahead = after * m / (1 - self._product * after) + (1 - now) * g / (1 - self._product)
        root = np.sqrt(v / (1 - self.beta_2**self.t))
        return w - rate * ahead / (root + self.epsilon), (m, v)


@dataclass
class Lion(Adaptive):
    """Steps of equal size, in the direction of the sign of the momentum.

        w <- w - rate sign(b1 m + (1 - b1) g)     m <- b2 m + (1 - b2) g

    Chen et al., "Symbolic discovery of optimization algorithms", 2023,
    https://arxiv.org/abs/2302.06675.
    """

    beta_1: float = 0.9
    beta_2: float = 0.99

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        m = state[0]
        direction = np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        m = self.beta_2 * m + (1 - self.beta_2) * g
        return w - rate * direction, (m, m)


@dataclass
class Ftrl(Adaptive):
    """Follows the regularized leader; the first step shrinks the initial weights.

        n' = n + g^2     p = -learning_rate_power
        z <- z + g + 2 shrinkage w - (n'^p - n^p) w / rate
        w <- (clip(z, -l1, l1) - z) / (n'^p / rate + 2 l2 + beta / rate)     n <- n'

    McMahan et al., "Ad click prediction: a view from the trenches", 2013,
    https://doi.org/10.1145/2487575.2488200.
    """

    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    def start(self, w: Array) -> tuple[Array, ...]:
        """Returns n and z."""
        return np.full_like(w, self.initial_accumulator_value), np.zeros_like(w)

    def move(
        self, w: Array, g: Array, state: tuple[Array, ...], rate: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Returns a weight after an update, and its state."""
        n, z = state
        power, l1 = -self.learning_rate_power, self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2 * rate)
        later = n + g**2
        pull = g + 2 * self.l2_shrinkage_regularization_strength * w
        z = z + pull - (later**power - n**power) / rate * w
        quadratic = later**power / rate + 2 * l2
        return (np.clip(z, -l1, l1) - z) / quadratic, (later, z)


UPDATES: dict[str, Callable[..., Any]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
"""The simplest rules, by name."""

ADAPTIVE: dict[str, type[Adaptive]] = {
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adamax": Adamax,
    "nadam": Nadam,
    "lion": Lion,
    "ftrl": Ftrl,
}
"""The other rules, by the name of Keras's optimizer."""
