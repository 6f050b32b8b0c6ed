"""Specs, data files, names and plug-ins of somebody else's, each refused or harmless."""

import contextlib
import csv
import gzip
import io
import os
import pickle
import struct
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc import registry
from kfc.cli import app
from kfc.data import prepare
from kfc.data.input_files import read_inputs
from kfc.errors import KfcError
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3


class Payload:
    """What its unpickling would do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def refused(code, words, do, *arguments):
    with pytest.raises(KfcError) as caught:
        do(*arguments)
    assert caught.value.exit_code == code, caught.value
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert all(line.isprintable() for line in message.splitlines())


# --- specs -------------------------------------------------------------------------------

TEXTS = {
    "a tag that calls": (
        ".yaml",
        "seed: !!python/object/apply:os.mkdir [{evil}]",
        ["the tag"],
    ),
    "a tag that builds": (".yaml", "seed: !!python/name:os.system ''", ["the tag"]),
    "a tag that imports": (".yaml", "seed: !!python/module:{evil}", ["the tag"]),
    "a tag of its own": (".yaml", "%TAG ! tag:x,1:\n---\nseed: !y 1", ["the tag"]),
    "an alias bomb": (
        ".yaml",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
        ["the alias *a"],
    ),
    "a merge bomb": (".yaml", "a: &a {{x: 1}}\nb: {{<<: [*a, *a]}}", ["merge key <<"]),
    "two documents": (".yaml", "seed: 1\n---\nseed: 2", ["document"]),
    "an old version": (".yaml", "%YAML 1.1\n---\nseed: 1", ["YAML 1.2"]),
    "a bomb of brackets": (".json", "[" * 90_000, ["at most 20 levels"]),
    "a line of blanks": (".toml", "a = '''\nb" + " " * 90_000 + "'''", ["unknown key 'a'"]),
    "a class to become": (
        ".json",
        '{{"__class__": "os.system"}}',
        ["unknown key '__class__'"],
    ),
    "a prototype": (".json", '{{"__proto__": {{"seed": 1}}}}', ["unknown key"]),
    "a private of pydantic": (".json", '{{"model_config": {{}}}}', ["unknown key"]),
    "a method of a component": (
        ".json",
        '{{"training": {{"optimizer": {{"name": "adam", "model_extra": {{}}}}}}}}',
        ["unknown key 'model_extra'"],
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_hostile_spec_is_refused(case, tmp_path, outside, guard):
    suffix, text, words = TEXTS[case]
    path = tmp_path / "inside" / f"spec{suffix}"
    path.parent.mkdir()
    path.write_text(text.format(evil=outside / "evil"))
    with guard.watching(path.parent):
        refused(2, words, load_spec, path)


def callback(name, **options):
    return {"training.callbacks": [{"name": name, **options}]}


OUT = "{epoch.__doc__[37]}{epoch.__doc__[37]}/evil.keras"  # Keras formats a path like this
VALUES = {
    "a run name that leads out": {"name": "../../evil"},
    "a run name that is absolute": {"name": "/tmp/evil"},
    "a run name that steers the terminal": {"name": "a\x1b[2J"},
    "a log that leads out": callback("CSVLogger", filename="../../evil.csv"),
    "a log that leads in and out": callback("CSVLogger", filename="a/../../evil.csv"),
    "an absolute log": callback("CSVLogger", filename="/tmp/evil.csv"),
    "a log at home": callback("CSVLogger", filename="~/evil.csv"),
    "a log on a server": callback("TensorBoard", log_dir="gs://evil/logs"),
    "a log in place of the result": callback("CSVLogger", filename="./result.json"),
    "a log in place of the checkpoints": callback("CSVLogger", filename="a/../checkpoints/x"),
    "a log in place of the lock": callback("CSVLogger", filename=".lock"),
    "a log of a name that is none": callback("CSVLogger", filename="a\x00b"),
    "a model whose name is computed": callback("ModelCheckpoint", filepath=OUT),
    "a model whose name is a megabyte": callback(
        "ModelCheckpoint", filepath="{epoch:09999999d}.keras"
    ),
    "a callback that runs code": callback("LambdaCallback", on_epoch_end="print"),
    "a callback that calls home": callback("RemoteMonitor", root="http://localhost"),
    "a callback that unpickles": callback("BackupAndRestore", backup_dir="b"),
    "an activation that is code": {"network.activation": "lambda x: __import__('os')"},
    "an initializer that is a class": {"network.init": {"class_name": "os", "config": {}}},
    "a loss of a module": {"training.loss": "os.system"},
    "an optimizer of a module": {"training.optimizer": {"name": "builtins.eval"}},
}


@pytest.mark.parametrize("case", VALUES)
def test_a_hostile_value_is_refused(case, tmp_path, outside, guard):
    with guard.watching(tmp_path / "inside"):
        refused(2, [], load_spec, "digits", VALUES[case])


def test_a_model_may_be_named_after_its_epoch():
    values = callback("ModelCheckpoint", filepath="best-{epoch:02d}-{val_loss:.4f}.keras")
    assert load_spec("digits", values).training.callbacks[0].name == "ModelCheckpoint"


@pytest.mark.parametrize(
    "source",
    [
        "npz:$HOME/x.npz",
        "npz:~/x.npz",
        "npz:`touch evil`.npz",
        "npz:/etc/passwd",
        "idx:/etc",
        "npy:/dev",
        "tfds:../../evil",
        "tfds:mnist/data_dir=evil",
        "tfds:huggingface:evil/evil",
        "tfds:http://localhost/evil",
        "sklearn:__builtins__",
        "sklearn:files",
    ],
)
def test_a_source_reads_nothing_else(source, tmp_path, outside, guard, monkeypatch):
    import tensorflow_datasets  # noqa: F401 -- its import writes to its own cache

    monkeypatch.chdir(outside)
    with guard.watching(tmp_path / "inside"):
        refused(4, [], prepare, load_spec({"data": {"source": source}}))


# --- data files --------------------------------------------------------------------------


def npy(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def npz(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def idx(*sizes):
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


FILES = {
    "a pickle as npy": ("x.npy", lambda evil: pickle.dumps(Payload(evil)), ["magic string"]),
    "objects as npy": ("x.npy", lambda evil: npy(np.array([Payload(evil)])), ["objects"]),
    "a pickle as npz": ("x.npz", lambda evil: pickle.dumps(Payload(evil)), ["zip"]),
    "objects as npz": (
        "x.npz",
        lambda evil: npz({"x.npy": npy(np.array([Payload(evil)]))}),
        ["objects"],
    ),
    "code as a header": (
        "x.npy",
        lambda evil: b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').mkdir('e')".ljust(64),
        ["malformed"],
    ),
    "a path that leads out": (
        "x.npz",
        lambda evil: npz({"../outside/evil": b"x", "/tmp/evil.npy": npy(X)}),
        ["an array named x", "../outside/evil"],
    ),
    "a name that steers the terminal": (
        "x.npz",
        lambda evil: npz({"\x1b[31my.npy": npy(X)}),
        ["\\x1b[31my"],
    ),
    "the same array twice": (
        "x.npz",
        lambda evil: npz({"x.npy": npy(X), "x": npy(X * 2)}),
        ["two arrays named x"],
    ),
    "a bomb of zeros": (
        "x.npz",
        lambda evil: npz({"x.npy": npy(np.zeros(3_000_000, np.uint8))}),
        ["fit into memory"],
    ),
    "a gzip bomb": (
        "x-idx1-ubyte.gz",
        lambda evil: gzip.compress(idx(4) + bytes(3_000_000), mtime=0),
        ["4 bytes for shape (4,)", "more"],
    ),
    "a gzip bomb that says so": (
        "x-idx1-ubyte.gz",
        lambda evil: gzip.compress(idx(3_000_000) + bytes(3_000_000), mtime=0),
        ["the size of the memory"],
    ),
    "a header of more than there is": ("x-idx3-ubyte", lambda evil: idx(*[2**32 - 1] * 3), []),
}


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_data_file_is_refused(case, tmp_path, outside, guard, monkeypatch):
    name, content, words = FILES[case]
    path = tmp_path / "inside" / name
    path.parent.mkdir()
    path.write_bytes(content(outside / "evil"))
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 1_000_000)
    with guard.watching(path.parent):
        refused(4, [name, *words], read_inputs, path)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x-idx3-ubyte", "x-idx3-ubyte.gz"])
@pytest.mark.parametrize("what", ["device", "pipe", "folder"])
def test_what_never_ends_is_not_read(name, what, tmp_path, guard):
    path = tmp_path / name
    if what == "device":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with guard.watching(tmp_path):
        refused(4, [name, "a folder" if what == "folder" else "a device"], read_inputs, path)


def test_arrays_that_nobody_asked_for_are_not_unpacked(tmp_path, guard, monkeypatch):
    zeros = npy(np.zeros(3_000_000, np.uint8))
    (tmp_path / "x.npz").write_bytes(npz({"x.npy": npy(X), "../evil.npy": zeros}))
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 1_000_000)
    with guard.watching(tmp_path):
        assert read_inputs(tmp_path / "x.npz").shape == (60, 4)


# --- names -------------------------------------------------------------------------------

LABELS = ('=HYPERLINK("http://evil")', "\x1b]0;owned\x07", "@SUM(A1)\nb")


def run_kfc(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        app.main(list(arguments))
    return ended.value.code or 0, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, guard, trained):
    """A run whose labels and columns are attacks, trained under guard.

    Not the first one, which imports libraries that look around.
    """
    data = pd.DataFrame(X, columns=["=1+1", "<script>alert(1)</script>", "\x1b[2J", "`|`"])
    data["target"] = np.array(LABELS, object)[Y]
    runs = tmp_path_factory.mktemp("hostile")
    with guard.watching(runs):
        return kfc.fit(
            {"network": {"hidden": [4]}, "training": {"epochs": 1, "callbacks": ["csv_log"]}},
            data=data,
            runs=runs,
            verbose=False,
        )


def test_labels_reach_neither_the_terminal_nor_a_spreadsheet(hostile, tmp_path, guard):
    np.save(tmp_path / "rows.npy", X[:5])
    with guard.watching(tmp_path):
        code, out, err = run_kfc("predict", str(hostile.folder), str(tmp_path / "rows.npy"))
    assert (code, err) == (0, "")
    rows = list(csv.reader(io.StringIO(out)))
    assert [len(row) for row in rows] == [5] * 6
    for cell in (cell for row in rows for cell in row):
        assert cell.isprintable()
        assert not cell.startswith(("=", "+", "-", "@"))
    assert set(rows[0][2:]) == {
        '\'=HYPERLINK("http://evil")',
        "\\x1b]0;owned\\x07",
        "'@SUM(A1) b",
    }


def test_json_has_labels_as_they_are(hostile):
    assert set(hostile.predict(X).label) <= set(LABELS)
    assert set(hostile.task.class_names) == set(LABELS)


def test_columns_are_escaped_where_they_are_wrong(hostile):
    other = pd.DataFrame(X, columns=["\x1b[31m", "b", "c", "d"])
    refused(4, ["\\x1b[31m", "\\x1b[2J"], hostile.predict, other)


def test_a_loaded_run_says_the_same_under_guard(hostile, guard):
    with guard.watching(hostile.folder):
        run = kfc.load(hostile.folder)
        assert run.predict(X).label.tolist() == hostile.predict(X).label.tolist()


# --- plug-ins ----------------------------------------------------------------------------


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lays out an installed distribution whose import would leave a file behind."""

    def lay_out(name, entry_points):
        folder = tmp_path / "inside" / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (folder / f"{name}_module.py").write_text(
            "from pathlib import Path\n(Path(__file__).parent / 'imported').mkdir()\n"
        )
        monkeypatch.syspath_prepend(folder)
        registry._own_entry_points.cache_clear()
        return folder

    yield lay_out
    registry._own_entry_points.cache_clear()


def test_listing_and_checking_run_nothing_of_a_plug_in(install, outside, guard):
    folder = install("theirs", "[kfc.sources]\nevil = theirs_module:x\n")
    with guard.watching(folder):
        for command in ("plugins", "sources", "schema", "specs"):
            assert run_kfc(command)[0] == 0
        load_spec({"data": {"source": "evil:x"}})
        refused(2, [], load_spec, {"data": {"source": "evill:x"}})
    assert not (folder / "imported").exists()
    assert "theirs_module" not in sys.modules


@pytest.mark.parametrize(
    ("group", "name", "key"),
    [
        ("kfc.sources", "sklearn", {"data": {"source": "sklearn:iris"}}),
        ("kfc.blocks", "dense", {"network": {"block": "dense"}}),
        ("kfc.optimizers", "tape_sgd", {"training": {"optimizer": "tape_sgd"}}),
        ("kfc.optimizers", "adam", {"training": {"optimizer": "adam"}}),
        ("kfc.callbacks", "csv_log", {"training": {"callbacks": ["csv_log"]}}),
    ],
)
def test_a_name_that_is_taken_is_refused_before_an_import(group, name, key, install, guard):
    folder = install("squatter", f"[{group}]\n{name} = squatter_module:x\n")
    with guard.watching(folder):
        refused(2, ["squatter"], load_spec, key)
    assert not (folder / "imported").exists()


def test_the_name_of_a_plug_in_does_not_steer_the_terminal(install):
    install("steering", "[kfc.sources]\n\x1b[31mzebra = steering_module:x\n")
    for command in (["plugins"], ["sources"], ["sources", "--json"]):
        code, out, _ = run_kfc(*command)
        assert code == 0
        assert "\x1b[31m" not in out
        assert "zebra" not in out
