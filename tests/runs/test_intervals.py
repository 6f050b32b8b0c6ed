"""A half-width is a residual of a sorted list; intervals hold the share that was asked for."""

import numpy as np
import pytest
from scipy.stats import beta

from kfc.runs.intervals import fewest_rows, fit_half_widths, measure_coverage, rank_of


def test_the_half_width_is_a_residual_of_the_sorted_list():
    y = np.array([[3.0], [1.0], [7.0], [2.0], [9.0], [4.0], [6.0], [5.0], [8.0]])
    value = np.zeros_like(y)
    assert fit_half_widths(y, value, 0.8) == (8.0,)  # the 8th of 9: ceil(10 * 0.8)
    assert fit_half_widths(y, -value, 0.75) == (8.0,)  # ceil(7.5)
    assert fit_half_widths(y, value, 0.9) == (9.0,)


def test_each_output_has_a_half_width_of_its_own():
    y = np.c_[np.arange(9.0), -10 * np.arange(9.0)]
    assert fit_half_widths(y, np.zeros_like(y), 0.8) == (7.0, 70.0)


@pytest.mark.parametrize(
    ("coverage", "rows"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)]
)
def test_a_coverage_needs_so_many_rows(coverage, rows):
    assert fewest_rows(coverage) == rows
    assert rank_of(coverage, rows) <= rows
    assert rank_of(coverage, rows - 1) > rows - 1
    with pytest.raises(ValueError, match=f"expected at least {rows}"):
        fit_half_widths(np.zeros((rows - 1, 1)), np.zeros((rows - 1, 1)), coverage)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_their_share_of_simulated_rows(coverage):
    generator, held_out, tested, repeats = np.random.default_rng(0), 99, 500, 200
    found = []
    for _ in range(repeats):
        noise = generator.standard_t(3, size=(held_out + tested, 1))
        value = generator.normal(size=noise.shape)
        y = value + noise
        widths = fit_half_widths(y[:held_out], value[:held_out], coverage)
        found += measure_coverage(y[held_out:], value[held_out:], widths)
    rank = rank_of(coverage, held_out)
    # The coverage of one fit is distributed as Beta(rank, n + 1 - rank), whose mean is c here.
    spread = beta(rank, held_out + 1 - rank).std() + np.sqrt(
        coverage * (1 - coverage) / tested
    )
    assert abs(np.mean(found) - coverage) < 3 * spread / np.sqrt(repeats)


def test_the_share_is_measured_for_each_output():
    y = np.array([[0.0, 0.0], [1.0, 5.0], [2.0, 0.0], [3.0, 9.0]])
    assert measure_coverage(y, np.zeros_like(y), (1.0, 5.0)) == [0.5, 0.75]
