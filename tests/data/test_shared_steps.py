"""Processes share out the encoding of a Parquet folder; the result is that of one process."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfc.data.row_parts import RowParts
from kfc.data.shared_steps import share_checks, share_facts
from kfc.errors import DataError, Finding, SpecError
from kfc.preprocessing import NumericScaling, fit_scaling
from kfc.system import SharedWork

SCRIPT = Path(__file__).with_name("encoding_processes.py")
ROWS, PARTS = 400, 5
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(40, 9, ROWS)),
        "plan": RNG.choice(["basic", "plus", None], ROWS),
        "town": pd.Categorical(RNG.choice([f"town {i}" for i in range(50)], ROWS)),
        "since": pd.Timestamp("2021-01-01") + pd.to_timedelta(RNG.integers(0, 900, ROWS), "D"),
        "senior": RNG.random(ROWS) < 0.2,
        "churn": RNG.choice(["no", "yes"], ROWS),
    }
)


def write_parts(folder, frame=FRAME):
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), PARTS)):
        frame.iloc[rows].to_parquet(folder / f"{number}.parquet")
    return folder


def encode(folder, parts, count, kill=None, **of_data):
    """Encodes a folder of parts in several processes, see `encoding_processes.py`."""
    folder.mkdir(exist_ok=True)
    data = {"source": f"parquet:{parts}", "target": "churn", "stream": "always", **of_data}
    asked = {"processes": count, "kill": kill, "spec": {"data": data}}
    command = [sys.executable, str(SCRIPT), str(folder), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with the parts, and with the cache of one process that has encoded them."""
    folder = tmp_path_factory.mktemp("alone")
    (done,) = encode(folder, write_parts(folder / "parts"), 1)
    assert done["code"] == 0, done
    return folder


def pieces(folder):
    """The pieces that were made, with the number of the process that has made each."""
    lines = (folder / "pieces").read_text().split("\n")[:-1]
    return [(name, int(number)) for number, name in (line.split() for line in lines)]


def content(folder):
    """The bytes of every file of the cache but its locks."""
    files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.suffix != ".lock"
    }


def test_each_piece_is_made_once_and_the_cache_has_the_bytes_of_one_process(alone, tmp_path):
    done = encode(tmp_path, alone / "parts", 3)
    assert [each["code"] for each in done] == [0, 0, 0], done
    assert content(tmp_path) == content(alone)
    assert any(name.endswith("train_x.npy") for name in content(alone))
    of_one, shared = pieces(alone), pieces(tmp_path)
    assert len(dict(shared)) == len(shared)
    assert sorted(dict(shared)) == sorted(dict(of_one))
    kinds = Counter(name.partition("-")[0] for name, _ in of_one)
    columns = len(FRAME.columns)
    assert (kinds["read"], kinds["type"], kinds["fit"]) == (columns, columns, columns - 1)
    assert sum("-rows-" in name for name, _ in of_one) > 5
    assert len({number for _, number in shared}) == 3  # everybody has made some


@pytest.mark.parametrize("moment", ["read-", "train-rows-"])
def test_a_process_that_is_killed_does_not_stop_the_other(alone, tmp_path, moment):
    killed, other = encode(tmp_path, alone / "parts", 2, kill=moment)
    assert (killed["code"], other["code"]) == (-9, 0), other
    assert content(tmp_path) == content(alone)


def test_an_encoding_goes_on_where_it_was_interrupted(alone, tmp_path):
    assert encode(tmp_path, alone / "parts", 1, kill="train-rows-")[0]["code"] == -9
    assert {"read", "typed", "fit"} <= {name.partition("-")[0] for name, _ in pieces(tmp_path)}
    assert encode(tmp_path, alone / "parts", 1)[0]["code"] == 0
    assert content(tmp_path) == content(alone)
    made = [name for name, _ in pieces(tmp_path)]
    assert sorted(made) == sorted(name for name, _ in pieces(alone))  # none of them twice


def test_everybody_reports_a_bad_value_once(alone, tmp_path):
    done = encode(tmp_path, alone / "parts", 3, columns={"plan": "number"})
    assert [each["code"] for each in done] == [1, 1, 1]
    (error,) = {each["error"] for each in done}
    assert error.startswith("kfc.errors.DataError: ")
    assert error.count("column 'plan': expected a number, got 'basic'") == 1
    assert not content(tmp_path)


def test_everybody_reports_a_part_with_another_schema(tmp_path):
    parts = write_parts(tmp_path / "parts")
    FRAME.assign(age="x").to_parquet(parts / "3.parquet")
    (error,) = {each["error"] for each in encode(tmp_path, parts, 2)}
    assert "3.parquet: expected the columns of the other parts, 'age' of type double" in error
    assert not content(tmp_path)


def test_facts_are_the_same_with_and_without_others(tmp_path):
    chosen = RowParts(np.arange(5), None, np.array([7, 9]))
    for work in (None, SharedWork(tmp_path), SharedWork(tmp_path)):
        digest, rows = share_facts(work, lambda: "abc", lambda: chosen)
        assert (digest, rows.validation) == ("abc", None)
        np.testing.assert_array_equal(rows.train, chosen.train)
        np.testing.assert_array_equal(rows.test, chosen.test)


def test_a_check_that_refuses_the_rows_is_met_by_everybody(tmp_path):
    def refuse():
        raise DataError(Finding("here", "a", "b"))

    for _ in range(2):
        with pytest.raises(DataError, match="here: expected a, got b"):
            share_checks(SharedWork(tmp_path), refuse, NumericScaling)


def test_findings_and_scaling_are_found_once(tmp_path):
    finding = Finding("here", "a", "b", severity="warning", evidence={"rows": 3})
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    fits = []

    def fit():
        fits.append(1)
        return fit_scaling("standard", x)

    assert share_checks(None, lambda: (finding,), fit) == ((finding,), None)
    for _ in range(2):
        found, scaling = share_checks(SharedWork(tmp_path), lambda: (finding,), fit)
        assert found == (finding,)
        assert scaling.get_config() == fit_scaling("standard", x).get_config()
        np.testing.assert_array_equal(scaling.apply(x), fit_scaling("standard", x).apply(x))
    assert len(fits) == 1


def test_a_scaling_that_is_refused_does_not_end_the_encoding(tmp_path):
    def refuse():
        raise SpecError(Finding("data.scale", "a", "b"))

    assert share_checks(SharedWork(tmp_path), tuple, refuse) == ((), None)
