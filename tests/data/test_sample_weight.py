import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

import kfc
from kfc.data import Rows, Task
from kfc.data.sample_weight import weighted
from kfc.errors import DataError, SpecError
from kfc.spec import load_spec
from kfc.training.step import TapeModel

RNG = np.random.default_rng(0)
# Three classes of 35, 21 and 14 rows, which make batches of 32, 32 and 6.
X = RNG.random((70, 4), dtype=np.float32)
Y = RNG.permutation(np.repeat([0, 1, 2], [35, 21, 14])).astype(np.int32)
W = RNG.random(70).astype(np.float32)
TASK = Task((4,), "float32", ("0", "7", "no"))
BY_NAME = {"7": 2.5, "no": 0}  # and "0" weighs 1
BY_NUMBER = {0: 1, 1: 2.5, 2: 0}


def weigh(class_weight, weight=None, task=TASK, y=Y):
    spec = load_spec({"training": {"class_weight": class_weight}})
    return weighted(Rows(X[: len(y)], y, weight), spec, task)


def refused(*arguments, error=SpecError, **options):
    with pytest.raises(error) as caught:
        weigh(*arguments, **options)
    for finding in caught.value.findings:
        assert finding.remedy
    return caught.value.findings


# --- the weights --------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, {}], ids=["none", "no class"])
@pytest.mark.parametrize("weight", [None, W], ids=["unweighted", "weighted"])
def test_rows_stay_as_they_are_where_no_class_weight_is_asked_for(nothing, weight):
    rows = Rows(X, Y, weight)
    assert weighted(rows, load_spec({"training": {"class_weight": nothing}}), TASK) is rows


def test_balanced_classes_all_count_the_same():
    weight = weigh("balanced").sample_weight
    assert weight.dtype == np.float32
    assert [weight[c == Y].sum() for c in range(3)] == pytest.approx([70 / 3] * 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=Y)
    np.testing.assert_allclose(weight, expected[Y], rtol=1e-6)
    np.testing.assert_allclose(expected, [70 / 3 / 35, 70 / 3 / 21, 70 / 3 / 14])


def test_a_class_without_training_rows_takes_no_part_in_the_balance():
    weight = weigh("balanced", y=np.array([0, 2, 2, 2], np.int32)).sample_weight
    np.testing.assert_allclose(weight, [2, 2 / 3, 2 / 3, 2 / 3], rtol=1e-6)


def test_named_classes_weigh_what_is_said_and_others_1():
    weight = weigh(BY_NAME).sample_weight
    assert {c: set(weight[c == Y]) for c in range(3)} == {0: {1}, 1: {2.5}, 2: {0}}


def test_a_named_class_may_be_without_training_rows():
    assert weigh(BY_NAME, y=np.array([0, 1], np.int32)).sample_weight.tolist() == [1, 2.5]


@pytest.mark.parametrize("asked", ["balanced", BY_NAME], ids=["balanced", "by name"])
def test_sample_and_class_weights_are_multiplied(asked):
    rows = weigh(asked, W)
    np.testing.assert_allclose(rows.sample_weight, weigh(asked).sample_weight * W, rtol=1e-6)
    assert rows.sample_weight.dtype == np.float32


# --- what is refused ----------------------------------------------------------------------


def test_every_unknown_class_is_refused_with_the_nearest_and_the_known():
    first, second = refused({"noo": 2, "7": 1, "0.0": 3})
    assert first.where == "training.class_weight.noo"
    assert first.expected == "the name of one of the 3 classes"
    assert first.remedy == "Did you mean 'no'? Known: 0, 7, no."
    assert second.got == "'0.0'"


def test_many_known_classes_are_cut_short():
    task = Task((4,), "float32", tuple(map(str, range(100, 150))))
    (finding,) = refused({"x": 1}, task=task)
    assert finding.remedy.endswith("107, 108, 109, ....")


@pytest.mark.parametrize("asked", ["balanced", {"0": 2}])
def test_numbers_have_no_classes_to_weigh(asked):
    targets = np.ones((70, 1), np.float32)
    (finding,) = refused(asked, task=Task((4,), "float32", ()), y=targets)
    assert finding.where == "training.class_weight"
    assert finding.got == "targets that are numbers"


@pytest.mark.parametrize(
    ("asked", "weight"),
    [
        ({"0": 0, "7": 0, "no": 0}, None),
        ({"0": 0, "7": 0}, np.where(Y == 2, 0, W)),
        ("balanced", W * 0),
        ({"0": 1e-30, "7": 1e-30, "no": 1e-30}, W * np.float32(1e-30)),
    ],
    ids=["classes", "classes and rows", "rows", "in float32"],
)
def test_weights_that_leave_no_row_are_refused(asked, weight):
    (finding,) = refused(asked, weight)
    assert finding.where == "training.class_weight"
    assert finding.got == "a weight of 0 for all of them"


def test_sample_weights_that_leave_no_training_row_are_refused_as_data():
    (finding,) = refused(None, W * 0, error=DataError)
    assert finding.where == "data"


def test_weights_beyond_float32_are_refused():
    (finding,) = refused({"0": 1e300})
    assert "fit in float32" in finding.expected
    assert refused({"0": 1e30}, W * np.float32(1e30))


# --- against Keras ------------------------------------------------------------------------

# Name -> what kfc is told, and what Keras is.
CASES = {
    "sample weights": ((None, W), {"sample_weight": W}),
    "class weights": ((BY_NAME, None), {"class_weight": BY_NUMBER}),
    "balanced": (
        ("balanced", None),
        {"class_weight": dict(enumerate(70 / 3 / np.bincount(Y)))},
    ),
    # Keras refuses both at once.
    "both": ((BY_NAME, W), {"sample_weight": W * np.array([1, 2.5, 0], np.float32)[Y]}),
}
OPTIONS = {"epochs": 3, "batch_size": 32, "shuffle": False, "verbose": 0}


@pytest.fixture
def stock():
    """A plain network of Keras's own, on rows as they are."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(3)]
    return compiled(keras.Sequential([keras.Input((4,)), *layers]))


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def assert_same_weights(actual, expected):
    for got, want in zip(actual.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("told", "keras_told"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.slow)  # a run makes the same steps
        for name, case in CASES.items()
    ],
)
def test_weighted_steps_are_those_of_keras(stock, told, keras_told):
    tape = compiled(TapeModel(keras.models.clone_model(stock)))
    tape.set_weights(stock.get_weights())
    expected = stock.fit(X, Y, **OPTIONS, **keras_told).history

    rows = weigh(*told)
    step = tf.function(tape.train_step, reduce_retracing=True)
    history = {"loss": [], "accuracy": []}
    for _ in range(3):
        tape.reset_metrics()
        for first in range(0, 70, 32):
            batch = (part[first : first + 32] for part in (rows.x, rows.y, rows.sample_weight))
            logs = step(tuple(map(tf.constant, batch)))
        for name, values in history.items():
            values.append(float(logs[name]))

    assert_same_weights(tape, stock)
    for name, values in history.items():
        assert values == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.parametrize(
    ("engine", "case"),
    [
        # With both kinds of weights everything is in use; the others leave parts out.
        pytest.param(
            engine, case, marks=[] if (engine, case) == ("xla", "both") else pytest.mark.slow
        )
        for engine in ("graph", "xla")
        for case in CASES
    ],
)
def test_a_weighted_run_is_that_of_keras(stock, tmp_path, engine, case):
    (class_weight, weight), keras_told = CASES[case]
    names = np.array(TASK.class_names)[Y]
    train = (X, names) if weight is None else (X, names, weight)
    spec = {
        "data": {"scale": "none", "validation": 0},
        "network": {"hidden": [6], "activation": "tanh"},
        "training": {
            "optimizer": {"name": "adam", "learning_rate": 0.01},
            "class_weight": class_weight,
            "engine": engine,
            "epochs": 3,
            "batch_size": 32,
            "shuffle": False,
        },
    }
    start = kfc.build(spec, input_shape=(4,), classes=3)
    stock.set_weights(start.get_weights())
    test = X[:30], names[:30]
    run = kfc.fit(spec, data=(train, test), runs=tmp_path, verbose=False)
    expected = stock.fit(X, Y, **OPTIONS, **keras_told).history

    assert_same_weights(run.model, stock)
    assert run.history["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert run.history["accuracy"] == pytest.approx(expected["accuracy"], rel=1e-5)
    unweighted = stock.evaluate(X[:30], Y[:30], verbose=0, return_dict=True)
    assert run.metrics["test_loss"] == pytest.approx(unweighted["loss"], rel=1e-5)
    assert run.evaluate((train, test)) == run.metrics
