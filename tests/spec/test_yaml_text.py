import math

import pytest

from kfc.errors import SpecError
from kfc.spec import dump_spec, load_spec, read_value
from kfc.spec.parsing import read_yaml

CORE = {
    **{"1_000": "1_000", "0b11": "0b11", "-_": "-_", "1:30": "1:30", "=": "=", "1e": "1e"},
    **{".5e3": 500.0, "1.": 1.0, "-.5": -0.5, "1E+2": 100.0, "+1": 1, "0777": 777},
    **{"0o17": 15, "0x1F": 31, "0o8": "0o8", "-0x1": "-0x1", "1e3": 1000.0},
    **{"True": True, "FALSE": False, "tRUE": "tRUE", "Null": None, "~": None, "": None},
    **{"-.inf": -math.inf, ".INF": math.inf, "+.inf": math.inf, "inf": "inf", "nan": "nan"},
    "2001-12-14T21:59:43.10-05:00": "2001-12-14T21:59:43.10-05:00",
}


@pytest.mark.parametrize("text", CORE)
def test_a_plain_scalar_is_what_the_core_schema_says(text):
    """YAML 1.2.2, section 10.3.2."""
    found = read_yaml(f"key: {text}\n", "").values["key"]
    assert (type(found), found) == (type(CORE[text]), CORE[text])
    assert read_value(text) == found
    assert read_yaml(f"key: '{text}'\n", "").values["key"] == text


def test_text_that_looks_like_a_number_comes_back_from_a_dump(tmp_path):
    choices = [text for text in CORE if text]
    spec = load_spec({"search": {"space": {"network.activation": {"choice": choices}}}})
    (tmp_path / "spec.yaml").write_text(dump_spec(spec))
    again = load_spec(tmp_path / "spec.yaml").search.space["network.activation"]
    assert list(again.choice) == choices


VALID = {
    "a comment before a value (P94K)": ("a: # c\n  b\n\nd: 0\n", {"a": "b", "d": 0}),
    "several comments": ("a:  # c\n  # d\n  b\n\n\n", {"a": "b"}),
    "comments in a list": ("a:\n# c\n- 1\n  # d\n- 2 # e\n", {"a": [1, 2]}),
    "comments in flow": ("a: [ # c\n 1, # d\n 2 # e\n ]\n", {"a": [1, 2]}),
    "tabs as separation": ("a:\tb\nc:\t[1,\t2]\t# c\n", {"a": "b", "c": [1, 2]}),
    "tabs in flow": ('{\n\t"a": 1,\n\t"b": [\n\t\t1\n\t]\n}', {"a": 1, "b": [1]}),
    "a tab on an empty line": ("a: 1\n\t\nb: 2\n\t# c\nd: 3", {"a": 1, "b": 2, "d": 3}),
    "a tab after a dash": ("a:\n-\t1\n", {"a": [1]}),
    "line ends of Windows": ("a: 1\r\nb:\r\n  - 1\r\n", {"a": 1, "b": [1]}),
    "markers": ("%YAML 1.2\n--- # c\na: 1\n...\n# end\n", {"a": 1}),
    "a reserved directive": ("%FOO bar\n---\na: 1\n", {"a": 1}),
    "several lines": ("a: one\n  two\n\n  three\n", {"a": "one two\nthree"}),
    "double quotes": ('a: "one \\\n  two\\u00e9\\/"\n', {"a": "one two\u00e9/"}),
    "single quotes": ("a: 'it''s\n  b'\n", {"a": "it's b"}),
    "literal and folded": ("a: |\n x\n y\nb: >-\n x\n y\n", {"a": "x\ny\n", "b": "x y"}),
    "indentation said": ("a: |1+\n  x\n\nb: 1\n", {"a": " x\n\n", "b": 1}),
    "explicit keys": ("? a\n: 1\n? b\n: - 1\n", {"a": 1, "b": [1]}),
    "compact lists": ("a:\n- b: 1\n  c: 2\n- - 1\n", {"a": [{"b": 1, "c": 2}, [1]]}),
    "anchors": ("a: &x 1\nb: &x {c: &y 1}\n", {"a": 1, "b": {"c": 1}}),
    "commas at the end": ("a: [1, 2,]\nb: {x: 1,}\n", {"a": [1, 2], "b": {"x": 1}}),
    "colons in text": ("a: b:c\nd: [http://x:80/a]\n", {"a": "b:c", "d": ["http://x:80/a"]}),
    "marks that begin text": ("{a: ?x, b: -x}", {"a": "?x", "b": "-x"}),
    "a pair in a list": ("a: [b: 1, c: 2]\n", {"a": [{"b": 1}, {"c": 2}]}),
    "a colon on the next line": ('{a\n : 1, "b"\n: 2}', {"a": 1, "b": 2}),
    "a text with the marks of a merge key": ("a: <<\n'<<': 1", {"a": "<<", "<<": 1}),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_yaml_is_read(case):
    text, values = VALID[case]
    assert read_yaml(text, "").values == values


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_yaml_as_windows_saves_it_is_read(encoding, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_bytes("name: größe\r\n".encode(encoding))
    assert load_spec(path).name == "größe"


def test_a_tab_may_not_indent():
    with pytest.raises(SpecError, match="cannot start any token"):
        read_yaml("a:\n\tb: 1\n", "")


# The suite's own timeout ends what does not end; no number of seconds is asserted.
@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "1," * 49_000 + "]",
        "".join(f"k{number}: 1\n" for number in range(9_000)),
        "a:\n" + "- {}\n" * 19_000,
        "[" * 99_000,
    ],
    ids=lambda text: text[:8],
)
def test_more_values_than_a_page_holds_are_refused(text):
    with pytest.raises(SpecError, match="at most"):
        read_yaml(text, "")


def test_a_whole_page_of_values_is_read():
    assert len(read_yaml("a: [" + "1," * 9_000 + "]", "").values["a"]) == 9_000
