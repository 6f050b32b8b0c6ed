import math
import re

import numpy as np
import pytest

import kfc
from kfc.errors import DataError
from kfc.rate_range.range_test import RateRange

SGD = {"training.optimizer": {"name": "sgd", "learning_rate": 0.1}}


@pytest.fixture(scope="module")
def digits():
    return kfc.learning_rate_range("digits")


def test_the_rate_grows_by_a_constant_factor_and_the_loss_falls_and_rises(digits):
    factors = digits.rates[1:] / digits.rates[:-1]
    np.testing.assert_allclose(factors, factors[0])
    assert digits.rates[0] == pytest.approx(1e-6)
    assert len(digits.rates) == len(digits.losses) == len(digits.smoothed) < 300
    assert digits.smoothed.min() < 0.5 * digits.smoothed[0]
    assert digits.smoothed[-1] > 4 * digits.smoothed.min()


def test_the_suggested_rate_trains(digits):
    assert digits.fell
    assert digits.configured == 0.001
    assert digits.suggested < digits.best_rate
    assert kfc.explain(
        "digits", {"training.optimizer.learning_rate": digits.suggested}
    ).outcome == ("learns")


def test_the_same_spec_gives_the_same_losses_and_touches_no_run(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = kfc.learning_rate_range("digits")
    np.testing.assert_array_equal(again.losses, digits.losses)
    assert list(tmp_path.iterdir()) == []


def test_the_first_losses_are_those_of_a_training_with_that_rate():
    overrides = {**SGD, "training.optimizer.learning_rate": 1e-6}
    found = kfc.learning_rate_range("digits", overrides, steps=10)
    start = kfc.explain("digits", overrides).loss
    assert found.losses[:3].mean() == pytest.approx(start, rel=0.1)


def test_a_schedule_is_replaced_by_the_growing_rate():
    schedule = {"name": "cosine", "initial_learning_rate": 0.1}
    found = kfc.learning_rate_range(
        "digits", {"training.optimizer": {"name": "sgd", "learning_rate": schedule}}, steps=30
    )
    assert found.configured is None
    assert found.rates[-1] > found.rates[0]


@pytest.mark.parametrize(
    "overrides",
    [
        {"network.members": 3, "training.share_batches": False},
        {"training.drop_last": True, "training.shuffle": False, "network.dropout": 0.5},
        {"preset": "tabm"},
    ],
    ids=str,
)
def test_other_networks_have_a_range_too(overrides):
    found = kfc.learning_rate_range("breast_cancer", overrides, steps=20)
    assert np.isfinite(found.losses).all()


def test_the_picture_is_an_svg_file(digits, tmp_path):
    text = digits.save_picture(tmp_path / "range.svg").read_text("utf-8")
    assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "var(--" not in text
    assert "mathdefault" not in text
    assert f"suggested {digits.suggested:g}" in text
    assert re.search(r'aria-label="loss of \d+ steps', text)


def test_a_loss_that_never_falls_suggests_nothing():
    flat = np.full(20, 2.3)
    found = RateRange("flat", np.geomspace(1e-6, 10, 20), flat, flat, 0.001)
    assert not found.fell
    assert "no learning rate" in found.sentence()
    assert found.summary()["suggested_learning_rate"] is None


def test_a_summary_has_numbers_for_json(digits):
    facts = digits.summary()
    assert facts["suggested_learning_rate"] == digits.suggested
    assert len(facts["losses"]) == facts["steps"]
    assert all(loss is None or math.isfinite(loss) for loss in facts["losses"])
    assert digits.table().row_count == 12


def test_a_first_loss_that_is_not_finite_is_refused():
    init = {"name": "random_normal", "stddev": 1e30}
    with pytest.raises(DataError, match="a finite loss"):
        kfc.learning_rate_range("digits", {"network.init": init, "network.hidden": [9, 9, 9]})
