import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kfc
from kfc.data import Task
from kfc.errors import PluginError, SpecError
from kfc.network.building import build
from kfc.network.same_structure import check_architecture, first_difference
from kfc.preprocessing import NumericScaling, TargetScaling, fit_scaling
from kfc.spec import load_spec
from kfc.spec.keras_signatures import REQUIRED, signatures

DIGITS = tuple("0123456789")


def network(overrides=None, task=None, **options):
    spec = load_spec({}, {f"network.{key}": value for key, value in (overrides or {}).items()})
    return build(spec, task or Task((4,), "float32", ("a", "b", "c")), **options)


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def rows(shape=(5, 4), seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def required_options(kind, name):
    if name == "constant":
        return {"value": 0.5}
    defaults = signatures(kind)[name].items()
    return {option: 0.5 for option, default in defaults if default == REQUIRED}


# --- structure ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_a_stack_has_a_layer_per_width_and_weights_by_formula(depth):
    widths = [7, 6, 5, 8, 9][:depth]
    model = network({"hidden": widths})
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    sizes = [4, *widths, 3]
    assert [layer.name for layer in dense] == [
        *(f"hidden_{number}" for number in range(1, depth + 1)),
        "logits",
    ]
    assert model.count_params() == sum(
        (inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes)
    )
    assert model.output_shape == (None, 3)


def test_784_256_128_10_has_235146_parameters():
    task = Task((28, 28, 1), "uint8", DIGITS)
    assert network({"hidden": [256, 128]}, task).count_params() == 235_146
    built = kfc.build({"network": {"hidden": [256, 128]}}, input_shape=(784,), classes=10)
    assert built.count_params() == 235_146


def test_the_network_is_a_plain_keras_model_that_returns_logits():
    model = network()
    assert type(model) is type(keras.Model(model.inputs, model.outputs))
    assert model.get_layer("logits").activation is keras.activations.linear


@pytest.mark.parametrize("name", signatures("activation"))
def test_every_activation_of_keras_builds(name):
    required = required_options("activation", name)
    model = network({"hidden": [6], "activation": {"name": name, **required}})
    assert np.isfinite(model(rows())).all()
    hidden = model.get_layer("hidden_1")
    x = model.get_layer("scaling")(rows()) @ hidden.kernel + hidden.bias
    expected = keras.activations.get(name)(x, **required)
    np.testing.assert_allclose(
        hidden(model.get_layer("scaling")(rows())), expected, rtol=1e-5, atol=1e-6
    )


KERAS_INITIALIZERS = [*signatures("initializer").keys() - {"unit_variance"}]


@pytest.mark.parametrize("name", sorted(KERAS_INITIALIZERS))
def test_every_initialiser_of_keras_builds(name):
    init = {"name": name, **required_options("initializer", name)}
    model = network({"hidden": [6], "init": init})
    assert np.isfinite(model(rows())).all()
    again = network({"hidden": [6], "init": init})
    for weight, same in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_an_initialiser_has_the_spread_it_was_given():
    init = {"name": "truncated_normal", "stddev": 0.1}
    kernel = network({"hidden": [4000], "init": init}).get_layer("hidden_1").kernel
    # Cut off at two deviations, a normal distribution keeps 0.880 of its deviation.
    assert np.std(kernel) == pytest.approx(0.088, abs=0.002)
    assert np.abs(kernel).max() <= 0.2


def test_options_of_a_layer_come_before_those_of_the_network():
    model = network(
        {
            "hidden": [
                5,
                {"units": 6, "activation": "tanh", "dropout": 0.0, "l2": 0.0, "init": "ones"},
                {"units": 7, "normalization": "layer", "use_bias": False},
            ],
            "activation": "sigmoid",
            "dropout": 0.5,
            "l2": 0.1,
        }
    )
    first, second, third = (model.get_layer(f"hidden_{number}") for number in (1, 2, 3))
    assert first.activation is keras.activations.sigmoid
    assert second.activation is keras.activations.tanh
    assert (first.kernel_regularizer is None, second.kernel_regularizer is None) == (
        False,
        True,
    )
    assert np.all(second.kernel.numpy() == 1)
    assert (first.use_bias, third.use_bias) == (True, False)
    names = [layer.name for layer in model.layers]
    assert "hidden_1_dropout" in names
    assert "hidden_2_dropout" not in names
    assert "hidden_3_normalization" in names


def test_penalties_are_the_sums_over_hidden_kernels():
    model = network({"hidden": [5, {"units": 6, "l1": 0.5}], "l2": 0.25})
    first, second = (model.get_layer(f"hidden_{number}").kernel.numpy() for number in (1, 2))
    expected = [
        0.25 * (first**2).sum(),
        0.25 * (second**2).sum() + 0.5 * np.abs(second).sum(),
    ]
    np.testing.assert_allclose([float(loss) for loss in model.losses], expected, rtol=1e-5)


def test_a_network_without_penalties_has_none():
    assert network().losses == []


@pytest.mark.parametrize(
    ("normalization", "kind"),
    [("batch", "BatchNormalization"), ("layer", "LayerNormalization")],
)
def test_a_layer_is_normalised_then_activated_then_dropped(normalization, kind):
    model = network({"hidden": [5], "normalization": normalization, "dropout": 0.5})
    assert kinds(model)[2:] == ["Dense", kind, "Activation", "Dropout", "Dense"]
    assert model.get_layer("hidden_1").activation is keras.activations.linear
    assert model.get_layer("hidden_1_activation").activation is keras.activations.relu


def test_dropout_works_while_training_alone():
    model = network({"hidden": [64], "dropout": 0.5})
    x = rows()
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


# --- residual blocks ----------------------------------------------------------------------


def test_a_residual_block_adds_its_input():
    model = network({"hidden": [4, 6, 6], "block": "residual", "activation": "tanh"})
    x = np.asarray(model.get_layer("scaling")(rows()), np.float64)
    weights = {w.path.removeprefix("network/"): w.numpy() for w in model.weights}
    for number in (1, 2, 3):
        name = f"hidden_{number}"
        projection = weights.get(f"{name}_projection/kernel", np.eye(x.shape[1]))
        dense = np.tanh(x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])
        x = x @ projection + dense
    expected = x @ weights["logits/kernel"] + weights["logits/bias"]
    np.testing.assert_allclose(model(rows()), expected, rtol=1e-4, atol=1e-5)


def test_a_residual_block_projects_only_where_widths_differ():
    names = {
        layer.name for layer in network({"hidden": [4, 6, 6], "block": "residual"}).layers
    }
    projections = {name for name in names if name.endswith("_projection")}
    assert projections == {"hidden_2_projection"}


def test_a_block_of_another_width_is_refused(monkeypatch):
    monkeypatch.setattr(
        "kfc.network.building.dense",
        lambda tensor, hidden, **options: keras.layers.Dense(9)(tensor),
    )
    with pytest.raises(
        PluginError, match=r"block 'dense': expected a tensor of shape \(None, 5"
    ):
        network({"hidden": [5]})


# --- seeds --------------------------------------------------------------------------------


def test_equal_specs_give_equal_weights():
    for one, other in zip(network().get_weights(), network().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_of_equal_shape_get_different_weights():
    model = network({"hidden": [4, 4, 4], "block": "residual"})
    kernels = [w.numpy() for w in model.weights if w.shape == (4, 4)]
    assert len(kernels) == 3
    for number, kernel in enumerate(kernels):
        assert not any(np.array_equal(kernel, other) for other in kernels[:number])


def test_another_seed_gives_other_weights():
    task = Task((4,), "float32", ("a", "b"))
    one, other = (build(load_spec({}, {"seed": seed}), task) for seed in (0, 1))
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_kfc_build_gives_the_weights_that_fit_starts_from():
    spec = {"network": {"hidden": [5, 5], "block": "residual"}, "seed": 3}
    built = kfc.build(spec, input_shape=(4,), classes=3)
    inside = build(load_spec(spec), Task((4,), "float32", ("a", "b", "c")))
    for one, other in zip(built.get_weights(), inside.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# --- scaling ------------------------------------------------------------------------------

SCALES = ("none", "unit", "centered", "standard", "robust")


@pytest.mark.parametrize("shape", [(6,), (3, 2, 1)], ids=["flat", "image"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("scale", SCALES)
def test_the_scaling_layer_gives_the_numbers_of_the_scaling(scale, dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, *shape)).astype(dtype)
    x[:, 0] = 7  # constant
    scaling = NumericScaling.fit(scale, x)
    model = network({}, Task(shape, dtype, ("a", "b"), scaling=scaling))
    assert model.input.dtype == dtype
    inside = keras.Model(model.input, model.get_layer("scaling").output)
    actual = inside(x)
    assert actual.dtype == tf.float32
    np.testing.assert_allclose(actual, scaling.apply(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e25])
def test_features_of_any_size_are_scaled(size):
    x = (rows((50, 3)) * size).astype(np.float32)
    scaling = NumericScaling.fit("standard", x)
    model = network({}, Task((3,), "float32", ("a", "b"), scaling=scaling))
    inside = keras.Model(model.input, model.get_layer("scaling").output)
    np.testing.assert_allclose(inside(x), scaling.apply(x), rtol=1e-5, atol=1e-5)
    assert np.std(inside(x)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_regression_gives_values_in_the_units_of_the_target(outputs):
    y = np.random.default_rng(0).normal(1e6, 2e5, (50, outputs)).astype(np.float32)
    scaling = TargetScaling.fit("standard", y)
    task = Task((4,), "float32", (), outputs=outputs, target_scaling=scaling)
    model = network({}, task)
    logits = keras.Model(model.input, model.get_layer("logits").output)(rows())
    np.testing.assert_allclose(model(rows()), scaling.inverse(logits.numpy()), rtol=1e-6)
    assert model.output_shape == (None, outputs)


@pytest.mark.parametrize(
    ("loss", "labels", "outputs"),
    [
        ("binary_cross_entropy", "ab", 1),
        ("binary_focal_crossentropy", "ab", 1),
        ("cross_entropy", "ab", 2),
        ("binary_cross_entropy", "abc", 3),
    ],
)
def test_two_classes_and_a_binary_loss_need_one_logit(loss, labels, outputs):
    spec = load_spec({"training": {"loss": loss}})
    model = build(spec, Task((4,), "float32", tuple(labels)))
    assert model.output_shape == (None, outputs)


# --- architecture -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"hidden": [5, 7]}, r"layer 2 \(hidden_2\): expected units 6 as in the spec, got 7"),
        (
            {"hidden": [5, {"units": 6, "activation": "tanh"}]},
            r"layer 2 \(hidden_2\): expected activation 'relu' as in the spec, got 'tanh'",
        ),
        ({"hidden": [5]}, r"layer 2 \(hidden_2\): expected units 6 as in the spec, got 3"),
        (
            {"hidden": [5, 6], "dropout": 0.5},
            r"layer 2 .*expected kind 'Dense'.*got 'Dropout'",
        ),
        (
            {"hidden": [5, 6], "use_bias": False},
            r"layer 1 .*expected use_bias True.*got False",
        ),
    ],
    ids=["units", "activation", "depth", "dropout", "bias"],
)
def test_the_first_difference_of_another_architecture_is_named(other, message):
    with pytest.raises(SpecError, match=message):
        check_architecture(network({"hidden": [5, 6]}), network(other))


def test_an_extra_layer_at_the_end_is_named():
    ours = network({"hidden": [5]})
    longer = keras.Model(ours.input, keras.layers.Softmax(name="extra")(ours.output))
    with pytest.raises(
        SpecError, match=r"expected 2 layers .* got 3; extra is the difference"
    ):
        check_architecture(network({"hidden": [5]}), longer)


@pytest.mark.parametrize("scale", ["none", "standard", "quantile"])
def test_layers_without_weights_before_the_first_one_do_not_matter(scale):
    scaling = fit_scaling(scale, rows())
    ours = network({"hidden": [5]}, Task((4,), "float32", ("a", "b", "c"), scaling=scaling))
    plain = kfc.build({"network": {"hidden": [5]}}, input_shape=(4,), classes=3)
    assert first_difference(ours, plain) is None


def test_a_scaling_layer_with_weights_of_its_own_is_a_difference():
    # An adapted Normalization has a mean and a variance: `set_weights` would trip on them.
    scaling = keras.layers.Normalization()
    scaling.adapt(rows())
    inputs = keras.Input((4,))
    theirs = kfc.build({"network": {"hidden": [5]}}, input_shape=(4,), classes=3)
    theirs = keras.Sequential([inputs, scaling, *theirs.layers[1:]])
    with pytest.raises(SpecError, match="got 'Normalization'"):
        check_architecture(network({"hidden": [5]}), theirs)


def test_something_else_than_a_model_is_refused():
    with pytest.raises(SpecError, match=r"network=: expected a keras\.Model, got list"):
        check_architecture(network(), [])


# --- saving -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        {"activation": {"name": "leaky_relu", "negative_slope": 0.05}},
        {"activation": {"name": "celu", "alpha": 0.5}, "normalization": "batch"},
        {"block": "residual", "hidden": [4, 5], "dropout": 0.5, "l2": 0.1},
    ],
    ids=["leaky relu", "celu, batch normalisation", "residual"],
)
@pytest.mark.parametrize("scale", ["none", "unit", "standard", "quantile"])
def test_a_saved_network_gives_the_same_outputs(overrides, scale, tmp_path):
    task = Task((4,), "float32", ("a", "b"), scaling=fit_scaling(scale, rows((50, 4))))
    model = network(overrides, task)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows()), model(rows()))
    np.testing.assert_array_equal(
        loaded.predict(rows(), verbose=0), model.predict(rows(), verbose=0)
    )


def test_options_of_an_activation_are_used():
    model = network(
        {"hidden": [5], "activation": {"name": "leaky_relu", "negative_slope": 0.05}}
    )
    hidden = model.get_layer("hidden_1")
    x = rows() @ hidden.kernel.numpy()
    np.testing.assert_allclose(
        hidden(rows()), np.where(x > 0, x, 0.05 * x), rtol=1e-5, atol=1e-6
    )
