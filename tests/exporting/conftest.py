"""Runs to export: an image, a table with names that nobody would choose, a regression."""

from __future__ import annotations

import functools
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

import kfc

LABELS = ("no <b>", "yes, naïve \n|x|")
COLUMNS = ("sepal length (cm)", "class", "a b", "a_b")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    overrides = {"training.epochs": 2, "network.hidden": [16]}
    runs = tmp_path_factory.mktemp("digits")
    return kfc.fit("digits", overrides=overrides, runs=runs, verbose=False)


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """Pixels, as uint8; batch normalisation, dropout, gelu and celu inside."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 300)
    x = generator.integers(0, 256, (300, 5, 4, 1)) // (y + 1)[:, None, None, None]
    spec = {
        "name": "image",
        "data": {"scale": "unit"},
        "network": {
            "hidden": [16, {"units": 8, "activation": "celu"}],
            "activation": "gelu",
            "normalization": "batch",
            "dropout": 0.2,
        },
        "training": {"epochs": 2},
    }
    data = (x.astype(np.uint8), y)
    return kfc.fit(spec, data=data, runs=tmp_path_factory.mktemp("image"), verbose=False)


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Two classes, one logit, columns of very different size."""
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(300, 4)), columns=list(COLUMNS))
    y = np.where(x["class"] + x["a b"] > 0, LABELS[1], LABELS[0])
    x["sepal length (cm)"] = x["sepal length (cm)"] * 1e3 + 1e5
    spec = {
        "name": "table",
        "data": {"scale": "standard"},
        "network": {"hidden": [8]},
        "training": {"epochs": 2, "loss": "binary_crossentropy"},
    }
    return kfc.fit(spec, data=(x, y), runs=tmp_path_factory.mktemp("table"), verbose=False)


@pytest.fixture(scope="session")
def regression(tmp_path_factory):
    """Disease progression, in its own units."""
    overrides = {"training.epochs": 2}
    runs = tmp_path_factory.mktemp("regression")
    return kfc.fit("diabetes", overrides=overrides, runs=runs, verbose=False)


@pytest.fixture(scope="session")
def exported(request, tmp_path_factory, unasked):
    """The export of a run by the name of its fixture, made once.

    Of two the SavedModel is asked by test_export.py alone, all of them in one process.
    """

    @functools.cache
    def export(kind, format="saved_model"):
        run = request.getfixturevalue(kind)
        path = tmp_path_factory.mktemp("models") / kind
        is_asked = format != "saved_model" or kind not in ("image", "regression")
        with nullcontext() if is_asked else unasked():
            return kfc.export(run, path, format=format, verbose=False)

    return export
