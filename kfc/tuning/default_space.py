"""A spec without a space -> the same spec with one that suits any dense network."""

from __future__ import annotations

import dataclasses
from typing import Any

from kfc.errors import SpecError
from kfc.spec import Spec, load_spec

_LAYERS = {"depth": [1, 3], "width": [32, 512]}
_INIT = {"name": "truncated_normal", "stddev": 0.1}
_STDDEV = {"low": 0.01, "high": 1.0, "log": True}
_RATE = {"low": 1e-4, "high": 1e-1, "log": True}
_RATE_OF_SGD = {"low": 1e-3, "high": 1.0, "log": True}  # no division by the gradient's size


def with_space(spec: Spec) -> Spec:
    """Returns `spec` with a space written out: its own where it has one.

    The built-in space holds the hidden layers, the learning rate (of a schedule the initial
    one, where it has one) and the standard deviation of the kernels' first values, for
    which an initialiser without one gives way to `truncated_normal`. For a grid, numbers
    go by factors of 10.

    Args:
        spec: A checked spec.

    Raises:
        SpecError: If its trials could not be ranked: no rows are held out.
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
    if rate is not None:  # a schedule of steps has no first rate, a plug-in may have none
        sgd = optimizer.name in ("sgd", "tape_sgd")
        space[path] = {**(_RATE_OF_SGD if sgd else _RATE), **step}
    space["network.init.stddev"] = {**_STDDEV, **step}
    overrides: dict[str, Any] = {"search.space": space}
    if "stddev" not in spec.network.init.options:
        overrides["network.init"] = _INIT
    try:
        return load_spec(spec, overrides)
    except SpecError as error:  # nobody wrote what the finding takes for an override
        raise SpecError(
            *(dataclasses.replace(finding, line="") for finding in error.findings)
        ) from None
