"""Everyone who is measured, each a module with `train(workload, data, seconds)`.

A peer's `train` also takes `same_work`: whether it shall count right classes and evaluate the
test rows after each epoch, as `kfc.fit` always does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Contender:
    """Where a contender's `train` is, and what its process needs.

    Args:
        module: Module to import.
        requires: Package without which it is not measured.
        what: What it is, in a few words.
        environment: Variables to set before its process starts.
    """

    module: str
    requires: str
    what: str
    environment: Mapping[str, str] = field(default_factory=dict)


_SKYLAKEX = {"OPENBLAS_CORETYPE": "SkylakeX"}

# The order of measuring: those that ratios compare come close together.
CONTENDERS = {
    "matmuls_numpy": Contender("contenders.matmuls_numpy", "numpy", "products, NumPy"),
    "matmuls_numpy_skylakex": Contender(
        "contenders.matmuls_numpy", "numpy", "products, NumPy, SkylakeX kernels", _SKYLAKEX
    ),
    "matmuls_tensorflow": Contender(
        "contenders.matmuls_tensorflow", "tensorflow", "products, TensorFlow"
    ),
    "kfc": Contender("contenders.kfc", "kfc", "kfc.fit"),
    "jax": Contender("contenders.jax", "jax", "JAX, scan over the epoch"),
    "numpy": Contender("contenders.numpy", "numpy", "NumPy by hand"),
    "numpy_skylakex": Contender(
        "contenders.numpy", "numpy", "NumPy by hand, SkylakeX kernels", _SKYLAKEX
    ),
    "keras_best": Contender("contenders.keras_best", "keras", "Keras fit, best settings"),
    "keras": Contender("contenders.keras", "keras", "Keras fit, defaults"),
    "torch": Contender("contenders.torch", "torch", "PyTorch, fused optimizer"),
    "tutorial": Contender("contenders.tutorial", "tensorflow", "TensorFlow's tutorial loop"),
    "sklearn": Contender("contenders.sklearn", "sklearn", "scikit-learn"),
}

BOUNDS = tuple(name for name in CONTENDERS if name.startswith("matmuls_"))
"""Those that only multiply matrices; the fastest is the bound."""

PEERS = tuple(name for name in CONTENDERS if name not in (*BOUNDS, "kfc"))
"""Those that kfc is compared with."""
