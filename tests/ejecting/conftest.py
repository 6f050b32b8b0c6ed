"""The rows that an ejected script trains on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kfc


@pytest.fixture(scope="session")
def rows_of_script() -> Callable[..., dict[str, Any]]:
    """Runs the lines of a script from the data to the weights, and returns their variables."""
    kfc.fit  # noqa: B018 - imports TensorFlow the quiet way

    def run(spec: Any, overrides: dict[str, Any]) -> dict[str, Any]:
        script = kfc.eject(spec, overrides)
        lines = script[script.index("arrays = ") : script.index("\ninitializer = ")]
        variables: dict[str, Any] = {"np": np}
        exec(lines, variables)
        return variables

    return run
