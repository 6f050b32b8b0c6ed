"""Trainings on tables: one small network, from every origin of the same rows."""

import json
import math
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import kfc
from kfc.runs.table_rows import typed_rows
from kfc.training import loop as loops

DATA = {"target": "churn", "scale": "standard"}
SPEC = {
    "name": "table",
    "data": DATA,
    "network": {"hidden": [4]},
    "training": {"epochs": 2, "batch_size": 32, "log_every": 1, "checkpoint_seconds": 1e-9},
}


def columns(rows=120):
    """Returns a table with a column of each type, whose target depends on two of them."""
    random = np.random.default_rng(0)
    fee = np.round(random.normal(50, 20, rows), 2)
    plan = random.choice(["basic", "plus", "pro"], rows)
    days = np.datetime64("2024-01-01") + random.integers(0, 400, rows)
    return {
        "fee": [None if i % 17 == 0 else float(value) for i, value in enumerate(fee)],
        "plan": [None if i % 29 == 0 else str(name) for i, name in enumerate(plan)],
        "senior": random.integers(0, 2, rows).astype(bool).tolist(),
        "since": days.astype("datetime64[us]").tolist(),
        "churn": np.where(fee + 20 * (plan == "pro") > 55, "yes", "no").tolist(),
    }


def csv_file(path, table=None):
    pyarrow.csv.write_csv(pa.table(table or columns()), path)
    return path


def fit(folder, data=None, **overrides):
    return kfc.fit(SPEC, data=data, overrides=overrides, runs=folder, verbose=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def run(folder):
    """A run on the rows as a CSV file; do not change it."""
    return fit(folder, **{"data.source": f"csv:{csv_file(folder / 'rows.csv')}"})


def shuffled_index():
    frame = pd.DataFrame(columns())
    frame.index = np.random.default_rng(1).permutation(len(frame))
    return frame


IN_MEMORY = {
    "pandas": shuffled_index,
    "polars": lambda: pl.DataFrame(columns()),
    "dict": columns,
}


@pytest.mark.parametrize("origin", IN_MEMORY)
def test_a_table_in_memory_trains_the_same_bits_as_its_csv_file(run, tmp_path, origin):
    other = fit(tmp_path, IN_MEMORY[origin]())
    assert other.spec.data.columns == run.spec.data.columns
    assert result(other)["data_sha256"] == result(run)["data_sha256"]
    assert other.weights_sha256 == run.weights_sha256


def test_a_table_without_a_scaling_is_standardised_and_its_spec_says_so(run, tmp_path):
    spec = {**SPEC, "data": {"target": "churn"}}
    other = kfc.fit(spec, data=columns(), runs=tmp_path, verbose=False)
    assert other.weights_sha256 == run.weights_sha256
    assert "  scale: standard\n" in (other.folder / "spec.yaml").read_text("utf-8")


def test_a_parquet_file_trains_the_same_bits_as_a_csv_file(run, tmp_path):
    pyarrow.parquet.write_table(pa.table(columns()), tmp_path / "rows.parquet")
    other = fit(tmp_path / "runs", **{"data.source": f"parquet:{tmp_path / 'rows.parquet'}"})
    assert result(other)["data_sha256"] == result(run)["data_sha256"]
    assert other.weights_sha256 == run.weights_sha256


def result(run):
    return json.loads((run.folder / "result.json").read_text("utf-8"))


def test_the_spec_of_a_run_has_every_type_and_trains_the_same_bits(run, tmp_path):
    types = {name: column.type for name, column in run.spec.data.columns.items()}
    assert types == {"fee": "number", "plan": "category", "senior": "boolean", "since": "date"}
    again = kfc.fit(run.folder / "spec.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == run.weights_sha256
    assert again.spec == run.spec


def test_columns_are_found_by_name(run):
    frame = pd.DataFrame(columns())
    wanted = run.predict(frame)
    other = frame[frame.columns[::-1]].assign(more=1.5)
    np.testing.assert_array_equal(run.predict(other).probabilities, wanted.probabilities)
    loaded = kfc.load(run.folder).predict(other)
    np.testing.assert_array_equal(loaded.probabilities, wanted.probabilities)
    with pytest.raises(kfc.DataError, match="no column 'plan'"):
        run.predict(frame.drop(columns="plan"))


def test_a_frame_is_measured(run):
    frame = pd.DataFrame(columns())
    wanted = run.predict(frame)
    share = float(np.mean(wanted.label == frame["churn"].to_numpy()))
    assert run.evaluate(frame)["accuracy"] == pytest.approx(share, abs=1e-6)
    inputs = frame.drop(columns="churn")
    assert run.evaluate((inputs, frame["churn"])) == run.evaluate(frame)
    with pytest.raises(kfc.DataError, match="churn"):
        run.evaluate(inputs)


def test_the_saved_model_takes_raw_columns_without_kfc(run, tmp_path):
    frame = pd.DataFrame(columns())
    task = kfc.load(run.folder).task
    typed = typed_rows(frame, task)
    raw = task.encoding.raw_inputs(typed.columns, (run.network.name,))
    names = list(raw)
    np.savez(tmp_path / "raw.npz", *[np.asarray(raw[name]).astype(str) for name in names])
    kinds = [raw[name].dtype.name for name in names]
    code = f"""
import sys
sys.modules["kfc"] = None
import keras, numpy as np, tensorflow as tf
model = keras.saving.load_model({str(run.folder / "model.keras")!r})
saved = np.load({str(tmp_path / "raw.npz")!r})
def tensor(values, kind):
    if kind == "string":
        return tf.constant(values.tolist())
    if kind == "bool":
        return tf.constant(values == "True")
    return tf.constant(values.astype(kind))
parts = zip({names!r}, saved.files, {kinds!r})
x = {{name: tensor(saved[file], kind) for name, file, kind in parts}}
np.save({str(tmp_path / "logits.npy")!r}, np.asarray(model(x)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    logits = np.asarray(run.network(task.encoding.apply(typed.columns)))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "frame"])
def test_an_interrupted_run_goes_on_with_the_same_bits(run, tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)
    end_of_epoch = loops.Loop._end_of_epoch

    def ends(loop, progress, logs):
        end_of_epoch(loop, progress, logs)
        if progress.epoch == 2:
            raise RuntimeError("the machine stops")

    data = pd.DataFrame(columns()) if in_memory else None
    source = {} if in_memory else {"data.source": run.spec.data.source}
    with monkeypatch.context() as patch:
        patch.setattr(loops.Loop, "_end_of_epoch", ends)
        with pytest.raises(RuntimeError, match="machine stops"):
            fit(tmp_path, data, **source)
    resumed = kfc.resume(max(tmp_path.iterdir()), data=data, verbose=False)
    assert resumed.weights_sha256 == run.weights_sha256
    assert result(resumed)["resumed"][0]["epoch"] == 1


@pytest.mark.parametrize("engine", ["xla", "graph", "eager"])
@pytest.mark.parametrize("encoder", ["one_hot", "embedding"])
def test_engines_agree(folder, tmp_path, engine, encoder):
    overrides = {
        "data.source": f"csv:{csv_file(tmp_path / 'rows.csv')}",
        "data.columns": {"plan": {"type": "category", "encoder": encoder}},
    }
    expected = fit(tmp_path / "graph", **overrides, **{"training.engine": "graph"})
    other = fit(tmp_path / "other", **overrides, **{"training.engine": engine})
    for got, want in zip(
        other.network.get_weights(), expected.network.get_weights(), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_unknown_categories_are_refused_where_the_spec_says_so(run, tmp_path):
    frame = pd.DataFrame(columns())
    frame.loc[7, "plan"] = "gold"
    with pytest.warns(kfc.UnseenValuesWarning):
        assert len(run.predict(frame).label) == len(frame)
    strict = fit(tmp_path, columns(), **{"data.unknown": "refuse"})
    with pytest.raises(kfc.DataError, match=r"row 7, column 'plan'.*gold") as caught:
        strict.predict(frame)
    assert caught.value.findings[0].name == "unknown_category"
    strict.predict(columns())


def test_unknown_categories_are_said_once_per_column_where_kfc_was_called(run):
    frame = pd.DataFrame(columns())
    frame.loc[[7, 8], "plan"] = ["gold", "silver"]
    calls = [
        lambda: run.predict(frame),
        lambda: run.evaluate(frame),
        lambda: run.encode(frame),
    ]
    for call in calls:
        with pytest.warns(kfc.UnseenValuesWarning) as caught:
            call()
        (warning,) = caught
        said = warning.message
        assert (said.column, said.count, said.rows) == ("plan", 2, 120)
        assert str(said) == "column plan: 2 of 120 values are not in the training rows"
        assert warning.filename == __file__


def test_a_file_is_encoded_predicted_and_measured_as_its_frame_is(run, tmp_path):
    frame = pd.DataFrame(columns())
    rows = run.encode(frame)
    assert rows.shape == (120, len(run.task.feature_names))
    for file in (csv_file(tmp_path / "new.csv"), str(tmp_path / "new.csv")):
        np.testing.assert_array_equal(run.encode(file), rows)
        np.testing.assert_array_equal(run.predict(file).label, run.predict(frame).label)
        assert run.evaluate(file) == run.evaluate(frame)
    with pytest.raises(kfc.DataError, match="no column 'plan'"):
        run.encode(frame.drop(columns="plan"))


def test_the_rows_of_a_part_are_encoded(run):
    rows = run.rows("test")
    assert rows.x.shape == (24, len(run.task.feature_names))
    assert rows.x.dtype == np.float32


def test_tables_with_other_codes_share_no_graph(tmp_path):
    """Both have one input of each kind, but a plan more or less is another one-hot size."""
    table = columns()
    fewer = {**table, "plan": ["plus" if p == "pro" else p for p in table["plan"]]}
    runs = [fit(tmp_path / str(i), t) for i, t in enumerate((table, fewer, table))]
    assert runs[0].weights_sha256 == runs[2].weights_sha256
    sizes = [run.network.get_weights()[0].shape for run in runs]
    assert sizes[0][0] == sizes[1][0] + 1


def test_a_target_of_numbers_is_a_regression(tmp_path):
    table = columns()
    table["churn"] = [float(i) + 0.5 for i in range(len(table["churn"]))]
    trained = fit(
        tmp_path, table, **{"data.task": "regression", "data.scale_target": "standard"}
    )
    values = trained.predict(table).value
    assert values.shape == (120, 1)
    assert keras.ops.isfinite(values).numpy().all()


def test_a_run_says_and_keeps_the_warnings_of_its_table(tmp_path, capsys):
    table = columns()
    table["outcome"] = ["left" if word == "yes" else "stayed" for word in table["churn"]]
    run = kfc.fit(SPEC, data=table, runs=tmp_path)
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: training rows, column outcome: expected inputs that leave" in said
    (warning,) = kfc.load(run.folder).warnings
    assert warning == run.warnings[0]
    assert (warning["name"], warning["severity"]) == ("target_in_column", "warning")
    accepted = fit(tmp_path, table, accept=["target_in_column"])
    assert accepted.warnings == []
    assert accepted.weights_sha256 == run.weights_sha256
