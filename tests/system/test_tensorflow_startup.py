import json
import logging
import subprocess
import sys
import threading

import numpy as np
import pytest

import kfc
from kfc.system import tensorflow_startup

# The number of threads can only be set once in a process, and a process in which eager
# execution is off, or that was forked, can only be seen from outside: all of it is one story.
STORY = """
import contextlib, gc, io, json, multiprocessing, os, runpy, sys
from pathlib import Path
told = {}
sizes = ["training.threads=1", "training.epochs=1", "network.hidden=[4]"]
for name, *arguments in (
    ["fit", *sizes, "--json"], ["predict", "runs/0001-digits", "rows.npy"]
):
    sys.argv[1:] = [name, *arguments]
    try:
        runpy.run_module("kfc", run_name="__main__")
    except SystemExit as ended:
        told[name] = ended.code or 0
with contextlib.redirect_stdout(io.StringIO()) as printed:
    import kfc.tuning.oracle
told["by keras-tuner"] = printed.getvalue()
import kfc, tensorflow as tf
threading = tf.config.threading
folder = Path("runs/0001-digits").absolute()
told["of one operation"] = threading.get_intra_op_parallelism_threads()
told["operations at once"] = threading.get_inter_op_parallelism_threads()
told["environment"] = json.loads((folder / "environment.json").read_text())["threads"]
told["collecting"] = gc.isenabled() and gc.get_freeze_count() > 100_000
small = {"training.epochs": 1, "network.hidden": [4]}
try:
    kfc.fit("digits", overrides={**small, "training.threads": 3}, verbose=False)
except kfc.SpecError as error:
    told["refused"] = str(error)
told["again"] = kfc.load(folder).evaluate() == kfc.load(folder).metrics
result = json.loads((folder / "result.json").read_text())
told["import"] = result["phases"]["import"]
told["folders"] = sorted(path.name for path in folder.parent.iterdir())
wish = {"training": {"threads": 1000}, "network": {"hidden": [4]}}
told["built"] = kfc.build(wish, input_shape=(3,), classes=2).count_params()
from kfc.system import tensorflow_startup
told["not insisted on"] = tensorflow_startup.start_tensorflow(1000, insist=False)

run = kfc.fit("digits", overrides=small, verbose=False)
told["unnamed"] = run.epochs
told["same bits"] = run.weights_sha256 == result["weights_sha256"]

terminal, sys.stderr = sys.stderr, None
small["training.engine"] = "graph"
run = kfc.fit("digits", overrides=small)
told["without stderr"] = run.epochs
os.chdir("/")
told["folder after a chdir"] = (run.folder / "result.json").is_file()
def attempt(call):
    try:
        call()
    except kfc.SpecError as error:
        return str(error)
def calls():
    return [
        attempt(lambda: kfc.fit("digits", overrides=small, verbose=False)),
        attempt(lambda: kfc.load(run.folder)),
        attempt(lambda: run.evaluate()),
        attempt(lambda: run.predict([[0.0] * 64])),
        attempt(lambda: kfc.export(run, run.folder.parent / "models", verbose=False)),
        attempt(lambda: kfc.build("digits", input_shape=(64,), classes=10)),
        attempt(lambda: kfc.tune("digits", folder=run.folder.parent / "s", verbose=False)),
    ]
with tf.Graph().as_default():
    told["in a graph"] = calls()
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=lambda: queue.put(calls()))
child.start()
told["forked"] = queue.get(timeout=60)
child.join()
told["afterwards"] = kfc.load(run.folder).evaluate() == run.metrics
print(json.dumps(told), file=terminal)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    np.save(folder / "rows.npy", np.zeros((3, 64)))
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", STORY],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, last = done.stderr.splitlines()
    return {"stdout": done.stdout, "stderr": lines, **json.loads(last)}


def test_a_command_prints_its_result_on_stdout_and_no_line_of_tensorflow(told):
    assert (told["fit"], told["predict"]) == (0, 0)
    fitted, end = json.JSONDecoder().raw_decode(told["stdout"])
    assert fitted["folder"] == "runs/0001-digits"
    head, *rows = told["stdout"][end:].split()
    assert head == "label,probability,0,1,2,3,4,5,6,7,8,9"
    assert len(rows) == 3


def test_python_here_ends_with_the_bits_of_the_command_in_another_process(told, tmp_path):
    fitted, _ = json.JSONDecoder().raw_decode(told["stdout"])
    small = {"training.epochs": 1, "network.hidden": [4]}
    run = kfc.fit("digits", overrides=small, runs=tmp_path, verbose=False)
    assert run.weights_sha256 == fitted["weights_sha256"]
    # Neither TensorFlow nor, when it is imported later, keras-tuner adds a line.
    assert [line[:9] for line in told["stderr"]] == ["runs/0001", "epoch 1/1"]


def test_the_run_folder_of_a_command_has_the_seconds_of_the_import(told):
    assert told["import"] > 0.5


def test_python_gives_the_same_bits_as_the_command(told):
    assert told["same bits"] is True


def test_tensorflow_runs_with_the_threads_of_the_spec(told):
    assert (told["of one operation"], told["operations at once"]) == (1, 1)


def test_the_run_folder_says_how_many_threads(told):
    assert told["environment"] == 1


def test_another_number_is_refused_once_tensorflow_runs(told):
    assert told["refused"].startswith("training.threads: expected 1, the number TensorFlow")
    assert "got 3" in told["refused"]
    assert "Start a new process" in told["refused"]


def test_a_finished_run_is_loaded_and_repeats_its_numbers(told):
    assert told["again"] is True


def test_a_spec_that_names_no_number_takes_what_there_is(told):
    assert told["unnamed"] == 1


def test_the_command_collects_garbage_again_once_tensorflow_is_imported(told):
    assert told["collecting"] is True


def test_importing_keras_tuner_prints_and_warns_nothing(told):
    assert told["by keras-tuner"] == ""


def test_a_refused_number_leaves_no_run_folder(told):
    assert told["folders"] == ["0001-digits"]


def test_a_network_to_look_at_insists_on_no_number(told):
    assert told["built"] > 0
    assert told["not insisted on"] == 1


def test_a_process_without_stderr_trains(told):
    assert told["without stderr"] == 1
    assert told["afterwards"] is True


def test_the_folder_of_a_run_is_right_after_a_change_of_the_current_folder(told):
    assert told["folder after a chdir"] is True


@pytest.mark.parametrize(
    ("where", "words"), [("in a graph", "eager execution"), ("forked", "spawn")]
)
def test_every_call_is_refused_where_tensorflow_cannot_run(told, where, words):
    refused = told[where]
    assert len(refused) == 7
    assert all(message and words in message for message in refused)


def test_closed_descriptors_are_opened_on_the_null_device():
    code = (
        "import os; from kfc.system.standard_streams import open_standard_streams; "
        "open_standard_streams(); "
        "null = os.stat(os.devnull); "
        "print([os.path.samestat(os.fstat(n), null) for n in (0, 1, 2)])"
    )
    shell = f'"{sys.executable}" -c "{code}" 0<&- 2>&-'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, False, True]"


@pytest.fixture
def logged():
    """Everything that a caller's own handler, on the root logger, was given."""
    seen = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: seen.append(record.getMessage())
    level = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    yield seen
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)


def log_everywhere():
    for name in ("absl", "tensorflow", "tf2onnx.made_by_an_import", "mine"):
        logging.getLogger(name).error("from %s", name)


def test_tensorflows_loggers_say_nothing_meanwhile_and_are_as_before_afterwards(logged, capfd):
    filters = [handler.filters[:] for handler in logging.root.handlers]
    with tensorflow_startup.stderr_held_back():
        log_everywhere()
        other = threading.Thread(target=logging.getLogger("absl").error, args=["elsewhere"])
        other.start()
        other.join()
    assert logged == ["from mine", "elsewhere"]
    assert [handler.filters for handler in logging.root.handlers] == filters
    logging.getLogger("tf2onnx").error("after")
    assert logged[-1] == "after"


def test_what_was_logged_is_told_after_all_where_it_fails(logged, capfd):
    @tensorflow_startup.stderr_held_back()
    def fail():
        log_everywhere()
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert logged.count("from tf2onnx.made_by_an_import") == 1
    assert {"from absl", "from tf2onnx.made_by_an_import", "from mine"} <= set(logged)
