"""A cross-validation and an ensemble of seeds, shared by the tests of a process."""

import numpy as np
import pandas as pd
import pytest

import kfc

SMALL = {
    "name": "small",
    "data": {"source": "sklearn:iris", "validation": 0.2},
    "network": {"hidden": [8]},
    "training": {"epochs": 3, "checkpoint_seconds": 1e-9, "log_every": 1},
}


@pytest.fixture(scope="session")
def small():
    """A spec of 150 flowers and three epochs."""
    return SMALL


@pytest.fixture(scope="session")
def validated(tmp_path_factory):
    """A finished cross-validation of three folds; do not change its folder."""
    runs = tmp_path_factory.mktemp("validated")
    return kfc.cross_validate(SMALL, folds=3, runs=runs, verbose=False)


@pytest.fixture(scope="session")
def seeds(tmp_path_factory):
    """A finished ensemble of two seeds; do not change its folder."""
    runs = tmp_path_factory.mktemp("seeds")
    overrides = {"training.members": 2}
    return kfc.fit(SMALL, overrides=overrides, runs=runs, verbose=False)


@pytest.fixture(scope="session")
def customers():
    """A table with missing cells that not every fold has in training."""
    generator = np.random.default_rng(0)
    rows = 90
    frame = pd.DataFrame(
        {
            "age": generator.normal(size=rows),
            "kind": generator.choice([*"abc"], rows),
            "member": (generator.random(rows) > 0.5).astype(object),
            "code": pd.array(generator.integers(0, 5, rows), "Int64"),
            "label": np.where(generator.random(rows) > 0.4, "yes", "no"),
        }
    )
    frame.loc[3, ["age", "member"]] = None
    frame.loc[9, "code"] = pd.NA
    return frame


@pytest.fixture(scope="session")
def of_table(tmp_path_factory, customers):
    """The ensemble of a cross-validation of that table."""
    runs = tmp_path_factory.mktemp("table")
    customers.to_csv(runs / "customers.csv", index=False)
    data = {"source": f"csv:{runs / 'customers.csv'}", "target": "label"}
    data["columns"] = {"code": "category", "member": "boolean"}
    spec = {"name": "table", "data": data, "training": {"epochs": 2}}
    return kfc.cross_validate(spec, folds=3, runs=runs, verbose=False).ensemble
