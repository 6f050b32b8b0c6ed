"""Exports of networks of tables: raw columns in, labels out."""

import datetime
import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import kfc
from kfc.errors import SpecError
from kfc.exporting import load_export
from kfc.runs import sample_file, typed_rows

COLORS = ("red", "green", "bl,ue", "naïve")


def frame(rows, seed, colors=COLORS, zips=(10115, 20095, 80331)):
    generator = np.random.default_rng(seed)

    def with_gaps(values):
        return np.where(generator.random(rows) < 0.1, None, values)

    color, price = generator.choice(colors, rows), generator.normal(50, 9, rows).round(2)
    days = generator.integers(0, 900, rows)
    dates = [str(datetime.date(2020, 1, 1) + datetime.timedelta(int(day))) for day in days]
    return pd.DataFrame(
        {
            "the color (x)": with_gaps(color),
            "price": with_gaps(price).astype(float),
            "Gold member": with_gaps(generator.choice(["yes", "no"], rows)),
            "agreed": generator.choice(["true", "false"], rows),
            "since": with_gaps(np.array(dates, object)),
            "zip": generator.choice(zips, rows),
            "Zip": generator.normal(size=rows),  # a name that TensorFlow takes for `zip`
            "class": generator.choice(["a", "b"], rows),
            "self": generator.normal(size=rows),
            "y": np.where((color == "red") | (price > 55), "good", "bad"),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    frame(300, 0).to_csv(folder / "rows.csv", index=False)
    data = {
        "source": f"csv:{folder / 'rows.csv'}",
        "target": "y",
        "scale": "standard",
        "columns": {"zip": {"type": "category"}},
    }
    spec = {"name": "table", "data": data, "training": {"epochs": 2}}
    return kfc.fit(spec, runs=folder / "runs", verbose=False)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return kfc.export(run, tmp_path_factory.mktemp("models") / "m", verbose=False)


@pytest.fixture(scope="module")
def serve(exported):
    model = tf.saved_model.load(str(exported.path))
    yield model.signatures["serving_default"]
    assert model is not None  # the tables of a model live as long as the model


def asked(serve, exported, rows):
    """The answer of a SavedModel for a frame, written without the code of kfc."""
    names = exported.certificate["input_names"]
    inputs = {}
    for column, name in names.items():
        values, (_, specs) = rows[column], serve.structured_input_signature
        if specs[name].dtype == tf.string:
            texts = values.astype(object).where(values.notna(), "").astype(str)
            if column == "Gold member":
                texts = texts.map({"yes": "true", "no": "false", "": ""})
            inputs[name] = tf.constant(texts.tolist())
        elif specs[name].dtype == tf.bool:
            inputs[name] = tf.constant((values == "true").tolist())
        else:
            inputs[name] = tf.constant(values.tolist(), specs[name].dtype)
    return serve(**inputs)


def test_a_thousand_rows_with_missing_and_unseen_values_get_the_answers_of_the_run(
    run, exported, serve
):
    rows = frame(1000, 1, (*COLORS, "pink", "[UNK]"), (10115, 80331, 99999))
    with pytest.warns(kfc.UnseenValuesWarning):
        wanted = run.predict(rows)
    got = asked(serve, exported, rows)
    np.testing.assert_allclose(got["probabilities"], wanted.probabilities, atol=1e-5)
    labels = [label.decode() for label in got["label"].numpy()]
    assert labels == wanted.label.tolist()


def test_a_loaded_export_predicts_a_frame_as_the_run_does(run, exported):
    rows = frame(50, 2)
    got = load_export(exported.path).predict(rows)
    wanted = run.predict(rows)
    np.testing.assert_allclose(got.probabilities, wanted.probabilities, atol=1e-5)
    assert got.label.tolist() == wanted.label.tolist()


@pytest.mark.parametrize(
    ("column", "value"), [("since", "no date"), ("price", np.inf), ("Gold member", "maybe")]
)
def test_a_value_without_an_encoding_gets_no_label(column, value, exported, serve):
    rows = frame(2, 3)
    good = asked(serve, exported, rows)
    names = exported.certificate["input_names"]
    (_, specs) = serve.structured_input_signature
    inputs = {n: tf.constant(request_row(exported)[n], specs[n].dtype)[None] for n in specs}
    inputs[names[column]] = tf.constant([value], specs[names[column]].dtype)
    bad = serve(**inputs)
    assert bad["label"].numpy().tolist() == [b""]
    assert np.isnan(bad["probabilities"]).all()
    assert (good["label"].numpy() != b"").all()


def request_row(exported):
    body = json.loads((exported.path / "assets.extra" / "request.json").read_text("utf-8"))
    return body["instances"][0]


def test_the_request_is_a_real_row_and_one_that_lacks_a_value(run, exported):
    body = json.loads((exported.path / "assets.extra" / "request.json").read_text("utf-8"))
    real, lacking = body["instances"]
    assert list(real) == list(exported.certificate["input_names"].values())
    assert [n for n in real if repr(real[n]) != repr(lacking[n])] == ["the_color_x"]
    assert lacking["the_color_x"] == ""
    sample = sample_file.read_sample(run.folder, run.sample_sha256)
    first = {name: values[0].item() for name, values in sample.columns.items()}
    assert repr(first) == repr(real)


def test_the_certificate_counts_the_rows_and_the_names_of_the_inputs(exported):
    certificate = exported.certificate
    assert certificate["rows"] == 120  # the 60 test rows, and a copy of each
    assert certificate["unlisted"] == []
    assert certificate["nan_rows"] > 2
    names = certificate["input_names"]
    assert (names["class"], names["self"]) == ("column_class", "column_self")
    assert (names["zip"], names["Zip"]) == ("zip", "Zip_2")


def test_the_card_lists_the_columns(exported):
    card = (exported.path / "card.md").read_text("utf-8")
    assert '| the color \\(x\\) | category | `the_color_x` | string | `""` |' in card
    assert "| agreed | boolean | `agreed` | bool | none |" in card
    assert '"the_color_x": tf.constant([' in card


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_a_format_without_text_is_refused(format, run, tmp_path):
    with pytest.raises(SpecError, match="look up the text") as error:
        kfc.export(run, tmp_path / "m", format=format, verbose=False)
    assert "saved_model" in error.value.findings[0].remedy
    assert "--encoded" in error.value.findings[0].remedy


@pytest.fixture(scope="module", params=["saved_model", "onnx", "litert"])
def core(request, run, tmp_path_factory):
    """An export of the network of encoded rows."""
    path = tmp_path_factory.mktemp("core") / "m"
    return kfc.export(run, path, format=request.param, encoded=True, verbose=False)


def answer_of_runtime(export, rows):
    """Logits from the runtime of the format alone."""
    if export.format == "onnx":
        session = onnxruntime.InferenceSession(export.path / "model.onnx")
        return session.run(["logits"], {"features": rows})[0]
    if export.format == "litert":
        interpreter = Interpreter(str(export.path / "model.tflite"))
        return interpreter.get_signature_runner("serving_default")(features=rows)["logits"]
    model = tf.saved_model.load(str(export.path))
    return model.signatures["serving_default"](features=tf.constant(rows))["logits"].numpy()


def test_every_runtime_answers_encoded_rows_as_the_run_answers_their_table(run, core):
    table = frame(200, 4)
    rows = run.encode(table)
    assert rows.shape == (200, len(run.task.feature_names))
    assert rows.dtype == np.float32
    logits = answer_of_runtime(core, rows)
    own = np.asarray(run.model(raw_tensors(run, table)))
    np.testing.assert_allclose(logits, own, rtol=0, atol=1e-5 * np.abs(own).max())
    predicted = load_export(core.path).predict(table)
    np.testing.assert_allclose(
        predicted.probabilities, run.predict(table).probabilities, atol=1e-6
    )


def raw_tensors(run, table):
    typed = typed_rows(table, run.task)
    return run.task.encoding.raw_inputs(typed.columns, (run.network.name,))


def test_the_certificate_of_encoded_rows_is_of_real_ones(core):
    certificate = core.certificate
    assert certificate["encoded"] is True
    assert certificate["rows"] == 120
    assert certificate["nan_rows"] >= 3
    assert certificate["max_difference"] <= 1e-5
    assert core.encoded
    assert load_export(core.path).encoded


def test_the_card_of_encoded_rows_lists_the_features_in_their_order(run, core):
    card = (core.path / "card.md").read_text("utf-8")
    assert f"a batch of encoded rows, {len(run.task.feature_names)} numbers" in card
    rows = card.split("| number | feature | values |\n|---|---|---|\n")[1].split("\n\n")[0]
    names = [line.split(" | ")[1].replace("\\", "") for line in rows.splitlines()]
    assert names == list(run.task.feature_names)
    assert "run.encode" in card


def test_rows_of_arrays_have_no_encoding(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    spec = {"network": {"hidden": [2]}, "training": {"epochs": 1}}
    arrays = kfc.fit(spec, data=(x, x[:, 0] > 0), runs=tmp_path, verbose=False)
    with pytest.raises(SpecError, match="--encoded: expected a run on a table"):
        kfc.export(arrays, tmp_path / "m", encoded=True, verbose=False)
    with pytest.raises(kfc.DataError, match="a run on a table"):
        arrays.encode(x)
