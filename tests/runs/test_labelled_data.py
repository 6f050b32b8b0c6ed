import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

import kfc
from kfc.data import Rows, Source, Task
from kfc.runs.labelled_data import encode_labelled

SMALL = {"training.epochs": 2, "network.hidden": [8], "training.engine": "graph"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return kfc.fit("digits", overrides=SMALL, runs=folder, verbose=False)


def numbers(y, labels):
    x = np.arange(2.0 * len(y), dtype=np.float32).reshape(-1, 2)
    return encode_labelled((x, np.asarray(y)), Task((2,), "float32", labels)).y.tolist()


@pytest.mark.parametrize("part", ["train", "val", "validation", "test"])
def test_a_run_gives_back_its_rows_with_its_answers(part, run):
    rows = run.rows(part)
    assert len(rows) == run.rows[part.removesuffix("idation")] == len(rows.x)
    assert (rows.predictions.label == run.predict(rows.x).label).all()


def test_a_confusion_matrix_takes_one_line(run):
    rows = run.rows("test")
    matrix = confusion_matrix(rows.y, rows.predictions.label)
    assert np.trace(matrix) / matrix.sum() == pytest.approx(run.metrics["test_accuracy"])


def test_a_part_that_a_run_has_not_is_refused(run):
    with pytest.raises(kfc.SpecError, match="expected a part of this run: train, val, test"):
        run.rows("holdout")


def test_its_own_test_rows_give_the_recorded_numbers_without_a_prefix(run):
    rows = run.rows("test")
    measured = run.evaluate((rows.x, rows.y))
    expected = {
        name.removeprefix("test_"): value
        for name, value in run.metrics.items()
        if name.startswith("test_")
    }
    assert measured == pytest.approx(expected, rel=1e-6)


def test_classes_are_found_by_their_names():
    assert numbers(["cat", "dog", "cat"], ("cat", "dog")) == [0, 1, 0]
    assert numbers([1, -1, 0], ("-1", "0", "1")) == [2, 0, 1]
    assert numbers([7, 3], ("3", "7")) == [1, 0]
    assert numbers([7.0, 3.0], ("3", "7")) == [1, 0]
    assert numbers([True, False], ("False", "True")) == [1, 0]
    assert numbers([1, 0], ("0.0", "0.5", "1.0")) == [2, 0]


def test_whole_numbers_are_classes_that_have_other_names():
    assert numbers([1, 0], ("T-shirt/top", "Trouser")) == [1, 0]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (["cow"], ("cat", "dog")),
        ([2], ("cat", "dog")),
        ([0], ("3", "7")),
        ([0], ("1.0", "2.0")),
        ([1], ("0.25", "0.75")),
        ([-1], ("cat", "dog")),
        ([0.5], ("0", "1")),
    ],
)
def test_a_label_that_training_has_not_seen_is_refused(y, labels):
    with pytest.raises(
        kfc.DataError, match=f"row 0: expected one of the 2 classes {labels[0]}"
    ):
        numbers(y, labels)


def test_of_a_source_the_test_rows_are_measured():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    source = Source(Rows(x, np.zeros(3, int)), Rows(x[:2], np.ones(2, int)))
    rows = encode_labelled(source, Task((2,), "float32", ("0", "1")))
    assert rows.y.tolist() == [1, 1]


def test_training_and_test_rows_at_once_are_refused(run):
    rows = run.rows("test")
    both = ((rows.x, rows.y), (rows.x, rows.y))
    with pytest.raises(kfc.DataError, match=r"labelled rows to measure, \(x, y\)"):
        run.evaluate(both)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", "b"], "expected numbers, 1 for each row, got <U1"),
        ([[1.0, 2.0], [3.0, 4.0]], r"got float64 of shape \(2, 2\)"),
    ],
)
def test_targets_of_another_kind_are_refused(y, message):
    x = np.arange(4.0).reshape(2, 2)
    with pytest.raises(kfc.DataError, match=message):
        encode_labelled((x, np.array(y)), Task((2,), "float32", ()))


def test_one_hot_rows_are_refused():
    with pytest.raises(kfc.DataError, match="one label per row"):
        numbers(np.eye(2, dtype=int).tolist(), ("0", "1"))


def test_columns_in_another_order_are_refused():
    import pandas as pd

    frame = pd.DataFrame({"b": [1.0, 2.0], "a": [3.0, 4.0]})
    task = Task((2,), "float32", ("0", "1"), feature_names=("a", "b"))
    with pytest.raises(kfc.DataError, match=r"the columns '?a'?, '?b'?, in this order"):
        encode_labelled((frame, np.array([0, 1])), task)


def test_targets_in_another_order_are_refused(tmp_path):
    import pandas as pd

    x = np.random.default_rng(0).normal(size=(60, 2))
    y = pd.DataFrame({"u": 5 * x[:, 0], "v": x[:, 1] - 3})
    spec = {"network": {"hidden": [4]}, "training": {"epochs": 1, "engine": "graph"}}
    folder = kfc.fit(spec, data=(x, y), runs=tmp_path, verbose=False).folder
    run = kfc.load(folder)
    assert run.task.targets == ("u", "v")
    with pytest.raises(kfc.DataError, match="targets: expected the columns u, v, in this ord"):
        run.evaluate((x[:30], y[["v", "u"]][:30]))


def test_weights_and_other_parts_of_labelled_rows_are_refused():
    x, y = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6) % 2
    task = Task((2,), "float32", ("0", "1"))
    with pytest.raises(kfc.DataError, match="expected rows without weights"):
        encode_labelled((x, y, y + 1.0), task)
    for other in ("validation", "test"):
        with pytest.raises(kfc.DataError, match="Pass one of the parts"):
            encode_labelled({"train": (x, y), other: (x, y)}, task)


def test_several_labels_per_row_are_no_one_hot_rows():
    x, y = np.arange(12, dtype=np.float32).reshape(6, 2), np.ones((6, 2), int)
    with pytest.raises(kfc.DataError, match="train one run per label"):
        encode_labelled((x, y), Task((2,), "float32", ("0", "1")))
