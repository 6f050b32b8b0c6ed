"""Whatever a file, a table or a label holds: a valid object or an error of kfc's, no other.

The default run is the same each time, and takes seconds. A longer one, new each time:

    KFC_FUZZ=1000 pytest -n 0 tests/test_fuzz.py    # so many examples for each test

What it finds becomes an `@example` of its test.
"""

import contextlib
import copy
import csv
import gzip
import io
import json
import os
import string
import struct
import tempfile
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ruamel.yaml import YAML

from kfc.data import Task, prepare
from kfc.data.input_files import read_inputs
from kfc.data.sources.idx import read_idx
from kfc.data.sources.numpy_files import read_npy, read_npz
from kfc.errors import Finding, KfcError, one_line
from kfc.runs import result_file, sample_file
from kfc.runs.predictions import Predictions, raw_rows, table
from kfc.spec import Spec, dump_spec, load_spec, read_value
from kfc.system import atomic
from kfc.training.checkpoints import store
from kfc.tuning.journal import Journal, read_events

LONG = int(os.environ.get("KFC_FUZZ", "0"))


def fuzzed(quick):
    """Returns the settings of a test that takes `quick` examples in the default run."""
    return settings(
        max_examples=LONG or quick,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck] if LONG else [HealthCheck.too_slow],
    )


@contextlib.contextmanager
def only_kfc_errors():
    """Lets pass what kfc raises on purpose, its message being whole, printable and short."""
    try:
        yield
    except KfcError as error:
        refusal = error
    else:
        return
    assert refusal.findings
    for finding in refusal.findings:
        assert finding.where.strip()
        assert finding.expected.strip()
        assert finding.got.strip()
        assert finding.remedy.strip()
        assert str(finding).isprintable()
    assert len(str(refusal)) < 200_000


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def damaged(content):
    """Strategy: bytes with some of them changed, cut out, doubled or cut off."""
    place = st.integers(0, max(len(content) - 1, 0))
    change = st.one_of(
        st.tuples(st.just("flip"), place, st.integers(0, 7)),
        st.tuples(st.just("set"), place, st.integers(0, 255)),
        st.tuples(st.just("cut"), place, st.integers(0, 40)),
        st.tuples(st.just("end"), place, st.just(0)),
        st.tuples(st.just("twice"), place, st.integers(0, 40)),
    )
    return st.lists(change, min_size=1, max_size=4).map(lambda c: _changed(content, c))


def _changed(content, changes):
    data = bytearray(content)
    for what, place, number in changes:
        if not data:
            break
        place %= len(data)
        if what == "flip":
            data[place] ^= 1 << number
        elif what == "set":
            data[place] = number
        elif what == "cut":
            del data[place : place + number]
        elif what == "end":
            del data[place:]
        else:
            data[place:place] = data[place : place + number]
    return bytes(data)


# --- specs -------------------------------------------------------------------------------

FULL = load_spec(
    {
        "data": {"source": "sklearn:digits", "scale": "standard", "task": "classification"},
        "network": {"hidden": [16, {"units": 8, "activation": "tanh"}], "dropout": 0.1},
        "training": {
            "class_weight": {"0": 2, "1": 1},
            "optimizer": {"learning_rate": {"name": "cosine", "initial_learning_rate": 0.1}},
            "callbacks": [{"name": "CSVLogger", "filename": "log.csv"}],
            "early_stopping": {},
        },
        "search": {
            "space": {
                "network.hidden": {"depth": [1, 3], "width": [8, 64]},
                "training.epochs": {"low": 1, "high": 9, "step": 2},
                "network.activation": {"choice": ["relu", "tanh"]},
            }
        },
    }
).model_dump(mode="json", exclude_none=True)


def as_yaml(values):
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(values, text)
    return text.getvalue()


def as_toml(values, table=""):
    """Returns TOML; a list of anything but numbers as JSON, which TOML reads too."""
    plain = {k: v for k, v in values.items() if not isinstance(v, dict)}
    lines = [f"{json.dumps(k)} = {_toml_value(v)}" for k, v in plain.items()]
    for key, value in values.items():
        if isinstance(value, dict):
            name = f"{table}{json.dumps(key)}"
            lines += [f"[{name}]", as_toml(value, f"{name}.")]
    return "\n".join(lines)


def _toml_value(value):
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_toml_value(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value)


SPEC_TEXTS = {
    ".yaml": as_yaml(FULL),
    ".toml": as_toml(FULL),
    ".json": json.dumps(FULL, indent=1),
}
TOKENS = (
    *("0x" + "F" * 5000, "1" * 5000, "1e999", "-1", "nan", ".inf", "null", "~", "true", "no"),
    *(
        "'",
        '"',
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "- ",
        "? ",
        "&a ",
        "*a",
        "<<: ",
        "!!python/x ",
        "!",
    ),
    *("\n", "\t", "  ", "#", "|\n", ">\n", "---\n", "...\n", "%YAML 1.1\n", "=", "[[", "]]"),
    *(
        "\x00",
        "\x1b[31m",
        "\ufeff",
        "\u2028",
        "\x85",
        "2026-01-31",
        "1:30",
        "name",
        "units",
        ".",
    ),
)


@st.composite
def spec_text(draw):
    """A good spec with tokens put in, and bytes changed."""
    suffix = draw(st.sampled_from(sorted(SPEC_TEXTS)))
    text = SPEC_TEXTS[suffix]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 6))
        text = text[:place] + draw(st.sampled_from(TOKENS)) + text[place + cut :]
    data = text.encode()
    return suffix, draw(damaged(data)) if draw(st.booleans()) else data


def test_the_spec_that_is_fuzzed_is_good_in_every_format(folder):
    for suffix, text in SPEC_TEXTS.items():
        path = folder / f"good{suffix}"
        path.write_text(text)
        assert load_spec(path).model_dump(mode="json", exclude_none=True) == FULL
    assert tomllib.loads(SPEC_TEXTS[".toml"])["seed"] == 0


@fuzzed(60)
@given(text=spec_text())
@example(text=(".yaml", b"seed: 0x" + b"F" * 5000))
@example(text=(".toml", b"seed = 0x" + b"F" * 5000))
@example(text=(".toml", b"name = '''\n" + b"a" + b" " * 90_000 + b"'''"))
@example(text=(".json", b'{"k": 1, ' * 10_000))
@example(text=(".yaml", b"&a accept: []\nname: &a run"))
@example(text=(".yaml", b"? accept: []\nname: run"))
def test_any_text_is_a_spec_or_refused(folder, text):
    suffix, data = text
    path = folder / f"any{suffix}"
    path.write_bytes(data)
    with only_kfc_errors():
        checked = load_spec(path)
        assert load_spec(checked) == checked


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**64, 10**400, -(10**400)]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["adam", "relu", "sklearn:iris", "val_loss", "../x", "balanced", "9" * 5000]
    ),
    st.sampled_from([b"bytes", 1j, object(), np.float32(0.5), np.int64(3), np.str_("relu")]),
)
KEYS = st.one_of(
    st.sampled_from(["name", "units", "seed", "data", "hidden", "choice", "low", "depth"]),
    st.text(max_size=6),
    st.integers(-1, 3),
    st.sampled_from([None, 10**400, 1.5, (1, 2), "k" * 300, "a.b[0]", "9" * 5000]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spec_values(draw):
    """A good spec with some of its values, at any depth, replaced by anything."""
    values = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 3))):
        node = values
        while True:
            keys = sorted(node, key=str) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from([*keys]) if len(keys) else KEYS)
            if not len(keys) and isinstance(node, list):
                break
            child = node.get(key) if isinstance(node, dict) else node[key]
            if not isinstance(child, (dict, list)) or not child or draw(st.booleans()):
                node[key if draw(st.integers(0, 4)) or isinstance(node, list) else "x"] = draw(
                    VALUES
                )
                break
            node = child
    return values


@fuzzed(100)
@given(values=spec_values() | st.dictionaries(KEYS, VALUES, max_size=3))
@example(values={"seed": 10**400})
@example(values={10**400: 1})
@example(values={" ": None})
@example(values={"training": {"optimizer": {"9" * 5000: 1}}})
@example(values={"search": {"space": {"a": {"choice": [10**400, [10**400]]}}}})
def test_any_values_are_a_spec_or_refused(folder, values):
    with only_kfc_errors():
        checked = load_spec(values)
        assert isinstance(checked, Spec)
        path = folder / "dumped.yaml"
        path.write_text(dump_spec(checked), "utf-8")
        assert load_spec(path) == checked


GOOD_PATHS = ("seed", "network.hidden[0]", "network.hidden", "data.validation", "search")
PATHS = st.text(string.ascii_lowercase + ".[]0129 \x1b", max_size=20)
PATHS |= st.sampled_from(GOOD_PATHS)


@fuzzed(60)
@given(path=PATHS, text=st.text(max_size=20) | st.sampled_from(TOKENS))
@example(path="network.hidden[" + "9" * 5000 + "]", text="1")
@example(path="network.hidden." + "9" * 5000, text="1")
def test_any_override_is_set_or_refused(path, text):
    with only_kfc_errors():
        load_spec(FULL, {path: read_value(text)})


# --- data in files -----------------------------------------------------------------------


def idx_header(sizes):
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def idx_bytes(values):
    return idx_header(values.shape) + bytes(values)


IDX = idx_bytes(np.arange(24, dtype=np.uint8).reshape(4, 3, 2))
LYING = st.builds(
    lambda sizes, rest: idx_header(sizes) + rest,
    st.lists(st.sampled_from([0, 1, 2, 255, 2**16, 2**31, 2**32 - 1]), max_size=9),
    st.binary(max_size=20),
)


@fuzzed(80)
@given(content=damaged(IDX) | LYING, zipped=st.booleans())
@example(content=idx_header([0, 2**32 - 1]), zipped=False)
@example(content=idx_header([2**32 - 1] * 8), zipped=True)
def test_any_idx_bytes_are_an_array_or_refused(folder, content, zipped):
    path = folder / ("any-idx3-ubyte" + (".gz" if zipped else ""))
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    with only_kfc_errors():
        assert idx_bytes(read_idx(path)) == content or content[2] != 8


@fuzzed(60)
@given(content=damaged(gzip.compress(IDX, mtime=0)))
def test_any_gzip_is_an_array_or_refused(folder, content):
    path = folder / "any-idx3-ubyte.gz"
    path.write_bytes(content)
    with only_kfc_errors():
        read_inputs(path)


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    np.savez_compressed(file, **members)
    return file.getvalue()


def npy_header(descr, shape):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(48)


NPY = npy(np.arange(6.0).reshape(3, 2))
NPZ = npz(x=np.arange(6.0).reshape(3, 2), y=np.arange(3))
HEADERS = st.builds(
    npy_header,
    st.sampled_from(["'<f8'", "'|O'", "'|u1'", "'V0'", "[('a', '<f8')]", "'<U0'", "3", "'x'"]),
    st.sampled_from(["(3, 2)", "(2**62,)", "(-1,)", "()", "(0, 2**62)", "3", "((1,),)"]),
)


@fuzzed(80)
@given(content=damaged(NPY) | HEADERS, mapped=st.booleans())
def test_any_npy_bytes_are_an_array_or_refused(folder, content, mapped):
    path = folder / "any.npy"
    path.write_bytes(content)
    with only_kfc_errors():
        values = read_npy(path, mapped=mapped)
        assert values.nbytes <= len(content)


@fuzzed(80)
@given(content=damaged(NPZ))
def test_any_npz_bytes_are_arrays_or_refused(folder, content):
    path = folder / "any.npz"
    path.write_bytes(content)
    with only_kfc_errors():
        assert all(isinstance(values, np.ndarray) for values in read_npz(path).values())


# --- data in memory ----------------------------------------------------------------------

CELLS = st.one_of(
    st.integers(-5, 300),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["", "a", " a", "nan", "0,1", "1e3", b"a", 10**400, 1j, pd.NaT, pd.NA]),
    st.text(max_size=3),
    st.datetimes(),
)
COLUMNS = st.one_of(
    st.lists(st.integers(-5, 300), min_size=8, max_size=8),
    st.lists(st.floats(width=32), min_size=8, max_size=8),
    st.lists(st.sampled_from([0, 1, 2]), min_size=8, max_size=8),
    st.lists(st.sampled_from(["a", "b", "a "]), min_size=8, max_size=8),
    st.lists(CELLS, min_size=8, max_size=8),
)
SPECS = st.sampled_from(
    [
        {},
        {"task": "regression"},
        {"task": "classification", "validation": 0},
        {"scale": "none"},
        {"scale": "robust", "rows": 5},
        {"stream": "always", "scale": "standard"},
    ]
)


def check_prepared(prepared):
    """Checks that nothing is left in rows to train on that would spoil a training."""
    for rows in (prepared.train, *prepared.held_out.values()):
        x = np.asarray(rows.x[:])
        assert x.dtype in (np.uint8, np.float32)
        assert x.size
        assert np.isfinite(x).all()
        assert np.isfinite(rows.y).all()
        assert len(x) == len(rows.y)
    # Of a table only the numbers are scaled, not the codes of its categories.
    numbers = prepared.task.scaled_part(np.asarray(prepared.train.x[:]))
    scaled = prepared.task.scaling.apply(numbers)
    assert np.isfinite(scaled).all()
    if prepared.task.classification:
        assert set(prepared.train.y) == set(range(len(prepared.task.class_names)))
        assert len(prepared.task.class_names) > 1


@fuzzed(80)
@given(
    columns=st.dictionaries(st.text(max_size=3), COLUMNS, min_size=1, max_size=3),
    target=COLUMNS,
    spec=SPECS,
)
def test_any_frame_is_prepared_or_refused(columns, target, spec):
    data = pd.DataFrame({**columns, "target": target})
    with only_kfc_errors():
        check_prepared(prepare(load_spec({"data": spec}), data))


KINDS = st.one_of(
    arrays.floating_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.boolean_dtypes(),
    arrays.complex_number_dtypes(),
    arrays.unicode_string_dtypes(max_len=3),
    arrays.byte_string_dtypes(max_len=3),
    arrays.datetime64_dtypes(),
)
ROWS = KINDS.flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, max_side=12))
)
TARGETS = ROWS | st.lists(st.sampled_from([0, 1, 2]), min_size=6, max_size=12).map(np.array)


@fuzzed(120)
@given(x=ROWS, y=TARGETS, spec=SPECS)
def test_any_arrays_are_prepared_or_refused(x, y, spec):
    with only_kfc_errors():
        check_prepared(prepare(load_spec({"data": spec}), (x, y)))


TASKS = [
    Task((4,), "float32", ("a", "b"), feature_names=("p", "q", "r", "s")),
    Task((2, 2), "uint8", ("a", "b", "c")),
]


@fuzzed(80)
@given(x=ROWS | st.lists(CELLS, max_size=4) | st.just("x"), task=st.sampled_from(TASKS))
@example(x=np.full((3, 4), 1e30), task=TASKS[1])
def test_any_rows_to_predict_are_taken_or_refused(x, task):
    with only_kfc_errors():
        rows = raw_rows(x, task)
        assert rows.shape[1:] == task.input_shape
        assert rows.dtype == task.input_dtype


# --- what kfc wrote, and somebody changed ---------------------------------------------------

RESULT = {
    "folder": "0001-a",
    "metrics": {"test_loss": 0.5},
    "epochs": 2,
    "seconds": 1.5,
    "weights_sha256": "0" * 64,
    "data_sha256": "0" * 64,
    "history": {"loss": [0.5, 0.4]},
}


@pytest.fixture(scope="module")
def written(folder):
    """A run folder's records, checkpoints and journal, with nothing trained."""
    (folder / "spec.yaml").write_text(dump_spec(load_spec("digits")))
    result_file.write_result(folder, RESULT, Task((2,), "float32", ("a", "b")))
    for number in range(2):
        state = store.Checkpoint({"weights/0": np.arange(4.0)}, {"epoch": number})
        store.save(folder / "checkpoints", state)
    rows = sample_file.Sample(np.eye(3), np.eye(3, 2, dtype=np.float32))
    (folder / "rows.sha256").write_text(sample_file.write_sample(folder, rows))
    journal = Journal(folder / "journal.jsonl")
    for number in range(3):
        journal.append({"kind": "told", "number": number, "score": 0.5})
    return folder


@fuzzed(60)
@given(data=st.data())
def test_any_result_is_read_or_refused(written, data):
    good = (written / "result.json").read_bytes()
    (written / "result.json").write_bytes(data.draw(damaged(good)))
    try:
        with only_kfc_errors():
            result, _ = result_file.read_result(written)
            assert result["metrics"] == RESULT["metrics"]
    finally:
        (written / "result.json").write_bytes(good)


@fuzzed(60)
@given(data=st.data())
def test_any_checkpoint_is_whole_or_refused(written, data):
    inner = data.draw(st.sampled_from(["state.npz", "facts.json", "manifest.json"]))
    path = written / "checkpoints" / "000002" / inner
    good = path.read_bytes()
    path.write_bytes(data.draw(damaged(good)))
    try:
        with only_kfc_errors():
            found = store.newest(written / "checkpoints")
            np.testing.assert_array_equal(found.arrays["weights/0"], np.arange(4.0))
            assert found.facts["epoch"] in (0, 1)
    finally:
        path.write_bytes(good)


@fuzzed(60)
@given(data=st.data(), sealed=st.booleans())
def test_any_sample_is_read_or_refused(written, data, sealed):
    sha256 = (written / "rows.sha256").read_text()
    good = (written / sample_file.FILE).read_bytes()
    content = data.draw(damaged(good))
    (written / sample_file.FILE).write_bytes(content)
    try:
        with only_kfc_errors():
            rows = sample_file.read_sample(
                written, atomic.sha256(content) if sealed else sha256
            )
            assert isinstance(rows.x, np.ndarray)
    finally:
        (written / sample_file.FILE).write_bytes(good)


@fuzzed(60)
@given(data=st.data())
def test_any_journal_is_read_or_refused(written, data):
    good = (written / "journal.jsonl").read_bytes()
    (written / "any.jsonl").write_bytes(data.draw(damaged(good)))
    with only_kfc_errors():
        for event in read_events(written / "any.jsonl"):
            assert event in [{"kind": "told", "number": n, "score": 0.5} for n in range(3)]


@fuzzed(40)
@given(event=st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_any_event_of_a_right_checksum_is_read_or_refused(folder, event):
    try:
        body = json.dumps({"kind": event, "x": "[" * 3}).encode()
    except (TypeError, ValueError):
        return  # nothing that JSON can hold
    line = b'{"crc32":"%08x","event":%s}\n' % (zlib.crc32(body), body)
    (folder / "crc.jsonl").write_bytes(line)
    with only_kfc_errors():
        assert len(read_events(folder / "crc.jsonl")) == 1


# --- what is printed ---------------------------------------------------------------------

ODD = ("=1+1", "-2+3", "@SUM(A1)", "+1", "\t=1", "\x1b[31m", "a\nb", '"', "\ud800", "\u202e")
NAMES = st.text(max_size=12) | st.sampled_from(ODD)


@fuzzed(80)
@given(labels=st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_any_labels_make_a_harmless_table(labels):
    chosen = np.array(labels, object)[[0, 1, 1]]
    numbers = np.full((3, len(labels)), 1 / len(labels))
    task = Task((2,), "float32", tuple(labels))
    text = table(Predictions(chosen, numbers[:, 0], numbers, np.empty(0)), task)
    text.encode("utf-8")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in rows] == [len(labels) + 2] * 4
    for cell in (cell for row in rows for cell in row):
        assert cell.isprintable()
        if cell.lstrip().startswith(("=", "+", "-", "@")):
            float(cell)  # a number alone


@fuzzed(60)
@given(parts=st.tuples(NAMES, NAMES, NAMES, NAMES), text=st.text())
def test_any_text_is_one_line_that_steers_no_terminal(parts, text):
    assert str(Finding(*parts)).isprintable()
    assert one_line(text).isprintable()
