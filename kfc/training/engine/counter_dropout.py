"""Dropout whose mask is a hash of seed, step and position, for networks in training.

Keras's `Dropout` draws from a generator whose bits cost XLA on a processor thirteen times
the rest of a dense network's step, and differ between XLA and a plain graph. A hash of
integers costs next to nothing, is the same in both, and has no state to save.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.preprocessing import given_numbers

_SPREAD = 0x9E3779B9  # 2**32 divided by the golden ratio: neighbours land far apart


class CounterDropout(keras.layers.Layer):
    """Sets a share of its inputs to 0 in training, and scales up the others.

        y = x * keep / (1 - rate)    with keep = hash(seed, step, position) >= rate * 2**32

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to
    prevent neural networks from overfitting", 2014, https://jmlr.org/papers/v15/.

    Args:
        rate: Share that is dropped, from 0 to below 1.
        seed: Of the mask.
        **kwargs: The base class's options, such as `name`.
    """

    def __init__(self, rate: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self._given = given_numbers(np.uint32(threshold(rate)), np.float32(1 - rate))
        # For its variable alone: where Keras keeps seeds, and not among the weights.
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.step: Callable[[], Any] = lambda: 0

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """What a compiled step takes as an input, so that it serves every rate."""
        return self._given()

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns `x`, (batch, units), masked where `training`."""
        if not training:
            return x
        least, share = (number.value for number in self.given)
        seed = tf.cast(self.seed_generator.state.value[0], tf.uint32)
        keep = keep_mask(seed, tf.cast(self.step(), tf.uint32), tf.shape(x), least)
        return tf.where(keep, x / tf.cast(share, x.dtype), tf.zeros([], x.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, which Keras would trace `call` to find."""
        return input_shape


def count_steps(model: keras.Model, step: Callable[[], Any]) -> None:
    """Lets the dropout of `model` draw a new mask for each value of `step()`."""
    for layer in model.layers:
        if isinstance(layer, CounterDropout):
            layer.step = step


def threshold(rate: float) -> int:
    """Returns the smallest hash of what is kept where a share of `rate` is dropped."""
    return min(round(rate * 2**32), 2**32 - 1)


def keep_mask(seed: Any, step: Any, shape: Any, least: Any) -> Any:
    """Returns which of (rows, units) are kept.

    Args:
        seed: uint32.
        step: uint32; each has a mask of its own.
        shape: `[rows, units]`.
        least: uint32, the `threshold` of a rate.

    Returns:
        Booleans, (rows, units).
    """
    key = _mixed(step + _mixed(seed))
    position = tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32)
    bits = _mixed(position * tf.constant(_SPREAD, tf.uint32) + key)
    return tf.reshape(bits >= tf.cast(least, tf.uint32), shape)


def _mixed(x: Any) -> Any:
    """Returns lowbias32 of each uint32: every bit depends on every bit.

    Wellons, "Prospecting for hash functions", 2018,
    https://nullprogram.com/blog/2018/07/31/.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
        x = x * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))
