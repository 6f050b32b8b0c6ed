import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfc.errors import SpecError
from kfc.spec import load_spec

# --- values -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1e-3", "1E-3", ".001", "0.001", "1.0e-03"])
def test_yaml_numbers_are_numbers(read, text):
    assert (
        read(f"training: {{checkpoint_seconds: {text}}}").training.checkpoint_seconds == 0.001
    )


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n"])
def test_yaml_1_1_booleans_are_text(read, word):
    assert read(f"name: {word}").name == word


def test_yaml_1_1_base_sixty_is_text(read, finding_of):
    assert finding_of(read, "seed: 1:30").got == "'1:30'"


def test_a_date_is_text(read):
    assert read("name: 2026-01-31").name == "2026-01-31"


def test_no_version_directive_brings_yaml_1_1_back(read, finding_of):
    finding = finding_of(read, "%YAML 1.1\n---\nnetwork: {use_bias: yes}")
    assert (finding.expected, finding.got) == ("YAML 1.2", "%YAML 1.1")


def test_a_byte_order_mark_is_skipped(read):
    for suffix, text in (
        (".yaml", "seed: 3"),
        (".toml", "seed = 3"),
        (".json", '{"seed": 3}'),
    ):
        assert read(b"\xef\xbb\xbf" + text.encode(), suffix).seed == 3


def test_json_may_be_what_yaml_may_not(read):
    assert read('{"name"\n: "x", "seed": 3}', ".json").name == "x"
    with pytest.raises(SpecError, match=r"expected text that matches .* got '😀'"):
        read('{"name": "\\ud83d\\ude00"}', ".json")


# --- lines --------------------------------------------------------------------------------

LINES = {
    "yaml key": (".yaml", "name: a\n\nseed: -1\n", 3),
    "yaml list item": (".yaml", "network:\n  hidden:\n  - 3\n  - 0\n", 4),
    "yaml flow list": (".yaml", "network:\n  hidden: [3, 0]\n", 2),
    "yaml in a list": (".yaml", "network:\n  hidden:\n  - 3\n  - units: 0\n", 4),
    "yaml option": (".yaml", "training:\n  optimizer:\n    name: sgd\n    nesterov: 1\n", 4),
    "yaml missing": (".yaml", "training:\n  callbacks:\n  - {name: CSVLogger}\n", 3),
    "toml key": (".toml", "name = 'a'\nseed = -1\n", 2),
    "toml table": (".toml", "name = 'a'\n[training]\n\nepochs = 0\n", 4),
    "toml dotted": (".toml", "name = 'a'\ntraining.epochs = 0\n", 2),
    "toml quoted": (".toml", "\n'seed' = -1\n", 2),
    "toml lists of tables": (
        ".toml",
        "[[network.hidden]]\nunits = 3\n[[network.hidden]]\nunits = 0\n",
        4,
    ),
    "toml long list": (".toml", "[network]\nhidden = [\n 3,\n 0,\n]\n", 2),
    "json key": (".json", '{\n\t"name": "a",\n\t"seed": -1\n}', 3),
    "json list item": (".json", '{"network": {"hidden": [\n3,\n0\n]}}', 3),
    "json nan": (".json", '{\n"training":\n{"checkpoint_seconds": NaN}}', 3),
}


@pytest.mark.parametrize("case", LINES)
def test_a_finding_names_its_line(read, case, finding_of):
    suffix, text, line = LINES[case]
    assert finding_of(read, text, suffix).line.endswith(f"case{suffix}, line {line}")


def test_a_finding_of_a_built_in_spec_names_it(finding_of):
    finding = finding_of(
        load_spec, "digits", {"training.early_stopping": {"monitor": "accurcy"}}
    )
    assert finding.line == "override"


def test_a_dict_has_no_lines(finding_of):
    assert finding_of(load_spec, {"seed": -1}).line == ""


# --- texts that cannot be read ------------------------------------------------------------

BAD = {
    "empty": (".yaml", "", "keys and values", "nothing"),
    "comments only": (".yaml", "# nothing\n", "keys and values", "nothing"),
    "a list": (".yaml", "- a", "keys and values", "a list"),
    "text": (".yaml", "a", "keys and values", "text"),
    "a number": (".yaml", "3", "keys and values", "a number"),
    "unclosed": (".yaml", "seed: [1", "YAML that can be read", "the error:"),
    "a tab": (".yaml", "\tseed: 3", "YAML that can be read", "'\\t' that cannot start"),
    "a control character": (".yaml", "seed: \x07", "YAML that can be read", "#x0007"),
    "two documents": (".yaml", "seed: 1\n---\nseed: 2", "YAML that can be read", "document"),
    "duplicate": (".yaml", "seed: 1\nseed: 1", "each key once", "'seed' twice"),
    "alias": (".yaml", "name: &a x\nseed: *a", "values written out", "the alias *a"),
    "merge key": (".yaml", "<<: {seed: 3}", "values written out", "the merge key <<"),
    "inner merge key": (".yaml", "data: {<<: {rows: 3}}", "values written out", "<<"),
    "tag": (".yaml", "seed: !!python/object:os.system x", "plain values", "python/object"),
    "bang": (".yaml", "seed: ! 3", "plain values", "the tag !"),
    "deep": (".yaml", "a: " + "[" * 5000, "at most 20 levels", "more"),
    "deep maps": (".yaml", "a: " + "{a: " * 300, "at most 20 levels", "more"),
    "key is a number": (".yaml", "1: 2", "a known key", "the unknown key '1'"),
    "key as number and text": (".yaml", "1: 2\n'1': 2", "each key once", "'1' twice"),
    "key is null": (".yaml", "~: 2", "keys that are text", "nothing"),
    "key is a list": (".yaml", "? [a, b]\n: 3", "keys that are text", "a list or a mapping"),
    "key is a map": (".yaml", "{a: b}: 3", "keys that are text", "a list or a mapping"),
    "long number": (".yaml", "seed: " + "9" * 5000, "YAML that can be read", "4300 digits"),
    "json syntax": (".json", '{"seed": 1,}', "JSON that can be read", "the error:"),
    "json empty": (".json", "", "JSON that can be read", "Expecting value"),
    "json list": (".json", "[]", "keys and values", "a list"),
    "json null": (".json", "null", "keys and values", "nothing"),
    "json duplicate": (".json", '{"seed": 1,\n"seed": 1}', "each key once", "'seed' twice"),
    "json deep": (".json", "[" * 100_000, "at most 20 levels", "more"),
    "json deep maps": (".json", '{"a":' * 30 + "1" + "}" * 30, "at most 20 levels", "more"),
    "json long number": (".json", '{"a": ' + "9" * 5000 + "}", "JSON that can", "4300"),
    "json infinity": (".json", '{"seed": Infinity}', "a finite number", "inf"),
    "json half a pair": (".json", '{"name": "\\ud800"}', "text in Unicode", "ud800"),
    "toml syntax": (".toml", "seed", "TOML that can be read", "the error:"),
    "toml duplicate": (".toml", "seed = 1\nseed = 1", "TOML that can be read", "overwrite"),
    "toml deep": (".toml", "a = " + "[" * 30_000, "at most 20 levels", "more"),
    "toml long number": (".toml", "a = " + "9" * 5000, "TOML that can be read", "4300"),
    "toml nan": (".toml", "seed = nan", "a finite number", "nan"),
    "toml date": (".toml", "name = 2026-01-31", "text, a number", "the date 2026-01-31"),
    "not UTF-8": (".yaml", b"seed: 3\nname: \xe9", "UTF-8 text", "byte 0xe9"),
    "UTF-16": (".toml", "seed: 3".encode("utf-16"), "UTF-8 text", "byte 0xff"),
    "huge": (".yaml", b"#" * 100_001, "at most 100,000 bytes", "more"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_spec_is_refused_with_one_clear_finding(read, case):
    suffix, text, expected, got = BAD[case]
    with pytest.raises(SpecError) as caught:
        read(text, suffix)
    finding = caught.value.findings[0]
    assert expected in finding.expected
    assert got in finding.got
    assert "see the findings" not in str(finding)
    assert "expected" not in finding.got.removeprefix("the error: expected")


@pytest.mark.parametrize(
    ("case", "line"), [("alias", 2), ("duplicate", 2), ("json duplicate", 2), ("not UTF-8", 2)]
)
def test_what_cannot_be_read_names_its_line(read, case, line, finding_of):
    suffix, text, *_ = BAD[case]
    assert finding_of(read, text, suffix).line == f"line {line}"


def test_deep_toml_keys_are_refused(read):
    with pytest.raises(SpecError, match="at most 20 levels"):
        read("a" + ".a" * 500 + " = 1", ".toml")


def test_a_dict_that_holds_itself_is_refused():
    spec = {"seed": 3}
    spec["data"] = spec
    with pytest.raises(SpecError, match="at most 20 levels"):
        load_spec(spec)


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
@settings(deadline=None)
@given(text=st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_spec_or_a_spec_error(suffix, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"any{suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with suppress(SpecError):
            load_spec(path)


def test_a_folder_that_is_named_like_a_file_is_refused(tmp_path, finding_of):
    (tmp_path / "x.yaml").mkdir()
    assert finding_of(load_spec, tmp_path / "x.yaml").got == "a folder"


def test_json_and_dict_say_the_same(read):
    values = {"seed": 3, "network": {"hidden": [3, {"units": 4, "dropout": 0.5}]}}
    assert read(json.dumps(values), ".json") == load_spec({"name": "case", **values})
