import keras
import numpy as np
import pytest

from kfc.data import Rows, Task
from kfc.network import row_initializers
from kfc.network.building import build
from kfc.network.row_initializers import initialize_from_rows, keys_of_rows, products
from kfc.network.row_statistics import he_plus_5, unit_variance
from kfc.network.seeds import layer_seed
from kfc.preprocessing import fit_scaling
from kfc.spec import load_spec

BOTH = {"init": "unit_variance", "bias_init": "he_plus_5", "output_bias_init": "he_plus_5"}


def rows_of(number=300):
    x = np.random.default_rng(0).gamma(2.0, 3.0, (number, 4)).astype(np.float32)
    return Rows(x, np.arange(number) % 3)


def started(overrides, rows=None, *, seed=0, initialized=True):
    keys = {f"network.{key}": value for key, value in {"hidden": [5, 6], **overrides}.items()}
    spec, rows = load_spec({}, {"seed": seed, **keys}), rows or rows_of()
    scaling = fit_scaling("standard", rows.x)
    network = build(spec, Task((4,), "float32", ("a", "b", "c"), scaling=scaling))
    if initialized:
        initialize_from_rows(network, spec, rows)
    return network


def inputs_of(network, name, x):
    model = keras.Model(network.inputs[0], network.get_layer(name).input)
    return model(x).numpy().astype(np.float64)


def layers_of(network, names=("hidden_1", "hidden_2", "logits")):
    for name in names:
        layer = network.get_layer(name)
        yield layer, layer.kernel.numpy().astype(np.float64), layer.bias.numpy()


EARLIER = {
    "dropout": {"dropout": 0.5},
    "factors": {"input_scale": True, "parametric_activation": True, "activation": "mish"},
    "normalization": {"normalization": "layer"},
    "residual": {"block": "residual"},
}


@pytest.mark.parametrize("earlier", EARLIER)
def test_each_output_before_the_bias_has_variance_1_over_the_training_rows(earlier):
    network, x = started({**BOTH, **EARLIER[earlier]}), rows_of().x
    for layer, kernel, _ in layers_of(network):
        z = inputs_of(network, layer.name, x) @ kernel
        np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-6)


def test_a_column_is_the_normal_draw_times_a_number():
    before, after = started(BOTH, initialized=False), started(BOTH)
    for (_, drawn, zeros), (_, kernel, _) in zip(
        layers_of(before), layers_of(after), strict=True
    ):
        ratio = kernel / drawn
        np.testing.assert_allclose(ratio, ratio[:1].repeat(len(ratio), 0), rtol=1e-6)
        assert not zeros.any()
    kernel = (
        started({**BOTH, "hidden": [4000]}, initialized=False).get_layer("hidden_1").kernel
    )
    assert np.std(kernel) == pytest.approx(1 / 2, rel=0.02)  # 1 / sqrt(4 inputs)


def test_biases_are_minus_a_random_mean_of_five_rows():
    network, x = started(BOTH), rows_of().x
    for layer, kernel, bias in layers_of(network):
        z = inputs_of(network, layer.name, x) @ kernel  # (rows, units)
        units = z.shape[1]
        generator = np.random.default_rng(layer_seed(layer_seed(0, layer.name), "bias"))
        chosen = generator.integers(0, len(x), (5, units))
        u = generator.exponential(size=(5, units))
        for unit in range(units):
            share = u[:, unit] / u[:, unit].sum()
            expected = -np.dot(share, z[chosen[:, unit], unit])
            assert bias[unit] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_zero_of_each_unit_lies_among_the_rows():
    network, x = started(BOTH), rows_of().x
    for layer, kernel, bias in layers_of(network):
        z = inputs_of(network, layer.name, x) @ kernel + bias
        assert (z.min(axis=0) < 0).all()
        assert (z.max(axis=0) > 0).all()


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    first, again, other = (started(BOTH, seed=seed) for seed in (0, 0, 1))
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.allclose(first.get_weights()[1], other.get_weights()[1])


def test_other_rows_give_other_weights():
    one, other = started(BOTH), started(BOTH, rows_of(100))
    assert not np.allclose(one.get_weights()[1], other.get_weights()[1])


def test_rows_beyond_the_budget_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(row_initializers, "ACTIVATION_BYTES", 4 * (5 + 6) * 20)
    seen = []
    monkeypatch.setattr(
        row_initializers, "he_plus_5", lambda z, generator: seen.append(len(z)) or z[0]
    )
    one, again = started(BOTH), started(BOTH)
    assert seen == [20] * 6
    np.testing.assert_array_equal(one.get_weights()[0], again.get_weights()[0])


def test_rows_pass_in_pieces_without_another_result(monkeypatch):
    whole = started(BOTH).get_weights()
    monkeypatch.setattr(row_initializers, "_CHUNK", 7)
    for one, other in zip(whole, started(BOTH).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_constant_column_keeps_its_weights():
    kernel = np.array([[0.5, 2.0], [-1.0, 3.0]], np.float32)
    x = np.array([[1.0, 0.1], [1.0, 0.1], [1.0, 0.1]], np.float32)
    np.testing.assert_array_equal(unit_variance(kernel, x @ kernel), kernel)
    np.testing.assert_array_equal(unit_variance(kernel, 0 * x @ kernel), kernel)
    kernel[1, 1] = 0
    x[:, 1] = [0, 1, 2]
    halved = unit_variance(kernel, x @ kernel)
    np.testing.assert_array_equal(halved[:, 1], kernel[:, 1])  # x @ kernel is 2 in each row
    np.testing.assert_allclose((x @ halved[:, 0]).std(), 1, rtol=1e-6)


def test_members_count_as_rows_and_their_heads_have_units_of_their_own():
    rng = np.random.default_rng(0)
    x, shared = rng.normal(size=(9, 3, 5)), rng.normal(size=(5, 4)).astype(np.float32)
    x = x.astype(np.float32)
    z = products(x, shared)
    np.testing.assert_allclose(z, (x @ shared).reshape(27, 4), rtol=1e-5)
    heads = rng.normal(size=(3, 5, 2)).astype(np.float32)
    kernel = unit_variance(heads, products(x, heads))
    z = products(x, kernel).reshape(9, 3, 2)
    for member in range(3):
        expected = x[:, member] @ kernel[member]
        np.testing.assert_allclose(z[:, member], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(expected.std(axis=0), 1, rtol=1e-5)
    assert he_plus_5(z.reshape(9, 6), rng).shape == (6,)


def test_layers_without_biases_and_networks_without_hidden_layers_may_have_them():
    network = started({**BOTH, "use_bias": False})
    assert network.get_layer("hidden_1").bias is None
    network = started({**BOTH, "hidden": []})
    z = inputs_of(network, "logits", rows_of().x) @ network.get_layer("logits").kernel.numpy()
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-6)


def test_only_the_layers_that_say_so_start_from_rows():
    hidden = [5, {"units": 6, "init": "unit_variance"}]
    overrides = {"hidden": hidden, "output_init": "zeros"}
    before, after = started(overrides, initialized=False), started(overrides)
    changed = [
        weight.path
        for weight, other in zip(before.weights, after.weights, strict=True)
        if not np.array_equal(weight.numpy(), other.numpy())
    ]
    assert changed == ["hidden_2/kernel"]
    assert not after.get_layer("logits").kernel.numpy().any()


def test_biases_of_another_initializer_are_no_copy_of_the_kernel():
    drawn = {"name": "random_normal", "stddev": 1.0}
    network = started({"init": drawn, "bias_init": drawn, "output_bias_init": drawn})
    for _, kernel, bias in layers_of(network):
        assert np.std(bias) > 0.1
        assert not np.allclose(kernel.ravel()[: bias.size], bias)


def test_the_keys_that_need_rows_are_named():
    layers = [{"units": 5, "bias_init": "he_plus_5"}, {"units": 6, "init": "unit_variance"}]
    spec = load_spec({"network": {"hidden": layers, "output_bias_init": "he_plus_5"}})
    assert keys_of_rows(spec) == [
        *("network.hidden[0].bias_init", "network.hidden[1].init"),
        "network.output_bias_init",
    ]
    assert keys_of_rows(load_spec({})) == []
