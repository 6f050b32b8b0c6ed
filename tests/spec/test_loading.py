import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from kfc.spec import builtin_specs, dump_spec, load_spec

LR = "training.optimizer.learning_rate"
RATE = {"initial_learning_rate": 0.1}


# The example of DESIGN.md.
FASHION = """
name: fashion
seed: 0
data:
  source: tfds:fashion_mnist
  scale: unit
  validation: 0.1
network:
  hidden: [256, 128, 64, 32]
  activation: relu
  init: {name: truncated_normal, stddev: 0.1}
  block: dense
training:
  loss: cross_entropy
  optimizer: {name: adam, learning_rate: 0.001}
  batch_size: 100
  epochs: 30
  shuffle: true
  early_stopping: {monitor: val_loss, patience: 5}
  log_every: 100
  evaluate_every: 500
  callbacks: [{name: TerminateOnNaN}]
  checkpoint_seconds: 10
search:
  algorithm: bayesian
  objective: val_accuracy
  trials: 40
  space:
    network.hidden: {depth: [1, 4], width: [32, 512]}
    network.init.stddev: {low: 0.01, high: 1.0, log: true}
    training.optimizer.learning_rate: {low: 1e-4, high: 1.0, log: true}
"""


@pytest.fixture
def fashion(tmp_path):
    path = tmp_path / "fashion.yaml"
    path.write_text(FASHION)
    return load_spec(path)


def test_every_finding_is_reported_at_once_with_combinations_among_them(findings_of):
    findings = findings_of(
        {
            "seed": True,
            "nam": "x",
            "data.scale": "Unit",
            "data.validation": 0,
            "network.hidden": [0, {"units": 3, "activation": "rellu"}],
            "training.optimizer": {"name": "step", "learning_rate": 0},
            "training.epochs": math.nan,
            "training.early_stopping": {},
            "training.callbacks": ["best_weights", {"name": "CSVLogger"}],
        }
    )
    assert {finding.where for finding in findings} == {
        "seed",
        "nam",
        "data.scale",
        "network.hidden[0]",
        "network.hidden[1].activation.name",
        "training.optimizer.name",
        "training.optimizer.learning_rate",
        "training.epochs",
        "training.early_stopping.monitor",
        "training.callbacks[1].filename",
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {"data.source": "digits", "data.validation": "sklearn:iris"},
        {"data.validation": 2, "training.early_stopping": {}},
        {"training.optimizer": {"name": "sdg", "momentum": 0.5}},
        {LR: {"name": "cosin", "alpha": 0.5, **RATE}},
        {"network.hidden": [{"units": 0, "dropout": 0.5}]},
        {"data": 3, "training.early_stopping": {}},
    ],
    ids=lambda overrides: str(overrides)[:60],
)
def test_one_finding_brings_no_others_along(overrides, findings_of):
    assert len(findings_of(overrides)) == 1


@pytest.mark.parametrize("name", builtin_specs())
def test_a_built_in_spec_comes_back_from_its_dump(name, again):
    assert again(load_spec(name)) == load_spec(name)


def test_the_design_example_comes_back_from_its_dump(fashion, again):
    assert again(fashion) == fashion
    assert fashion.search.space["network.hidden"].depth == (1, 4)
    assert fashion.search.space["network.init.stddev"].log is True


def test_the_design_example_means_what_it_says(fashion):
    assert [layer.units for layer in fashion.network.hidden] == [256, 128, 64, 32]
    assert fashion.network.init.options["stddev"] == 0.1
    assert fashion.training.optimizer.options["learning_rate"] == 0.001
    assert fashion.training.early_stopping.patience == 5
    assert (fashion.training.log_every, fashion.training.evaluate_every) == (100, 500)


def test_odd_texts_and_numbers_come_back_from_a_dump(again):
    choices = ["no", "1e-3", "~", "a: b", " x ", "1:30", 1e-7, 1e22, True, None, "2026-01-31"]
    spec = load_spec(
        {"name": "null", "search": {"space": {"network.l2": {"choice": choices}}}}
    )
    assert again(spec) == spec


@pytest.mark.parametrize("suffix", [".yaml", ".toml", ".json"])
def test_a_spec_is_the_same_from_every_format(suffix, tmp_path):
    values = {
        "name": "a",
        "network": {"hidden": [3, {"units": 4, "dropout": 0.5}], "activation": "tanh"},
        "training": {"optimizer": {"name": "sgd", "learning_rate": 0.001}, "epochs": 3},
    }
    texts = {
        ".json": json.dumps(values),
        ".yaml": "name: a\nnetwork:\n  hidden: [3, {units: 4, dropout: 0.5}]\n"
        "  activation: tanh\ntraining:\n  optimizer: {name: sgd, learning_rate: 1e-3}\n"
        "  epochs: 3\n",
        ".toml": "name = 'a'\n[network]\nhidden = [3, {units = 4, dropout = 0.5}]\n"
        "activation = 'tanh'\n[training]\nepochs = 3\n"
        "optimizer = {name = 'sgd', learning_rate = 1e-3}\n",
    }
    path = tmp_path / f"a{suffix}"
    path.write_text(texts[suffix])
    assert load_spec(path) == load_spec(values)


def test_a_spec_loads_as_itself(fashion):
    assert load_spec(fashion) == fashion
    assert load_spec(fashion, {"seed": 3}).seed == 3
    assert fashion.seed == 0


def test_a_dict_may_hold_parts_of_a_spec(fashion):
    assert load_spec({"network": fashion.network}).network == fashion.network


def test_short_and_long_forms_are_equal():
    short = {
        "network": {"hidden": [3], "activation": "relu"},
        "training": {"optimizer": "sgd"},
    }
    long = copy.deepcopy(short)
    long["network"] = {"hidden": [{"units": 3}], "activation": {"name": "relu"}}
    long["training"] = {"optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.0}}
    assert load_spec(short) == load_spec(long)


def test_every_default_is_written_out():
    text = dump_spec(load_spec({}))
    for line in ("seed: 0", "scale: null", "validation: null", "hidden: [128]", "epochs: 20"):
        assert line in text
    for option in ("learning_rate: 0.001", "beta_1: 0.9", "epsilon: 1e-07", "batch_size: 32"):
        assert option in text


@pytest.mark.parametrize("name", builtin_specs())
def test_a_built_in_spec_is_named_after_its_file(name):
    assert load_spec(name).name == name


def test_importing_and_loading_a_spec_imports_no_tensorflow():
    code = (
        "import sys, kfc, kfc.spec, kfc.registry, kfc.errors, kfc.system.atomic\n"
        "spec = kfc.spec.load_spec('digits', {'training.epochs': 3})\n"
        "kfc.spec.dump_spec(spec); kfc.Spec.model_json_schema()\n"
        "try: kfc.spec.load_spec('digits', {'training.optimizer': 'sdg'})\n"
        "except kfc.SpecError as error: print(error)\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Did you mean 'sgd'?" in done.stdout


def test_a_file_gives_its_name_to_the_run(read):
    assert read("seed: 3").name == "case"


def test_a_file_named_spec_gives_its_folders_name(tmp_path):
    (tmp_path / "0001-digits").mkdir()
    (tmp_path / "0001-digits" / "spec.yaml").write_text("seed: 3")
    assert load_spec(tmp_path / "0001-digits" / "spec.yaml").name == "0001-digits"


def test_a_file_name_that_is_no_run_name_becomes_one(tmp_path):
    (tmp_path / "my spec (2).yaml").write_text("seed: 3")
    assert load_spec(tmp_path / "my spec (2).yaml").name == "my_spec__2_"


NOT_A_SPEC = {
    "a missing file": ("nowhere/my.yaml", "no such file"),
    "a folder": (".", "'.'"),
    "a near name": ("digit", "'digit'"),
    "empty text": ("", "''"),
    "a null character": ("a\0.yaml", "null"),
    "a path without ending": (Path("digits"), "no ending"),
    "a number": (3, "int"),
    "nothing": (None, "NoneType"),
    "bytes": (b"digits", "bytes"),
    "a list": ([], "list"),
}


@pytest.mark.parametrize("case", NOT_A_SPEC)
def test_what_is_no_spec_at_all_is_refused(case, finding_of):
    spec, got = NOT_A_SPEC[case]
    assert got in finding_of(load_spec, spec).got


@pytest.mark.parametrize("kind", [str, Path])
def test_a_table_or_a_run_in_place_of_a_spec_is_recognised(
    kind, tmp_path, monkeypatch, finding_of
):
    monkeypatch.chdir(tmp_path)
    Path("my data.csv").write_text("a,b\n1,2\n")
    remedy = finding_of(load_spec, kind("my data.csv")).remedy
    assert "For a table, `kfc new 'my data.csv'` writes one." in remedy
    Path("my data.yaml").write_text("name: digits\n")
    assert "Did you mean 'my data.yaml'?" in finding_of(load_spec, kind("my data.csv")).remedy
    Path("runs/1").mkdir(parents=True)
    Path("runs/1/spec.yaml").write_text("name: digits\n")
    assert "Did you mean 'runs/1/spec.yaml'?" in finding_of(load_spec, kind("runs/1")).remedy


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000, "nothing/here.csv"])
def test_what_is_no_file_at_all_gets_no_suggestion(name, finding_of):
    remedy = finding_of(load_spec, name).remedy
    assert "kfc new" not in remedy
    assert "Did you mean" not in remedy


def test_a_near_name_gets_the_built_in_one(finding_of):
    assert "Did you mean 'digits'?" in finding_of(load_spec, "digit").remedy
