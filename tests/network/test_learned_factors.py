import subprocess
import sys

import keras
import numpy as np
import pytest

from kfc.data import Task
from kfc.network.building import build
from kfc.network.learned_factors import multiplies_by_factors, with_factors
from kfc.preprocessing import fit_scaling
from kfc.spec import load_spec

ROWS = np.random.default_rng(0).normal(0, 1, (50, 4)).astype(np.float32)


def network(overrides, **options):
    spec = load_spec({}, {f"network.{key}": value for key, value in overrides.items()})
    task = Task((4,), "float32", ("a", "b", "c"), scaling=fit_scaling("standard", ROWS))
    return build(spec, task, **options)


def with_other_factors(model):
    """Draws all factors, which are 1 at the start."""
    rng = np.random.default_rng(1)
    for layer in filter(multiplies_by_factors, model.layers):
        np.testing.assert_array_equal(layer.kernel, np.ones(layer.kernel.shape))
        layer.kernel.assign(rng.normal(1, 0.5, layer.kernel.shape))
    return {w.path: w.numpy().astype(np.float64) for w in model.weights}


FACTORS = {"hidden": [5, 6], "input_scale": True, "parametric_activation": True}


def test_the_factors_multiply_the_inputs_and_what_the_activations_add():
    model = network({**FACTORS, "activation": "tanh"})
    w = with_other_factors(model)
    x = (ROWS - ROWS.mean(0, np.float64)) / ROWS.std(0, dtype=np.float64)
    x = x * w["input_scale/kernel"]
    for name in ("hidden_1", "hidden_2"):
        z = x @ w[f"{name}/kernel"] + w[f"{name}/bias"]
        x = z + w[f"{name}_slope/kernel"] * (np.tanh(z) - z)
    expected = x @ w["logits/kernel"] + w["logits/bias"]
    np.testing.assert_allclose(model(ROWS), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mish", "selu"])
def test_at_the_start_a_network_with_factors_gives_what_it_gives_without(name):
    plain = network({"hidden": [5, 6], "activation": name})
    model = network({**FACTORS, "activation": name})
    np.testing.assert_allclose(model(ROWS), plain(ROWS), rtol=1e-5, atol=1e-6)


def test_without_the_keys_no_layer_is_added():
    names = [layer.name for layer in network({"hidden": [5]}).layers]
    assert names == ["features", "scaling", "hidden_1", "logits"]


def test_one_layer_may_have_a_parametric_activation():
    hidden = [5, {"units": 6, "parametric_activation": True}]
    names = [layer.name for layer in network({"hidden": hidden}).layers]
    assert "hidden_2_slope" in names
    assert "hidden_1_slope" not in names


def test_the_activation_comes_after_the_normalization_and_before_the_dropout():
    model = network(
        {
            "hidden": [5],
            "parametric_activation": True,
            "normalization": "batch",
            "dropout": 0.1,
        }
    )
    assert [layer.name for layer in model.layers[3:]] == [
        *("hidden_1_normalization", "hidden_1_activation", "hidden_1_difference"),
        *("hidden_1_slope", "hidden_1_parametric", "hidden_1_dropout", "logits"),
    ]


def test_a_residual_block_may_have_a_parametric_activation():
    model = network({"hidden": [4], "block": "residual", "parametric_activation": True})
    w = with_other_factors(model)
    x = np.asarray(model.get_layer("scaling")(ROWS), np.float64)
    z = x @ w["hidden_1/kernel"] + w["hidden_1/bias"]
    x = x + z + w["hidden_1_slope/kernel"] * (np.maximum(z, 0) - z)
    np.testing.assert_allclose(model(ROWS), x @ w["logits/kernel"], rtol=1e-4, atol=1e-5)


def test_members_share_the_factors_of_their_units():
    x = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(np.float32)
    inputs = keras.Input((3, 5))
    model = keras.Model(inputs, with_factors(inputs, "hidden_1_slope"))
    (factors,) = with_other_factors(model).values()
    np.testing.assert_array_equal(model(x), x * factors.astype(np.float32))


PLAIN = """
import sys
sys.modules["kfc"] = None  # not importable
import keras, numpy as np
model = keras.models.load_model("model.keras")
np.save("outputs.npy", model(np.load("rows.npy")))
"""


def test_a_saved_network_loads_without_kfc_and_gives_the_same_outputs(tmp_path):
    model = network({**FACTORS, "activation": "mish", "normalization": "layer"})
    with_other_factors(model)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "rows.npy", ROWS)
    subprocess.run([sys.executable, "-c", PLAIN], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model(ROWS))


def test_a_layer_that_does_more_than_multiply_by_factors_is_another():
    inputs = keras.Input((4,))
    options = {"output_shape": (4,)}
    for layer in (
        keras.layers.EinsumDense("bd,d->bd", bias_axes="d", **options),
        keras.layers.EinsumDense("bd,d->bd", activation="relu", **options),
        keras.layers.EinsumDense("bd,de->be", **options),
        keras.layers.Dense(4),
    ):
        layer(inputs)
        assert not multiplies_by_factors(layer)
