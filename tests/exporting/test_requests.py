import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kfc.exporting import requests
from kfc.runs import sample_file


def body_of(export):
    return json.loads((export.path / "assets.extra/request.json").read_text())


def test_the_request_is_the_first_row_of_the_sample(image, exported):
    body = body_of(exported("image"))
    assert set(body) == {"instances"}
    x = sample_file.read_sample(image.folder, image.sample_sha256).x
    assert np.array_equal(np.array(body["instances"], np.uint8), x[:1])


def test_a_row_of_a_table_is_asked_for_by_column(table, exported):
    body = body_of(exported("table"))
    assert body["signature_name"] == "rows"
    (row,) = body["instances"]
    assert list(row) == ["sepal_length_cm", "column_class", "a_b", "a_b_2"]
    x = sample_file.read_sample(table.folder, table.sample_sha256).x
    assert np.array_equal(np.array(list(row.values()), np.float32), x[0])


@pytest.mark.parametrize("kind", ["image", "table"])
def test_warm_up_requests_are_records_that_serving_reads(kind, exported):
    from tensorflow_serving.apis import prediction_log_pb2

    export = exported(kind)
    (record,) = tf.data.TFRecordDataset(str(export.path / requests.WARMUP))
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    call = log.predict_log.request
    assert call.model_spec.name == kind
    body = body_of(export)
    assert call.model_spec.signature_name == body.get("signature_name", "serving_default")
    (row,) = body["instances"]
    by_name = row if isinstance(row, dict) else {"image": row}
    assert set(call.inputs) == set(by_name)
    for name, values in by_name.items():
        assert np.array_equal(tf.make_ndarray(call.inputs[name])[0], np.float32(values))


def test_without_the_protos_no_warm_up_is_written_and_the_export_says_so(
    image, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    request = requests.Request.of(np.zeros((2, 2), np.uint8), image.task, "image")
    assert not requests.write_warmup(tmp_path, request, image.task, "image")
    assert not list(tmp_path.iterdir())


def test_a_number_of_a_request_is_as_short_as_float32_allows(table):
    row = np.array([5.1, 1e-7, 16777217, 0.30000001], np.float32)
    request = requests.Request.of(row, table.task, "features")
    assert list(request.instance.values()) == [5.1, 1e-7, 16777216, 0.3]
    (again,) = np.stack(list(request.inputs("float32").values()), axis=1)
    assert again.tobytes() == row.tobytes()


def test_the_lines_serve_the_folder_of_versions_and_post_the_request(exported):
    export = exported("table")
    serve, ask = map(shlex.split, export.commands())
    assert serve[:2] == ["docker", "run"]
    source = f"source={export.path.parent}"
    assert serve[serve.index("--mount") + 1] == f"type=bind,{source},target=/models/table"
    assert "MODEL_NAME=table" in serve
    body = next(word for word in ask if word.startswith("@"))[1:]
    assert json.loads(Path(body).read_text()) == body_of(export)
    assert ask[ask.index("-H") + 1] == "Content-Type: application/json"
    assert ask[-1] == "http://localhost:8501/v1/models/table:predict"


@pytest.mark.parametrize("name", ["co:lon", "com,ma", 'quo"te', "it's", "a b"])
def test_the_line_that_serves_takes_any_path(name):
    serve, _ = requests.serving_commands(
        Path("/models") / name / "1", "digits", portable=False
    )
    words = shlex.split(serve)
    (fields,) = csv.reader([words[words.index("--mount") + 1]])
    assert fields == ["type=bind", f"source=/models/{name}", "target=/models/digits"]


def test_the_line_that_serves_holds_for_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    monkeypatch.chdir(tmp_path / "1")
    serve, _ = requests.serving_commands(Path("."), "digits", portable=False)
    assert f"source={tmp_path}," in serve


def test_the_lines_of_the_card_hold_wherever_the_folder_is(exported):
    export = exported("table")
    serve, ask = requests.serving_commands(export.path, "table", portable=True)
    assert str(export.path.parent) not in serve + ask
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {ask}"],
        cwd=export.path.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    body = next(word for word in words if word.startswith("@"))[1:]
    assert (export.path.parent / body).exists()


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_formats_that_serving_does_not_serve_have_no_such_lines(format, exported):
    export = exported("table", format)
    assert export.commands() is None
    assert not (export.path / "assets.extra").exists()
