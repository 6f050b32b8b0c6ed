import json
import shutil

import keras
import numpy as np
import pytest

import kfc
from kfc.runs import result_file

DATA = {"scale": "standard"}  # on the rows of `arrays`, all tests share one compiled graph
TRAINING = {"epochs": 1, "engine": "graph"}
ONE_EPOCH = {"data": DATA, "training": TRAINING}


def test_load_gives_the_same_run_back(run):
    loaded = kfc.load(run.folder)
    x = np.zeros((3, 64), np.float32)
    np.testing.assert_array_equal(
        loaded.model.predict(x, verbose=0), run.model.predict(x, verbose=0)
    )
    for name in (
        "spec",
        "history",
        "metrics",
        "seconds",
        "weights_sha256",
        "epochs",
        "folder",
    ):
        assert getattr(loaded, name) == getattr(run, name)


def test_evaluate_repeats_the_recorded_numbers_exactly(run):
    assert kfc.load(run.folder).evaluate() == run.metrics


def test_evaluate_refuses_a_source_that_has_other_rows_now(tmp_path, fit, arrays):
    x, y = arrays
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    spec = {"data": {**DATA, "source": f"npz:{tmp_path / 'rows.npz'}"}, "training": TRAINING}
    run = fit(tmp_path, spec, {})
    np.savez(tmp_path / "rows.npz", x=x[1:], y=y[1:])
    with pytest.raises(kfc.DataError, match="the rows that this run was trained on"):
        run.evaluate()


def test_the_saved_model_loads_in_keras_alone(run):
    model = keras.models.load_model(run.folder / "model.keras")
    x = np.random.default_rng(0).random((5, 64)).astype("float32") * 16
    np.testing.assert_array_equal(model.predict(x, verbose=0), run.model.predict(x, verbose=0))


def test_predictions_name_the_class_and_its_probability(run):
    import sklearn.datasets

    x, y = sklearn.datasets.load_digits(return_X_y=True)
    predictions = run.predict(x)
    assert (predictions.label == y.astype(str)).mean() > 0.8
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    best = predictions.probabilities[np.arange(len(x)), predictions.label.astype(int)]
    np.testing.assert_array_equal(best, predictions.probability)


def test_predict_refuses_rows_of_another_width(run):
    with pytest.raises(kfc.DataError, match="rows of shape"):
        run.predict(np.zeros((2, 63)))


def test_predict_refuses_a_nan_naming_its_cell(run):
    x = np.zeros((2, 64))
    x[1, 5] = np.nan
    with pytest.raises(kfc.DataError, match=r"row 1, column \[?5"):
        run.predict(x)


def test_a_run_does_not_change_with_the_arrays_it_was_given(tmp_path, fit, arrays):
    x, y = arrays
    spec = ONE_EPOCH
    run = fit(tmp_path, spec, {}, data=(x, y))
    rows = run.rows("test", data=(x, y))
    kept = rows.x.copy()
    answers = run.predict(x[:5]).probabilities
    x[:] = 0
    np.testing.assert_array_equal(rows.x, kept)
    assert not np.array_equal(run.predict(x[:5]).probabilities, answers)  # other rows now


def test_damaged_weights_are_not_loaded(run, tmp_path):

    copy = shutil.copytree(run.folder, tmp_path / "copy")
    for state in copy.glob("checkpoints/*/state.npz"):
        data = bytearray(state.read_bytes())
        data[len(data) // 2] ^= 1
        state.write_bytes(data)
    with pytest.raises(kfc.CheckpointError, match="the sha256 of state"):
        kfc.load(copy)


def test_columns_in_another_order_are_refused(tmp_path, fit, arrays):
    import pandas as pd

    x, y = arrays
    frame = pd.DataFrame(x, columns=list("abcde"))
    trained = fit(tmp_path, ONE_EPOCH, {}, data=(frame, y))
    run = kfc.load(trained.folder)
    assert len(run.predict(frame).label) == len(frame)
    with pytest.raises(kfc.DataError, match="the columns a, b, c, d, e, in this order"):
        run.predict(frame[list("edcba")])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 64)), "at least one row"),
        (np.zeros(64), r"Use x\[None\] for one row"),
        ([[1.0], [1.0, 2.0]], "rows of the same shape"),
        ("rows.npy", "an array or a DataFrame"),
        (None, "an array or a DataFrame"),
    ],
    ids=["no rows", "one row", "ragged lists", "a path", "nothing"],
)
def test_what_is_no_table_of_rows_is_not_predicted(run, x, message):
    with pytest.raises(kfc.DataError, match=message):
        run.predict(x)


@pytest.mark.parametrize("key", ["history", "weights_sha256", "metrics", "seconds", "task"])
def test_a_result_without_a_key_is_refused(run, tmp_path, key):

    copy = shutil.copytree(run.folder, tmp_path / "copy")
    result = json.loads((copy / "result.json").read_text("utf-8"))
    del result[key], result["sha256"]
    (copy / "result.json").write_text(json.dumps(result_file.with_sha256(result)))
    with pytest.raises(kfc.CheckpointError, match=rf"result.json \({key}: Field required\)"):
        kfc.load(copy)


def test_a_run_on_rows_from_python_asks_for_them(tmp_path, fit, arrays):
    x, y = arrays
    run = fit(tmp_path, ONE_EPOCH, {}, data=(x, y))
    with pytest.raises(kfc.DataError, match=r"given in Python, got none.*evaluate\(data="):
        kfc.load(run.folder).evaluate()
    with pytest.raises(kfc.DataError, match=r"given in Python, got none.*verify\(.*data="):
        kfc.verify(run.folder)


def test_a_run_evaluated_elsewhere_says_where_its_paths_began(
    tmp_path, monkeypatch, fit, arrays
):
    x, y = arrays
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    np.savez("rows.npz", x=x, y=y)
    run = fit("runs", {"data": {**DATA, "source": "npz:rows.npz"}, "training": TRAINING}, {})
    monkeypatch.chdir(tmp_path)
    assert run.folder.is_absolute()
    assert run.summary()["folder"] == "there/runs/0001-run"
    with pytest.raises(kfc.DataError, match=f"The run began in {tmp_path / 'there'}: call"):
        run.evaluate()
    with pytest.raises(kfc.DataError, match="The run began in"):
        kfc.verify(run.folder)
    monkeypatch.chdir(tmp_path / "there")
    assert run.evaluate() == run.metrics
