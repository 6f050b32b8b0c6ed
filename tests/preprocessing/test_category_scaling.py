import numpy as np
import pyarrow as pa
import pytest

import kfc

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
import tensorflow as tf  # noqa: E402

from kfc.data import prepare  # noqa: E402
from kfc.network.table_float64 import table_features_float64  # noqa: E402
from kfc.network.table_inputs import num_inputs  # noqa: E402
from kfc.preprocessing.category_scaling import fit_category_scaling  # noqa: E402
from kfc.preprocessing.numeric import NumericScaling  # noqa: E402
from kfc.runs.plan import make_plan  # noqa: E402
from kfc.spec import load_spec  # noqa: E402

SCALED = {"categories": {"binary": "sign", "scale": True}, "scale": "robust_clip"}


def table(rows=400):
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "age": rng.normal(40, 9, rows),
            "gap": pa.array(rng.normal(0, 1, rows), mask=rng.random(rows) < 0.2),
            "active": pa.array(rng.random(rows) < 0.7),
            "sex": rng.choice(["f", "m"], rows, p=[0.8, 0.2]),
            "plan": rng.choice(["a", "b", "c"], rows, p=[0.5, 0.45, 0.05]),
            "side": pa.array(rng.choice(["l", "r"], rows), mask=rng.random(rows) < 0.1),
            "target": rng.choice(["no", "yes"], rows),
        }
    )


def spec(**data):
    return {"data": {"target": "target", **data}, "network": {"hidden": [4]}}


def expanded(x, encoding):
    """Flags, signs and one-hot inputs of encoded rows, in NumPy."""
    first = encoding.num_numbers
    parts = [x[:, first : first + encoding.num_flags]]
    codes = [
        (code, x[:, first + encoding.num_flags + i]) for i, code in enumerate(encoding.codes)
    ]
    parts += [((v == 1) * 1.0 - (v == 2))[:, None] for code, v in codes if code.sign]
    parts += [
        (v[:, None] == np.arange(1, code.size + 1)) * 1.0 for code, v in codes if not code.sign
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


@pytest.mark.parametrize("name", ["standard", "robust_clip", "unit"])
def test_the_statistics_are_those_of_the_expanded_training_rows(name):
    data = load_spec(spec(**SCALED | {"scale": name}))
    prepared = prepare(data, table())
    encoding, x = prepared.task.encoding, prepared.train.x
    scaling = fit_category_scaling(name, x, encoding)
    wide = expanded(x, encoding)
    expected = NumericScaling.fit(name, wide).apply(wide)
    np.testing.assert_allclose(scaling.apply(wide), expected, rtol=1e-5, atol=1e-6)


def test_two_values_are_one_input_unless_some_are_missing():
    encoding = prepare(load_spec(spec(**SCALED)), table()).task.encoding
    signs = {code.name: code.sign for code in encoding.codes}
    assert signs == {"sex": True, "plan": False, "side": False}


def test_the_network_scales_flags_signs_and_one_hot_inputs():
    plan = make_plan(spec(**SCALED), data=table())
    task, x = plan.prepared.task, plan.prepared.train.x
    tap = tf.keras.Model(plan.network.input, plan.network.get_layer("hidden_1").input)
    actual = np.asarray(tap(x))
    numbers = task.encoding.num_numbers
    wide = expanded(x, task.encoding)
    expected = np.concatenate(
        [
            task.scaling.apply(x[:, :numbers]),
            NumericScaling.fit("robust_clip", wide).apply(wide),
        ],
        axis=1,
    )
    assert actual.shape[1] == num_inputs(load_spec({}), task)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(actual, table_features_float64(x, task), rtol=1e-5, atol=1e-6)
    assert np.abs(actual).max() < 3


def test_a_run_and_its_export_have_the_same_scaling(tmp_path):
    run = kfc.fit(
        spec(**SCALED),
        overrides={"training.epochs": 2},
        data=table(),
        runs=tmp_path,
        verbose=False,
    )
    rows = table(40).drop_columns(["target"])
    expected = run.predict(rows).probabilities
    again = kfc.load(run.folder)
    np.testing.assert_array_equal(again.predict(rows).probabilities, expected)
    # An export is refused unless a fresh process answers as the run does.
    kfc.export(run, tmp_path / "saved_model", verbose=False)
    kfc.export(run, tmp_path / "onnx", format="onnx", encoded=True, verbose=False)


def test_a_scale_without_meaning_for_categories_is_refused():
    with pytest.raises(kfc.SpecError, match=r"data\.categories\.scale: expected a scaling"):
        load_spec(spec(categories={"scale": True}, scale="quantile"))
