import contextlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest

import kfc
from kfc import cli

SMALL = ("training.epochs=2", "network.hidden=[16]")
NOISE = ("absl", "oneDNN", "CUDA", "cuda", "WARNING", "I0000", "E0000", "rebuild TensorFlow")


def in_a_new_process(*arguments, folder):
    """Runs the command as a user does, in `folder`."""
    command = [sys.executable, "-m", "kfc", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def run_kfc(*arguments, folder):
    """Runs the command here, in `folder`: TensorFlow is imported once for all of them."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main(list(arguments))
    return subprocess.CompletedProcess(
        arguments, ended.value.code or 0, out.getvalue(), err.getvalue()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def trained(folder):
    folder = folder / "trained"
    folder.mkdir()
    return in_a_new_process("fit", *SMALL, "--json", folder=folder)


def test_fit_prints_one_json_object_and_nothing_else(trained):
    printed = json.loads(trained.stdout)
    assert trained.returncode == 0
    assert set(printed) == {"folder", "metrics", "epochs", "seconds", "weights_sha256"}
    assert printed["folder"] == "runs/0001-digits"


def test_the_run_folder_says_how_long_each_phase_took(trained, folder):
    result = (folder / "trained" / "runs" / "0001-digits" / "result.json").read_text()
    phases = json.loads(result)["phases"]
    names = ["import", "data", "build", "compile", "train", "save", "evaluate"]
    assert list(phases) == names
    assert phases["import"] > 0.5
    assert min(phases.values()) >= 0


def test_eager_is_an_engine_that_the_run_folder_names(folder):
    result = run_kfc("fit", *SMALL, "data.rows=100", "--eager", "--json", folder=folder)
    assert result.returncode == 0, result.stderr
    spec = kfc.spec.load(folder / json.loads(result.stdout)["folder"] / "spec.yaml")
    assert spec.training.engine == "eager"


def test_fit_says_what_it_trains_and_shows_each_epoch_on_stderr(trained):
    lines = trained.stderr.splitlines()
    assert [line[:9] for line in lines] == ["runs/0001", "epoch 1/2", "epoch 2/2"]


def test_no_line_of_tensorflow_reaches_the_terminal(trained):
    assert not [word for word in NOISE if word in trained.stderr]


def test_python_gives_the_same_bits_as_the_command(trained, tmp_path):
    overrides = {"training.epochs": 2, "network.hidden": [16]}
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    assert run.weights_sha256 == json.loads(trained.stdout)["weights_sha256"]


def test_evaluate_repeats_the_numbers(trained, folder):
    folder = folder / "trained"
    again = in_a_new_process("evaluate", "runs/0001-digits", "--json", folder=folder)
    assert json.loads(again.stdout) == json.loads(trained.stdout)
    assert again.stderr == ""


def test_predict_writes_label_and_probabilities(trained, folder):
    np.save(folder / "rows.npy", np.zeros((3, 64)))
    result = run_kfc("predict", "trained/runs/0001-digits", "rows.npy", folder=folder)
    head, *rows = result.stdout.splitlines()
    assert head == "label,probability,0,1,2,3,4,5,6,7,8,9", result.stderr
    assert len(rows) == 3
    assert result.stderr == ""


def test_no_line_of_tensorflow_reaches_the_terminal_of_predict(trained, folder):
    np.save(folder / "trained" / "rows.npy", np.zeros((3, 64)))
    arguments = ("predict", "runs/0001-digits", "rows.npy")
    assert in_a_new_process(*arguments, folder=folder / "trained").stderr == ""


def test_quiet_leaves_results_only(folder):
    result = run_kfc("fit", *SMALL, "--quiet", folder=folder)
    assert result.stderr == ""
    assert "test_accuracy" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "digitz"], 2, "Did you mean 'digits'?"),
        (["fit", "missing.yaml"], 2, "missing.yaml: expected a spec file, got no such file"),
        (["fit", "training.epochs=0"], 2, "training.epochs (override): expected"),
        (["fit", "training.epoch=3"], 2, "Did you mean 'epochs'?"),
        (["fit", "seed=1", "seed=2"], 2, "expected each key once, got seed twice"),
        (["fit", "digits", "mnist"], 2, "expected one SPEC"),
        (["fit", "data.source=sklearn:digit"], 4, "Did you mean 'digits'?"),
        (["fit", "data.source=npz:missing.npz"], 4, "no such file"),
        (["fit", "--runs", "a-file/runs"], 5, "expected a place that can be written"),
        (["evaluate", "nowhere"], 7, "expected the folder of a finished run"),
        (["predict", "nowhere", "rows.txt"], 4, "expected a file ending in"),
        (["specs", "digit"], 2, "Did you mean 'digits'?"),
        (["fit", "--no-such-option"], 2, "No such option"),
        (["fit", "--eager", "training.engine=xla"], 2, "got --eager and training.engine=xla"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_ends_with_its_code_and_a_message(arguments, code, message, folder):
    (folder / "a-file").write_text("")
    result = run_kfc(*arguments, folder=folder)
    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_numbers_that_explode_end_with_code_6(folder):
    result = run_kfc("fit", *SMALL, "training.optimizer.learning_rate=1e30", folder=folder)
    assert result.returncode == 6
    assert "Lower training.optimizer.learning_rate" in result.stderr
    assert "Traceback" not in result.stderr


def test_specs_lists_and_prints_the_built_in_ones(folder):
    listed = run_kfc("specs", "--json", folder=folder)
    assert "digits" in json.loads(listed.stdout)["specs"]
    assert "source: sklearn:digits" in run_kfc("specs", "digits", folder=folder).stdout


def test_schema_is_a_json_schema_with_every_key(folder):
    schema = json.loads(run_kfc("schema", folder=folder).stdout)
    assert set(schema["properties"]) == set(kfc.Spec.model_fields)


@pytest.mark.parametrize("command", ["sources", "plugins"])
def test_listings_name_kfcs_own(command, folder):
    assert "tfds" in run_kfc(command, folder=folder).stdout
    assert "tfds" in run_kfc(command, "--json", folder=folder).stdout


def test_help_names_every_command(folder):
    text = run_kfc("--help", folder=folder).stdout
    for command in ("fit", "evaluate", "predict", "specs", "sources", "plugins", "schema"):
        assert command in text
