"""Builds the optimizer of a spec and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import keras

from kfc.errors import Finding, SpecError
from kfc.registry import OPTIMIZERS, keras_class
from kfc.spec import (
    ConstantSpec,
    CosineSpec,
    ExponentialSpec,
    OptimizerSpec,
    ScheduleSpec,
    StepSpec,
)


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


@keras.saving.register_keras_serializable("kfc")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0, then another schedule.

        rate(step) = min(1, (step + 1) / warmup_steps) * after(max(0, step - begin))

    Steps count from 0, and the first one already moves the weights.

    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017,
    https://arxiv.org/abs/1706.02677, section 2.2.

    Args:
        after: Schedule that the rise leads to.
        warmup_steps: Number of steps of the rise, at least 1.
        begin: Step from which `after` counts: by default the end of the rise.
    """

    def __init__(self, after: Any, warmup_steps: int, begin: int | None = None) -> None:
        self.after, self.warmup_steps = after, warmup_steps
        self.begin = warmup_steps if begin is None else begin

    def __call__(self, step: Any) -> Any:
        """Returns the rate at `step`, counted from 0."""
        step = keras.ops.cast(step, "float32")
        rise = keras.ops.minimum(1.0, (step + 1.0) / self.warmup_steps)
        return rise * self.after(keras.ops.maximum(0.0, step - self.begin))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make an equal one."""
        after = keras.optimizers.schedules.serialize(self.after)
        return {"after": after, "warmup_steps": self.warmup_steps, "begin": self.begin}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Returns a schedule equal to the one whose `get_config` is given."""
        after = keras.optimizers.schedules.deserialize(config["after"])
        return cls(after, config["warmup_steps"], config["begin"])


@keras.saving.register_keras_serializable("kfc")
class _Constant(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def __call__(self, step: Any) -> Any:
        return keras.ops.convert_to_tensor(self.learning_rate, "float32")

    def get_config(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate}


def build_optimizer(
    optimizer: OptimizerSpec, *, steps_per_epoch: int, epochs: int
) -> keras.optimizers.Optimizer:
    """Builds the optimizer a spec names, with its schedule in steps.

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
    where = "training.optimizer"
    if optimizer.name in OPTIMIZERS.names():
        kind = OPTIMIZERS.get(optimizer.name, f"{where}.name")
    else:
        kind = keras_class(keras.optimizers, optimizer.name)
        # Keras would number the optimizers, and TensorFlow makes kernels for each new name.
        options["name"] = optimizer.name
    with OPTIMIZERS.guard(optimizer.name, where):
        try:
            built = kind(**options)
        except (TypeError, ValueError) as error:
            taken = f"options that {optimizer.name!r} takes"
            raise SpecError(Finding(where, taken, str(error), "Fix the options.")) from error
    OPTIMIZERS.require(built, keras.optimizers.Optimizer, optimizer.name)
    return built


def build_schedule(
    schedule: ScheduleSpec, *, steps_per_epoch: int, epochs: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Builds a learning-rate schedule, turning its epochs into steps.

    Args:
        schedule: `constant`, `cosine`, `exponential` or `step`, from the spec.
        steps_per_epoch: Batches per epoch.
        epochs: Number of epochs of the training.
    """

    def steps(number: float) -> int:
        return max(1, round(number * steps_per_epoch))

    warmup = schedule.warmup_epochs
    schedules = keras.optimizers.schedules
    match schedule:
        case ConstantSpec():
            built: Any = _Constant(schedule.initial_learning_rate)
        case CosineSpec():
            lasting = schedule.decay_epochs or max(epochs - warmup, 1 / steps_per_epoch)
            built = schedules.CosineDecay(
                schedule.initial_learning_rate, steps(lasting), alpha=schedule.alpha
            )
        case ExponentialSpec():
            built = schedules.ExponentialDecay(
                schedule.initial_learning_rate,
                steps(schedule.decay_epochs),
                schedule.decay_rate,
                staircase=schedule.staircase,
            )
        case StepSpec():
            # Keras's boundary belongs to the value before it; ours to the one after it,
            # so that `boundaries: [10]` changes the rate with the first step of epoch 10.
            ends = [steps(boundary) - 1 for boundary in schedule.boundaries]
            built = schedules.PiecewiseConstantDecay(ends, list(schedule.values))
        case _:
            raise TypeError(f"unknown schedule {schedule!r}")
    if not warmup:
        return built
    # The boundaries of `step` are epochs of the training, not of what follows the rise.
    begin = 0 if isinstance(schedule, StepSpec) else None
    return WarmUp(built, steps(warmup), begin)
