import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import kfc
from kfc.cli import app
from kfc.system import locks

SMALL = ("training.epochs=2", "network.hidden=[16]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def trained(run_kfc, folder):
    folder = folder / "trained"
    folder.mkdir()
    return run_kfc("fit", *SMALL, "--json", folder=folder)


def test_fit_prints_one_json_object_and_nothing_else(trained):
    printed = json.loads(trained.stdout)
    assert trained.returncode == 0
    assert set(printed) == {
        *("folder", "metrics", "baseline", "epochs", "seconds", "weights_sha256"),
    }
    assert printed["folder"] == "runs/0001-digits"


def test_the_run_folder_says_how_long_each_phase_took(trained, folder):
    result = (folder / "trained" / "runs" / "0001-digits" / "result.json").read_text()
    phases = json.loads(result)["phases"]
    names = ["import", "data", "build", "compile", "train", "layers", "save", "evaluate"]
    assert list(phases) == names
    assert min(phases.values()) >= 0


def test_eager_is_an_engine_that_the_run_folder_names(run_kfc, folder):
    small = ("training.epochs=1", "network.hidden=[16]", "data.rows=100")
    result = run_kfc("fit", *small, "--eager", "--json", folder=folder)
    assert result.returncode == 0, result.stderr
    spec = kfc.spec.load_spec(folder / json.loads(result.stdout)["folder"] / "spec.yaml")
    assert spec.training.engine == "eager"


def test_fit_says_what_it_trains_and_shows_each_epoch_on_stderr(trained):
    lines = trained.stderr.splitlines()
    assert [line[:9] for line in lines] == ["runs/0001", "epoch 1/2", "epoch 2/2"]


def test_python_gives_the_same_bits_as_the_command(trained, tmp_path):
    overrides = {"training.epochs": 2, "network.hidden": [16]}
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    assert run.weights_sha256 == json.loads(trained.stdout)["weights_sha256"]


def test_evaluate_repeats_the_numbers(run_kfc, trained, folder):
    folder = folder / "trained"
    again = run_kfc("evaluate", "runs/0001-digits", "--json", folder=folder)
    assert json.loads(again.stdout) == json.loads(trained.stdout)
    assert again.stderr == ""


def test_predict_writes_label_and_probabilities(run_kfc, trained, folder):
    np.save(folder / "rows.npy", np.zeros((3, 64)))
    result = run_kfc("predict", "trained/runs/0001-digits", "rows.npy", folder=folder)
    head, *rows = result.stdout.splitlines()
    assert head == "label,probability,0,1,2,3,4,5,6,7,8,9", result.stderr
    assert len(rows) == 3
    assert result.stderr == ""


@pytest.fixture(scope="module")
def exported(run_kfc, trained, folder, unasked):
    with unasked():
        return run_kfc("export", "runs/0001-digits", "models", folder=folder / "trained")


def test_export_prints_one_json_object_and_nothing_else(run_kfc, trained, folder, unasked):
    arguments = ("export", "trained/runs/0001-digits", "onnx", "--format", "onnx", "--json")
    with unasked():
        result = run_kfc(*arguments, "--quiet", folder=folder)
    printed = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(printed) == {"path", "version", "format", "certificate"}
    assert (printed["path"], printed["version"]) == ("onnx/1", 1)
    certificate = json.loads((folder / "onnx/1/certificate.json").read_text())
    assert printed["certificate"] == certificate


def test_export_says_what_it_does_on_stderr(exported):
    assert exported.stderr.splitlines() == [
        "models/1: writing saved_model",
        "models/1: asking it in a fresh process",
    ]


def test_export_prints_the_lines_that_serve_and_ask(exported, folder):
    assert exported.returncode == 0, exported.stderr
    lines = dict(line.split(maxsplit=1) for line in exported.stdout.splitlines())
    assert list(lines) == ["path", "certificate", "serve", "ask"]
    assert lines["path"] == "models/1"
    assert lines["certificate"].startswith("64 test rows: labels equal, largest difference ")
    assert f"source={folder / 'trained' / 'models'},target=/models/digits" in lines["serve"]
    assert "-d @models/1/assets.extra/request.json http" in lines["ask"]


@pytest.mark.parametrize("place", ["models", "models/1"])
def test_predict_prints_the_same_for_an_export_as_for_its_run(
    run_kfc, place, exported, folder
):
    folder = folder / "trained"
    np.save(folder / "some.npy", np.random.default_rng(0).uniform(0, 16, (5, 64)))
    wanted = run_kfc("predict", "runs/0001-digits", "some.npy", folder=folder)
    assert run_kfc("predict", place, "some.npy", folder=folder).stdout == wanted.stdout


def test_quiet_leaves_results_only(run_kfc, folder):
    result = run_kfc("fit", *SMALL, "--quiet", folder=folder)
    assert result.stderr == ""
    head, *rows = (line.split() for line in result.stdout.splitlines())
    assert head == ["val", "test", "baseline"]
    assert [row[0] for row in rows] == [
        *("loss", "accuracy", "balanced_accuracy", "f1", "auc", "log_loss"),
        *("epochs", "seconds", "folder"),
    ]


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
        (["evaluate", "nowhere"], 7, "expected the folder of a run"),
        (["predict", "nowhere", "rows.txt"], 4, "expected a file ending in"),
        (["export", "nowhere", "models"], 7, "expected the folder of a run"),
        (["export", "nowhere", "models", "--format", "onxx"], 2, "Did you mean 'onnx'?"),
        (["export", "nowhere", "models", "--version", "0"], 2, "--version"),
        (["specs", "digit"], 2, "Did you mean 'digits'?"),
        (["fit", "--no-such-option"], 2, "No such option"),
        (["fit", "--eager", "training.engine=xla"], 2, "got --eager and training.engine=xla"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_ends_with_its_code_and_a_message(run_kfc, arguments, code, message, folder):
    (folder / "a-file").write_text("")
    result = run_kfc(*arguments, folder=folder)
    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_command_that_memory_does_not_hold_ends_without_a_trace(monkeypatch, capsys):
    def too_large(_):
        np.empty(1 << 60, np.uint8)

    monkeypatch.setattr(app, "app", too_large)
    with pytest.raises(SystemExit) as end:
        app.main(["fit"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: memory: expected a command that fits in ")
    assert "got Unable to allocate 1.00 EiB" in error
    assert "Traceback" not in error


def test_numbers_that_explode_end_with_code_6(run_kfc, folder):
    result = run_kfc("fit", *SMALL, "training.optimizer.learning_rate=1e30", folder=folder)
    assert result.returncode == 6
    assert "Lower training.optimizer.learning_rate" in result.stderr
    assert "Traceback" not in result.stderr


def test_specs_lists_and_prints_the_built_in_ones(run_kfc, folder):
    listed = run_kfc("specs", "--json", folder=folder)
    assert "digits" in json.loads(listed.stdout)["specs"]
    assert "source: sklearn:digits" in run_kfc("specs", "digits", folder=folder).stdout


def test_presets_lists_and_prints_them(run_kfc, folder):
    listed = run_kfc("presets", "--json", folder=folder)
    assert json.loads(listed.stdout)["presets"] == ["realmlp", "realmlp_s", "tabm"]
    printed = run_kfc("presets", "realmlp_s", folder=folder)
    assert "common:" in printed.stdout
    unknown = run_kfc("presets", "realmlp_t", folder=folder)
    assert (unknown.returncode, "Did you mean 'realmlp_s'?" in unknown.stderr) == (2, True)


def test_schema_is_a_json_schema_with_every_key(run_kfc, folder):
    schema = json.loads(run_kfc("schema", folder=folder).stdout)
    assert set(schema["properties"]) == set(kfc.Spec.model_fields)


@pytest.mark.parametrize("command", ["sources", "plugins"])
def test_listings_name_kfcs_own(run_kfc, command, folder):
    assert "tfds" in run_kfc(command, folder=folder).stdout
    assert "tfds" in run_kfc(command, "--json", folder=folder).stdout


def test_help_names_every_command(run_kfc, folder):
    text = run_kfc("--help", folder=folder).stdout
    for command in (
        "fit",
        "tune",
        "evaluate",
        "predict",
        "export",
        "verify",
        "eject",
        "specs",
        "presets",
        "sources",
        "plugins",
        "schema",
    ):
        assert command in text


# kfc tune

TUNED = (
    *("data.source=sklearn:iris", "data.validation=0.2", "training.epochs=2"),
    *("training.engine=graph", "network.hidden=[16]"),
    *("training.optimizer=sgd", "search.trials=3", "search.parallel=2", "search.repeats=0"),
    *("search.finalists=2", "search.algorithm=random", "search.objective=val_loss"),
    "search.space={training.optimizer.learning_rate: {low: 0.01, high: 1.0, log: true}}",
)


@pytest.fixture(scope="module")
def tuned(run_kfc, folder):
    folder = folder / "tuned"
    folder.mkdir()
    return run_kfc("tune", *TUNED, "--json", folder=folder)


def test_tune_prints_one_json_object_and_nothing_else(tuned, folder):
    printed = json.loads(tuned.stdout)
    assert tuned.returncode == 0, tuned.stderr
    assert printed["folder"] == "runs/digits.search"
    assert [trial["number"] for trial in printed["trials"]] == [0, 1, 2, 3]
    facts = {"number", "values", "score", "status", "diverged", "folder"}
    for trial in (*printed["trials"], printed["best"], *printed["finalists"]):
        assert facts <= set(trial)
        assert (folder / "tuned" / printed["folder"] / trial["folder"]).is_dir()
        assert 0.01 <= trial["values"]["training.optimizer.learning_rate"] <= 1.0
    assert printed["best"]["score"] == min(trial["score"] for trial in printed["trials"])
    assert printed["finalists"][0]["number"] == printed["best"]["number"]


def test_tune_shows_a_line_for_each_trial_on_stderr(tuned):
    first, *lines = tuned.stderr.splitlines()
    assert first.startswith("trial 0, the spec's own values, then up to 3 more in runs/")
    assert [line[:16] for line in lines] == [f"trial {n} ({n + 1} of 4)" for n in range(4)]
    assert all("left" in line for line in lines[:-1])
    assert all(len(line) <= 80 for line in (first, *lines))


def test_tune_again_prints_the_same_without_training(run_kfc, tuned, folder):
    again = run_kfc("tune", *TUNED, "--json", folder=folder / "tuned")
    assert (again.stdout, again.stderr) == (tuned.stdout, "")


def test_tune_prints_a_table_the_reasons_and_the_winner(run_kfc, tuned, folder):
    result = run_kfc("tune", *TUNED, "--quiet", folder=folder / "tuned")
    assert (result.returncode, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()
    assert head.split() == [
        *("trial", "learning_rate", "val_loss", "epochs", "seconds", "status")
    ]
    best = json.loads(tuned.stdout)["best"]
    assert rows[0].split()[0] == str(best["number"])
    assert "in the search alone" in result.stdout
    reasons = [line for line in result.stdout.splitlines() if line.startswith("Winner: ")]
    assert [line.partition("(")[0].rstrip() for line in reasons] == [
        f"Winner: trial {best['number']}"
        + (", the spec's own values" if best["number"] == 0 else "")
    ]
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "test_accuracy" in result.stdout
    assert "runs/digits.search/best.yaml" in result.stdout


def test_the_winner_of_tune_is_fitted_to_the_same_bits(run_kfc, tuned, folder):
    arguments = ("fit", "runs/digits.search/best.yaml", "--json", "--quiet")
    result = run_kfc(*arguments, folder=folder / "tuned")
    best = json.loads(tuned.stdout)["best"]
    assert json.loads(result.stdout)["weights_sha256"] == best["weights_sha256"]


def test_tune_shows_how_a_search_stands(run_kfc, tuned, folder):
    place = folder / "tuned"
    as_json = json.loads(run_kfc("tune", *TUNED, "--show", "--json", folder=place).stdout)
    assert as_json["trials"] == json.loads(tuned.stdout)["trials"]
    assert as_json["proposed"] == 4
    assert as_json["finished"] is True
    assert as_json["sentences"] == json.loads(tuned.stdout)["sentences"]
    finished = run_kfc("tune", *TUNED, "--show", folder=place).stdout
    assert "Winner: trial " in finished

    unfinished = place / "unfinished"
    unfinished.mkdir()
    lines = (place / "runs" / "digits.search" / "journal.jsonl").read_text().splitlines(True)
    (unfinished / "journal.jsonl").write_text("".join(lines[:4]))  # two proposals, trial 0
    shown = run_kfc("tune", *TUNED, "--show", "--folder", "unfinished", folder=place)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert len(shown.stdout.splitlines()) == 2
    assert not (unfinished / ".lock").exists()


def test_tune_show_imports_no_tensorflow(tuned, folder):
    code = (
        "import sys\nfrom kfc import cli\n"
        f"try: cli.main(['tune', *{TUNED!r}, '--show'])\n"
        "finally: print('imported' if 'tensorflow' in sys.modules else 'not imported')"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(
        command, cwd=folder / "tuned", capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1] == "not imported"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--show", "--folder", "nowhere"], 7, "nowhere: expected the folder of a search"),
        (
            ["search.space={training.epoch: {low: 1, high: 2}}"],
            2,
            "search.space.training.epoch",
        ),
        (["search.space={training.epochs: {low: 2, high: 1}}"], 2, "the lower end first"),
        (["search.space={training.epochs: {choice: [0]}}"], 2, "search.space.training.epochs"),
        (["search.trials=0"], 2, "search.trials"),
        (["search.objective=test_accuracy"], 2, "search.objective"),
        (["search.repeats=1"], 2, "0 or at least 2"),
        (["data.validation=0"], 2, "data.validation"),
        (["--workers", "0"], 2, "--workers"),
        (["--folder", "a-file"], 5, "expected a place that can be written"),
        (["seed=1", "--folder", "tuned/runs/digits.search"], 7, "spec.seed: expected 0, as"),
        (["data.source=sklearn:irises"], 4, "Did you mean 'iris'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_of_tune_ends_with_its_code(
    run_kfc, arguments, code, message, tuned, folder
):
    (folder / "a-file").write_text("")
    keys = {argument.partition("=")[0] for argument in arguments if "=" in argument}
    others = [each for each in TUNED if each.partition("=")[0] not in keys]
    result = run_kfc("tune", *others, *arguments, folder=folder)
    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_tune_ends_with_code_6_where_every_trial_diverges(run_kfc, folder):
    explode = "search.space={training.optimizer.learning_rate: {choice: [1.0e+30]}}"
    own = "training.optimizer={name: sgd, learning_rate: 1.0e+30}"
    others = [each for each in TUNED[:-1] if not each.startswith("training.optimizer")]
    arguments = (*others, own, explode, "--folder", "diverged", "--quiet")
    result = run_kfc("tune", *arguments, folder=folder)
    assert result.returncode == 6, result.stderr
    assert "expected a trial that does not diverge" in result.stderr
    shown = run_kfc("tune", *arguments, "--show", folder=folder)
    assert "diverged" in shown.stdout


def test_tune_ends_with_code_3_where_another_process_searches(run_kfc, tuned, folder):
    place = folder / "tuned"
    with locks.locked(place / "runs" / "digits.search"):
        began = time.monotonic()
        result = run_kfc("tune", *TUNED, folder=place)
    assert result.returncode == 3
    assert str(os.getpid()) in result.stderr
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_while_tensorflow_is_imported_ends_a_command_without_a_trace(
    number, tmp_path
):
    code = f"""
import os, sys
class Sends:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow.python":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Sends())
from kfc import cli
cli.main(["fit", "digits"])
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_printed(run_kfc, folder):
    printed = run_kfc("--version", folder=folder)
    assert printed.stdout == f"kfc {kfc.__version__}\n"


def test_a_shell_can_complete_commands(run_kfc, folder, monkeypatch):
    # Without it, the test depends on the shell in which pytest was started.
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("bash", "/bin/bash"))
    completion = run_kfc("--show-completion", folder=folder)
    assert "COMP_WORDS" in completion.stdout


def test_letters_that_stdout_lacks_are_written_by_their_numbers(run_kfc, folder):
    """A label that is not ASCII, to a terminal or a file that is."""
    np.savez(folder / "names.npz", x=np.arange(40.0)[:, None], y=["größe", "länge"] * 20)
    spec = ("data.source=npz:names.npz", "data.scale=standard", "name=names", "--runs=names")
    quick = ("training.epochs=1", "training.engine=eager")
    assert run_kfc("fit", *spec, *quick, folder=folder).returncode == 0
    np.save(folder / "one.npy", np.zeros((1, 1)))
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding="ascii")
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(stdout),
        pytest.raises(SystemExit) as ended,
    ):
        app.main(["predict", "names/0001-names", "one.npy"])
    assert not ended.value.code
    assert rb"label,probability,gr\xf6\xdfe,l\xe4nge" in written.getvalue()


def test_evaluate_measures_other_labelled_rows(run_kfc, trained, folder):
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.savez(folder / "other.npz", x=digits.data[:50], y=digits.target[:50])
    run = "trained/runs/0001-digits"
    measured = run_kfc("evaluate", run, "other.npz", "--json", folder=folder)
    assert measured.returncode == 0, measured.stderr
    metrics = json.loads(measured.stdout)["metrics"]
    expected = kfc.load(folder / run).evaluate((digits.data[:50], digits.target[:50]))
    assert metrics == expected
    assert {"loss", "accuracy", "balanced_accuracy", "log_loss"} <= set(metrics)
    printed = run_kfc("evaluate", run, "other.npz", folder=folder).stdout
    assert [line.split()[0] for line in printed.splitlines()] == list(metrics)


def test_evaluate_refuses_a_file_that_is_no_labelled_rows(run_kfc, trained, folder):
    result = run_kfc("evaluate", "trained/runs/0001-digits", "rows.txt", folder=folder)
    assert (result.returncode, result.stdout) == (4, "")
    assert "expected labelled rows" in result.stderr


def test_a_training_starts_from_the_weights_of_another_run(run_kfc, trained, folder):
    arguments = ("fit", *SMALL, "--from", "trained/runs/0001-digits", "--runs", "further")
    result = run_kfc(*arguments, "--json", folder=folder)
    assert result.returncode == 0, result.stderr
    first = json.loads(trained.stdout)["metrics"]["val_loss"]
    assert json.loads(result.stdout)["metrics"]["val_loss"] < first
    environment = json.loads((folder / "further/0001-digits/environment.json").read_text())
    assert environment["given"]["network"] == json.loads(trained.stdout)["weights_sha256"]


def test_runs_lists_what_there_is(run_kfc, trained, folder):
    listed = run_kfc("runs", "trained/runs", folder=folder)
    assert listed.stdout.startswith("0001-digits")
    assert "test_accuracy" in listed.stdout
    (run,) = json.loads(run_kfc("runs", "trained/runs", "--json", folder=folder).stdout)[
        "runs"
    ]
    assert (run["folder"], run["status"]) == ("trained/runs/0001-digits", "finished")
    assert run_kfc("runs", "nowhere", folder=folder).returncode == 4
