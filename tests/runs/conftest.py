"""A trained run, shared by the tests of a process, and small trainings."""

import numpy as np
import pytest

import kfc

SMALL = {
    "training.epochs": 2,
    "training.optimizer.learning_rate": 0.01,
    "network.hidden": [16],
}


def train(runs, spec="digits", overrides=SMALL, **options):
    return kfc.fit(spec, overrides=overrides, runs=runs, verbose=False, **options)


@pytest.fixture(scope="session")
def fit():
    """Trains in a folder of runs, by default digits for two epochs."""
    return train


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A finished run, the first one in its folder; do not change it."""
    return train(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def arrays():
    """Rows of two classes, (120, 5) and (120,)."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 5)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype(int)
