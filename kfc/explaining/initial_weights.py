"""Draws the initial weights of a spec's layers in NumPy, the same numbers as Keras draws."""

from __future__ import annotations

import math

import numpy as np

from kfc.explaining import philox
from kfc.network import he_plus_5, layer_seed, unit_variance
from kfc.spec import BiasInitializerSpec, InitializerSpec

Array = np.ndarray

_TRUNCATED_DEVIATION = 0.87962566103423978  # of normal numbers between -2 and 2, as in Keras

_SCALINGS = {
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
}
"""Scale, mode and distribution of Keras's variance scaling, by the name of an initializer.

He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015, https://arxiv.org/abs/1502.01852;
Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
2010, https://proceedings.mlr.press/v9/glorot10a.html.
"""


def initial_kernel(
    init: InitializerSpec, shape: tuple[int, int], seed: int, x: Array | None = None
) -> Array:
    """Returns the kernel that an initializer gives, (inputs, units), float64.

    Args:
        init: Initializer.
        shape: Numbers of inputs and of units.
        seed: Seed of the layer, see `kfc.network.layer_seed`.
        x: Inputs of the layer for some rows, (rows, inputs), of an initializer that needs
            them.

    Raises:
        ValueError: If the initializer needs rows, and there are none.
    """
    if init.needs_rows:
        kernel = _scaled(philox.normal(math.prod(shape), seed), shape[0] ** -0.5, 0.0)
        kernel = kernel.reshape(shape)
        return unit_variance(kernel, _rows(init, x) @ kernel).astype(np.float64)
    options = init.options
    if init.name == "orthogonal":
        return float(options["gain"]) * _orthogonal(shape, seed)
    if init.name == "identity":
        return float(options["gain"]) * np.eye(*shape)
    return _drawn(init, math.prod(shape), shape, seed).reshape(shape)


def initial_bias(
    init: BiasInitializerSpec | None,
    units: int,
    seed: int,
    inputs: int,
    z: Array | None = None,
) -> Array:
    """Returns the bias that an initializer gives, (units,), float64.

    Args:
        init: Initializer; None for zeros.
        units: Number of units.
        seed: Seed of the layer.
        inputs: Number of inputs of the layer.
        z: Outputs of the kernel for some rows, (rows, units), of an initializer that needs
            them.

    Raises:
        ValueError: If the initializer needs rows, and there are none.
    """
    if init is None:
        return np.zeros(units)
    seed = layer_seed(seed, "bias")
    if init.needs_rows:
        return he_plus_5(_rows(init, z), np.random.default_rng(seed)).astype(np.float64)
    if init.name == init.of_inputs:
        bound = 1.0 / math.sqrt(inputs)
        return _scaled_uniform(units, seed, -bound, bound)
    return _drawn(init, units, (units, units), seed)


def _rows(init: InitializerSpec, values: Array | None) -> Array:
    if values is None:
        raise ValueError(f"{init.name}: expected rows, which it computes weights from")
    return values


def _drawn(init: InitializerSpec, count: int, shape: tuple[int, int], seed: int) -> Array:
    """Returns numbers of an initializer that draws each alone, (count,), float64."""
    options = init.options
    if init.name in ("zeros", "ones", "constant"):
        value = options.get("value", 1.0 if init.name == "ones" else 0.0)
        return np.full(count, float(value))
    if init.name == "random_uniform":
        return _scaled_uniform(count, seed, options["minval"], options["maxval"])
    if init.name in ("random_normal", "truncated_normal"):
        draw = philox.normal if init.name == "random_normal" else philox.truncated_normal
        return _scaled(draw(count, seed), options["stddev"], options["mean"])
    if init.name == "variance_scaling":
        scale, mode, kind = options["scale"], options["mode"], options["distribution"]
    else:
        scale, mode, kind = _SCALINGS[init.name]
    variance = scale / max(1.0, _fans(shape)[mode])
    if kind == "uniform":
        limit = math.sqrt(3.0 * variance)
        return _scaled_uniform(count, seed, -limit, limit)
    if kind == "untruncated_normal":
        return _scaled(philox.normal(count, seed), math.sqrt(variance), 0.0)
    deviation = math.sqrt(variance) / _TRUNCATED_DEVIATION
    return _scaled(philox.truncated_normal(count, seed), deviation, 0.0)


def _scaled(numbers: Array, deviation: float, mean: float) -> Array:
    return (numbers * np.float32(deviation) + np.float32(mean)).astype(np.float64)


def _scaled_uniform(count: int, seed: int, low: float, high: float) -> Array:
    width = np.float32(high) - np.float32(low)
    return (philox.uniform(count, seed) * width + np.float32(low)).astype(np.float64)


def _orthogonal(shape: tuple[int, int], seed: int) -> Array:
    """Returns a kernel with orthonormal rows or columns.

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", 2014, https://arxiv.org/abs/1312.6120.
    """
    tall = max(shape), min(shape)
    q, r = np.linalg.qr(philox.normal(math.prod(tall), seed).reshape(tall).astype(np.float64))
    q = q * np.sign(np.diag(r))
    return q.T if shape[0] < shape[1] else q


def kernel_variance(init: InitializerSpec, shape: tuple[int, int]) -> float | None:
    """Returns the variance of the numbers of a kernel; None where they are not random.

    Args:
        init: Initializer that needs no rows.
        shape: Numbers of inputs and of units.
    """
    options = init.options
    if init.name == "orthogonal":
        return float(options["gain"]) ** 2 / max(shape)
    if init.name == "random_uniform":
        return float((options["maxval"] - options["minval"]) ** 2 / 12)
    if init.name == "random_normal":
        return float(options["stddev"]) ** 2
    if init.name == "truncated_normal":
        return float((_TRUNCATED_DEVIATION * options["stddev"]) ** 2)
    if init.name == "variance_scaling":
        scale, mode = float(options["scale"]), str(options["mode"])
    elif init.name in _SCALINGS:
        scale, mode, _ = _SCALINGS[init.name]
    else:
        return None
    return scale / max(1.0, _fans(shape)[mode])


def _fans(shape: tuple[int, int]) -> dict[str, float]:
    return {"fan_in": shape[0], "fan_out": shape[1], "fan_avg": sum(shape) / 2}
