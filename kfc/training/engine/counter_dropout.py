"""Dropout whose mask is a hash of seed, step and position, for networks in training.

Keras's `Dropout` draws from a generator that takes XLA, on a CPU, thirteen times as long as
the rest of a dense network's step, and whose bits differ between XLA and a plain graph. A hash
of integers takes almost no time, is the same in both, and has no state to save.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.preprocessing import given_numbers
from kfc.training.distributing import OneReplica

_SPREAD = 0x9E3779B9  # 2**32 divided by the golden ratio: it spreads neighbours far apart


class CounterDropout(keras.layers.Layer):
    """Sets a share of its inputs to 0 in training, and scales the others up.

        y = x * keep / (1 - rate)    with keep = hash(seed, step, position) >= rate * 2**32

    The rate may follow a schedule, a factor of `rate` by the step.

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to
    prevent neural networks from overfitting", 2014, https://jmlr.org/papers/v15/.

    Args:
        rate: Share of the inputs that is dropped, in [0, 1).
        seed: Seed of the mask.
        **kwargs: Options of `keras.layers.Layer`, such as `name`.
    """

    def __init__(self, rate: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self._given = given_numbers(np.uint32(keep_threshold(rate)), np.float32(1 - rate))
        # Only its variable is used: Keras keeps it with the seeds, not among the weights.
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.step: Callable[[], Any] = lambda: 0
        self.replicas = OneReplica()
        self.schedule: Callable[[Any], Any] | None = None

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """Variables that a graph takes as inputs, so that it serves every rate."""
        return self._given()

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns `x`, (batch, units), masked if `training`."""
        if not training:
            return x
        step = self.step()
        least_hash, keep_share = (number.value for number in self.given)
        if self.schedule is not None:
            rate = (1.0 - keep_share) * self.schedule(step)  # ()
            least_hash, keep_share = _threshold(rate), 1.0 - rate
        seed = tf.cast(self.seed_generator.state.value[0], tf.uint32)
        key = seed, tf.cast(step, tf.uint32)
        keep = keep_mask(*key, tf.shape(x), least_hash, self._positions(x))
        # keep: (batch, units) booleans
        return tf.where(keep, x / tf.cast(keep_share, x.dtype), tf.zeros([], x.dtype))

    def _positions(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the places of the inputs in those of the whole batch, (own * units,)."""
        shape = tf.shape(x)
        if self.replicas.count == 1:
            return tf.range(tf.reduce_prod(shape))
        units = tf.reduce_prod(shape[1:])
        first = self.replicas.places(shape[0]) * units  # (own,)
        return tf.reshape(first[:, None] + tf.range(units), [-1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the input; without this, Keras would trace `call`."""
        return input_shape


def count_steps(
    model: keras.Model, step: Callable[[], Any], replicas: OneReplica | None = None
) -> None:
    """Gives the dropout layers of a model the step, so that each step has another mask.

    Args:
        model: Network whose `CounterDropout` layers need it.
        step: Function that returns the number of the step, a scalar tensor.
        replicas: Replicas that share a batch: each has the mask of its rows.
    """
    for layer in _dropouts(model):
        layer.step = step
        layer.replicas = replicas or OneReplica()


def schedule_dropout(model: keras.Model, schedule: Callable[[Any], Any]) -> None:
    """Gives the dropout layers of a model a schedule.

    Args:
        model: Network with `CounterDropout` layers.
        schedule: Function from the number of a step to the factor of the rate in it.
    """
    for layer in _dropouts(model):
        layer.schedule = schedule


def _dropouts(model: keras.Model) -> list[CounterDropout]:
    return [layer for layer in model.layers if isinstance(layer, CounterDropout)]


def keep_threshold(rate: float) -> int:
    """Returns the smallest hash whose position is kept, at a dropout rate."""
    return min(round(rate * 2**32), 2**32 - 1)


def _threshold(rate: tf.Tensor) -> tf.Tensor:
    """Returns `keep_threshold` of a rate that is a tensor, to 2^-23 of it."""
    # By 2^31, which an int64 and a float32 hold, and doubled: XLA casts no float to uint32.
    half = tf.cast(tf.round(rate * 2.0**31), tf.int64)
    return tf.cast(2 * half, tf.uint32)


def keep_mask(
    seed: tf.Tensor,
    step: tf.Tensor,
    shape: tf.Tensor,
    least_hash: tf.Tensor,
    positions: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns the positions that are kept.

    Args:
        seed: Seed of the mask, uint32.
        step: Step of the training, uint32; each step has another mask.
        shape: Shape of the mask, `[rows, units]`.
        least_hash: Smallest hash that is kept, uint32; see `keep_threshold`.
        positions: Place of each input among all inputs of a batch, (rows * units,); by
            default they are all of them.

    Returns:
        Booleans, (rows, units).
    """
    key = _mixed(step + _mixed(seed))  # ()
    if positions is None:
        positions = tf.range(tf.reduce_prod(shape))
    position = tf.cast(positions, tf.uint32)  # (rows * units,)
    hashes = _mixed(position * tf.constant(_SPREAD, tf.uint32) + key)  # (rows * units,)
    return tf.reshape(hashes >= tf.cast(least_hash, tf.uint32), shape)  # (rows, units)


def _mixed(x: tf.Tensor) -> tf.Tensor:
    """Returns lowbias32 of each uint32: every bit of the result depends on every bit of `x`.

    Wellons, "Prospecting for hash functions", 2018,
    https://nullprogram.com/blog/2018/07/31/.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
        x = x * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))
