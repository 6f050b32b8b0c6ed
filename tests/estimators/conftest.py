import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import kfc

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def frame():
    """Sixty rows with columns of each kind, of which `plan` tells the class."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {
            "age": rng.normal(40, 9, 60),
            "plan": rng.choice(["a", "b"], 60),
            "gap": np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60)),
            "ok": rng.random(60) < 0.5,
            "when": pd.date_range("2020-01-01", periods=60),
        }
    )
    return x, np.where(x["plan"] == "a", "yes", "no")


@pytest.fixture(scope="session")
def fitted(iris):
    """A classifier of iris, which no test changes."""
    return kfc.Classifier(**QUICK).fit(*iris)


@pytest.fixture(autouse=True)
def _unseen_values_are_expected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kfc.UnseenValuesWarning)
        yield
