import functools
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris
from tensorflow.python.tools import saved_model_cli

import kfc

HERE = Path(__file__).parent.parent / "experiments" / "serving"
SMALL = {"training.epochs": 2, "network.hidden": [16]}
COLUMNS = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]


CUSTOMERS = {
    "name": "customers",
    "data": {"target": "churn", "scale": "standard", "columns": {"visits": "number"}},
}


def customers(rows, seed, plans=("basic", "plus", "pro")):
    """A table with gaps in a number, a text and a date."""
    generator = np.random.default_rng(seed)
    columns = {
        "monthly fee": generator.normal(50, 9, rows).round(2),
        "plan": generator.choice(plans, rows),
        "senior": generator.random(rows) < 0.3,
        "since": [f"202{n % 4}-0{n % 9 + 1}-11" for n in generator.integers(0, 999, rows)],
        "visits": generator.integers(0, 9, rows),
    }
    table = pd.DataFrame(columns)
    table["churn"] = np.where(table["monthly fee"] + 9 * table["senior"] > 55, "yes", "no")
    for number, name in enumerate(("monthly fee", "plan", "since")):
        table.loc[number::10, name] = None
    return table


class Served(NamedTuple):
    run: kfc.Run
    folder: Path  # of the one version
    url: str


@pytest.fixture(scope="module")
def served(experiment, tmp_path_factory, unasked):
    """A model by name, behind a real server of its own."""
    work = tmp_path_factory.mktemp("serving")
    flowers = load_iris(as_frame=True)
    table = flowers.frame.assign(target=flowers.target_names[flowers.target])
    sources = {
        "digits": ("digits", {"overrides": SMALL}),
        "flowers": ({"name": "flowers"}, {"overrides": SMALL, "data": table}),
        "customers": (CUSTOMERS, {"overrides": SMALL, "data": customers(300, 0)}),
    }
    with ExitStack() as stack:

        @functools.cache
        def serve(name):
            spec, options = sources[name]
            run = kfc.fit(spec, **options, runs=work, verbose=False)
            with unasked():
                folder = kfc.export(run, work / name, verbose=False).path
            server = stack.enter_context(experiment("serving").Server(work / name))
            server.wait()
            url = f"http://127.0.0.1:{server.port}/v1/models/{name}:predict"
            return Served(run, folder, url)

        yield serve


def post(url, body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(url, body, timeout=60) as answer:
        return json.load(answer)["predictions"]


def records(x):
    return [dict(zip(COLUMNS, row, strict=True)) for row in x.tolist()]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        *(("flowers", 1), ("flowers", 150)),
        *(pytest.param("digits", rows, marks=pytest.mark.slow) for rows in (1, 256)),
    ],
)
def test_raw_rows_get_the_answers_of_the_run(served, name, rows):
    model = served(name)
    x = (load_digits() if name == "digits" else load_iris()).data[:rows]
    answers, own = post(model.url, {"instances": x.tolist()}), model.run.predict(x)
    assert [row["label"] for row in answers] == own.label.tolist()
    found = [row["probabilities"] for row in answers]
    np.testing.assert_allclose(found, own.probabilities, rtol=1e-5, atol=1e-7)
    assert [row["probability"] for row in answers] == [max(row) for row in found]
    assert np.argmax([row["logits"] for row in answers], axis=1).tolist() == [
        model.run.task.class_names.index(label) for label in own.label
    ]


@pytest.mark.parametrize("rows", [1, 150])
def test_rows_by_column_get_the_labels_of_the_run(served, rows):
    flowers = served("flowers")
    x = load_iris().data[:rows]
    body = {"signature_name": "rows", "instances": records(x)}
    labels = [row["label"] for row in post(flowers.url, body)]
    assert labels == flowers.run.predict(x).label.tolist()
    assert labels == [row["label"] for row in post(flowers.url, {"instances": x.tolist()})]


@pytest.mark.parametrize(
    "name", [pytest.param("digits", marks=pytest.mark.slow), "flowers", "customers"]
)
def test_the_exported_request_is_answered_as_it_is(served, name):
    run, folder, url = served(name)
    request = (folder / "assets.extra" / "request.json").read_bytes()
    labels = [answer["label"] for answer in post(url, request)]
    assert len(labels) == (2 if name == "customers" else 1)
    assert set(labels) <= set(run.task.class_names)


def test_rows_of_a_table_with_nulls_and_unseen_values_get_the_answers_of_the_run(served):
    run, _, url = served("customers")
    table = customers(200, 1, ("basic", "plus", "pro", "gold"))
    rows = json.loads(table.drop(columns="churn").to_json(orient="records"))
    assert [rows[n][name] for n, name in enumerate(("monthly fee", "plan"))] == [None, None]
    instances = [{"monthly_fee": row.pop("monthly fee"), **row} for row in rows]
    answers = post(url, {"instances": instances})
    with pytest.warns(kfc.UnseenValuesWarning, match="column plan"):
        own = run.predict(table)
    found = [row["probabilities"] for row in answers]
    np.testing.assert_allclose(found, own.probabilities, rtol=0, atol=1e-5)
    assert [row["label"] for row in answers] == own.label.tolist()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("plan", 3, "plan: expected text"),
        ("monthly_fee", "50", "monthly_fee: expected float64"),
        ("senior", 1, "senior: expected bool"),
        ("senior", None, "senior: expected bool"),
    ],
)
def test_a_wrong_value_in_a_column_is_refused_with_the_column(served, column, value, message):
    _, folder, url = served("customers")
    request = json.loads((folder / "assets.extra" / "request.json").read_text("utf-8"))
    request["instances"][0][column] = value
    with pytest.raises(urllib.error.HTTPError) as raised:
        post(url, request)
    with raised.value as refusal:
        assert refusal.code == 400
        assert message in refusal.read().decode()


def test_a_text_that_is_no_date_gets_no_label(served):
    _, folder, url = served("customers")
    request = json.loads((folder / "assets.extra" / "request.json").read_text("utf-8"))
    request["instances"][0]["since"] = "yesterday"
    bad, good = post(url, request)
    assert bad["label"] == ""
    assert good["label"] in ("yes", "no")


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("flowers", {"instances": [[1.0, 2.0]]}, "expected float32 (None, 4)"),
        ("flowers", {"instances": [[1.0], [1.0, 2.0]]}, "features: "),
        ("flowers", {"instances": [["one"] * 4]}, "features: "),
        ("flowers", {"instances": [[None] * 4]}, "features: "),
        ("flowers", {"instances": []}, "expected float32 (None, 4)"),
        ("flowers", {"rows": []}, "instances"),
        ("flowers", b'{"instances": [[', "Invalid JSON"),
        ("flowers", {"signature_name": "no", "instances": [{}]}, "serving_default"),
        pytest.param(
            *("digits", {"signature_name": "rows", "instances": [{}]}, "serving_default"),
            marks=pytest.mark.slow,
        ),
        ("flowers", {"signature_name": "rows", "instances": [{"a": 1.0}]}, COLUMNS[0]),
        ("flowers", {"signature_name": "rows", "instances": [1.0]}, COLUMNS[0]),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(served, name, body, message):
    with pytest.raises(urllib.error.HTTPError) as raised:
        post(served(name).url, body)
    with raised.value as refusal:
        assert refusal.code == 400
        assert message in refusal.read().decode()


@pytest.mark.parametrize(("signature", "tensors"), [("serving_default", 5), ("rows", 8)])
def test_saved_model_cli_prints_what_is_documented(served, signature, tensors, capsys):
    # What its command `show` calls; its flags are those of the whole process.
    saved_model_cli._show_inputs_outputs(str(served("flowers").folder), "serve", signature)
    shown = capsys.readouterr().out
    assert shown.count("tensor_info") == tensors
    assert interface(shown) in interface((HERE / "README.md").read_text("utf-8"))


def interface(text):
    """What saved_model_cli prints but the names of nodes, which are TensorFlow's affair."""
    return re.sub(r"\n +name: .*", "", text).strip()


def test_the_documented_table_is_the_measured_one(experiment):
    measured = json.loads((HERE / "measured.json").read_text("utf-8"))
    assert experiment("serving").table(measured) in (HERE / "README.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("prepared_tfds")
def test_every_contender_answers():
    command = [sys.executable, str(HERE / "run.py"), "--small"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert len(printed.splitlines()) == 2 + 3 * 6 + 2  # HTTP with two numbers of rows
