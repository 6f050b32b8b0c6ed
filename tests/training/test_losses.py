import keras
import numpy as np
import pytest

from kfc.data import Task
from kfc.errors import SpecError
from kfc.preprocessing import TargetScaling
from kfc.spec import load_spec
from kfc.spec.keras_signatures import signatures
from kfc.training.losses import OneHotLoss, StandardizedLoss, build_loss, default_loss
from kfc.training.metrics import build_metrics

ROWS = 7


def scaling(shift, divisor):
    return TargetScaling(np.asarray(shift, np.float32), np.asarray(divisor, np.float32))


THREE = Task((4,), "float32", ("a", "b", "c"))
TWO = Task((4,), "float32", ("a", "b"))
RAW = Task((4,), "float32", ())
RAW_PAIRS = Task((4,), "float32", (), outputs=2)
STANDARD = Task((4,), "float32", (), target_scaling=scaling([100.0], [20.0]))


def loss_of(options, task):
    return build_loss(load_spec({"training": {"loss": options}}).training.loss, task)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hinge(y, p):
    return np.maximum(1 - (2 * y - 1) * p, 0)


def binary(y, p):
    return -(y * np.log(sigmoid(p)) + (1 - y) * np.log(1 - sigmoid(p)))


def binary_focal(y, p):
    right = y * sigmoid(p) + (1 - y) * (1 - sigmoid(p))
    return (1 - right) ** 2 * binary(y, p)


def cosine(y, p):
    return -(y * p).sum(1) / np.linalg.norm(y, axis=1) / np.linalg.norm(p, axis=1)


def categorical(y, p):
    return -(y * np.log(softmax(p))).sum(1)


def huber(e):
    return np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5)


def overlap(y, s):
    return 1 - 2 * (y * s).sum() / (y.sum() + s.sum())


# In NumPy, of one-hot rows and logits, both (rows, classes).
ON_CLASSES = {
    "binary_crossentropy": lambda y, p: binary(y, p).mean(),
    "binary_focal_crossentropy": lambda y, p: binary_focal(y, p).mean(),
    "categorical_crossentropy": lambda y, p: categorical(y, p).mean(),
    "categorical_focal_crossentropy": lambda y, p: (
        0.25 * (1 - (y * softmax(p)).sum(1)) ** 2 * categorical(y, p)
    ).mean(),
    "categorical_hinge": lambda y, p: np.maximum(
        0, 1 + ((1 - y) * p).max(1) - (y * p).sum(1)
    ).mean(),
    "cosine_similarity": lambda y, p: cosine(y, p).mean(),
    "dice": lambda y, p: overlap(y, softmax(p)),
    "hinge": lambda y, p: hinge(y, p).mean(),
    "huber": lambda y, p: huber(y - p).mean(),
    "kl_divergence": lambda y, p: categorical(y, p).mean(),
    "log_cosh": lambda y, p: np.log(np.cosh(y - p)).mean(),
    "mean_absolute_error": lambda y, p: np.abs(y - p).mean(),
    "mean_squared_error": lambda y, p: ((y - p) ** 2).mean(),
    "mean_squared_logarithmic_error": lambda y, p: (
        (np.log1p(y) - np.log1p(np.maximum(p, 0))) ** 2
    ).mean(),
    "poisson": lambda y, p: (softmax(p) - y * np.log(softmax(p))).mean(),
    "sparse_categorical_crossentropy": lambda y, p: categorical(y, p).mean(),
    "squared_hinge": lambda y, p: (hinge(y, p) ** 2).mean(),
    "tversky": lambda y, p: overlap(y, softmax(p)),
}
# In NumPy, of targets and values, both (rows, outputs).
ON_NUMBERS = {
    "cosine_similarity": lambda y, v: cosine(y, v).mean(),
    "huber": lambda y, v: huber(y - v).mean(),
    "log_cosh": lambda y, v: np.log(np.cosh(y - v)).mean(),
    "mean_absolute_error": lambda y, v: np.abs(y - v).mean(),
    "mean_absolute_percentage_error": lambda y, v: 100 * np.abs((y - v) / y).mean(),
    "mean_squared_error": lambda y, v: ((y - v) ** 2).mean(),
    "mean_squared_logarithmic_error": lambda y, v: (
        (np.log1p(y) - np.log1p(np.maximum(v, 0))) ** 2
    ).mean(),
}


def classes(num_classes):
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS, dtype=np.int32) % num_classes
    return labels, rng.normal(0, 2, (ROWS, num_classes)).astype(np.float32)


def numbers(outputs):
    rng = np.random.default_rng(1)
    y = rng.uniform(0.5, 3, (ROWS, outputs)).astype(np.float32)
    return y, (y + rng.normal(0, 1.5, y.shape)).astype(np.float32)


@pytest.mark.parametrize("name", signatures("loss"))
def test_a_loss_on_classes_is_its_formula_or_refused(name):
    if name not in ON_CLASSES:
        with pytest.raises(SpecError, match=r"training\.loss: expected a loss for classes"):
            loss_of(name, THREE)
        return
    labels, logits = classes(3)
    expected = ON_CLASSES[name](np.eye(3)[labels], logits.astype(np.float64))
    actual = float(loss_of(name, THREE)(labels, logits))
    # Keras keeps probabilities 1e-7 away from 0 and 1 before it takes a logarithm.
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("name", signatures("loss"))
def test_a_loss_on_numbers_is_its_formula_or_refused(name):
    if name not in ON_NUMBERS:
        with pytest.raises(SpecError, match=r"training\.loss: expected a loss for numbers"):
            loss_of(name, RAW_PAIRS)
        return
    y, values = numbers(2)
    expected = ON_NUMBERS[name](y.astype(np.float64), values.astype(np.float64))
    actual = float(loss_of(name, RAW_PAIRS)(y, values))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_a_regression_loss_is_measured_in_deviations_of_the_targets(name):
    y, values = numbers(1)
    expected = loss_of(name, RAW)(y, values)
    actual = loss_of(name, STANDARD)(100 + 20 * y, 100 + 20 * values)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["mean_absolute_percentage_error", "mean_squared_logarithmic_error"]
)
def test_a_loss_of_ratios_needs_targets_in_their_own_units(name):
    with pytest.raises(SpecError, match=r"Set data\.scale_target to none"):
        loss_of(name, STANDARD)


def test_cosine_similarity_needs_several_targets():
    with pytest.raises(SpecError, match="several targets per row"):
        loss_of("cosine_similarity", RAW)


def test_both_forms_of_mean_squared_error_give_the_same_number():
    labels, logits = classes(3)
    errors = (np.eye(3)[labels] - logits) ** 2
    everything = errors.mean()
    classes_then_batch = errors.mean(axis=1).mean()
    actual = float(loss_of("mse", THREE)(labels, logits))
    np.testing.assert_allclose(actual, everything, rtol=1e-6)
    np.testing.assert_allclose(actual, classes_then_batch, rtol=1e-6)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_focal_crossentropy"])
def test_a_binary_loss_takes_one_logit_for_two_classes(name):
    labels, logits = classes(2)
    formula = ON_CLASSES[loss_of(name, TWO).name]
    logit = logits[:, :1]
    expected = formula(labels[:, None], logit.astype(np.float64))
    np.testing.assert_allclose(float(loss_of(name, TWO)(labels, logit)), expected, rtol=1e-5)


def test_binary_cross_entropy_weighs_each_row():
    labels, logits = classes(2)
    weights = np.linspace(0, 2, ROWS, dtype=np.float32)
    logit = logits[:, :1]
    expected = (weights * binary(labels, logit[:, 0].astype(np.float64))).mean()
    actual = loss_of("binary_cross_entropy", TWO)(labels, logit, sample_weight=weights)
    np.testing.assert_allclose(float(actual), expected, rtol=1e-5)


def test_options_of_a_loss_are_passed_on():
    y, values = numbers(1)
    actual = float(loss_of({"name": "huber", "delta": 0.1}, RAW)(y, values))
    errors = np.abs(y - values)
    expected = np.where(errors <= 0.1, errors**2 / 2, 0.1 * errors - 0.005).mean()
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_a_one_hot_loss_weighs_each_row():
    labels, logits = classes(3)
    weights = np.linspace(0, 2, ROWS, dtype=np.float32)
    loss = OneHotLoss(keras.losses.MeanSquaredError(), 3)
    rows = ((np.eye(3)[labels] - logits) ** 2).mean(axis=1)
    actual = float(loss(labels, logits, sample_weight=weights))
    np.testing.assert_allclose(actual, (weights * rows).mean(), rtol=1e-5)


def test_a_standardized_loss_divides_each_output_by_its_own_deviation():
    y, values = numbers(2)
    deviations = np.array([2.0, 5.0], np.float32)
    loss = StandardizedLoss(keras.losses.MeanSquaredError(), scaling([1, 2], deviations))
    expected = (((y - values) / deviations) ** 2).mean()
    np.testing.assert_allclose(float(loss(y, values)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "name"), [(THREE, "cross_entropy"), (TWO, "cross_entropy"), (RAW, "mse")]
)
def test_the_default_loss_fits_the_task(task, name):
    assert default_loss(task).name == name
    assert build_loss(None, task).name == loss_of(name, task).name


def results(task, num_outputs, y, outputs):
    metrics = build_metrics(task, num_outputs)
    for metric in metrics:
        metric.update_state(y, outputs)
    return {metric.name: float(metric.result()) for metric in metrics}


def test_classes_are_measured_by_accuracy():
    labels, logits = classes(3)
    expected = {"accuracy": (logits.argmax(axis=1) == labels).mean()}
    assert results(THREE, 3, labels, logits) == pytest.approx(expected)


def test_one_logit_is_measured_by_its_sign():
    labels, logits = classes(2)
    expected = {"accuracy": ((logits[:, 0] > 0) == labels).mean()}
    assert results(TWO, 1, labels, logits[:, :1]) == pytest.approx(expected)


@pytest.mark.parametrize("outputs", [1, 2])
def test_numbers_are_measured_by_absolute_error_and_r2(outputs):
    y, values = numbers(outputs)
    r2 = 1 - ((y - values) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    expected = {"mae": np.abs(y - values).mean(), "r2": r2.mean()}
    task = Task((4,), "float32", (), outputs=outputs)
    assert results(task, outputs, y, values) == pytest.approx(expected, rel=1e-4)
