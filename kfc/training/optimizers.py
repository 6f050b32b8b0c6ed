"""Builds the optimizer of a spec, with its schedules and factors."""

from __future__ import annotations

from typing import Any

import keras

from kfc.errors import Finding, SpecError
from kfc.registry import OPTIMIZERS, keras_class
from kfc.spec import OptimizerSpec
from kfc.training.factored_updates import with_rate_factors
from kfc.training.schedules import build_schedule, over_training


@keras.saving.register_keras_serializable("kfc")
class TapeSGD(keras.optimizers.Optimizer):
    """Gradient descent as everyone first writes it by hand: `w.assign_sub(lr * g)`.

    For each weight `w` with gradient `g`:

        w <- w - learning_rate * g

    Being a Keras optimizer it is saved, compiled, clipped, scheduled and replicated like
    any other.

    Args:
        learning_rate: Step size per update, above 0, or a schedule.
        **kwargs: The base class's options, such as `clipnorm`.
    """

    def __init__(self, learning_rate: Any = 0.01, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight against its gradient."""
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * keras.ops.cast(gradient, variable.dtype))


def build_optimizer(
    optimizer: OptimizerSpec, *, steps_per_epoch: int, epochs: int
) -> keras.optimizers.Optimizer:
    """Builds the optimizer a spec names, with its schedules in steps.

    Args:
        optimizer: Name and options from the spec.
        steps_per_epoch: Batches per epoch, the short last one included.
        epochs: Number of epochs of the training, to whose end some schedules last.

    Raises:
        SpecError: If the optimizer refuses its options.
        PluginError: If a plug-in's optimizer cannot be imported or is none.
    """
    options = optimizer.options
    if schedule := optimizer.schedule():
        options["learning_rate"] = build_schedule(
            schedule, steps_per_epoch=steps_per_epoch, epochs=epochs
        )
    decay = optimizer.decay_schedule()
    if decay:
        waves = decay.model_dump()  # the name and, of coslog, the number of cycles
        options["weight_decay"] = over_training(
            waves.pop("name"),
            waves.pop("initial_weight_decay"),
            steps_per_epoch * epochs,
            **waves,
        )
    where = "training.optimizer"
    if optimizer.name in OPTIMIZERS.names():
        kind = OPTIMIZERS.get(optimizer.name, f"{where}.name")
    else:
        kind = keras_class(keras.optimizers, optimizer.name)
        # Keras would number the optimizers, and TensorFlow makes kernels for each new name.
        options["name"] = optimizer.name
    given = [options.pop(option, None) for option in OptimizerSpec.added]
    if decay or any(given):
        kind = with_rate_factors(kind, optimizer.rate_factors(), optimizer.decay_factors())
    with OPTIMIZERS.guard(optimizer.name, where):
        try:
            built = kind(**options)
        except (TypeError, ValueError) as error:
            taken = f"options that {optimizer.name!r} takes"
            raise SpecError(Finding(where, taken, str(error), "Fix the options.")) from error
    OPTIMIZERS.require(built, keras.optimizers.Optimizer, optimizer.name)
    return built
