import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.multioutput import MultiOutputClassifier

import kfc

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


def test_a_fit_records_the_attributes_of_scikit_learn(fitted):
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert fitted.n_features_in_ == 4
    assert fitted.n_iter_ == len(fitted.loss_curve_) == len(fitted.validation_scores_) == 2
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.run_.num_rows == {"train": 120, "val": 30}
    assert fitted.model_.output_shape == (None, 3)
    assert "val_f1" in fitted.run_.metrics


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "a"], ["a", "b"]),
        ([7, -3, -3], [-3, 7]),
        ([True, False, False], [False, True]),
        ([1.0, 0.0, 0.0], [0.0, 1.0]),
        (pd.Categorical(["u", "v", "v"]), ["u", "v"]),
        (pd.array([3, 1, 1], dtype="Int64"), [1, 3]),
        (pd.array([True, False, False], dtype="boolean"), [False, True]),
        (pd.array(["u", "v", "v"], dtype="string"), ["u", "v"]),
    ],
    ids=[
        *("text", "integers", "booleans", "floats", "categories"),
        *("nullable integers", "nullable booleans", "nullable text"),
    ],
)
def test_predictions_are_classes_in_their_own_type(values, classes, iris):
    y = pd.Series(values).iloc[np.minimum(iris[1], 1) * 2]
    fitted = kfc.Classifier(**QUICK).fit(iris[0], y)
    assert fitted.classes_.tolist() == classes
    assert {type(each) for each in fitted.classes_.tolist()} == {type(classes[0])}
    assert set(fitted.predict(iris[0]).tolist()) <= set(classes)


def test_probabilities_logits_and_classes_agree(fitted, iris):
    probabilities = fitted.predict_proba(iris[0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(fitted.predict_log_proba(iris[0]), np.log(probabilities))
    assert (fitted.decision_function(iris[0]).argmax(axis=1) == fitted.predict(iris[0])).all()


def test_two_classes_have_one_decision(iris):
    binary = kfc.Classifier(**QUICK).fit(iris[0], iris[1] == 0)
    decisions = binary.decision_function(iris[0])
    assert decisions.shape == (150,)
    assert ((decisions > 0) == binary.predict(iris[0])).all()


def test_an_unfitted_classifier_says_so(iris):
    with pytest.raises(NotFittedError):
        kfc.Classifier().predict(iris[0])


def test_a_single_class_is_refused(iris):
    with pytest.raises(kfc.DataError, match="only one class, 1"):
        kfc.Classifier(**QUICK).fit(iris[0], np.ones(150, int))


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sp.csr_array])
def test_several_labels_per_row_are_refused_with_the_wrappers_that_take_them(kind, iris):
    labels = np.stack([iris[1] > 0, iris[1] > 1], axis=1).astype(int)
    with pytest.raises(kfc.DataError, match="MultiOutputClassifier or ClassifierChain"):
        kfc.Classifier(**QUICK).fit(iris[0], kind(labels))


def test_a_wrapper_fits_one_for_each_label(frame):
    x, y = frame
    labels = np.stack([y == "yes", x["ok"]], axis=1)
    fitted = MultiOutputClassifier(kfc.Classifier(**QUICK | {"epochs": 30})).fit(x, labels)
    assert fitted.score(x, labels) > 0.8


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_a_row_without_a_class_is_refused(gap, iris):
    y = np.array(["a", "b", "c"], dtype=object)[iris[1]]
    y[[7, 9]] = gap
    with pytest.raises(kfc.DataError, match=r"y, row 7: .* in 2 of 150 rows"):
        kfc.Classifier(**QUICK).fit(iris[0], y)


def test_parts_need_the_classes_once_and_may_lack_some(iris):
    x, y = iris
    with pytest.raises(ValueError, match="classes must be passed"):
        kfc.Classifier(**QUICK).partial_fit(x, y)
    fitted = kfc.Classifier(**QUICK).partial_fit(x[:50], y[:50], classes=[0, 1, 2])
    fitted.partial_fit(x, y)
    assert (fitted.n_iter_, fitted.predict_proba(x).shape) == (2, (150, 3))
    with pytest.raises(ValueError, match="not in classes_"):
        fitted.partial_fit(x, y + 1)


def test_a_warm_start_takes_the_same_classes_only(iris):
    x, y = iris
    warm = kfc.Classifier(**QUICK, warm_start=True).fit(x, y)
    first = warm.loss_curve_[0]
    assert warm.fit(x, y).loss_curve_[0] < first
    expected = "Previously got [0 1 2], `y` has [0 1]"
    with pytest.raises(ValueError, match=re.escape(expected)):
        warm.fit(x, np.minimum(y, 1))


@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 5.0}])
def test_class_weights_have_the_classes_own_names(weight, iris):
    fitted = kfc.Classifier(**QUICK, class_weight=weight).fit(*iris)
    assert fitted.run_.spec.training.class_weight is not None


def test_a_run_becomes_a_classifier(iris, tmp_path):
    fitted = kfc.Classifier(**QUICK, run_folder=tmp_path).fit(*iris)
    again = kfc.Classifier.from_run(fitted.run_)
    assert again.classes_.tolist() == [0, 1, 2]
    assert np.array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    assert clone(again).fit(*iris).n_iter_ == 2
    with pytest.raises(kfc.SpecError, match="a run on classes"):
        kfc.Regressor.from_run(fitted.run_.folder)


def test_parts_after_a_fit_count_its_epochs(iris):
    fitted = kfc.Classifier(**QUICK).fit(*iris)
    losses = fitted.loss_curve_
    fitted = pickle.loads(pickle.dumps(fitted.partial_fit(*iris))).partial_fit(*iris)
    assert (fitted.n_iter_, fitted.loss_curve_[:2]) == (4, losses)
    assert len(fitted.loss_curve_) == 4
    assert fitted.fit(*iris).n_iter_ == 2


def test_a_single_class_of_all_parts_is_refused(iris):
    x, _ = iris
    classifier = kfc.Classifier(**QUICK)
    with pytest.raises(kfc.DataError, match="at least two classes"):
        classifier.partial_fit(x, np.zeros(len(x)), classes=[0])
    assert classifier.partial_fit(x, np.zeros(len(x)), classes=[0, 1]).n_iter_ == 1
