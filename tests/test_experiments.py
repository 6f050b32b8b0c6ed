import importlib.util
import json
import os
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"

needs_tfds = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ,
    reason="set TFDS_DATA_DIR to a folder where tensorflow-datasets has prepared mnist",
)


def script(name):
    path = EXPERIMENTS / name / "run.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(name):
    return json.loads((EXPERIMENTS / name / "expected.json").read_text("utf-8"))


def test_digits_reaches_its_number(tmp_path):
    measured = script("digits").measure(small=True, runs=tmp_path)
    assert measured["median"] >= expected("digits")["small"]["test_accuracy"]["low"]


@needs_tfds
def test_first_run_works_on_a_slice(tmp_path):
    measured = script("first_run").measure(small=True, runs=tmp_path)
    assert measured["parameters"] == expected("first_run")["parameters"]
    assert measured["median"] >= expected("first_run")["small"]["test_accuracy"]["low"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", pytest.param("first_run", marks=needs_tfds)])
def test_each_reaches_its_numbers_in_full(name, tmp_path):
    measured = script(name).measure(runs=tmp_path)
    bounds = expected(name)["test_accuracy"]
    for accuracy in measured["test_accuracy"]:
        assert bounds["low"] <= accuracy <= bounds["high"]
