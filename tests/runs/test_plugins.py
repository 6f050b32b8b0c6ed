"""The demo plug-in, installed for real, through the whole of kfc."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kfc
from kfc import testing
from kfc.diagnosing import background
from kfc.spec import read_value

DEMO = Path(__file__).parents[1] / "demo_plugin"

SPEC = """
data: {source: "spirals:200", scale: standard}
network: {hidden: [16, {units: 16, activation: tanh}], block: {name: gated, sharpness: 2.0}}
training:
  optimizer: {name: sign_sgd, learning_rate: 0.01}
  epochs: 3
  callbacks: [epoch_counter]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Builds and installs the demo plug-in into a folder; needs no network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(DEMO, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run(pip, check=True, capture_output=True)
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture
def in_path(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed / "site"))
    yield installed
    sys.modules.pop("kfc_demo_plugin", None)


def run_kfc(installed, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "kfc", *arguments],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed / "site")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_kind_is_listed_with_its_distribution(installed):
    listed = json.loads(run_kfc(installed, "plugins", "--json").stdout)
    for kind, name in {
        "source": "spirals",
        "optimizer": "sign_sgd",
        "block": "gated",
        "callback": "epoch_counter",
        "exporter": "arrays",
        "check": "rows_repeat_within",
    }.items():
        assert listed[kind][name] == ["kfc-demo-plugin"]


def test_a_spec_trains_with_all_four(installed, in_path):
    result = run_kfc(installed, "fit", "spec.yaml", "--json")
    assert result.returncode == 0, result.stderr
    run = json.loads(result.stdout)
    assert (installed / run["folder"] / "epoch_count.txt").read_text() == "3"
    assert kfc.load(installed / run["folder"]).evaluate() == run["metrics"]


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("network.block.sharp=3", 2, "unexpected keyword argument 'sharp'"),
        ("training.optimizer.rate=0.1", 2, "'rate': 0.1"),
        ("training.callbacks=[{name: epoch_counter, filename: ../x}]", 2, "inside the run"),
        ("data.source=spirals:many", 8, "invalid literal"),
        ("network.block=gates", 2, "Did you mean 'gated'?"),
    ],
)
def test_a_wrong_use_is_refused(in_path, override, code, message, tmp_path):
    key, _, value = override.partition("=")
    with pytest.raises(kfc.KfcError, match=re.escape(message)) as refused:
        kfc.fit(
            in_path / "spec.yaml",
            overrides={key: read_value(value)},
            runs=tmp_path / "runs",
            verbose=False,
        )
    assert refused.value.exit_code == code
    assert not (tmp_path / "runs").exists()


def test_the_demo_passes_the_conformance_kit(in_path, tmp_path):
    import kfc_demo_plugin as demo

    testing.check_source(demo.spirals, "50")
    testing.check_optimizer(demo.SignSGD, learning_rate=0.01)
    testing.check_block(demo.gated, sharpness=2.0)
    testing.check_callback(demo.EpochCounter(str(tmp_path / "count.txt")))
    testing.check_exporter(demo.ARRAYS)
    testing.check_doctor_check(demo.ROWS_REPEAT_WITHIN)


def test_the_doctor_runs_the_check_of_a_plugin(in_path):
    x, y = np.repeat(np.eye(4), 25, axis=0), np.repeat([0, 1, 0, 1], 25)
    spec = {"data": {"test": "none", "validation": 0}, "training": {"epochs": 1}}
    labels = [finding.label for finding in kfc.doctor(spec, data=(x, y)).findings]
    assert "DEMO101 rows_repeat_within" in labels
    accepting = {**spec, "accept": ["rows_repeat_within"]}
    found = kfc.doctor(accepting, data=(x, y))
    assert "DEMO101" not in found.codes
    assert "repeat count several times" in background("rows_repeat_within")
