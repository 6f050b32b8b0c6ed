"""A run on a real table answers the same everywhere, also with missing and unseen values."""

import contextlib
import csv
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

import kfc
from kfc.cli import app

ROWS = 1000
LIMIT = 1e-5  # of the largest output
TABLES = {
    "credit_scoring": ("Status", {}),
    "adult": ("income", {"data.csv.missing_values": ["?"]}),
    "hotel_rates": ("avg_price_per_room", {}),  # dates, flags, 167 companies
    "flights": ("arr_delay", {}),
}
SMALL = {"training.epochs": 1, "network.hidden": [16]}

# In a process that knows the cells of the file and the names of the inputs alone.
ELSEWHERE = """
import json, sys
sys.modules["kfc"] = None
import keras, numpy as np, tensorflow as tf

asked, model_file, export, answers = json.loads(sys.argv[1]), *sys.argv[2:]
cells = json.load(open(asked["cells"]))

def tensor(texts, dtype):
    if dtype == "string":
        return tf.constant(texts)
    if dtype == "bool":
        return tf.constant([text in ("true", "yes", "1") for text in texts])
    return tf.constant([float(text) if text else float("nan") for text in texts], dtype)

def inputs(names, dtypes):
    return {name: tensor(cells[column], dtypes[name]) for column, name in names.items()}

model = keras.saving.load_model(model_file)
keras_dtypes = {i.name: i.dtype for i in model.inputs}
by_keras = np.asarray(model(inputs(asked["keras"], keras_dtypes)))
loaded = tf.saved_model.load(export)
serve = loaded.signatures["serving_default"]
dtypes = {n: spec.dtype.name for n, spec in serve.structured_input_signature[1].items()}
by_signature = serve(**inputs(asked["signature"], dtypes))
numbers = {n: v.numpy() for n, v in by_signature.items() if n != "label"}
np.savez(answers, keras=by_keras, **numbers)
"""


def run_kfc(*arguments):
    """Runs the command here and returns what it prints on stdout."""
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
        pytest.raises(SystemExit) as ended,
    ):
        app.main([str(argument) for argument in arguments])
    assert not ended.value.code
    return out.getvalue()


def dirty_rows(file, run, missing):
    """Returns 1,000 random rows as text, with cells that are missing or that no row has."""
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    generator = np.random.default_rng(0)
    rows = frame.iloc[generator.integers(0, len(frame), ROWS)].reset_index(drop=True)
    rows = rows.replace(missing, "")
    for column in run.task.encoding.columns:
        draw = generator.random(ROWS)
        if column.input_dtype not in ("bool", "int64"):  # they cannot miss a value
            rows.loc[draw < 0.05, column.name] = ""
        if column.codes and column.input_dtype == "string":
            rows.loc[draw > 0.95, column.name] = "never, seen"
    return rows


@pytest.mark.parametrize(
    "name",
    [
        "credit_scoring",
        *(pytest.param(n, marks=pytest.mark.slow) for n in TABLES if n != "credit_scoring"),
    ],
)
def test_a_thousand_dirty_rows_get_the_same_answers_everywhere(
    name, table_datasets, tmp_path, unasked
):
    target, overrides = TABLES[name]
    file, spec = tmp_path / f"{name}.csv", tmp_path / "spec.yaml"
    write_rows_with_target(table_datasets / file.name, target, file)
    run_kfc("new", file, "--target", target, "--out", spec)
    run = kfc.fit(spec, overrides=SMALL | overrides, runs=tmp_path, verbose=False)
    rows = dirty_rows(file, run, run.spec.data.csv.missing_values or [])
    rows.to_csv(tmp_path / "new.csv", index=False, quoting=csv.QUOTE_MINIMAL)

    with pytest.warns(kfc.UnseenValuesWarning):
        predicted = run.predict(tmp_path / "new.csv")
    with pytest.warns(kfc.UnseenValuesWarning):
        own = np.asarray(run.network(run.encode(tmp_path / "new.csv")))  # logits, or values
    with unasked():
        exported = kfc.export(run, tmp_path / "models", verbose=False)
    answers = answers_elsewhere(run, exported, rows, tmp_path)
    printed = json.loads(run_kfc("predict", run.folder, tmp_path / "new.csv", "--json"))
    written = pd.read_csv(io.StringIO(run_kfc("predict", run.folder, tmp_path / "new.csv")))

    agree(answers["keras"], own)
    if run.task.classification:
        logits = own if own.shape[1] > 1 else np.hstack([np.zeros_like(own), own])
        agree(answers["logits"], logits)
        wanted = softmax(logits.astype(np.float64), axis=1)
        for got in (
            predicted.probabilities,
            answers["probabilities"],
            printed["probabilities"],
            written[list(run.task.class_names)],
        ):
            agree(got, wanted)
        assert printed["label"] == predicted.label.tolist() == written["label"].tolist()
    else:
        for got in (predicted.value, answers["value"], printed["value"], written["value"]):
            agree(got, own)


def write_rows_with_target(file, target, new):
    """Writes the rows that have a target: a flight that was cancelled has no delay."""
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    frame[frame[target] != ""].to_csv(new, index=False)


def answers_elsewhere(run, exported, rows, folder):
    """Returns the answers of `model.keras` and of the SavedModel, by name."""
    encoding = run.task.encoding
    cells = {column.name: rows[column.name].tolist() for column in encoding.columns}
    (folder / "cells.json").write_text(json.dumps(cells))
    asked = {
        "cells": str(folder / "cells.json"),
        "keras": encoding.input_names((run.network.name,)),
        "signature": exported.certificate["input_names"],
    }
    arguments = [json.dumps(asked), run.folder / "model.keras", exported.path]
    command = [sys.executable, "-c", ELSEWHERE, *map(str, arguments), str(folder / "a.npz")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return dict(np.load(folder / "a.npz"))


def agree(got, wanted):
    wanted = np.asarray(wanted)
    got = np.asarray(got).reshape(wanted.shape)
    assert np.abs(got - wanted).max() <= LIMIT * np.abs(wanted).max()
