import numpy as np
import pytest
import sklearn.datasets

from kfc.data import Source, prepare, read_source
from kfc.data.rows import Rows
from kfc.errors import DataError, PluginError, SpecError
from kfc.preprocessing import NumericScaling
from kfc.registry import SOURCES
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X, Y = RNG.random((200, 4)).astype(np.float32), np.repeat([0, 1], 100)


def prepared(name="digits", **overrides):
    return prepare(
        load_spec(name, {key.replace("__", "."): v for key, v in overrides.items()})
    )


def rows_of(*parts):
    """The multiset of rows of several parts."""
    return sorted(row.tobytes() for part in parts for row in part.x)


def test_digits_are_cut_into_training_validation_and_test():
    data = prepared()
    # 20 % of 1,797 rounded up; 10 % of the rest rounded up.
    assert (len(data.test), len(data.validation), len(data.train)) == (360, 144, 1293)
    assert data.task.class_names == tuple("0123456789")
    assert data.task.input_shape == (64,)
    assert data.task.classification


def test_no_row_is_lost_or_doubled():
    data = prepared()
    every = sklearn.datasets.load_digits().data.astype(np.float32)
    assert rows_of(data.train, data.validation, data.test) == sorted(
        r.tobytes() for r in every
    )


def test_every_part_has_the_classes_in_proportion():
    data = prepared()
    for part in (data.train, data.validation, data.test):
        shares = np.bincount(part.y) / len(part)
        np.testing.assert_allclose(shares, 0.1, atol=0.015)


def test_the_same_seed_cuts_the_same_rows_and_another_others():
    first, second, other = prepared(), prepared(), prepared(seed=1)
    np.testing.assert_array_equal(first.test.x, second.test.x)
    np.testing.assert_array_equal(first.validation.y, second.validation.y)
    assert rows_of(first.test) != rows_of(other.test)


def test_a_source_with_test_rows_keeps_them():
    data = prepare(load_spec({}), ((X, Y), (X[:7] + 1, Y[:7])))
    np.testing.assert_array_equal(data.test.x, X[:7] + 1)
    assert len(data.train) + len(data.validation) == 200


def test_validation_may_be_nothing():
    data = prepared(data__validation=0)
    assert data.validation is None
    assert set(data.held_out) == {"test"}
    assert len(data.train) == 1437


def test_held_out_rows_are_named_by_their_metrics():
    assert set(prepared().held_out) == {"val", "test"}


def test_rows_take_a_stratified_part_of_training_and_validation_only():
    data = prepared(data__rows=200)
    assert len(data.train) + len(data.validation) == 200
    assert len(data.test) == 360
    assert np.bincount(data.train.y).min() >= 15


def test_more_rows_than_there_are_means_all():
    assert rows_of(prepared(data__rows=10_000).train) == rows_of(prepared().train)


@pytest.mark.parametrize("scale", ["unit", "standard", "robust"])
def test_scaling_is_learned_on_the_training_part_alone(scale):
    data = prepared("breast_cancer", data__scale=scale)
    own = NumericScaling.fit(scale, data.train.x)
    np.testing.assert_array_equal(data.task.scaling.shift, own.shift)
    np.testing.assert_array_equal(data.task.scaling.divisor, own.divisor)
    every = NumericScaling.fit(
        scale, sklearn.datasets.load_breast_cancer().data.astype(np.float32)
    )
    assert not np.array_equal(own.divisor, every.divisor)


def test_an_outlier_in_validation_or_test_does_not_move_the_scaling():
    data = ((X, Y), (X * 1000, Y))
    np.testing.assert_array_equal(
        prepare(load_spec({}), data).task.scaling.divisor,
        prepare(load_spec({}), ((X, Y), (X, Y))).task.scaling.divisor,
    )


def test_regression_targets_are_measured_on_the_training_part():
    data = prepared("diabetes")
    assert not data.task.classification
    assert data.train.y.shape == (len(data.train), 1)
    assert data.train.y.dtype == np.float32
    np.testing.assert_allclose(data.task.target_scaling.shift, data.train.y.mean(0), rtol=1e-6)
    np.testing.assert_allclose(
        data.task.target_scaling.divisor, data.train.y.std(0), rtol=1e-5
    )


def test_regression_targets_may_keep_their_units():
    scaling = prepared("diabetes", data__scale_target="none").task.target_scaling
    assert (scaling.shift, scaling.divisor) == (0, 1)


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("u1", "float32"),
        ("f8", "float32"),
        ("f4", "float32"),
        ("i8", "float32"),
        ("?", "float32"),
    ],
)
def test_a_table_of_any_type_becomes_float32(dtype, stored):
    x = (X * 255 if dtype in ("u1", "i8") else X > 0.5 if dtype == "?" else X).astype(dtype)
    data = prepare(load_spec({}), (x, Y))
    assert data.task.input_dtype == stored
    for part in (data.train, data.validation, data.test):
        assert part.x.dtype == stored


def test_images_keep_their_shape():
    assert prepare(load_spec({}), (X.reshape(200, 2, 2), Y)).task.input_shape == (2, 2)


@pytest.mark.parametrize(
    ("y", "task", "outputs", "labels"),
    [
        (Y, None, 1, ("0", "1")),
        (Y + RNG.normal(size=len(Y)), None, 1, ()),
        (Y.astype(float), "classification", 1, ("0.0", "1.0")),
        (Y, "regression", 1, ()),
        (RNG.random((200, 3)), None, 3, ()),
    ],
    ids=["integers", "floats", "floats as classes", "integers as numbers", "three numbers"],
)
def test_targets_tell_the_task_unless_the_spec_does(y, task, outputs, labels):
    data = prepare(load_spec({"data": {"task": task}}), (X, y))
    assert (data.task.outputs, data.task.class_names) == (outputs, labels)


# --- weights ------------------------------------------------------------------------------

WEIGHTED = np.arange(1, 201) / 8  # exact in float32, and another for each row
OF_ROW = {row.tobytes(): weight for row, weight in zip(X, WEIGHTED, strict=True)}


@pytest.mark.parametrize("y", [Y, X[:, :1]], ids=["stratified", "not stratified"])
@pytest.mark.parametrize(
    ("of_data", "rows"),
    [({"validation": 0}, 160), ({}, 144), ({"rows": 50}, 45)],
    ids=["test split", "validation split", "fewer rows"],
)
def test_every_training_row_keeps_its_weight(y, of_data, rows):
    train = prepare(load_spec({"data": of_data}), (X, y, WEIGHTED)).train
    assert train.sample_weight.shape == (rows,)
    assert train.sample_weight.dtype == np.float32
    assert train.sample_weight.tolist() == [OF_ROW[row.tobytes()] for row in train.x]


def test_weights_change_no_split_and_leave_held_out_rows_without():
    plain, weighted = (prepare(load_spec({}), data) for data in ((X, Y), (X, Y, WEIGHTED)))
    assert plain.train.sample_weight is None
    assert plain.task.scaling.shift.tolist() == weighted.task.scaling.shift.tolist()
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(weighted, part).x, getattr(plain, part).x)
    for rows in weighted.held_out.values():
        assert rows.sample_weight is None


def test_taken_rows_take_their_weights_along():
    taken = Rows(X, Y, WEIGHTED).take(np.array([3, 1, 3]))
    assert taken.sample_weight.tolist() == WEIGHTED[[3, 1, 3]].tolist()
    assert len(taken) == 3


# --- validation as its own source ---------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "own.npz", **arrays)
        return f"npz:{tmp_path / 'own.npz'}"

    np.savez(tmp_path / "train.npz", x=X, y=Y)
    save.train = f"npz:{tmp_path / 'train.npz'}"
    return save


def test_validation_may_be_its_own_source(own):
    name = own(x=X[:9] + 1, y=Y[:9])
    data = prepare(load_spec({"data": {"source": own.train, "validation": name}}))
    np.testing.assert_array_equal(data.validation.x, X[:9] + 1)
    assert (len(data.train), len(data.test)) == (160, 40)
    assert data.task.scaling.shift.max() < 1


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X[:, :3], "y": Y}, "inputs of shape (4,)"),
        ({"x": X, "y": Y + 5}, "one of the 2 labels"),
        ({"x": np.where(X > 0.5, np.nan, X), "y": Y}, "finite inputs"),
    ],
    ids=["fewer features", "unknown labels", "nan"],
)
def test_validation_rows_are_checked_like_the_others(own, arrays, expected):
    name = own(**arrays)
    with pytest.raises(DataError) as caught:
        prepare(load_spec({"data": {"source": own.train, "validation": name}}))
    assert expected in caught.value.findings[0].expected
    assert caught.value.findings[0].where.startswith(f"{name}, validation rows")


# --- the fingerprint ----------------------------------------------------------------------


def fingerprint(x=X, y=Y, **of_data):
    return prepare(load_spec({"data": of_data}), (x, y)).sha256


def test_the_same_rows_have_the_same_fingerprint():
    assert fingerprint() == fingerprint(X.copy(), Y.copy())
    assert fingerprint() == fingerprint(scale="standard", validation=0)
    assert fingerprint(np.asfortranarray(X)) == fingerprint()


def test_one_cell_changes_the_fingerprint():
    x, y = X.copy(), Y.copy()
    x[17, 2] = np.nextafter(x[17, 2], 2)
    y[17] = 1 - y[17]
    assert len({fingerprint(), fingerprint(x), fingerprint(X, y)}) == 3


def test_the_order_and_the_type_of_rows_are_in_the_fingerprint():
    assert fingerprint(X[::-1]) != fingerprint()
    assert fingerprint(X.astype(np.float64)) != fingerprint()
    assert fingerprint(X.reshape(200, 2, 2)) != fingerprint()


def test_test_rows_and_text_labels_are_in_the_fingerprint():
    def of(test, names):
        return prepare(load_spec({}), ((X, names[Y]), (test, names[Y]))).sha256

    names, others = np.array(["a", "b"], object), np.array(["a", "c"], object)
    assert len({of(X, names), of(X + 1, names), of(X, others)}) == 3


def test_weights_are_in_the_fingerprint_where_there_are_any():
    def of(*data):
        return prepare(load_spec({}), data).sha256

    other = WEIGHTED.copy()
    other[17] = 0
    assert len({of(X, Y), of(X, Y, WEIGHTED), of(X, Y, other)}) == 3
    assert of(X, Y, WEIGHTED) == of(X, Y, WEIGHTED.copy())


def test_a_fingerprint_without_weights_stays_what_it_was_before_there_were_any():
    x = np.arange(800, dtype=np.float32).reshape(200, 4)
    assert fingerprint(x, Y.astype(np.int64)).startswith("1f96f7bdbc1bededd2d1c984")


def test_the_validation_source_is_in_the_fingerprint(own):
    def of(x):
        spec = load_spec({"data": {"source": own.train, "validation": own(x=x, y=Y[:9])}})
        return prepare(spec).sha256

    assert of(X[:9]) != of(X[:9] + 1)


# --- sources ------------------------------------------------------------------------------


def test_a_spec_without_source_needs_data():
    with pytest.raises(SpecError, match=r"source: sklearn:digits") as caught:
        prepare(load_spec({}))
    assert caught.value.findings[0].where == "data.source"


def test_a_source_that_gives_something_else_is_refused(monkeypatch):
    monkeypatch.setitem(SOURCES.builtins, "odd", "builtins:list")
    with pytest.raises(PluginError, match=r"expected a kfc\.data\.Source, got list"):
        read_source("odd:abc")


def test_a_source_names_its_classes_even_where_one_is_missing():
    source = Source(Rows(X, Y), class_names=("no", "yes", "maybe"))
    data = prepare(load_spec({}), source)
    assert data.task.class_names == ("no", "yes", "maybe")
    with pytest.raises(DataError, match="one of the 2 labels no, yes"):
        prepare(load_spec({}), Source(Rows(X, Y * 2), class_names=("no", "yes")))


@pytest.mark.parametrize(
    "y",
    [Y.astype("float32"), Y.astype(float)[:, None]],
    ids=["float labels", "a column of float labels"],
)
def test_floats_that_look_like_classes_need_a_task(y):
    with pytest.raises(DataError, match="to classification or regression"):
        prepare(load_spec({}), (X, y))
    assert prepare(load_spec({"data": {"task": "regression"}}), (X, y)).task.class_names == ()


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (
            np.eye(2)[Y],
            r"Use y\.argmax\(axis=1\) for classes, or set data\.task to regression",
        ),
        (np.c_[Y, 1 - Y[::-1]] * 1.0, "train one run per label"),
    ],
    ids=["one-hot", "several labels"],
)
def test_floats_of_zeros_and_ones_in_columns_need_a_task(y, remedy):
    with pytest.raises(DataError, match=remedy):
        prepare(load_spec({}), (X, y))
    assert prepare(load_spec({"data": {"task": "regression"}}), (X, y)).task.outputs == 2


def test_a_constant_one_of_several_targets_keeps_its_unit():
    y = np.c_[X[:, 0], np.full(len(X), 7.0)]
    scaling = prepare(load_spec({}), (X, y)).task.target_scaling
    assert scaling.divisor[1] == 1
    assert scaling.shift[1] == 7


# --- validation rows that the data bring --------------------------------------------------

BROUGHT = Source(Rows(X, Y), validation=Rows(X[:9] + 1, Y[:9]))


@pytest.mark.parametrize("said", [{}, {"validation": "own"}], ids=["unsaid", "own"])
def test_validation_rows_that_the_data_bring_are_used(said):
    data = prepare(load_spec({"data": said}), BROUGHT)
    np.testing.assert_array_equal(data.validation.x, X[:9] + 1)
    assert len(data.train) + len(data.test) == len(X)
    assert data.resolved["validation"] == "own"
    assert data.sha256 != prepare(load_spec({}), (X, Y)).sha256


def test_a_share_of_the_training_rows_is_for_data_without_validation_rows():
    assert prepare(load_spec({}), (X, Y)).resolved["validation"] == 0.1
    assert len(prepare(load_spec({}), (X, Y)).validation) == 16


@pytest.mark.parametrize("said", [0.1, 0, 0.5])
def test_two_places_for_validation_rows_are_refused(said):
    with pytest.raises(
        DataError, match=r"while data has validation rows of its own"
    ) as caught:
        prepare(load_spec({"data": {"validation": said}}), BROUGHT)
    assert caught.value.findings[0].where == "data.validation"


def test_own_validation_rows_must_be_there():
    with pytest.raises(DataError, match="own, while data has none"):
        prepare(load_spec({"data": {"validation": "own"}}), (X, Y))


def test_validation_rows_have_no_weights(own):
    brought = Source(Rows(X, Y), validation=Rows(X[:9], Y[:9], Y[:9] + 1.0))
    with pytest.raises(
        DataError, match="data, validation rows: expected rows without weights"
    ):
        prepare(load_spec({}), brought)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Source(Rows(X, Y), feature_names=tuple("bacd")), "the columns a, b, c, d"),
        (
            Source(Rows(X, Y), feature_names=tuple("abcd"), class_names=("yes", "no")),
            "the classes no, yes",
        ),
    ],
    ids=["columns", "classes"],
)
def test_another_source_of_validation_rows_has_the_same_names(other, what):
    train = Source(Rows(X, Y), feature_names=tuple("abcd"), class_names=("no", "yes"))
    sources = {"npz:train": train, "npz:other": other}
    spec = load_spec({"data": {"source": "npz:train", "validation": "npz:other"}})
    with pytest.raises(DataError, match=what):
        prepare(spec, read=sources.__getitem__)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (int, str, "labels 0, 1, got '0', of type <U.*these targets as numbers"),
        (str, int, "labels 0, 1, got 0, of type int64. Give these targets as text"),
    ],
)
def test_labels_of_another_type_than_in_training_are_named_as_such(train, test, message):
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    with pytest.raises(DataError, match=message):
        prepare(load_spec({}), ((x, y.astype(train)), (x, y.astype(test))))


def test_the_default_scaling_is_standard_for_a_table_and_unit_for_arrays():
    arrays = prepare(load_spec({}), (X, Y))
    assert arrays.resolved["scale"] == "unit"
    scaled = arrays.task.scaling.apply(arrays.train.x)
    assert (scaled.min(), scaled.max()) == (0, 1)
    table = {"size": X[:, 0] * 10, "label": np.where(Y, "yes", "no")}
    spec = load_spec({"data": {"target": "label"}})
    found = prepare(spec, table)
    assert found.resolved["scale"] == "standard"
    scaled = found.task.scaling.apply(found.train.x)
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-5)
    chosen = prepare(load_spec(spec, {"data.scale": "none"}), table)
    assert chosen.resolved["scale"] == "none"
