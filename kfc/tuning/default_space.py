"""Gives a spec without a search space the built-in one, which suits any dense network."""

from __future__ import annotations

import dataclasses
from typing import Any

from kfc.errors import SpecError
from kfc.spec import Spec, load_spec

_LAYERS = {"depth": [1, 3], "width": [32, 512]}
_INIT = {"name": "truncated_normal", "stddev": 0.1}
_STDDEV = {"low": 0.01, "high": 1.0, "log": True}
_RATE = {"low": 1e-4, "high": 1e-1, "log": True}
# Larger than for the adaptive optimizers, which divide by the size of the gradient.
_RATE_OF_SGD = {"low": 1e-3, "high": 1.0, "log": True}


def with_space(spec: Spec) -> Spec:
    """Returns `spec` with a search space: its own, or else the built-in one.

    The built-in space has the hidden layers, the learning rate (the initial one of a
    schedule, if it has one) and the standard deviation of the initial kernels. An
    initialiser without a standard deviation is replaced by `truncated_normal`. For a grid,
    numbers change by factors of 10.

    Args:
        spec: Checked spec.

    Raises:
        SpecError: If the trials could not be ranked, because the spec has no validation
            rows.
    """
    if spec.search and spec.search.space:
        return spec
    step = {"step": 10} if spec.search and spec.search.algorithm == "grid" else {}
    space: dict[str, Any] = {"network.hidden": _LAYERS}
    optimizer = spec.training.optimizer
    rate = optimizer.options.get("learning_rate")
    path = "training.optimizer.learning_rate"
    if isinstance(rate, dict):
        path, rate = f"{path}.initial_learning_rate", rate.get("initial_learning_rate")
    if rate is not None:  # a schedule of steps has no initial rate, a plug-in may have none
        sgd = optimizer.name in ("sgd", "tape_sgd")
        space[path] = {**(_RATE_OF_SGD if sgd else _RATE), **step}
    space["network.init.stddev"] = {**_STDDEV, **step}
    overrides: dict[str, Any] = {"search.space": space}
    if "stddev" not in spec.network.init.options:
        overrides["network.init"] = _INIT
    try:
        return load_spec(spec, overrides)
    except SpecError as error:  # the user did not write the override that a finding names
        raise SpecError(
            *(dataclasses.replace(finding, line="") for finding in error.findings)
        ) from None
