"""The page of a cross-validation."""

import re

import numpy as np
from sklearn import metrics

import kfc
from kfc.reporting.fold_sections import fold_sections


def test_a_cross_validation_writes_its_page(folds):
    html = (folds.folder / "report.html").read_text("utf-8")
    found = re.findall(r'<section id="([\w-]+)"', html)
    assert found[:3] == ["result", "folds", "confusion"]
    assert found[-2:] == ["mistakes", "spec"]
    assert kfc.report(folds.folder).html == html


def test_scores_of_the_page_are_those_of_out_of_fold_predictions(folds):
    sections = {each.key: each for each in fold_sections(folds)}
    rows = folds.out_of_fold
    names = folds.ensemble.task.class_names
    said = np.asarray(names)[rows.probabilities.argmax(axis=1)]
    expected = metrics.confusion_matrix(rows.target, said, labels=names)
    table = sections["confusion"].table("Number")
    np.testing.assert_array_equal(
        [[cell.value for cell in row[1:]] for row in table.cells], expected
    )
    scores = sections["result"].table("Scores")
    shown = {row[0].text: row[1].value for row in scores.cells}
    assert shown == folds.mean


def test_the_errors_of_numbers_have_a_section(places):
    short = {"training.epochs": 2, "report": False}
    options = {"runs": places, "verbose": False}
    found = kfc.cross_validate("diabetes", folds=2, overrides=short, **options)
    assert not (found.folder / "report.html").exists()
    keys = [each.key for each in fold_sections(found)]
    assert keys == ["result", "folds", "predicted", "deciles", "mistakes", "spec"]
