"""Every form of a transformation computes the same numbers as its float64 reference.

The forms in a graph are tested together: all transformations of float32 inputs are layers of
one network, and all of uint8 inputs of another, so that only two networks are converted.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Task
from kfc.exporting import formats
from kfc.exporting.runtimes import onnx as onnx_runtime
from kfc.exporting.runtimes import saved_model as saved_model_runtime
from kfc.preprocessing import (
    QuantileScaling,
    TargetScaling,
    TensorPieces,
    TensorScaling,
    fit_scaling,
    scaling_from_config,
)

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 4)).astype(np.uint8)
ROWS = (RNG.normal(size=(40, 4)) * [1, 1e-3, 1e4, 30] + [0, 1, -1e5, 3]).astype(np.float32)
CONSTANT = np.where(np.arange(4) == 1, np.float32(7.25), ROWS)
# Divisors for which Keras's `Normalization` has no variance in float32.
EXTREME = (ROWS * np.array([1, 1e-20, 1, 1e22])).astype(np.float32)

NAMES = ("unit", "centered", "standard", "robust", "robust_clip", "quantile")
INPUTS = {
    "none of pixels": ("none", PIXELS),
    "unit of pixels": ("unit", PIXELS),
    "centered of pixels": ("centered", PIXELS),
    "none": ("none", ROWS),
    **{name: (name, ROWS) for name in NAMES},
    **{f"{name} with a constant feature": (name, CONSTANT) for name in NAMES},
    **{f"{name} with extreme divisors": (name, EXTREME) for name in NAMES},
}
TARGETS = {
    "no target scaling": ("none", ROWS),
    "one target": ("standard", ROWS[:, 2:3]),
    "targets, one constant": ("standard", CONSTANT),
    "targets with extreme divisors": ("standard", EXTREME),
}
SCALINGS = {
    **{case: fit_scaling(name, x) for case, (name, x) in INPUTS.items()},
    **{case: TargetScaling.fit(name, y) for case, (name, y) in TARGETS.items()},
}
# What the layer of a case takes: raw inputs, or the scaled outputs of a network.
RAW = {case: x for case, (_, x) in INPUTS.items()} | {
    case: SCALINGS[case].apply(y) for case, (_, y) in TARGETS.items()
}
FORMS = ("layer", "layer with tensors", "SavedModel", "ONNX")


def layer_of(case, *, for_onnx=False):
    scaling = SCALINGS[case]
    if isinstance(scaling, TargetScaling):
        return scaling.inverse_layer()
    return scaling.export_layer() if for_onnx else scaling.layer()


def scaled_by(case, layer, x):
    """Returns the result of a layer, with the clip that follows it where there is one."""
    scaling = SCALINGS[case]
    return layer(x) if isinstance(scaling, TargetScaling) else scaling.graph(x, layer)


def network_of(cases, **options):
    """Returns a network that applies the layer of each case to columns of its own."""
    dtype = str(RAW[cases[0]].dtype)
    x = keras.Input((sum(RAW[case].shape[1] for case in cases),), dtype=dtype, name="x")
    outputs, first = [], 0
    for case in cases:
        last = first + RAW[case].shape[1]
        inside = keras.Input((last - first,), dtype=dtype)  # so that names may be equal
        scale = keras.Model(inside, scaled_by(case, layer_of(case, **options), inside))
        outputs.append(scale(x[:, first:last]))
        first = last
    return keras.Model(x, keras.layers.Concatenate()(outputs))


def in_graphs(dtype, folder):
    """Returns the outputs of each form in a graph, (rows, features), by case and form."""
    cases = [case for case, x in RAW.items() if x.dtype == dtype]
    widths = [RAW[case].shape[1] for case in cases]
    x = np.concatenate([RAW[case] for case in cases], axis=1)
    task = Task((x.shape[1],), dtype, (), outputs=x.shape[1])
    network = network_of(cases)
    archive = keras.export.ExportArchive()
    archive.track(network)
    spec = tf.TensorSpec((None, x.shape[1]), dtype, name="x")
    archive.add_endpoint("serving_default", lambda x: {"value": network(x)}, [spec])
    archive.write_out(str(folder / "saved_model"), verbose=False)
    formats._convert(network_of(cases, for_onnx=True), task, folder / "model.onnx", "onnx")
    runtimes = {
        "SavedModel": saved_model_runtime.load(str(folder / "saved_model")),
        "ONNX": onnx_runtime.load(str(folder)),
    }
    found = {case: {} for case in cases}
    for form, answer in runtimes.items():
        (values,) = answer({"x": x}).values()
        parts = np.split(values, np.cumsum(widths)[:-1], axis=1)
        for case, part in zip(cases, parts, strict=True):
            found[case][form] = part
    for case in cases:
        layer = layer_of(case)
        found[case]["layer"] = scaled_by(case, layer, RAW[case]).numpy()
        quantiles = isinstance(SCALINGS[case], QuantileScaling)
        tensors = TensorPieces(layer) if quantiles else TensorScaling(layer)
        with_tensors = scaled_by(case, tensors, RAW[case])
        found[case]["layer with tensors"] = with_tensors.numpy()
    return found


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folders = {dtype: tmp_path_factory.mktemp(dtype) for dtype in ("uint8", "float32")}
    return {
        case: forms
        for dtype, folder in folders.items()
        for case, forms in in_graphs(dtype, folder).items()
    }


def check_close(actual, exact, *terms):
    """Checks a float32 result that is the sum of terms up to the rounding of each."""
    assert actual.dtype == np.float32
    room = 4 * np.finfo(np.float32).eps * sum(np.abs(term) for term in (exact, *terms))
    np.testing.assert_array_less(np.abs(actual - exact), room + np.finfo(np.float32).tiny)


def scaled_terms(case):
    scaling, x = SCALINGS[case], INPUTS[case][1].astype(np.float64)
    if isinstance(
        scaling, QuantileScaling
    ):  # a piece starts at one score and rises to another
        return scaling.scores[:, 0], scaling.scores[:, -1]
    return x / scaling.divisor, scaling.shift / scaling.divisor


@pytest.mark.parametrize("case", INPUTS)
def test_numpy_scales_inputs_as_the_reference(case):
    _, x = INPUTS[case]
    found, exact = SCALINGS[case].apply(x), SCALINGS[case].apply_float64(x)
    check_close(found, exact, *(scaled_terms(case) if "quantile" in case else ()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", INPUTS)
def test_a_graph_scales_inputs_as_the_reference(case, form, graphs):
    exact = SCALINGS[case].apply_float64(INPUTS[case][1])
    check_close(graphs[case][form], exact, *scaled_terms(case))


@pytest.mark.parametrize("case", SCALINGS)
def test_numbers_as_tensors_and_a_saved_model_keep_the_bits_of_the_layer(case, graphs):
    layer = graphs[case]["layer"]
    np.testing.assert_array_equal(graphs[case]["layer with tensors"], layer)
    # TensorFlow computes x / sqrt(y) in a saved graph as x * rsqrt(y).
    clipped = getattr(SCALINGS[case], "clip", False)
    np.testing.assert_allclose(graphs[case]["SavedModel"], layer, rtol=5e-7 * clipped)


@pytest.mark.parametrize("fused", [False, True], ids=["", "fused"])
@pytest.mark.parametrize("case", INPUTS)
def test_script_lines_scale_inputs_as_the_reference(case, fused):
    name, x = INPUTS[case]
    script = SCALINGS[case].script_lines(name, x, rows="x_train", fused=fused)
    if "extreme" in case or name in ("robust_clip", "quantile"):
        assert script is None
        return
    names = {"np": np, "x_train": x.astype(np.float32), "x": x.astype(script.dtype)}
    exec("\n".join(script.before), names)
    scaled = eval(script.expression.format("x"), names)
    check_close(scaled, SCALINGS[case].apply_float64(x), *scaled_terms(case))
    if SCALINGS[case].is_per_feature:
        np.testing.assert_array_equal(scaled, SCALINGS[case].apply(x))


@pytest.mark.parametrize("case", TARGETS)
def test_numpy_and_tensors_scale_targets_as_the_reference(case):
    scaling, y = SCALINGS[case], TARGETS[case][1]
    check_close(scaling.apply(y), scaling.apply_float64(y))
    np.testing.assert_array_equal(scaling.apply(tf.constant(y)).numpy(), scaling.apply(y))


@pytest.mark.parametrize("form", ["NumPy", *FORMS])
@pytest.mark.parametrize("case", TARGETS)
def test_the_inverse_returns_the_targets(case, form, graphs):
    scaling, y = SCALINGS[case], TARGETS[case][1]
    value = scaling.inverse(RAW[case]) if form == "NumPy" else graphs[case][form]
    check_close(value, y, scaling.shift)


def test_script_lines_scale_a_target_and_return_its_unit():
    scaling, y = SCALINGS["one target"], TARGETS["one target"][1]
    prediction = y[::-1].copy()
    names = {"np": np, "tf": tf, "y": y, "prediction": prediction, "z": scaling.apply(y)}
    exec(
        "\n".join([*scaling.script_lines(), *scaling.script_error_lines("prediction")]), names
    )
    error = scaling.apply(y) - scaling.apply(prediction)
    np.testing.assert_array_equal(names["error"], error)
    value = eval(scaling.script_inverse("z"), names)
    np.testing.assert_array_equal(value, scaling.inverse(scaling.apply(y)))


@pytest.mark.parametrize("case", SCALINGS)
def test_a_scaling_is_rebuilt_from_its_config(case):
    scaling = SCALINGS[case]
    is_target = isinstance(scaling, TargetScaling)
    rebuild = TargetScaling.from_config if is_target else scaling_from_config
    again = rebuild(scaling.get_config())
    assert type(again) is type(scaling)
    quantiles = isinstance(scaling, QuantileScaling)
    for part in ("values", "scores") if quantiles else ("shift", "divisor"):
        np.testing.assert_array_equal(getattr(again, part), getattr(scaling, part))
        assert getattr(again, part).dtype == np.float32
