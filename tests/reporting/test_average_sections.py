"""The page of an average of seeds: its own answers, then those of each run."""

import re

import pytest
from sklearn import metrics

import kfc
from kfc import pages
from kfc.reporting.average_sections import averaged_answers
from kfc.reporting.run_facts import RunFacts

SHORT = {"training.epochs": 3, "training.members": 2}


def fitted(places, spec, overrides=None, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(pages.SWITCH, raising=False)
        overrides = {**SHORT, **(overrides or {})}
        return kfc.fit(spec, overrides=overrides, runs=places, verbose=False, **options)


def keys_of(ensemble):
    html = (ensemble.folder / "report.html").read_text("utf-8")
    return re.findall(r'<section id="([\w-]+)"', html)


def answers_of(ensemble, data=None):
    facts = [RunFacts.of(each, data=data) for each in ensemble.runs]
    return averaged_answers(ensemble, facts)[1]


def test_the_page_has_the_sections_of_classes_and_of_each_run(places):
    ensemble = fitted(places, "digits")
    keys = keys_of(ensemble)
    assert keys[:3] == ["result", "data", "confusion"]
    assert {"curves", "calibration", "mistakes", "members"} <= set(keys)
    answers = answers_of(ensemble)
    accuracy = metrics.accuracy_score(answers.y, answers.predicted)
    assert accuracy == pytest.approx(ensemble.metrics["test_accuracy"])


def test_a_calibrated_average_shows_its_own_probabilities(places):
    ensemble = fitted(places, "digits", {"training.calibrate": "temperature"})
    answers = answers_of(ensemble)
    loss = metrics.log_loss(answers.y, answers.predictions.probabilities, labels=range(10))
    assert loss == pytest.approx(ensemble.metrics["test_log_loss"], rel=1e-5)


def test_an_average_of_a_table_shows_the_rows_of_its_mistakes(places, people):
    spec = {"name": "people", "data": {"target": "target"}}
    ensemble = fitted(places, spec, data=people)
    answers = answers_of(ensemble, people)
    accuracy = metrics.accuracy_score(answers.y, answers.predicted)
    assert accuracy == pytest.approx(ensemble.metrics["test_accuracy"])
    page = kfc.report(ensemble, data=people, path=places / "people.html")
    assert "mistakes" in re.findall(r'<section id="([\w-]+)"', page.html)


def test_an_average_of_values_shows_their_errors(places):
    ensemble = fitted(places, "diabetes")
    assert {"predicted", "deciles", "mistakes"} <= set(keys_of(ensemble))
    answers = answers_of(ensemble)
    error = metrics.mean_absolute_error(answers.y, answers.predictions.value)
    assert error == pytest.approx(ensemble.metrics["test_mae"], rel=1e-5)


def test_runs_without_a_common_score_are_only_compared(places):
    short = {"training.epochs": 1}
    runs = [
        kfc.fit("digits", overrides={**short, "seed": seed}, runs=places, verbose=False)
        for seed in (1, 2)
    ]
    page = kfc.report(kfc.Ensemble.of(runs), path=places / "of.html")
    keys = re.findall(r'<section id="([\w-]+)"', page.html)
    assert keys[:2] == ["result", "members"]
