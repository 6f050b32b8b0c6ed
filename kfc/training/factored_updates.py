"""Optimizers whose learning rate and weight decay have factors by the kind of a variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kfc.compat import is_decayed, optimized_variable, step_counter
from kfc.spec import DecayFactorsSpec, RateFactorsSpec
from kfc.training.variable_kinds import fan_in, kind_of


def with_rate_factors(
    kind: type[keras.optimizers.Optimizer], rates: RateFactorsSpec, decays: DecayFactorsSpec
) -> type[keras.optimizers.Optimizer]:
    """Returns a subclass of an optimizer that multiplies its learning rate and its decay.

    For a variable `w` with gradient `g`, rate factor `f` and decay factor `d`, a step is

        w <- w (1 - rate * weight_decay * d)
        w <- w + update(g, rate * f)

    where `update` is the rule of `kind`. The decay is decoupled (Loshchilov and Hutter,
    "Decoupled weight decay regularization", 2019, https://arxiv.org/abs/1711.05101) and uses
    the rate without its factor.

    Args:
        kind: Class of a Keras optimizer.
        rates: Factors of the learning rate; `fan_in` is `1 / sqrt(inputs)`.
        decays: Factors of the weight decay.
    """

    class Factored(kind):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            # Keras's own variables have paths, those of TensorFlow only an index.
            original = optimized_variable(self, variable)
            factor = getattr(rates, kind_of(original))
            if factor == "fan_in":
                factor = keras.ops.rsqrt(fan_in(original))
            rate = keras.ops.cast(learning_rate, "float32") * factor
            super().update_step(gradient, variable, rate)

        def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
            decay = self.weight_decay
            if decay is None:
                return
            if callable(decay):
                decay = decay(step_counter(self))
            shrinkage = keras.ops.cast(self.learning_rate, "float32") * decay
            for variable in variables:
                factor = getattr(decays, kind_of(variable))
                if factor and is_decayed(self, variable):
                    variable.assign(variable * (1.0 - shrinkage * factor))

    Factored.__name__ = Factored.__qualname__ = kind.__name__
    return Factored
