"""Runs every code block of the README and of the guides, and every example in a docstring."""

import contextlib
import copy
import doctest
import importlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import kfc
from kfc import cli
from kfc.spec import Spec, load_spec
from kfc.tuning.space import Space

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *GUIDES]

NOT_RUN = [
    ("cluster.md", "$ ray get-auth-token --generate"),
    ("coming-from.md", "import keras_tuner"),
    ("coming-from.md", "input_features:"),
    ("eject.md", "$ python digits.py"),
    ("plugins.md", "$ kfc fit data.source=circles:200 data.scale=standard"),
]
"""Page and beginning of each block that is marked as not run; a new one is a decision."""

SETTING_UP = ("git clone ", "cd ", "python -m pip install ", "python -m pytest")
"""Beginnings of the commands that this test leaves out, since it runs after them."""

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[\w.-]+)\")?\n(?P<code>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code on a page, which is a file of that name where it has a title."""

    language: str
    title: str | None
    code: str
    line: int
    reason: str | None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code"))
        yield Block(found["language"], found["title"], found["code"], line, found["reason"])


# --- blocks of code -----------------------------------------------------------------------


class Reader:
    """Someone who types what a page says, in the current folder, from top to bottom."""

    def __init__(self, page: Path) -> None:
        self.page, self.names, self.output = page, {"__name__": page.stem}, ""

    def follow(self, block: Block) -> None:
        """Does what a block says; a block of text is what the block before it prints."""
        if block.title:
            Path(block.title).write_text(block.code, "utf-8")
        if block.language == "python":
            # The empty lines in front give a traceback the line numbers of the page.
            code = compile("\n" * block.line + block.code, str(self.page), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(code, self.names)
            self.output = printed.getvalue()
        elif block.language == "console":
            for command, expected in commands(block.code):
                self.output = self.run(command, fails="error: " in expected)
                check_printed(expected, self.output)
        elif block.language == "yaml":
            check_spec(block.code)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "text":
            if not block.title:
                check_printed(block.code, self.output)
        else:
            raise ValueError(f"{self.page}:{block.line}: a block of {block.language}")

    def run(self, command: str, *, fails: bool) -> str:
        """Returns what the command lines of kfc in `command` print."""
        words, printed = shlex.split(command, comments=True), io.StringIO()
        command, _, file = shlex.join(words).partition(" '>' ")
        for part in command.split(" '&&' "):
            if part.startswith(SETTING_UP):
                continue
            program, *arguments = shlex.split(part)
            assert program == "kfc", command
            with (
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
                pytest.raises(SystemExit) as ended,
            ):
                cli.main(arguments)
            assert bool(ended.value.code) == fails, printed.getvalue()
        if file:
            Path(file).write_text(printed.getvalue(), "utf-8")
        return printed.getvalue()


def commands(code: str) -> Iterator[tuple[str, str]]:
    """Returns each command of a console with what it prints, as far as that is shown."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def check_printed(expected: str, printed: str) -> None:
    """Checks that lines were printed in this order, but for numbers and folders."""
    rest = iter([without_numbers(line) for line in printed.splitlines()])
    for line in filter(None, map(without_numbers, expected.splitlines())):
        assert line in rest, f"{line!r} is not in\n{printed}"


def without_numbers(line: str) -> str:
    line = re.sub(r"(?<![\w.:])/[\w/.-]+", "FOLDER", line)
    line = re.sub(r"\d[\d.,:e%+-]*|\bnone\b(?= +#| +\d)|from step \d+", "#", line)
    return " ".join(line.split())


def check_spec(code: str) -> None:
    Path("block.yaml").write_text(code, "utf-8")
    spec = load_spec("block.yaml")
    if spec.search:
        assert Space.of(spec).hyperparameters


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks(page))], ids=lambda page: page.stem
)
def test_every_block_of_code_does_what_the_page_says(page, tmp_path, monkeypatch, unasked):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    reader = Reader(page)
    with unasked():
        for block in blocks(page):
            if not block.reason:
                reader.follow(block)


def test_every_block_has_a_language_and_few_are_not_run():
    marked = []
    for page in PAGES:
        fences = re.findall(r"^ *```", page.read_text("utf-8"), flags=re.MULTILINE)
        found = list(blocks(page))
        assert len(fences) == 2 * len(found), page
        marked += [(page.name, block.code) for block in found if block.reason]
    assert len(marked) == len(NOT_RUN), marked
    for (page, code), (expected_page, beginning) in zip(marked, NOT_RUN, strict=True):
        assert page == expected_page
        assert code.startswith(beginning)


def test_a_block_that_prints_something_else_is_found():
    check_printed("loss  0.0843\n...\n".replace("...\n", ""), "epoch 1\nloss 0.7\n")
    with pytest.raises(AssertionError, match="accuracy"):
        check_printed("accuracy  0.9\n", "loss 0.7\n")


# --- docstrings ---------------------------------------------------------------------------


def with_examples() -> Iterator[str]:
    for path in sorted((ROOT / "kfc").rglob("*.py")):
        if ">>> " in path.read_text("utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("name", list(with_examples()))
def test_the_examples_in_docstrings_print_what_they_say(name, tmp_path, monkeypatch, unasked):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name.removesuffix(".__init__"))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner, report = doctest.DocTestRunner(optionflags=flags), io.StringIO()
    with unasked():
        for examples in doctest.DocTestFinder().find(module, extraglobs={"kfc": kfc}):
            runner.run(examples, out=report.write)
    assert not runner.failures, report.getvalue()


@pytest.mark.parametrize("name", kfc.__all__)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(kfc, name).__doc__


# --- the reference of keys ----------------------------------------------------------------


@pytest.fixture(scope="module")
def spec_keys():
    path = ROOT / "docs" / "spec_keys.py"
    spec = importlib.util.spec_from_file_location("spec_keys", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_keys_is_that_of_the_schema(spec_keys):
    remedy = "Run `python docs/spec_keys.py`."
    assert spec_keys.page(Spec.model_json_schema()) == spec_keys.PAGE.read_text("utf-8"), (
        remedy
    )


@pytest.mark.parametrize(
    ("part", "key"),
    [("TrainingSpec", "epochs"), ("EarlyStoppingSpec", "patience"), ("DataSpec", "scale")],
)
def test_a_key_without_a_description_is_refused(spec_keys, part, key):
    schema = copy.deepcopy(Spec.model_json_schema())
    del schema["$defs"][part]["properties"][key]["description"]
    with pytest.raises(ValueError, match=rf"without a description: .*\.{key}$"):
        spec_keys.page(schema)


# --- pages --------------------------------------------------------------------------------


def test_the_readme_is_one_page():
    assert len(README.read_text("utf-8").splitlines()) <= 130


def test_the_first_screen_has_one_line_to_run_and_one_to_test():
    first_screen = "\n".join(README.read_text("utf-8").splitlines()[:45])
    assert first_screen.count("$ python -m pip install . && kfc fit") == 1
    assert re.findall(r"^\$ .*pytest.*$", first_screen, flags=re.MULTILINE) == [
        "$ python -m pip install -e '.[test]' && python -m pytest"
    ]


def test_the_clone_line_has_the_address_of_the_project_where_there_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "ADDRESS")
    assert f"$ git clone {address} kfc && cd kfc" in README.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_linked_or_named_file_exists(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:experiments|tests|kfc)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_guide_is_linked_from_the_readme_and_listed_in_the_navigation():
    readme = README.read_text("utf-8")
    navigation = str(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"])
    for guide in GUIDES:
        assert f"'{guide.name}'" in navigation, guide.name
        assert guide.name == "index.md" or f"(docs/{guide.name})" in readme, guide.name


def test_the_reference_of_the_api_has_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    described = re.findall(r"^::: kfc\.([A-Za-z]\w*)$", text, flags=re.MULTILINE)
    assert sorted({*described} - {"testing"}) == sorted(kfc.__all__)


def test_the_site_builds_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path),
    ]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "api" / "index.html").read_text("utf-8").count("kfc.fit") > 1
