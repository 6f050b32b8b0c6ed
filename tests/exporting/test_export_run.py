import concurrent.futures
import contextlib
import dataclasses
import json
import resource
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import kfc
from kfc.exporting import formats, model_card, requests
from kfc.exporting.loaded_export import _import_runtime, load_export
from kfc.exporting.versions import is_export
from kfc.registry import EXPORTERS
from kfc.runs import result_file, sample_file

FORMATS = ("saved_model", "onnx", "litert")

ELSEWHERE = """
import json, sys
import numpy as np
import tensorflow as tf

def ask(path, folder):
    model, x, answers = tf.saved_model.load(path), np.load(f"{folder}/x.npy"), {}
    for rows in (0, 1, 7, len(x)):
        function = model.signatures["serving_default"]
        (name,) = function.structured_input_signature[1]
        found = function(**{name: tf.constant(x[:rows])})
        answers[rows] = {k: (v.dtype.name, v.shape.as_list()) for k, v in found.items()}
    found = {k: v.numpy().astype("S" if v.dtype == tf.string else v.dtype.name)
             for k, v in found.items()}
    np.savez(f"{folder}/answers.npz", **found)
    return answers

print(json.dumps([ask(*both) for both in zip(sys.argv[1::2], sys.argv[2::2])]))
"""


def rows_of(run):
    return sample_file.read_sample(run.folder, run.sample_sha256).x


def other_rows_of(run):
    """Rows that no certificate has seen."""
    x = rows_of(run)
    return np.flip(x, axis=tuple(range(1, x.ndim))).copy()


@pytest.fixture(scope="module")
def elsewhere(request, exported, warm_process, tmp_path_factory):
    """Kind -> shapes and outputs of its export, in a process with neither kfc nor Keras."""
    folders = {
        kind: tmp_path_factory.mktemp(kind) for kind in ("image", "table", "regression")
    }
    arguments = []
    for kind, folder in folders.items():
        np.save(folder / "x.npy", other_rows_of(request.getfixturevalue(kind)))
        arguments += [str(exported(kind).path), str(folder)]
    script = tmp_path_factory.mktemp("script") / "elsewhere.py"
    script.write_text(ELSEWHERE)
    ended = warm_process.run(script, *arguments)
    assert ended.returncode == 0, ended.stderr
    shapes = json.loads(ended.stdout)
    outputs = [dict(np.load(folder / "answers.npz")) for folder in folders.values()]
    return dict(zip(folders, zip(shapes, outputs, strict=True), strict=True))


def files_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def refused(run, path, error, **options):
    """Exports, and returns the message of the error; nothing new may be left at `path`."""
    before = files_of(path) if path.exists() else None
    with pytest.raises(error) as caught:
        kfc.export(run, path, verbose=False, **options)
    assert (files_of(path) if path.exists() else None) == before
    return str(caught.value)


def copied(run, folder):
    """A copy of a run's folder, to be spoilt."""
    return shutil.copytree(run.folder, folder)


@pytest.fixture
def broken(monkeypatch):
    """Makes a format that is written by a function of the test's own."""

    def made(write, of="ONNX"):
        monkeypatch.setattr(
            formats, of, dataclasses.replace(getattr(formats, of), write=write)
        )

    return made


@pytest.mark.parametrize("kind", ["image", "table"])
def test_classes_are_named_and_weighed_where_only_tensorflow_is(kind, request, elsewhere):
    run = request.getfixturevalue(kind)
    x = other_rows_of(run)
    shapes, found = elsewhere[kind]
    classes = len(run.task.class_names)
    for rows, outputs in shapes.items():
        n = int(rows)
        assert outputs == {
            "label": ["string", [n]],
            "probability": ["float32", [n]],
            "probabilities": ["float32", [n, classes]],
            "logits": ["float32", [n, classes]],
        }
    wanted = run.predict(x)
    assert np.char.decode(found["label"], "utf-8").tolist() == wanted.label.tolist()
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-6)
    np.testing.assert_allclose(found["probability"], wanted.probability, atol=1e-6)


def test_a_regression_gives_values_in_the_targets_own_units(regression, elsewhere):
    shapes, found = elsewhere["regression"]
    assert shapes["0"] == {"value": ["float32", [0]]}
    wanted = regression.predict(other_rows_of(regression)).value[:, 0]
    assert wanted.mean() > 50  # disease progression, not standard deviations
    np.testing.assert_allclose(found["value"], wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", ["table", "quantiles", "members", "periodic", "piecewise"])
@pytest.mark.parametrize("format", FORMATS)
def test_predictions_of_an_export_are_those_of_the_run(format, kind, request, exported):
    run = kfc.load(request.getfixturevalue(kind).folder)
    x = np.repeat(other_rows_of(run), 40, axis=0)  # more than one batch of 1,024
    again = load_export(exported(kind, format).path.parent).predict(x)
    wanted = run.predict(x)
    assert again.label.tolist() == wanted.label.tolist()
    np.testing.assert_allclose(again.probabilities, wanted.probabilities, atol=1e-6)


@pytest.mark.parametrize("format", FORMATS)
def test_a_row_with_nan_or_infinity_is_answered_with_nan_in_every_format(
    format, table, exported
):
    export = exported("table", format)
    assert export.certificate["nan_rows"] == (6 if format == "saved_model" else 3)
    answer = _import_runtime(export.exporter)(str(export.path))
    x = rows_of(table)[:5].copy()
    wanted = answer({"features": x})
    x[1, 0], x[2, 3], x[4, 1] = np.nan, np.inf, -np.inf
    signatures = {"": {"features": x}}
    if format == "saved_model":
        names = export.certificate["input_names"].values()
        signatures["rows"] = dict(zip(names, x.T, strict=True))
    for signature, inputs in signatures.items():
        found = answer(inputs, *filter(None, [signature]))
        for name, values in found.items():
            bad, good = values[[1, 2, 4]], values[[0, 3]]
            assert (bad == "").all() if name == "label" else np.isnan(bad).all()
            assert np.array_equal(good, wanted[name][[0, 3]])


def test_an_operation_of_a_plug_in_s_block_is_exported_named_and_not_loaded(
    image, tmp_path, broken, capsys
):
    def write(network, task, folder):
        more = keras.ops.multiply(keras.ops.sin(network.output), 0.0)
        same = keras.Model(network.input, keras.ops.add(network.output, more))
        formats.write_saved_model(same, task, folder)

    broken(write, of="SAVED_MODEL")
    export = kfc.export(image, tmp_path / "m")
    assert export.certificate["unlisted"] == ["Sin"]
    assert "holds Sin, of a plug-in." in " ".join(capsys.readouterr().err.split())
    with pytest.raises(kfc.CheckpointError, match="got one with Sin"):
        load_export(tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("kind", ["image", "regression"])
def test_every_kind_of_task_goes_into_the_other_formats(kind, format, request, exported):
    run, export = request.getfixturevalue(kind), exported(kind, format)
    assert export.certificate["max_difference"] <= 1e-6
    x = other_rows_of(run)
    again, wanted = export.predict(x), run.predict(x)
    np.testing.assert_allclose(again.value, wanted.value, rtol=1e-5)
    np.testing.assert_allclose(again.probabilities, wanted.probabilities, atol=1e-6)


def test_activations_that_onnx_lacks_are_written_out(image, exported):
    used = [hidden.activation.name for hidden in image.spec.network.layers()]
    assert used == ["gelu", "celu"]
    assert exported("image", "onnx").certificate["max_difference"] <= 1e-6


def test_an_export_holds_what_a_service_needs(exported):
    folder = exported("image").path
    assert set(files_of(folder)) == {
        *("saved_model.pb", "fingerprint.pb", "variables/variables.index"),
        "variables/variables.data-00000-of-00001",
        *("assets/labels.txt", "assets.extra/request.json"),
        "assets.extra/tf_serving_warmup_requests",
        *("certificate.json", "card.md"),
    }
    assert (folder / "assets/labels.txt").read_text() == "0\n1\n2\n"


def test_the_certificate_says_what_was_compared(exported, table):
    export = exported("table")
    facts = json.loads((export.path / "certificate.json").read_text())
    assert facts == json.loads(json.dumps(export.certificate))
    assert (facts["rows"], facts["limit"]) == (60, 1e-5)
    assert (facts["labels_equal"], facts["ties"]) == (True, 0)
    assert facts["input_names"]["class"] == "column_class"
    calls = ["batch of 60", "batch of 1", "batch of 0", "columns", "request"]
    nan_calls = ["batch with NaN rows", "columns with NaN rows"]
    assert facts["calls"] == calls + nan_calls
    assert (facts["nan_rows"], facts["unlisted"]) == (6, [])
    assert 0 <= facts["max_difference"] <= 1e-6
    assert facts["sample_sha256"] == table.sample_sha256
    assert facts["weights_sha256"] == table.weights_sha256
    assert {"tensorflow", "keras"} <= set(facts["versions"])


def test_the_certificate_of_a_regression_says_nothing_of_labels(exported):
    export = exported("regression", "onnx")
    assert not {"labels_equal", "ties"} & set(export.certificate)
    assert export.verdict.startswith("64 test rows: largest difference ")


def test_a_certificate_with_a_tie_says_so(exported):
    export = exported("image", "onnx")
    assert export.verdict.startswith("60 test rows: labels equal, largest difference ")
    tied = dataclasses.replace(export, certificate={**export.certificate, "ties": 1})
    assert tied.verdict.startswith("60 test rows: labels equal but for 1 tie, largest")


def test_the_card_is_written_from_the_run_and_the_certificate(exported, table):
    export = exported("table")
    commands = requests.serving_commands(export.path, "table", portable=True)
    card = model_card.card_text(table, export.certificate, commands)
    assert (export.path / "card.md").read_text("utf-8") == card


def test_labels_with_several_lines_stay_one_line_each_in_the_list(table, exported):
    path = exported("table", "onnx").path / "assets/labels.txt"
    assert len(path.read_text("utf-8").splitlines()) == len(table.task.class_names) == 2


@pytest.fixture
def converted(image, exported, broken):
    """The network is converted to ONNX once: later exports copy the file."""
    converted = exported("image", "onnx").path / "model.onnx"
    broken(lambda network, task, folder: shutil.copy(converted, folder))


def test_versions_count_up_and_may_be_named(image, tmp_path, converted):
    versions = [
        kfc.export(image, tmp_path, format="onnx", version=v, verbose=False).version
        for v in (None, None, 7, None)
    ]
    assert versions == [1, 2, 7, 8]
    assert load_export(tmp_path).version == 8
    assert load_export(tmp_path / "2").version == 2


def test_a_version_is_never_written_over(image, exported):
    path = exported("image", "onnx").path.parent
    message = refused(image, path, kfc.SpecError, format="onnx", version=1)
    assert "--version: expected a new one" in message


def test_formats_do_not_mix_below_one_folder(image, exported):
    path = exported("image", "onnx").path.parent
    message = refused(image, path, kfc.SpecError, format="litert")
    assert "versions that are all litert, got some that are onnx" in message


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "2", 2**63, 10**299])
def test_a_version_is_a_whole_number_that_a_server_can_count(version, image, tmp_path):
    message = refused(image, tmp_path / "m", kfc.SpecError, version=version)
    assert "--version: expected a whole number from 1 to 2**63 - 1, got " in message
    assert message.endswith("Name another, or leave it out for the next free one.")


def test_after_the_last_version_there_is_no_next_one(image, tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    message = refused(image, tmp_path, kfc.SpecError, format="onnx")
    assert "--version: expected a whole number" in message


def test_a_version_with_zeros_in_front_is_that_version(image, tmp_path):
    (tmp_path / "007").mkdir()
    message = refused(image, tmp_path, kfc.SpecError, version=7)
    assert "007, which exists" in message


def test_the_folder_of_a_run_takes_no_versions(image):
    message = refused(image, image.folder, kfc.SpecError)
    assert (
        "expected a folder for the versions of a model, got one with a result.json" in message
    )
    assert not is_export(image.folder)


def test_the_folder_of_a_version_takes_no_versions(image, exported):
    folder = exported("image", "onnx").path
    message = refused(image, folder, kfc.SpecError)
    assert "got one with a certificate.json" in message


def test_a_path_that_tensorflow_takes_for_a_pattern_is_refused(image, tmp_path):
    message = refused(image, tmp_path / "a[b]", kfc.SpecError)
    assert "expected a folder without [ and" in message


def test_a_path_that_cannot_be_is_a_disk_error(image, tmp_path):
    with pytest.raises(kfc.DiskError, match="File name too long"):
        kfc.export(image, tmp_path / ("m" * 300), verbose=False)


@pytest.mark.parametrize("name", ["state.npz", "facts.json"])
def test_a_run_with_one_bit_of_its_last_checkpoint_altered_is_refused(name, image, tmp_path):
    folder = copied(image, tmp_path / "run")
    file = max(folder.glob("checkpoints/*")) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused(folder, tmp_path / "m", kfc.CheckpointError)


def test_a_run_with_one_bit_of_its_sample_altered_is_refused(image, tmp_path):
    folder = copied(image, tmp_path / "run")
    content = bytearray((folder / "sample.npz").read_bytes())
    content[-100] ^= 1
    (folder / "sample.npz").write_bytes(content)
    assert "a file with another sha256" in refused(folder, tmp_path / "m", kfc.CheckpointError)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("result.json", '"class_names": ["0", ', '"class_names": ["1", '),
        ("result.json", '"test_accuracy": 0.', '"test_accuracy": 1.'),
        ("result.json", '"data_sha256": "', '"data_sha256": "0'),
        ("result.json", "255.0", "255.1"),  # the divisor of the scaling
        ("spec.yaml", "name: image", "name: imagf"),
    ],
    ids=["label", "metric", "data", "scaling", "name"],
)
def test_a_run_whose_record_was_altered_is_refused(name, old, new, image, tmp_path):
    folder = copied(image, tmp_path / "run")
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    message = refused(folder, tmp_path / "m", kfc.CheckpointError)
    assert "expected an undamaged run" in message
    assert f"Train again with `kfc fit {folder}/spec.yaml`." in message


def test_a_network_that_was_trained_further_is_refused(image, tmp_path):
    run = kfc.load(image.folder)
    kernel = run.model.weights[0]
    kernel.assign(kernel + 1e-3)
    message = refused(run, tmp_path / "m", kfc.CheckpointError)
    assert "weights that are not those the run ended with" in message


def test_a_trial_of_a_search_keeps_no_test_rows_and_is_refused(image, tmp_path):
    folder = copied(image, tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    del result["sample_sha256"], result["rows"], result["sha256"]
    (folder / "result.json").write_text(json.dumps(result_file.with_sha256(result)))
    (folder / "sample.npz").unlink()
    message = refused(folder, tmp_path / "m", kfc.CheckpointError)
    assert "got none: the run is a trial of a search" in message
    assert f"`kfc fit {folder}/spec.yaml`" in message


def test_weights_that_an_export_changes_are_refused_and_nothing_is_left(
    image, tmp_path, broken
):
    def write(network, task, folder):
        network.weights[0].assign(network.weights[0] * (1 + 1e-4))
        formats.write_onnx(network, task, folder)

    broken(write)
    run = kfc.load(image.folder)
    message = refused(run, tmp_path / "new" / "m", kfc.NumbersError, format="onnx")
    assert "logits within 1e-05 of the run's own" in message
    assert not (tmp_path / "new").exists()


def test_earlier_versions_survive_a_refusal(image, exported, broken):
    path = exported("image", "onnx").path.parent

    def write(network, task, folder):
        (folder / "model.onnx").write_bytes(b"no model")

    broken(write)
    message = refused(image, path, kfc.NumbersError, format="onnx")
    assert "expected a model that loads without kfc and Keras" in message


def test_labels_in_another_order_are_refused(image, tmp_path, broken):
    def write(network, task, folder):
        turned = dataclasses.replace(
            task, class_names=(*task.class_names[1:], task.class_names[0])
        )
        formats.write_saved_model(network, turned, folder)

    broken(write, of="SAVED_MODEL")
    assert "the label '" in refused(image, tmp_path / "m", kfc.NumbersError)


def test_a_model_that_needs_kfc_is_refused(image, tmp_path, broken, monkeypatch):
    (tmp_path / "runtime.py").write_text("import kfc\n")
    other = dataclasses.replace(formats.ONNX, runtime=tmp_path / "runtime.py")
    monkeypatch.setattr(formats, "ONNX", other)
    message = refused(image, tmp_path / "m", kfc.NumbersError, format="onnx")
    assert "import of kfc halted" in message


def test_what_a_format_needs_is_named_where_it_is_missing(image, tmp_path, monkeypatch):
    other = dataclasses.replace(formats.ONNX, modules=("onnx", "no_such_module"))
    monkeypatch.setattr(formats, "ONNX", other)
    message = refused(image, tmp_path / "m", kfc.SpecError, format="onnx")
    assert "got no no_such_module. python -m pip install onnx onnxruntime tf2onnx" in message


def test_an_unknown_format_is_refused_with_the_known_ones(image, tmp_path):
    message = refused(image, tmp_path / "m", kfc.RegistryError, format="onxx")
    assert "Did you mean 'onnx'? Known: litert, onnx, saved_model." in message


@pytest.mark.slow
def test_bfloat16_is_exported_as_saved_model_alone(tmp_path):
    overrides = {
        "training.epochs": 1,
        "training.precision": "bfloat16",
        "network.hidden": [16],
    }
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    message = refused(run, tmp_path / "onnx", kfc.SpecError, format="onnx")
    assert "a network that computes in bfloat16" in message
    assert kfc.export(run, tmp_path / "m", verbose=False).certificate["limit"] == 2e-2


def test_a_file_in_place_of_the_folder_is_a_disk_error(image, tmp_path):
    (tmp_path / "m").write_text("a file")
    with pytest.raises(kfc.DiskError):
        kfc.export(image, tmp_path / "m", verbose=False)


@contextlib.contextmanager
def short_files():
    """This process and those it starts write no file of more than 3,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_a_disk_error_and_nothing_is_left(image, tmp_path, format):
    with short_files():
        message = refused(image, tmp_path / "m", kfc.DiskError, format=format)
    assert "File too large" in message
    assert not (tmp_path / "m").exists()


ENDLESS = """
import resource
import numpy as np

resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

def load(folder):
    return lambda inputs: {"logits": np.zeros((len(inputs["image"]), 10_000))}
"""


def test_a_disk_that_is_full_for_the_answers_is_a_disk_error(image, tmp_path, monkeypatch):
    (tmp_path / "runtime.py").write_text(ENDLESS)
    write, runtime = (lambda *given: None), tmp_path / "runtime.py"
    small = sample_file.Sample(rows_of(image)[:2], np.zeros((2, 3), np.float32))
    monkeypatch.setattr(sample_file, "read_sample", lambda *given: small)
    monkeypatch.setattr(sample_file, "outputs_on_cpu", lambda *given: small.outputs)
    other = dataclasses.replace(formats.ONNX, write=write, runtime=runtime)
    monkeypatch.setattr(formats, "ONNX", other)
    message = refused(image, tmp_path / "m", kfc.DiskError, format="onnx")
    assert "File too large" in message


@pytest.mark.parametrize("name", ["saved_model.pb", "certificate.json", "extra.txt"])
def test_an_export_with_an_altered_file_is_not_loaded(name, exported, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(exported("image").path, folder)
    content = (folder / name).read_bytes() if name != "extra.txt" else b""
    (folder / name).write_bytes(content[:-2])
    with pytest.raises(kfc.CheckpointError, match="a model that was exported"):
        load_export(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"class_names": ["0"', '"class_names": ["1"'), ('"version": 1', '"version": 2')],
)
def test_an_export_whose_certificate_says_something_else_is_not_loaded(
    old, new, exported, tmp_path
):
    folder = shutil.copytree(exported("image", "onnx").path, tmp_path / "1")
    text = (folder / "certificate.json").read_text("utf-8")
    assert old in text
    (folder / "certificate.json").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(kfc.CheckpointError, match="the sha256 of its content differs"):
        load_export(folder)


def test_a_version_is_known_by_its_certificate_wherever_it_is(exported, tmp_path):
    export = exported("image", "onnx")
    (tmp_path / "link").symlink_to(export.path)
    shutil.copytree(export.path, tmp_path / "copy")
    for name in ("link", "copy"):
        again = load_export(tmp_path / name)
        assert (again.version, again.path) == (1, tmp_path / name)
        assert is_export(tmp_path / name)
    assert not is_export(tmp_path)  # none of its folders is called by a number


def test_a_number_alone_makes_no_export_of_a_folder(tmp_path):
    (tmp_path / "2024").mkdir()
    assert not is_export(tmp_path)


def test_a_folder_without_an_export_is_not_loaded(tmp_path):
    with pytest.raises(kfc.CheckpointError, match="`kfc export RUN DIR` makes one"):
        load_export(tmp_path)


def test_every_format_is_listed_with_its_owner():
    assert set(EXPORTERS.owners()) >= set(FORMATS)


KILLED = """
import os, signal, sys
import kfc

run, path, format, at = *sys.argv[1:4], int(sys.argv[4])
seen = 0

def hook(event, arguments):
    global seen
    writes = event == "open" and str(arguments[0]).startswith(path) and arguments[2] & 3
    if writes or event in ("os.mkdir", "os.rename", "subprocess.Popen"):
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

run = kfc.load(run)  # so that what follows is the export alone
sys.addaudithook(hook)
kfc.export(run, path, format=format, verbose=False)
"""


def killed_at(at, run, path, format):
    """Kills an export at its write number `at`; returns how its process ended."""
    (path / "1").mkdir(parents=True)
    (path / "1" / "saved_model.pb").write_text("somebody else's")
    before = files_of(path / "1")
    command = [sys.executable, "-c", KILLED, str(run.folder), str(path), format, str(at)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode in (0, -9), ended.stderr
    assert files_of(path / "1") == before
    if (path / "2").exists():
        assert load_export(path).version == 2  # whole, every sha256 right
    return ended.returncode


@pytest.mark.slow
def test_a_kill_leaves_whole_versions_alone_and_no_hindrance(image, tmp_path):
    assert killed_at(5, image, tmp_path / "m", "onnx") == -9
    assert [p.name for p in sorted((tmp_path / "m").iterdir())] == [".partial-2", "1"]
    kfc.export(image, tmp_path / "m", format="onnx", verbose=False)
    assert [p.name for p in sorted((tmp_path / "m").iterdir())] == ["1", "2"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
    ids=lambda n: n.name,
)
def test_a_signal_ends_an_export_with_its_code_and_nothing_left(number, image, tmp_path):
    words = ["export", str(image.folder), str(tmp_path / "m"), "--format", "saved_model"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kfc", *words], stderr=subprocess.PIPE, text=True
    )
    for said in ("writing saved_model", "asking it in a fresh process"):  # and nothing else
        assert process.stderr.readline() == f"{tmp_path}/m/1: {said}\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    assert not (tmp_path / "m").exists()


def test_two_exports_at_once_are_two_versions(image, tmp_path):
    def export(_):
        return kfc.export(image, tmp_path / "m", format="onnx", verbose=False)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert {each.version for each in pool.map(export, range(2))} == {1, 2}
    assert load_export(tmp_path / "m" / "1").version == 1
    assert load_export(tmp_path / "m").version == 2


@pytest.mark.slow
def test_a_kill_at_any_write_leaves_whole_versions_alone(image, tmp_path):
    at = 1
    while killed_at(at, image, tmp_path / str(at), "saved_model") == -9:
        at += 1
    assert at > 8
