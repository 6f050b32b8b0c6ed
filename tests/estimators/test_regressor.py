import numpy as np
import pandas as pd
import pytest

import kfc

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def numbers(iris):
    return iris[0][:, :3], iris[0][:, 3]


def test_one_target_gives_one_number_per_row(numbers):
    fitted = kfc.Regressor(**QUICK).fit(*numbers)
    assert fitted.predict(numbers[0]).shape == (150,)
    assert fitted.predict(numbers[0].astype(np.float32)).dtype == np.float32


def test_several_targets_keep_their_names(iris):
    targets = pd.DataFrame(iris[0][:, 2:], columns=["long", "wide"])
    fitted = kfc.Regressor(**QUICK).fit(iris[0][:, :2], targets)
    assert fitted.predict(iris[0][:, :2]).shape == (150, 2)
    assert fitted.run_.task.targets == ("long", "wide")


def test_intervals_need_a_coverage_at_fit(numbers):
    x, y = numbers
    lower, upper = kfc.Regressor(**QUICK, interval_coverage=0.8).fit(x, y).predict_interval(x)
    assert lower.shape == upper.shape == (150,)
    assert (lower < upper).all()
    with pytest.raises(kfc.SpecError, match="interval_coverage"):
        kfc.Regressor(**QUICK).fit(x, y).predict_interval(x)


def test_a_training_by_parts_learns_another_target():
    fitted = kfc.Regressor(hidden=[8], random_state=0, learning_rate=0.1, epochs=1)
    fitted.fit([[2.0], [3.0]], [4.0, 5.0])
    for _ in range(40):
        fitted.partial_fit([[2.0]], [1.0])
    assert abs(fitted.predict([[2.0]])[0] - 1.0) < 0.5


def test_early_stopping_and_parts_exclude_each_other(numbers):
    with pytest.raises(kfc.SpecError, match="does not support early_stopping=True"):
        kfc.Regressor(**QUICK, early_stopping=True).partial_fit(*numbers)
