import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
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
    for kind in (pd.DataFrame, pl.DataFrame, pa.table):
        fitted = kfc.Regressor(**QUICK).fit(iris[0][:, :2], kind(targets))
        assert fitted.predict(iris[0][:, :2]).shape == (150, 2)
        assert fitted.run_.task.targets == ("long", "wide")


def test_a_frame_may_have_several_targets(frame, tmp_path):
    x, _ = frame
    y = pd.DataFrame({"young": 9.0 - x["age"], "even": (x["plan"] == "a") * 2.0})
    fitted = kfc.Regressor(epochs=60, random_state=0).fit(x, y)
    assert fitted.score(x, y) > 0.9
    assert fitted.run_.task.targets == ("young", "even")
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(x), fitted.predict(x))
    by_array = kfc.Regressor(epochs=60, random_state=0).fit(x, y.to_numpy())
    assert np.array_equal(by_array.predict(x), fitted.predict(x))
    measured = fitted.run_.evaluate((x[:9], y[:9]))
    assert measured["r2"] == pytest.approx(fitted.score(x[:9], y[:9]), rel=1e-4)
    with pytest.raises(
        kfc.DataError, match=r"beside the table, got none\. .*\(frame, targets\)"
    ):
        fitted.run_.evaluate(x)
    page = fitted.report(tmp_path / "page.html", X=x, y=y).html
    assert "Target: young, even." in " ".join(page.split())


def test_text_is_no_number(iris):
    with pytest.raises(kfc.DataError, match=r"text such as 'u'\. Use kfc\.Classifier"):
        kfc.Regressor(**QUICK).fit(iris[0], np.array(["u", "v", "w"])[iris[1]])


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
