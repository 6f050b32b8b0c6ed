import copy
import io
import pickle

import joblib
import numpy as np
import pytest

import kfc

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


def by_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    "joblib": by_joblib,
    "copy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_the_same_bits(how, fitted, iris):
    again = COPIES[how](fitted)
    assert np.array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    assert again.run_.weights_sha256 == fitted.run_.weights_sha256
    assert again.run_.metrics == fitted.run_.metrics
    assert again.n_iter_ == fitted.n_iter_


def test_a_table_and_members_are_copied(frame):
    x, y = frame
    fitted = kfc.Classifier(**QUICK, members=2).fit(x, y)
    again = COPIES["pickle"](COPIES["pickle"](fitted))
    assert np.array_equal(again.predict_proba(x), fitted.predict_proba(x))


def test_a_copy_continues_a_training_by_parts_to_the_same_bits(iris):
    x, y = iris
    fitted = kfc.Classifier(**QUICK).partial_fit(x, y, classes=[0, 1, 2])
    again = COPIES["pickle"](fitted)
    expected = fitted.partial_fit(x, y).predict_proba(x)
    assert np.array_equal(again.partial_fit(x, y).predict_proba(x), expected)


def test_a_pickle_holds_the_files_of_a_run_and_no_network(fitted):
    names = fitted._kept.__getstate__()["files"]
    assert {"spec.yaml", "result.json", "sample.npz", "environment.json"} <= set(names)
    assert b"keras.src" not in pickle.dumps(fitted)


@pytest.mark.slow
def test_a_copied_table_is_exported(frame, tmp_path):
    x, y = frame
    export = COPIES["pickle"](kfc.Classifier(**QUICK).fit(x, y)).export(tmp_path / "models")
    assert export.path.is_dir()
