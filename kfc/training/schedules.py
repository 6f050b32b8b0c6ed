"""Numbers that change over a training: the learning rate, the weight decay, the dropout."""

from __future__ import annotations

import math
from typing import Any

import keras

from kfc.spec import (
    ConstantSpec,
    CosineSpec,
    CoslogSpec,
    ExponentialSpec,
    FlatCosineSpec,
    ScheduleSpec,
    StepSpec,
)


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


@keras.saving.register_keras_serializable("kfc")
class Coslog(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine waves from 0 to the largest value, each about twice as long as the one before.

        value(step) = largest (1 - cos(2 pi log2(1 + (2^cycles - 1) step / steps))) / 2

    Holzmueller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491.

    Args:
        largest: Largest value, which each wave reaches once.
        steps: Number of steps of the training.
        cycles: Number of waves.
    """

    def __init__(self, largest: float, steps: int, cycles: int = 4) -> None:
        self.largest, self.steps, self.cycles = largest, steps, cycles

    def __call__(self, step: Any) -> Any:
        """Returns the value at the start of `step`, counted from 0."""
        ops = keras.ops
        time = ops.minimum(1.0, ops.cast(step, "float32") / self.steps)
        waves = ops.log2(1.0 + (2.0**self.cycles - 1.0) * time)
        return self.largest * 0.5 * (1.0 - ops.cos(2.0 * math.pi * waves))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make an equal one."""
        return {"largest": self.largest, "steps": self.steps, "cycles": self.cycles}


@keras.saving.register_keras_serializable("kfc")
class FlatCosine(keras.optimizers.schedules.LearningRateSchedule):
    """The initial value for half of the steps, then half a cosine wave to 0.

        value(step) = initial (1 + cos(pi max(0, 2 step / steps - 1))) / 2

    Holzmueller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491.

    Args:
        initial: Value at the start.
        steps: Number of steps of the training.
    """

    def __init__(self, initial: float, steps: int) -> None:
        self.initial, self.steps = initial, steps

    def __call__(self, step: Any) -> Any:
        """Returns the value at the start of `step`, counted from 0."""
        ops = keras.ops
        time = ops.minimum(1.0, ops.cast(step, "float32") / self.steps)
        wave = ops.cos(math.pi * ops.maximum(0.0, 2.0 * time - 1.0))
        return self.initial * 0.5 * (1.0 + wave)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make an equal one."""
        return {"initial": self.initial, "steps": self.steps}


def over_training(
    name: str, largest: float, steps: int, *, cycles: int = 4
) -> Coslog | FlatCosine:
    """Builds a schedule of a number that is no learning rate, over all steps of a training.

    Args:
        name: `coslog` or `flat_cosine`.
        largest: Largest value.
        steps: Number of steps of the training.
        cycles: Number of waves of `coslog`.
    """
    if name == "coslog":
        return Coslog(largest, steps, cycles)
    return FlatCosine(largest, steps)


def build_schedule(
    schedule: ScheduleSpec, *, steps_per_epoch: int, epochs: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Builds a learning-rate schedule, turning its epochs into steps.

    Args:
        schedule: Schedule of the spec.
        steps_per_epoch: Batches per epoch.
        epochs: Number of epochs of the training.
    """

    def steps(number: float) -> int:
        return max(1, round(number * steps_per_epoch))

    warmup = schedule.warmup_epochs
    rest = max(epochs - warmup, 1 / steps_per_epoch)  # epochs after the rise
    schedules = keras.optimizers.schedules
    match schedule:
        case ConstantSpec():
            built: Any = _Constant(schedule.initial_learning_rate)
        case CosineSpec():
            lasting = schedule.decay_epochs or rest
            built = schedules.CosineDecay(
                schedule.initial_learning_rate, steps(lasting), alpha=schedule.alpha
            )
        case CoslogSpec():
            built = Coslog(schedule.initial_learning_rate, steps(rest), schedule.cycles)
        case FlatCosineSpec():
            built = FlatCosine(schedule.initial_learning_rate, steps(rest))
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
