"""Several runs on one page, with paired differences on the rows that they share."""

import re

import numpy as np
import pytest
from scipy import stats

import kfc
from kfc.reporting.comparison_sections import paired_difference
from kfc.reporting.run_facts import RunFacts


@pytest.fixture(scope="module")
def small_run(places):
    short = {"training.epochs": 2, "network.hidden": [16], "report": False}
    return kfc.fit("digits", overrides=short, runs=places, verbose=False)


@pytest.fixture(scope="module")
def other_rows_run(places):
    short = {"training.epochs": 2, "data.split_seed": 5, "report": False}
    return kfc.fit("digits", overrides=short, runs=places, verbose=False)


def right(run):
    rows = run.rows("test")
    return (rows.predictions.label == rows.y).astype(float)


def test_the_interval_is_that_of_scipy_s_paired_t_test(digits_run, small_run):
    found = paired_difference(RunFacts.of(digits_run), RunFacts.of(small_run))
    expected = stats.ttest_rel(right(small_run), right(digits_run)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.rows == 360
    assert found.first == pytest.approx(digits_run.metrics["test_accuracy"])
    assert found.second == pytest.approx(small_run.metrics["test_accuracy"])
    assert found.difference == pytest.approx(found.second - found.first)


def test_mcnemar_counts_the_rows_that_one_run_alone_has_right(digits_run, small_run):
    found = paired_difference(RunFacts.of(digits_run), RunFacts.of(small_run))
    first, second = right(digits_run), right(small_run)
    assert found.only_first == int(((first == 1) & (second == 0)).sum())
    assert found.only_second == int(((first == 0) & (second == 1)).sum())
    # Twice the smaller tail of a fair coin, which is symmetric.
    tosses = found.only_first + found.only_second
    tail = stats.binom.cdf(min(found.only_first, found.only_second), tosses, 0.5)
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_only_shared_rows_count(digits_run, other_rows_run):
    first, second = RunFacts.of(digits_run), RunFacts.of(other_rows_run)
    found = paired_difference(first, second)
    shared = np.intersect1d(first.prepared.test_numbers, second.prepared.test_numbers)
    assert 0 < found.rows == len(shared) < 360


def test_runs_on_other_data_have_no_difference(digits_run, diabetes_run):
    assert paired_difference(RunFacts.of(digits_run), RunFacts.of(diabetes_run)) is None


def test_errors_of_values_are_compared(diabetes_run, places):
    short = {"training.epochs": 1, "network.hidden": [4], "report": False}
    other = kfc.fit("diabetes", overrides=short, runs=places, verbose=False)
    found = paired_difference(RunFacts.of(diabetes_run), RunFacts.of(other))
    assert found.first == pytest.approx(diabetes_run.metrics["test_mae"], rel=1e-5)
    assert found.second == pytest.approx(other.metrics["test_mae"], rel=1e-5)
    assert found.p_value is None


def test_the_page_names_the_keys_that_differ(digits_run, small_run, tmp_path):
    page = kfc.report(digits_run, small_run.folder, path=tmp_path / "both.html")
    sections = re.findall(r'<section id="([\w-]+)"', page.html)
    assert sections == ["result", "differences", "learning", "spec", "cost"]
    assert "network.hidden" in page.html
    assert "data.source" not in page.html


def test_several_results_must_be_runs(digits_run, only_finding):
    finding = only_finding(kfc.SpecError, kfc.report, digits_run, 3)
    assert finding.got == "int"
    assert only_finding(kfc.SpecError, kfc.report).got == "none"
