"""Draws the random numbers of TensorFlow's stateless generator in NumPy.

An initializer of Keras with a seed draws from the generator Philox 4x32-10: Salmon, Moraes,
Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011,
https://doi.org/10.1145/2063384.2063405. NumPy has its variant of 64 bits, which gives other
numbers. Everything here is equal to TensorFlow's numbers but for the last bit of logarithms,
sines and cosines.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_ROUNDS = 10
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_SCRAMBLING_KEY = 0x3EC8F720, 0x02461E29  # TensorFlow's, with which it mixes a seed
_SEEDS = 2**31 - 2  # Keras takes seeds modulo this number
_SKIP = 256  # blocks that TensorFlow reserves for four truncated numbers
_TRUNCATION = 2.0  # standard deviations


def uniform(count: int, seed: int) -> Array:
    """Returns `keras.random.uniform((count,), seed=seed)`: numbers in [0, 1), float32."""
    return _fractions(_blocks(np.arange(-(-count // 4)), seed).reshape(-1)[:count])


def normal(count: int, seed: int) -> Array:
    """Returns `keras.random.normal((count,), seed=seed)`: standard normal, float32."""
    return _normals(_blocks(np.arange(-(-count // 4)), seed)).reshape(-1)[:count]


def truncated_normal(count: int, seed: int) -> Array:
    """Returns `keras.random.truncated_normal((count,), seed=seed)`, float32.

    Numbers whose absolute value is 2 or more are drawn again. Their standard deviation is
    0.8796, by which Keras's initializers divide.
    """
    groups = np.arange(-(-count // 4))
    found = np.empty((len(groups), 4), np.float32)
    blocks = 2  # 8 numbers, of which 4 are needed; one group of 100,000 lacks some
    while len(groups):
        places = groups[:, None] * _SKIP + np.arange(blocks)
        drawn = _normals(_blocks(places.reshape(-1), seed)).reshape(len(groups), -1)
        good = np.abs(drawn) < _TRUNCATION
        rank = np.cumsum(good, axis=1)
        enough = rank[:, -1] >= 4
        taken = good & (rank <= 4) & enough[:, None]
        found[groups[enough]] = drawn[taken].reshape(-1, 4)
        groups, blocks = groups[~enough], 4 * blocks
    return found.reshape(-1)[:count]


def _blocks(places: Array, seed: int) -> Array:
    """Returns four integers for each place in the stream of a seed, (places, 4), uint32."""
    counter = np.array([seed % _SEEDS, 0, 0, 0], np.uint32)[:, None]
    key = np.array(_SCRAMBLING_KEY, np.uint32)
    first, second, third, fourth = _mixed(counter, key)[0]
    rest = np.array([[third], [fourth]], np.uint32).repeat(len(places), axis=1)
    low, high = places & 0xFFFFFFFF, places >> 32
    counters = np.concatenate([np.stack([low, high]).astype(np.uint32), rest])
    return _mixed(counters, np.array([first, second], np.uint32))


def _mixed(counters: Array, key: Array) -> Array:
    """Returns the generator's integers for counters, (4, blocks), as (blocks, 4)."""
    a, b, c, d = counters
    first, second = key
    for _ in range(_ROUNDS):
        low = a.astype(np.uint64) * _MULTIPLIERS[0]
        high = c.astype(np.uint64) * _MULTIPLIERS[1]
        a, b, c, d = (
            (high >> _HALF).astype(np.uint32) ^ b ^ first,
            (high & _LOW).astype(np.uint32),
            (low >> _HALF).astype(np.uint32) ^ d ^ second,
            (low & _LOW).astype(np.uint32),
        )
        with np.errstate(over="ignore"):
            first, second = first + _WEYL[0], second + _WEYL[1]
    return np.stack([a, b, c, d], axis=1)


def _fractions(integers: Array) -> Array:
    """Returns numbers in [0, 1) with the low 23 bits of integers as their digits."""
    bits = (integers & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)  # in [1, 2)
    return bits.view(np.float32) - np.float32(1)


def _normals(integers: Array) -> Array:
    """Returns standard normal numbers, two for two integers.

    Box and Muller, "A note on the generation of random normal deviates", 1958,
    https://doi.org/10.1214/aoms/1177706645.
    """
    fractions = _fractions(integers)
    radius = np.sqrt(np.float32(-2) * np.log(np.maximum(fractions[:, ::2], np.float32(1e-7))))
    angle = np.float32(2 * np.pi) * fractions[:, 1::2]
    pairs = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=2)
    return pairs.reshape(len(integers), 4)
