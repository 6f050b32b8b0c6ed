"""Members: what they share, in what they differ at first, and what they answer together."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from kfc.data import Task, prepare
from kfc.errors import SpecError
from kfc.network.averaged import SMALLEST
from kfc.network.building import build
from kfc.network.factor_product import MemberLogits, MemberProduct
from kfc.network.members import average_of_members, num_members, without_average
from kfc.network.row_initializers import initialize_from_rows
from kfc.network.table_inputs import input_columns, num_inputs
from kfc.preprocessing import TargetScaling, fit_scaling
from kfc.spec import load_spec
from kfc.training.engine.tensor_inputs import training_network

ROWS = np.random.default_rng(0).normal(0, 1, (50, 4)).astype(np.float32)
CLASSES = Task((4,), "float32", ("a", "b", "c"), scaling=fit_scaling("standard", ROWS))
BINARY = Task((4,), "float32", ("a", "b"), scaling=fit_scaling("standard", ROWS))
NUMBERS = Task(
    (4,),
    "float32",
    (),
    2,
    fit_scaling("standard", ROWS),
    TargetScaling.fit("standard", 50 + 7 * ROWS[:, :2]),
)
TASKS = {"classes": CLASSES, "one logit": BINARY, "numbers": NUMBERS}


def spec_of(kind="classes", /, **options):
    overrides = {f"network.{key}": value for key, value in options.items()}
    if kind == "one logit":
        overrides["training.loss"] = "binary_cross_entropy"
    return load_spec({}, {"network.hidden": [6, 5], "network.members": 3, **overrides})


def randomized(model):
    """Draws all weights, and returns them in float64, by name."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return {w.path: w.numpy().astype(np.float64) for w in model.weights}


def outputs_of_members(w, x, task):
    x = (x - ROWS.mean(0, np.float64)) / ROWS.std(0, dtype=np.float64)
    x = x[:, None] * w["member_scale/kernel"]  # (rows, members, inputs)
    for name in ("hidden_1", "hidden_2"):
        x = np.maximum(x @ w[f"{name}/kernel"] + w[f"{name}/bias"], 0)
    y = np.einsum("bki,kic->bkc", x, w["logits/kernel"]) + w["logits/bias"]
    return y if task.classification else task.target_scaling.inverse(y)


@pytest.mark.parametrize("kind", TASKS)
def test_members_share_hidden_layers_and_their_answers_are_averaged(kind):
    task = TASKS[kind]
    model = build(spec_of(kind), task)
    y = outputs_of_members(randomized(model), ROWS, task)
    if kind == "numbers":
        expected = y.mean(axis=1)
    elif kind == "classes":
        expected = np.log(softmax(y, axis=2).mean(axis=1))
    else:
        second = expit(y).mean(axis=1)
        expected = np.log(second / (1 - second))
    np.testing.assert_allclose(model(ROWS), expected, rtol=1e-4, atol=1e-4)
    trained = training_network(model)
    np.testing.assert_allclose(trained(ROWS), y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(without_average(model)(ROWS), y, rtol=1e-4, atol=1e-4)
    assert num_members(model) == num_members(trained) == 3


def test_the_layers_of_a_network_with_members_are_named():
    names = [layer.name for layer in build(spec_of(input_scale=True), CLASSES).layers]
    assert names[1:6] == ["scaling", "input_scale", "member_scale", "hidden_1", "hidden_2"]
    assert names[6] == "logits"


def test_one_member_is_the_network_without_members():
    plain = build(load_spec({}, {"network.hidden": [6, 5]}), CLASSES)
    one = build(spec_of(members=1), CLASSES)
    assert [layer.name for layer in one.layers] == [layer.name for layer in plain.layers]
    for own, other in zip(one.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    assert num_members(one) == 1
    assert without_average(one) is one


@pytest.mark.parametrize("logits", [-400.0, 0.0, 400.0])
def test_an_average_of_certain_members_is_finite(logits):
    y = keras.ops.full((2, 3, 1), logits)
    largest = -np.log(SMALLEST)
    expected = np.clip(logits, -largest, largest)
    np.testing.assert_allclose(average_of_members(y, classification=True), expected, atol=1e-4)
    y = keras.ops.concatenate([y, keras.ops.zeros((2, 3, 1))], axis=2)
    assert np.isfinite(average_of_members(y, classification=True)).all()


# --- the first weights --------------------------------------------------------------------


def test_members_start_with_a_sign_for_each_column_or_a_normal_number_beside_an_embedding():
    task = Task((300,), "float32", ("a", "b"))
    signs = build(spec_of(), task).get_layer("member_scale").kernel.numpy()
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.15
    embedded = build(spec_of(numeric_embedding="periodic_linear"), task)
    normal = embedded.get_layer("member_scale").kernel.numpy()
    products = normal[:, :900].reshape(3, 300, 3)
    np.testing.assert_array_equal(products, np.repeat(normal[:, 900:, None], 3, axis=2))
    assert normal[:, 900:].std() == pytest.approx(1, rel=0.1)
    assert len(np.unique(normal)) == 900


TABLE = {
    "fee": [None if i % 9 == 0 else i * 1.5 for i in range(60)],
    "plan": [["basic", "plus", "pro"][i % 3] for i in range(60)],
    "senior": [i % 4 == 0 for i in range(60)],
    "city": [f"city {i % 5}" for i in range(60)],
    "sex": [["f", "m"][i % 7 % 2] for i in range(60)],
    "day": [f"2026-0{1 + i % 9}-1{i % 10}" for i in range(60)],
    "label": [["no", "yes"][i % 2] for i in range(60)],
}


@pytest.mark.parametrize("embedding", [None, "periodic_linear"])
def test_all_inputs_that_come_from_a_column_have_the_same_number(embedding):
    data = {
        "target": "label",
        "categories": {"binary": "sign"},
        "columns": {"city": {"type": "category", "encoder": "embedding"}, "day": "date"},
    }
    spec = load_spec({"data": data, "network": {"members": 2}})
    prepared = prepare(spec, TABLE)
    spec = load_spec(spec, {"network.numeric_embedding": embedding})
    task, x = prepared.task, prepared.train.x
    columns = input_columns(spec, task)
    network = build(spec, task)
    assert len(columns) == num_inputs(spec, task)

    # An input comes from a column if it changes with the features of the column.
    inputs = keras.Model(network.input, network.get_layer("member_scale").input)
    before = inputs(x).numpy()
    for number, places in enumerate(task.encoding.places.values()):
        others = x.copy()
        others[:, places] = x[::-1, places] + 0.25
        changed = (inputs(others).numpy() != before).any(axis=0)
        np.testing.assert_array_equal(changed & (columns == number), changed)
        assert changed[columns == number].any()
    scale = network.get_layer("member_scale").kernel.numpy()
    for number in range(len(task.encoding.places)):
        of_column = scale[:, columns == number]
        np.testing.assert_array_equal(of_column, of_column[:, :1].repeat(len(of_column.T), 1))


UNIFORM = {"name": "variance_scaling", "scale": 1 / 3, "distribution": "uniform"}


def test_each_output_layer_starts_like_that_of_a_network_without_members():
    spec = spec_of(
        hidden=[400],
        init=UNIFORM,
        output_bias_init="fan_in_uniform",
        members=5,
        bias_init="ones",
    )
    logits = build(spec, CLASSES).get_layer("logits")
    kernel, bias = logits.kernel.numpy(), logits.bias.numpy()
    bound = 1 / np.sqrt(400)
    for values in (*kernel, bias):
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.25)
    assert len(np.unique(kernel)) > 0.99 * kernel.size  # draws of their own
    assert len(np.unique(bias)) == bias.size


def test_biases_may_start_uniform_by_the_number_of_inputs():
    task = Task((100,), "float32", ("a", "b"))
    spec = load_spec({}, {"network.hidden": [900], "network.bias_init": "fan_in_uniform"})
    bias = build(spec, task).get_layer("hidden_1").bias.numpy()
    assert 0.09 < np.abs(bias).max() <= 0.1
    assert bias.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)


def test_equal_seeds_give_equal_members_and_others_give_others():
    first, again, other = (
        build(
            load_spec(spec_of(output_bias_init="random_normal"), {"seed": seed}), CLASSES
        ).get_weights()
        for seed in (0, 0, 1)
    )
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.ndim == 1 or (one != three).any()


def test_weights_of_members_may_be_computed_from_rows():
    spec = spec_of(init="unit_variance", bias_init="he_plus_5", output_init="unit_variance")
    network = build(spec, CLASSES)
    rows = type("Rows", (), {"x": ROWS, "__len__": lambda self: len(ROWS)})()
    initialize_from_rows(network, spec, rows)
    outputs = without_average(network)(ROWS).numpy()
    np.testing.assert_allclose(outputs.std(axis=0), 1, rtol=1e-4)


# --- products in place of the einsums -----------------------------------------------------


def test_members_train_as_rows_of_one_batch_with_the_weights_of_the_network():
    network = build(spec_of(parametric_activation=True, normalization="layer"), CLASSES)
    randomized(network)
    trained = training_network(network)
    kinds = {layer.name: type(layer) for layer in trained.layers}
    assert kinds["member_scale"] is MemberProduct
    assert kinds["logits"] is MemberLogits
    assert trained.get_layer("member_scale").output.shape == (None, 4)
    assert [id(w) for w in trained.weights] == [id(w) for w in network.weights]
    plain = without_average(network)(ROWS)
    np.testing.assert_allclose(trained(ROWS), plain, rtol=1e-4, atol=1e-5)


def test_no_rows_have_no_outputs():
    assert training_network(build(spec_of(), CLASSES))(ROWS[:0]).shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("overrides", "got"),
    [
        ({"network.normalization": "batch"}, "normalization batch"),
        ({"network.hidden": [{"units": 4, "normalization": "batch"}]}, "normalization batch"),
    ],
    ids=str,
)
def test_what_members_cannot_share_is_refused(overrides, got):
    with pytest.raises(SpecError, match=got):
        load_spec({}, {"network.members": 2, **overrides})


PLAIN = """
import sys
sys.modules["kfc"] = None  # not importable
import keras, numpy as np
model = keras.models.load_model("model.keras")
np.save("outputs.npy", model(np.load("rows.npy")))
"""


@pytest.mark.parametrize("kind", TASKS)
def test_a_saved_network_loads_without_kfc_and_gives_the_same_outputs(kind, tmp_path):
    network = build(spec_of(kind, block="residual", input_scale=True), TASKS[kind])
    randomized(network)
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "rows.npy", ROWS)
    subprocess.run([sys.executable, "-c", PLAIN], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), network(ROWS))
