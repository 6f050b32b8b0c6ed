import tomllib

import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec
from kfc.spec.toml_lines import TooDeepError, toml_lines

LINES = {
    "[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 1": {("a", 0, "b", 1, "c"): 5, ("a", 0, "b", 0): 2},
    "a = '''\n[b]\nc = 1\n'''\nd = 1": {("a",): 1, ("d",): 5},
    "a = [\n 1, # ]\n]\n[b]\n'c.d' = 1": {("b",): 4, ("b", "c.d"): 5},
    '[a."b.c" . d]\ne.f = 1': {("a", "b.c", "d", "e", "f"): 2},
}


@pytest.mark.parametrize("text", LINES)
def test_a_value_has_its_line(text):
    tomllib.loads(text)
    lines = toml_lines(text)
    assert LINES[text].items() <= lines.items()
    assert ("c",) not in lines


def test_keys_that_nest_too_deep_are_refused_with_their_line():
    for text in (
        "\na" + ".a" * 20 + " = 1",
        "\n[a" + ".a" * 20 + "]",
        "\na = " + "[" * 21,
        "\na = {b" + ".a" * 20 + " = 1}",
    ):
        with pytest.raises(TooDeepError) as caught:
            toml_lines(text)
        assert caught.value.line == 2


# Each took from 20 s to minutes, or gigabytes. The suite's own timeout ends what does not
# end; no number of seconds is asserted.
LONG = {
    "tables": "[[a]]\n" * 16_000,
    "tables in tables": "[[a]]\n[[a.b]]\n" * 7_000,
    "dotted key": "a" + ".a" * 49_000 + " = 1",
    "dotted header": "[a" + ".a" * 49_000 + "]",
    "dotted key in a value": "a = {b" + ".a" * 49_000 + " = 1}",
    "quoted key": '"a"' + '."a"' * 24_000 + " = 1",
    "deep tables": "a = " + "{a = " * 19_000,
    "quotes": 'a = "' + '\\"' * 49_000,
    "backslashes": '"\\' * 49_000,
    "list": "a = [" + "1," * 49_000 + "]",
}


@pytest.mark.parametrize("case", LONG)
def test_the_longest_texts_are_refused(case, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(LONG[case])
    with pytest.raises(SpecError):
        load_spec(path)
