"""The rows that an ejected script trains on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
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


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file with numbers, gaps, a boolean, a category and an id."""
    random, rows = np.random.RandomState(0), 200
    fee = np.round(random.normal(50, 20, rows), 2)
    plan = random.choice(["basic", "plus", "pro", "Zürich"], rows)
    table = {
        "id": np.arange(rows),
        "fee": pa.array(fee, mask=random.rand(rows) < 0.1),
        "plan": pa.array(plan, mask=random.rand(rows) < 0.1),
        "senior": np.where(random.rand(rows) < 0.3, "yes", "no"),
        "visits": random.poisson(3, rows) * 2.5,
        "late": np.where(fee + 20 * (plan == "pro") > 60, "yes", "no"),
    }
    path = tmp_path_factory.mktemp("tables") / "customers.csv"
    pyarrow.csv.write_csv(pa.table(table), path)
    return path
