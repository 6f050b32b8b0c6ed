"""The words of docstrings, comments and messages, and the names of definitions."""

import ast
import io
import pathlib
import re
import tokenize
from collections import defaultdict

import pytest

import kfc

PACKAGE = pathlib.Path(kfc.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
EACH = pytest.mark.parametrize(
    "path",
    MODULES,
    ids=[".".join(p.relative_to(PACKAGE).with_suffix("").parts) for p in MODULES],
)

# A fragment begins like this, a sentence or a noun phrase does not.
FRAGMENT = re.compile(
    r"(Of|What|How|If|That|As|In|By|From|To|With|For|Where|When|Who|Why|Is|Are|At|On|Or|And|"
    r"Not|So|Per)\b"
)
# They are nobody's terms, or a plainer word exists: fix, checkpoint, resume, equal, therefore.
UNCLEAR = re.compile(
    r"\b(mend\w*|twins?|spans?|carried|kinks?|bent|shaken|ledger|lies|comes? to|came to|"
    r"told (?:from|apart)|go(?:es|ing)? on|went on|so named|wherever|whoever|whence|thereof|"
    r"lest|nought|hitherto|prove[sd]?|proof)\b",
    re.IGNORECASE,
)
MOST_WHAT = 0.4
"""Uses of "what" per 1,000 docstring words; Keras, Optax and Equinox have 0.0 to 0.4."""


def docstrings(path):
    """Yields (name, docstring) of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


def arguments(docstring):
    """Yields (name, text) of the entries under `Args:` and `Attributes:`."""
    section = re.split(r"\n(?:Args|Attributes):\n", f"\n{docstring}")[1:]
    for block in section:
        for line in block.splitlines():
            if line and not line.startswith(" "):
                break
            if entry := re.match(r" {4}\*{0,2}([\w`, *]+?)(?: \([^)]*\))?: (.+)", line):
                yield entry.groups()


def texts(path):
    """Yields the comments and the strings of a module, docstrings and messages included."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type in kinds:
            yield token.start[0], token.string


@EACH
def test_a_docstring_begins_as_a_sentence(path):
    for name, text in docstrings(path):
        first = text.splitlines()[0]
        assert not FRAGMENT.match(first), f"{name}: {first}"
        assert name != "module" or "->" not in first, first


@EACH
def test_an_argument_s_entry_begins_with_a_noun_phrase(path):
    for name, text in docstrings(path):
        for argument, entry in arguments(text):
            assert not FRAGMENT.match(entry), f"{name}, {argument}: {entry}"


@EACH
def test_no_text_has_a_word_that_is_nobody_s_term(path):
    found = [(line, m.group()) for line, text in texts(path) for m in UNCLEAR.finditer(text)]
    assert not found


def test_docstrings_name_things_instead_of_saying_what():
    words = " ".join(text for path in MODULES for _, text in docstrings(path)).lower().split()
    times = sum(word.strip("`.,:;()") == "what" for word in words)
    assert 1000 * times / len(words) <= MOST_WHAT


def test_no_two_modules_share_a_name():
    folders = [path for path in PACKAGE.rglob("*") if (path / "__init__.py").exists()]
    modules = [p for p in MODULES if p.stem != p.parent.name]  # a folder's main module
    names = [path.stem for path in [*modules, *folders] if not path.stem.startswith("__")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("kind", [ast.ClassDef, ast.FunctionDef], ids=["classes", "functions"])
def test_no_two_public_definitions_share_a_name(kind):
    """Commands have the names of the functions that they call; each runtime has a `load`."""
    places = defaultdict(list)
    for path in MODULES:
        if path.parent.name in ("cli", "runtimes"):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                places[node.name].append(path.stem)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
