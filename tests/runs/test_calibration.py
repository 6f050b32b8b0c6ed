"""A temperature is the best of a grid, a calibration error that of a hand computation."""

import numpy as np
import pytest
from scipy.special import softmax

from kfc.runs.calibration import best_temperature, calibration_error, fit_temperature


def drawn(rows, temperature, classes=3, seed=0):
    """Logits, and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(rows, classes))
    sums = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (generator.random(rows)[:, None] > sums).sum(axis=1)


def log_loss(logits, y, temperature):
    scaled = logits / temperature
    largest = scaled.max(axis=1)
    total = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
    return np.mean(total - scaled[np.arange(len(y)), y])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_is_the_best_of_a_grid(temperature):
    logits, y = drawn(2000, temperature)
    grid = np.exp(np.linspace(np.log(0.1), np.log(10), 20001))
    wanted = grid[np.argmin([log_loss(logits, y, each) for each in grid])]
    assert best_temperature(logits, y) == pytest.approx(wanted, rel=3e-4)
    assert best_temperature(logits, y) == pytest.approx(temperature, rel=0.1)


def test_another_offset_of_the_logits_changes_nothing():
    logits, y = drawn(500, 2.0)
    offset = np.arange(500)[:, None]
    wanted = best_temperature(logits, y)
    assert best_temperature(logits + offset, y) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_clear_temperature_is_taken(temperature):
    logits, y = drawn(1000, temperature)
    assert fit_temperature(logits, y) == best_temperature(logits, y)


def test_a_temperature_that_gains_less_than_a_parameter_costs_is_1():
    taken = []
    for seed in range(200):
        logits, y = drawn(200, 1.0, seed=seed)
        best = best_temperature(logits, y)
        gain = 400 * (log_loss(logits, y, 1.0) - log_loss(logits, y, best))
        assert fit_temperature(logits, y) == (best if gain > 2 else 1.0)
        taken.append(gain > 2)
    assert 0.08 < np.mean(taken) < 0.25  # 0.157 by the chi-squared distribution


def test_rows_that_are_all_right_make_a_network_as_sure_as_their_number_does():
    y = np.arange(30) % 3
    logits = np.eye(3)[y] * 2.0  # 0.787 for the right class
    surest = softmax(logits / fit_temperature(logits, y), axis=1).max(axis=1)
    np.testing.assert_allclose(surest, 31 / 32, rtol=1e-6)


def test_rows_that_are_all_right_leave_a_sure_network_as_it_is():
    y = np.arange(3)
    assert fit_temperature(np.eye(3) * 9.0, y) == 1.0
    assert best_temperature(np.eye(3) * 9.0, y) == pytest.approx(1.0)


def test_equal_logits_have_a_temperature_too():
    assert fit_temperature(np.zeros((5, 3)), np.zeros(5, int)) == 1.0


def test_the_calibration_error_is_that_of_a_computation_by_hand():
    top = np.array([0.62, 0.65, 0.95, 0.98, 0.5])
    right = np.array([1, 0, 1, 1, 0])
    probabilities = np.c_[1 - top, top]
    # Bins of 1/15: (9/15, 10/15] has two rows, (14/15, 1] two, and 0.5 is in (7/15, 8/15].
    wanted = (2 * abs(0.5 - 0.635) + 2 * abs(1 - 0.965) + abs(0 - 0.5)) / 5
    y = np.where(right, 1, 0)
    y[4] = 1  # argmax takes the first of two equal ones
    assert calibration_error(probabilities, y) == pytest.approx(wanted)


def test_an_edge_belongs_to_the_bin_below_it():
    probabilities = np.array([[0.2, 0.8], [0.25, 0.75]])
    # Of 5 bins, 0.8 and 0.75 share (0.6, 0.8]: one right of two.
    assert calibration_error(probabilities, np.array([1, 0]), bins=5) == pytest.approx(0.275)


def test_the_temperature_lowers_the_calibration_error_of_other_rows():
    logits, y = drawn(2000, 2.0)
    others, labels = drawn(2000, 2.0, seed=1)
    divided = others / fit_temperature(logits, y)
    before = calibration_error(softmax(others, axis=1), labels)
    assert calibration_error(softmax(divided, axis=1), labels) < before / 3
