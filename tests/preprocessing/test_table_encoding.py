"""All forms of the encoding of a table compute the same bits."""

import datetime
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from kfc.preprocessing import TableEncoding
from kfc.spec import CategoriesSpec, ColumnSpec

ROWS = 1000
TYPES = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.timestamp("us"),
    "category": pa.string(),
}
SPECS = {
    "age (years)": ColumnSpec(type="number"),
    "a/b": ColumnSpec(type="number"),
    "a_b": ColumnSpec(type="number"),
    "stack": ColumnSpec(type="number"),
    "born": ColumnSpec(type="date"),
    "born days": ColumnSpec(type="number"),
    "paid": ColumnSpec(type="date", format="%d.%m.%Y %H:%M"),
    "month": ColumnSpec(type="date", format="%Y/%m"),
    "day": ColumnSpec(type="date"),
    "active?": ColumnSpec(type="boolean"),
    "sure": ColumnSpec(type="boolean"),
    "plan": ColumnSpec(type="category"),
    "città": ColumnSpec(type="category", min_count=3, encoder="embedding"),
    "rooms": ColumnSpec(type="category"),
    "zip": ColumnSpec(type="category", min_count=2),
    "doors": ColumnSpec(type="category"),
    "sold": ColumnSpec(type="category"),
    "empty": ColumnSpec(type="category"),
    "id": ColumnSpec(type="ignore"),
}
WORDS = {
    "plan": ["[UNK]", "[UNK]_", "free", "pro\nplus", "é", " ", "-1", "None", "nan", "\x00"],
    "città": [f"città {i}" for i in range(200)],
    "rooms": [str(i) for i in range(-3, 6)],
    "zip": [str(i * 7919) for i in range(600)],
    "doors": ["1", "1.0", "1.00", "02", "02.0", "3", "-3.0", "0", "-0.0"],
    "sold": ["True", "false", "FALSE", "truE", "2021.0"],
    "empty": [],
}
UNSEEN = ["never", "1.5", "-1", "99999999999999999999", "77", "true", "00", "3.0", "TRUE"]
GAPS_IN_TRAINING = {"age (years)", "born", "paid", "active?", "plan", "zip", "empty"}


def cell(name, rng, training):
    """Returns a random value of a column."""
    kind = SPECS[name].type
    gaps = name in GAPS_IN_TRAINING or (not training and name != "sure")
    if (name == "empty" and training) or (gaps and rng.random() < 0.2):
        return None
    if kind == "number":
        scale = {"age (years)": 40, "a/b": 1e-3, "a_b": 1e30, "stack": 1, "born days": 3}
        value = float(rng.normal()) * scale.get(name, 1)
        return 1.6e9 + round(value) if name == "stack" else value
    if kind == "boolean":
        return bool(rng.random() < 0.3)
    if kind == "date":
        # Years with and without a leap day among them.
        most = 9998 if not training else 2100
        date = datetime.datetime(1, 1, 1) + datetime.timedelta(
            days=int(rng.integers(most * 365)), microseconds=int(rng.integers(86_400_000_000))
        )
        if name == "day":
            return date.replace(hour=0, minute=0, second=0, microsecond=0)
        if name == "month":
            return date.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return date.replace(second=0, microsecond=0) if name == "paid" else date
    unseen = not training and rng.random() < 0.2
    words = UNSEEN if unseen or not WORDS[name] else WORDS[name]
    return words[int(rng.integers(len(words)) * rng.random())]


def one_texts(values):
    """Returns the texts of a column of categories, with whole numbers as integers."""
    words = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
    for value in values.to_pylist():
        whole = value is not None and re.fullmatch(r"0\.0|-?[1-9]\d*\.0", value)
        yield value[:-2] if whole else words.get(value, value)


def table(seed, training, rows=ROWS):
    rng = np.random.default_rng(seed)
    columns = {}
    for name, spec in SPECS.items():
        if spec.type == "ignore":
            columns[name] = pa.chunked_array([pa.nulls(rows, pa.string())])
            continue
        values = [cell(name, rng, training) for _ in range(rows)]
        halves = [pa.array(part, TYPES[spec.type]) for part in (values[:300], values[300:])]
        if spec.type == "category":
            halves = [half.dictionary_encode() for half in halves]
        columns[name] = pa.chunked_array(halves)
    return columns


ENCODING = TableEncoding.fit(table(0, True), SPECS, "auto", CategoriesSpec(max_one_hot=16))
NEW = table(1, False)
LOAD = """
import sys
sys.modules["kfc"] = None
import keras, numpy as np, tensorflow as tf
folder = sys.argv[1]
rows = tf.data.Dataset.load(folder + "/rows").get_single_element()
model = keras.models.load_model(folder + "/model.keras")
np.save(folder + "/loaded.npy", model(rows).numpy())
# Given arrays or tensors, `predict` would make float64 inputs float32.
batches = tf.data.Dataset.from_tensor_slices(rows).batch(100)
np.save(folder + "/predicted.npy", model.predict(batches, verbose=0))
"""


def model_of(encoding):
    inputs = encoding.inputs()
    return keras.Model(inputs, encoding.features(inputs))


def saved_model(model, encoding, rows, folder):
    """Returns the answer of the SavedModel of a model."""
    names, keras_names = encoding.signature_names(), encoding.input_names()
    specs = [
        tf.TensorSpec((None,), model.input[keras_names[column]].dtype, name=names[column])
        for column in names
    ]

    def answer(*tensors):
        inputs = dict(zip((keras_names[column] for column in names), tensors, strict=True))
        return {"value": model(inputs)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", answer, specs)
    archive.write_out(str(folder), verbose=False)
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = {names[c]: tf.convert_to_tensor(rows[keras_names[c]]) for c in names}
    return serve(**found)["value"].numpy()


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """The features of the new rows, by the form that computed them."""
    folder = tmp_path_factory.mktemp("model")
    rows = ENCODING.raw_inputs(NEW)
    model = model_of(ENCODING)
    model.save(folder / "model.keras")
    tf.data.Dataset.from_tensors(rows).save(str(folder / "rows"))
    subprocess.run([sys.executable, "-c", LOAD, str(folder)], check=True)
    return {
        "Keras": model(rows).numpy(),
        "loaded": np.load(folder / "loaded.npy"),
        "predicted": np.load(folder / "predicted.npy"),
        "SavedModel": saved_model(model, ENCODING, rows, folder / "saved_model"),
    }


@pytest.mark.parametrize("form", ["Keras", "loaded", "predicted", "SavedModel"])
def test_a_graph_computes_the_bits_of_numpy(form, forms):
    expected = ENCODING.apply(NEW)
    assert expected.dtype == forms[form].dtype == np.float32
    assert np.isfinite(expected).all()
    for i, name in enumerate(ENCODING.feature_names):
        np.testing.assert_array_equal(forms[form][:, i], expected[:, i], err_msg=name)


def test_an_encoding_is_rebuilt_from_its_config():
    config = json.loads(json.dumps(ENCODING.get_config()))
    again = TableEncoding.from_config(config)
    assert again == ENCODING
    np.testing.assert_array_equal(again.apply(NEW), ENCODING.apply(NEW))


def test_numbers_come_first_then_flags_then_codes():
    columns = {
        "plan": pa.chunked_array([["a", None]]),
        "on": pa.chunked_array([[True, None]]),
        "age": pa.chunked_array([[1.0, None]]),
        "day": pa.chunked_array([pa.array([datetime.datetime(2020, 1, 1)] * 2)]),
        "id": pa.chunked_array([["x", "y"]]),
    }
    types = ["category", "boolean", "number", "date", "ignore"]
    specs = {n: ColumnSpec(type=t) for n, t in zip(columns, types, strict=True)}
    encoding = TableEncoding.fit(columns, specs, "auto", CategoriesSpec())
    assert encoding.feature_names == (
        *("age", "day days", "day year", "day month", "day day of week"),
        *("on", "on is missing", "age is missing"),
        "plan",
    )
    assert (encoding.num_numbers, encoding.num_flags) == (5, 3)
    assert encoding.codes == (("plan", 2, None, False),)
    np.testing.assert_array_equal(
        encoding.apply(columns), [[0] * 5 + [1, 0, 0, 1], [0] * 5 + [0, 1, 1, 2]]
    )


def test_unseen_values_are_counted_by_column():
    counts = ENCODING.unknown_counts(NEW)
    seen = {name: set(one_texts(table(0, True)[name])) for name in WORDS}
    assert counts == {
        name: sum(v is not None and v not in seen[name] for v in one_texts(NEW[name]))
        for name in WORDS
    }


def test_a_column_named_like_an_operation_of_keras_gets_another_input():
    layers = model_of(ENCODING).operations
    names = sorted({layer.name for layer in layers} - set(ENCODING.input_names().values()))
    columns = {name: pa.chunked_array([[1.0]]) for name in names}
    specs = dict.fromkeys(names, ColumnSpec(type="number"))
    encoding = TableEncoding.fit(columns, specs, "auto", CategoriesSpec())
    assert set(encoding.input_names().values()) & set(names) == set()


def test_text_that_is_no_date_and_no_truth_gives_nan():
    rows = {name: tf.convert_to_tensor(v[:1]) for name, v in ENCODING.raw_inputs(NEW).items()}
    for name in ("born", "active?"):
        rows[name] = tf.constant(["maybe"])
    found = model_of(ENCODING)(rows).numpy()[0]
    wrong = {
        n for n, value in zip(ENCODING.feature_names, found, strict=True) if np.isnan(value)
    }
    parts = ("days", "year", "month", "day of week", "hour")
    assert wrong == {"active?", *(f"born {part}" for part in parts)}


def test_a_table_without_rows_has_no_features_rows():
    empty = {name: column.slice(0, 0) for name, column in NEW.items()}
    assert ENCODING.apply(empty).shape == (0, ENCODING.num_features)


def test_a_number_that_apply_refuses_gives_nan_in_the_graph():
    columns = {"a": pa.chunked_array([[1.0, 2.0]]), "b": pa.chunked_array([[1.0, 2.0]])}
    specs = dict.fromkeys(columns, ColumnSpec(type="number"))
    encoding = TableEncoding.fit(columns, specs, "refuse", CategoriesSpec())
    rows = {"a": [np.nan, 1e39, 2], "b": [2, 1, -np.inf]}
    inputs = {name: tf.constant(values, tf.float64) for name, values in rows.items()}
    found = model_of(encoding)(inputs).numpy()
    np.testing.assert_array_equal(
        found, [[np.nan, 0.5], [np.nan, -0.5], [0.5, np.nan]], strict=False
    )
