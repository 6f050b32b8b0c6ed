"""Parquet files are predicted part by part: the same answers, and no part twice."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import kfc
from kfc.runs import part_predictions


def frame(rows, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows).round(1)
    age[::11] = np.nan
    plan = rng.choice(["free", "basic", "pro"], rows)
    return pd.DataFrame(
        {
            "id": np.arange(rows) + 1000 * seed,
            "age": age,
            "plan": plan,
            "target": np.where((age > 40) ^ (plan == "pro"), "leaves", "stays"),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    spec = {
        "name": "people",
        "data": {"target": "target", "columns": {"id": "ignore"}},
        "training": {"epochs": 3},
    }
    place = tmp_path_factory.mktemp("runs")
    return kfc.fit(spec, data=frame(300), runs=place, verbose=False)


@pytest.fixture
def parts(tmp_path):
    """Three files of 50, 0 and 130 rows; the middle one is empty."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number, rows in enumerate((50, 0, 130)):
        frame(rows, number + 1).drop(columns="target").to_parquet(
            folder / f"part-{number}.parquet", index=False
        )
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(part_predictions, "BATCH_ROWS", 32)


def predicted(run, source, output, **options):
    return kfc.predict_parts(run, source, output, verbose=False, **options)


def test_every_file_has_the_answers_of_predict(run, parts, tmp_path):
    done = predicted(run, parts, tmp_path / "out", keep=["id", "plan"])
    assert [part.rows for part in done] == [50, 0, 130]
    for part in done:
        rows, found = pd.read_parquet(parts / part.path.name), pd.read_parquet(part.path)
        names = ["id", "plan", "label", "probability"]
        assert [*found] == [*names, "probability_leaves", "probability_stays"]
        pd.testing.assert_frame_equal(found[["id", "plan"]], rows[["id", "plan"]])
        if len(rows):
            expected = run.predict(rows)
            assert found["label"].tolist() == expected.label.tolist()
            got = found[["probability_leaves", "probability_stays"]].to_numpy()
            np.testing.assert_allclose(got, expected.probabilities, atol=1e-6)


def test_values_have_their_bounds(tmp_path):
    rows = frame(300).assign(target=lambda each: each["id"] * 0.5)
    spec = {"training": {"epochs": 2, "interval_coverage": 0.9}}
    run = kfc.fit(spec, data=rows, runs=tmp_path, verbose=False)
    rows.to_parquet(tmp_path / "new.parquet")
    (part,) = predicted(run, f"parquet:{tmp_path / 'new.parquet'}", tmp_path / "out")
    found, expected = pd.read_parquet(part.path), run.predict(rows)
    assert [*found] == ["value", "lower", "upper"]
    np.testing.assert_allclose(found["upper"], expected.upper[:, 0], rtol=1e-5)


def test_a_finished_file_is_not_made_again(run, parts, tmp_path):
    output = tmp_path / "out"
    predicted(run, parts, output)
    (output / "part-2.parquet").unlink()
    before = (output / "part-0.parquet").stat().st_mtime_ns
    done = predicted(run, parts, output)
    assert [part.skipped for part in done] == [True, True, False]
    assert (output / "part-0.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize("changed", ["keep", "rows", "model"])
def test_files_of_other_predictions_are_refused(run, parts, tmp_path, changed):
    output = tmp_path / "out"
    predicted(run, parts, output)
    options, model = {}, run
    if changed == "keep":
        options = {"keep": ["id"]}
    elif changed == "rows":
        frame(49, 9).to_parquet(parts / "part-0.parquet")
    else:
        spec = {"data": {"target": "target", "columns": {"id": "ignore"}}, "seed": 5}
        spec["training"] = {"epochs": 1}
        model = kfc.fit(spec, data=frame(300), runs=tmp_path / "runs", verbose=False)
    with pytest.raises(kfc.SpecError, match="a file of other predictions"):
        predicted(model, parts, output, **options)


def test_values_that_training_has_not_seen_are_counted_over_all_files(run, parts, tmp_path):
    rows = pd.read_parquet(parts / "part-2.parquet")
    rows.loc[:99, "plan"] = "gold"
    rows.to_parquet(parts / "part-2.parquet")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predicted(run, parts, tmp_path / "out")
    (warning,) = [each for each in caught if each.category is kfc.UnseenValuesWarning]
    assert (warning.message.count, warning.message.rows) == (100, 180)


def test_a_bad_cell_is_named_with_its_file_and_no_half_file_is_left(run, parts, tmp_path):
    rows = pd.read_parquet(parts / "part-2.parquet")
    rows.loc[70, "age"] = np.inf
    rows.to_parquet(parts / "part-2.parquet")
    with pytest.raises(kfc.DataError, match=r"part-2\.parquet.*row 7") as error:
        predicted(run, parts, tmp_path / "out")
    assert "age" in str(error.value)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name for name in names if not name.startswith(".")] == [
        "part-0.parquet",
        "part-1.parquet",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"keep": ["label"]}, "columns with other names than the predictions"),
        ({"keep": ["nothing"]}, "a column 'nothing'"),
    ],
)
def test_a_column_that_cannot_be_kept_is_refused(run, parts, tmp_path, options, expected):
    rows = pd.read_parquet(parts / "part-0.parquet").assign(label=1)
    rows.to_parquet(parts / "part-0.parquet")
    with pytest.raises(kfc.KfcError, match=expected):
        predicted(run, parts, tmp_path / "out", **options)


def test_the_folder_of_the_rows_is_no_place_for_predictions(run, parts):
    before = sorted(parts.iterdir())
    with pytest.raises(kfc.SpecError, match="a folder other than that of the rows"):
        predicted(run, parts, parts)
    assert sorted(parts.iterdir()) == before


def test_a_missing_column_names_the_file(run, parts, tmp_path):
    pd.read_parquet(parts / "part-0.parquet").drop(columns="age").to_parquet(
        parts / "part-0.parquet"
    )
    with pytest.raises(kfc.DataError, match=r"part-0\.parquet: expected a column 'age'"):
        predicted(run, parts, tmp_path / "out")


def test_a_model_of_arrays_is_refused(tmp_path):
    run = kfc.fit("digits", overrides={"training.epochs": 1}, runs=tmp_path, verbose=False)
    with pytest.raises(kfc.SpecError, match="a model of a table"):
        predicted(run, tmp_path, tmp_path / "out")


@pytest.mark.parametrize("format", ["saved_model"])
def test_an_export_predicts_parts_as_its_run_does(run, parts, tmp_path, unasked, format):
    with unasked():
        exported = kfc.export(run, tmp_path / "model", format=format, verbose=False)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    predicted(run, parts, ours)
    for part in predicted(exported, parts, theirs):
        one, other = pq.read_table(part.path), pq.read_table(ours / part.path.name)
        assert one.column("label").equals(other.column("label"))
        np.testing.assert_allclose(one.column(1), other.column(1), atol=1e-6)


def test_the_command_goes_on_after_a_kill(run, tmp_path):
    folder, output = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    for number in range(12):
        frame(20_000, number + 1).to_parquet(folder / f"part-{number:02}.parquet")
    command = [
        *(sys.executable, "-m", "kfc", "predict", str(run.folder), f"parquet:{folder}"),
        *("--output", str(output), "--keep", "id", "--json"),
    ]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **nowhere) as killed:
        while killed.poll() is None and len(list(output.glob("part-*"))) < 2:
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    there = {path.name for path in output.glob("part-*.parquet")}
    assert 2 <= len(there) < 12
    ended = subprocess.run(command, capture_output=True, check=True, env=os.environ)
    said = json.loads(ended.stdout)
    assert {
        part["path"].rpartition("/")[2] for part in said["parts"] if part["skipped"]
    } == there
    assert sum(part["rows"] for part in said["parts"]) == 240_000
    assert sorted(path.name for path in output.glob("*.parquet")) == [
        f"part-{number:02}.parquet" for number in range(12)
    ]
    assert not [path for path in output.iterdir() if path.suffix == ".partial"]
    found = pd.read_parquet(output / "part-11.parquet")
    assert found["id"].tolist() == frame(20_000, 12)["id"].tolist()


PEAK = """
import resource, sys
import kfc
kfc.predict_parts(kfc.load(sys.argv[1]), sys.argv[2], sys.argv[3], verbose=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_eight_times_as_many_rows_need_no_more_memory(run, tmp_path):
    peaks, sizes = [], []
    for rows in (50_000, 400_000):
        folder = tmp_path / f"rows{rows}"
        folder.mkdir()
        for number in range(rows // 25_000):
            frame(25_000, number + 1).drop(columns="target").to_parquet(
                folder / f"part-{number:02}.parquet", index=False
            )
        command = [sys.executable, "-c", PEAK, run.folder, folder, tmp_path / f"out{rows}"]
        done = subprocess.run(map(str, command), capture_output=True, check=True)
        peaks.append(int(done.stdout) * 1024)  # Linux counts in KiB
        sizes.append(frame(25_000).memory_usage(deep=True).sum() * rows // 25_000)
    # Rows that were kept would add all that they take; the allocator may add a little.
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 2, peaks
    assert peaks[1] < 1.1 * peaks[0], peaks
