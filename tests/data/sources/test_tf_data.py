import numpy as np
import pytest
import tensorflow as tf

from kfc.data import prepare
from kfc.data.sources.tf_data import from_dataset, is_dataset
from kfc.errors import DataError
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = np.arange(48, dtype=np.float32).reshape(12, 4)
Y = np.arange(12) % 2
W = np.arange(12) / 4
PICTURES = RNG.random((12, 4, 4), dtype=np.float32)
VECTORS = RNG.random((12, 4), dtype=np.float32)


def rows(*parts):
    return tf.data.Dataset.from_tensor_slices(parts)


def refused(data):
    with pytest.raises(DataError) as caught:
        from_dataset(data)
    (finding,) = caught.value.findings
    assert finding.remedy
    return finding


def generated(elements, *signature):
    specs = tuple(tf.TensorSpec(shape, kind) for shape, kind in signature)
    return tf.data.Dataset.from_generator(lambda: iter(elements), output_signature=specs)


RANK_UNKNOWN = rows(X, Y).map(
    lambda x, y: tf.numpy_function(lambda *parts: parts, (x, y), (tf.float32, tf.int64))
)
OPEN = generated(list(zip(X, Y, strict=True)), ((None,), tf.float32), ((), tf.int64))
TOLD = {
    "rows": (rows(X, Y), (X, Y)),
    "rows with weights": (rows(X, Y, W), (X, Y, W)),
    "rows of one feature": (rows(X[:, :1], Y), (X[:, :1], Y)),
    "pictures": (rows(PICTURES, Y), (PICTURES, Y)),
    "rows with as many targets, and weights": (
        rows(PICTURES, VECTORS, W),
        (PICTURES, VECTORS, W),
    ),
    "rows with another number of targets": (
        rows(X, PICTURES[:, 0, :3]),
        (X, PICTURES[:, 0, :3]),
    ),
    "batches": (rows(X, Y).batch(5), (X, Y)),
    "even batches": (rows(X, Y).batch(4), (X, Y)),
    "one batch": (rows(X, Y).batch(99), (X, Y)),
    "batches of one": (rows(X, Y).batch(1), (X, Y)),
    "full batches of one": (rows(X, Y).batch(1, drop_remainder=True), (X, Y)),
    "batches with weights": (rows(X, Y, W).batch(5), (X, Y, W)),
    "batches of pictures and vectors": (rows(PICTURES, VECTORS).batch(4), (PICTURES, VECTORS)),
    "batches of as many targets": (rows(X, VECTORS).batch(4), (X, VECTORS)),
    "batches put together again": (
        rows(X, Y).batch(4, drop_remainder=True).unbatch().batch(4),
        (X, Y),
    ),
    "rows of a generator": (
        generated(zip(X, Y, strict=True), ((4,), tf.float32), ((), tf.int64)),
        (X, Y),
    ),
    "rows of a generator that leaves sizes open": (
        generated(
            zip(X, VECTORS[:, :3], strict=True), ((None,), tf.float32), ((None,), tf.float32)
        ),
        (X, VECTORS[:, :3]),
    ),
    "rows of unknown rank": (RANK_UNKNOWN, (X, Y)),
    "one row": (rows(X[:1], Y[:1]), (X[:1], Y[:1])),
    "rows of one feature with targets of size 1": (
        rows(X[:, :1], Y[:, None]),
        (X[:, :1], Y[:, None]),
    ),
    "uneven batches that leave sizes open": (OPEN.batch(5).unbatch().batch(5), (X, Y)),
}


@pytest.mark.parametrize("case", TOLD)
def test_rows_and_batches_are_told_apart_by_their_specs(case):
    data, expected = TOLD[case]
    for got, wanted in zip(from_dataset(data).parts, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


ASKED = {
    "pictures with vectors": rows(PICTURES, VECTORS),
    "as many targets as inputs": rows(X, VECTORS),
    "full batches": rows(X, Y).batch(4, drop_remainder=True),
    "full batches of one feature": rows(X[:, 0], Y).batch(4, drop_remainder=True),
    "full batches with weights": rows(X, Y, W).batch(4, drop_remainder=True),
    "batches of unknown rank": RANK_UNKNOWN.batch(4),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_may_be_rows_or_batches_is_asked(case):
    finding = refused(ASKED[case])
    assert "rows from batches" in finding.expected
    assert finding.remedy == (
        "If they are batches, pass dataset.unbatch().batch(4); if each is one row, pass "
        "dataset.batch(4)."
    )


def test_open_sizes_of_what_may_be_rows_or_batches_are_asked():
    specs = ((None, None), tf.float32), ((None,), tf.float32)
    data = generated(list(zip(PICTURES, VECTORS, strict=True)), *specs)
    finding = refused(data)
    assert "whose specs leave all sizes open" in finding.got
    assert "tf.ensure_shape(x, (None, 4)), tf.ensure_shape(y, (None,))" in finding.remedy
    batches = data.map(
        lambda x, y: (tf.ensure_shape(x, (None, 4)), tf.ensure_shape(y, (None,)))
    )
    assert from_dataset(batches).x.shape == (48, 4)
    pictures = data.map(lambda x, y: (tf.ensure_shape(x, (4, 4)), tf.ensure_shape(y, (4,))))
    assert from_dataset(pictures.batch(4)).x.shape == (12, 4, 4)


def test_what_is_said_to_do_tells_rows_from_batches():
    pictures = from_dataset(ASKED["pictures with vectors"].batch(4))
    assert pictures.x.shape == (12, 4, 4)
    feature = ASKED["full batches of one feature"].unbatch().batch(4)
    assert from_dataset(feature).x.shape == (12,)


def test_a_batch_of_one_feature_is_no_row():
    with pytest.raises(DataError, match=r"expected inputs \(rows, features\), got .* \(12,\)"):
        prepare(load_spec({}), rows(X[:, 0], Y).batch(4))


def test_text_labels_are_text():
    data = rows(X, np.array(["no", "y\u00e9s"])[Y]).batch(4)
    assert prepare(load_spec({"data": {"validation": 0}}), data).task.class_names == (
        "no",
        "y\u00e9s",
    )


# --- a data set that shuffles itself ------------------------------------------------------


@pytest.mark.parametrize(
    "shuffled",
    [
        lambda data: data.shuffle(12),
        lambda data: data.shuffle(12).batch(5),
        lambda data: data.batch(2).shuffle(6),
        lambda data: data.shuffle(12, seed=1).cache().shuffle(12),
    ],
    ids=["rows", "batches of shuffled rows", "shuffled batches", "twice"],
)
@pytest.mark.parametrize("labels", [Y, np.array(["no", "yes"])[Y]], ids=["numbers", "text"])
def test_rows_of_a_data_set_that_shuffles_itself_are_the_same_each_time(shuffled, labels):
    data = shuffled(rows(X, labels, W))
    spec = load_spec({"data": {"validation": 0}})
    first, again = prepare(spec, data), prepare(spec, data)
    assert first.sha256 == again.sha256
    np.testing.assert_array_equal(first.test.x, again.test.x)
    got = from_dataset(data)
    order = got.x[:, 0].argsort()
    for part, wanted in zip((got.x, got.sample_weight), (X, W), strict=True):
        np.testing.assert_array_equal(part[order], wanted)
    assert np.asarray(got.y[order]).astype(str).tolist() == labels.astype(str).tolist()


def test_rows_of_any_other_data_set_keep_their_order():
    once = rows(X, Y).shuffle(12, seed=3, reshuffle_each_iteration=False)
    wanted = np.array([x for x, _ in once.as_numpy_iterator()])
    np.testing.assert_array_equal(from_dataset(once).x, wanted)
    assert (wanted != X).any()
    left = iter(list(zip(X, Y, strict=True)))
    spent = tf.data.Dataset.from_generator(
        lambda: left, output_signature=(tf.TensorSpec((4,)), tf.TensorSpec((), tf.int64))
    )
    np.testing.assert_array_equal(from_dataset(spent).x, X)


# --- refusals -----------------------------------------------------------------------------

RAGGED = tf.ragged.constant([[1.0, 2.0], [3.0]])
SPARSE = tf.sparse.from_dense(X)
REFUSED = {
    "inputs alone": (tf.data.Dataset.from_tensor_slices(X), "TensorSpec"),
    "four parts": (rows(X, Y, Y, Y), "TensorSpec"),
    "dicts": (rows({"a": X[:, 0], "b": X[:, 1]}, Y), "TensorSpec"),
    "nested tuples": (rows((X, X), Y), "TensorSpec"),
    "ragged rows": (rows(RAGGED, Y[:2]), "Ragged"),
    "sparse rows": (rows(SPARSE, Y), "Sparse"),
    "nothing": (rows(X, Y).take(0), "an empty tf.data.Dataset"),
    "no end": (rows(X, Y).repeat(), "repeats endlessly"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_finite_data_set_of_dense_rows_is_refused(case):
    data, got = REFUSED[case]
    assert is_dataset(data)
    assert got in refused(data).got


def test_features_in_a_dict_are_told_how_to_become_one_tensor():
    features = {name: X[:, number] for number, name in enumerate("abcd")}
    data = rows(features, Y)
    assert "tf.stack(list(features.values()), axis=-1)" in refused(data).remedy
    stacked = data.map(lambda each, y: (tf.stack(list(each.values()), axis=-1), y))
    np.testing.assert_array_equal(from_dataset(stacked).x, X)


def test_uneven_rows_are_refused():
    uneven = generated(
        [(np.ones(3), 0), (np.ones(4), 1)], ((None,), tf.float32), ((), tf.int32)
    )
    assert refused(uneven).expected == "rows of the same shape"


def test_a_missing_number_is_no_sign_of_shuffling():
    x = X.copy()
    x[3, 1] = np.nan
    np.testing.assert_array_equal(from_dataset(rows(x, Y).batch(5)).x, x)
