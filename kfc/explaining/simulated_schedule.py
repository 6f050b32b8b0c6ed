"""Learning rates and weight decays of the steps of a training, in NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kfc.data import evenly
from kfc.spec import (
    ConstantSpec,
    CosineSpec,
    CoslogSpec,
    ExponentialSpec,
    FlatCosineSpec,
    OptimizerSpec,
    ScheduleSpec,
    StepSpec,
)

Array = np.ndarray

_LOOKED_AT = 2000  # steps of a training among which the first large rate is looked for
_LARGE = 0.9  # of the largest rate


class StepRates(NamedTuple):
    """Learning rates and weight decays of steps.

    Args:
        rates: Learning rates, (steps,).
        decays: Weight decays, (steps,).
        rise: Steps of the training before its rate is large.
    """

    rates: Array
    decays: Array
    rise: int


def rates_at(schedule: ScheduleSpec, steps: Array, per_epoch: int, epochs: int) -> Array:
    """Returns the learning rates of a schedule at steps, counted from 0.

    The formulas are those of `kfc.training.schedules` and of Keras.

    Args:
        schedule: Schedule of the spec.
        steps: Steps of the training, (steps,).
        per_epoch: Steps of an epoch.
        epochs: Number of epochs of the training.
    """

    def count(number: float) -> int:
        return max(1, round(number * per_epoch))

    warmup = schedule.warmup_epochs
    rest = max(epochs - warmup, 1 / per_epoch)
    after = np.asarray(steps, np.float64)
    rise: Array | float = 1.0
    if warmup:
        rise = np.minimum(1.0, (after + 1) / count(warmup))
        after = after if isinstance(schedule, StepSpec) else after - count(warmup)
    return np.asarray(rise * _after_rise(schedule, np.maximum(after, 0.0), count, rest))


def _after_rise(schedule: ScheduleSpec, steps: Array, count: Any, rest: float) -> Array:
    match schedule:
        case ConstantSpec():
            return np.full_like(steps, schedule.initial_learning_rate)
        case CosineSpec():
            time = np.minimum(1.0, steps / count(schedule.decay_epochs or rest))
            wave = 0.5 * (1 + np.cos(np.pi * time))
            share = schedule.alpha + (1 - schedule.alpha) * wave
            return np.asarray(schedule.initial_learning_rate * share)
        case CoslogSpec():
            rate = schedule.initial_learning_rate
            return rate * _coslog(steps / count(rest), schedule.cycles)
        case FlatCosineSpec():
            return schedule.initial_learning_rate * _flat_cosine(steps / count(rest))
        case ExponentialSpec():
            power = steps / count(schedule.decay_epochs)
            power = np.floor(power) if schedule.staircase else power
            return np.asarray(schedule.initial_learning_rate * schedule.decay_rate**power)
        case StepSpec():
            ends = [count(boundary) for boundary in schedule.boundaries]
            return np.asarray(schedule.values)[np.searchsorted(ends, steps, side="right")]
    raise TypeError(f"unknown schedule {schedule!r}")


def _coslog(time: Array, cycles: int) -> Array:
    waves = np.log2(1 + (2.0**cycles - 1) * np.minimum(1.0, time))
    return np.asarray(0.5 * (1 - np.cos(2 * np.pi * waves)))


def _flat_cosine(time: Array) -> Array:
    wave = np.cos(np.pi * np.maximum(0.0, 2 * np.minimum(1.0, time) - 1))
    return np.asarray(0.5 * (1 + wave))


def rates_of_steps(
    optimizer: OptimizerSpec, steps: int, *, per_epoch: int, epochs: int
) -> StepRates:
    """Returns the rates and the decays of the first steps of a training.

    A rate that rises for longer than half of these steps rises faster here, so that the other
    half has the rates that the training has after its rise.

    Args:
        optimizer: Optimizer of the spec.
        steps: Number of steps.
        per_epoch: Steps of an epoch of the training.
        epochs: Number of epochs of the training.
    """
    schedule, total = optimizer.schedule(), per_epoch * epochs
    places, rise = np.arange(steps), 0
    rates = np.full(steps, optimizer.largest_rate)
    if schedule is not None:
        looked_at = evenly(total, _LOOKED_AT)
        found = rates_at(schedule, looked_at, per_epoch, epochs)
        rise = int(looked_at[np.argmax(found >= _LARGE * found.max())])
        half = max(steps // 2, 1)
        if rise > half:
            faster = np.linspace(0, rise, half).astype(int)
            places = np.concatenate([faster, rise + 1 + np.arange(steps - half)])
        places = np.minimum(places, total - 1)
        rates = rates_at(schedule, places, per_epoch, epochs)
    return StepRates(rates, _decays_at(optimizer, places / total), rise)


def _decays_at(optimizer: OptimizerSpec, time: Array) -> Array:
    decay = optimizer.decay_schedule()
    if decay is None:
        return np.full(len(time), float(optimizer.options.get("weight_decay") or 0.0))
    share = _coslog(time, decay.cycles) if decay.name == "coslog" else _flat_cosine(time)
    return decay.initial_weight_decay * share
