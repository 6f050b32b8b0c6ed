import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

import kfc.cli
import kfc.spec
from kfc.tuning.space import Space

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = 1
"""Number of blocks of Python that are marked as not run; each new one is a decision."""

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    page: Path
    line: int
    code: str
    reason: str | None


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        if found["language"] in languages:
            line = text.count("\n", 0, found.start("code"))
            yield Block(page, line, found["code"], found["reason"])


PYTHON = {page: list(blocks(page, "python")) for page in PAGES}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON[page]], ids=lambda page: page.stem
)
def test_every_block_of_python_runs(page, tmp_path, monkeypatch, unasked):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page.stem}
    with unasked():
        for block in PYTHON[page]:
            if block.reason is None:
                # The empty lines in front give a traceback the line numbers of the page.
                code = compile("\n" * block.line + block.code, str(page), "exec")
                exec(code, namespace)


def test_blocks_that_are_not_run_are_few_and_say_why():
    marked = [block for page in PAGES for block in PYTHON[page] if block.reason]
    assert len(marked) == NOT_RUN
    for block in marked:
        compile(block.code, str(block.page), "exec")


def test_every_example_in_yaml_is_a_spec_or_a_search(tmp_path):
    found = [block.code for page in PAGES for block in blocks(page, "yaml")]
    assert len(found) == 2
    for number, code in enumerate(found):
        if code.startswith("search:"):
            code = "network:\n  init: {name: truncated_normal, stddev: 0.1}\n" + code
        path = tmp_path / f"{number}.yaml"
        path.write_text(code)
        spec = kfc.spec.load(path)
        if spec.search is not None:
            names = {parameter.name for parameter in Space.of(spec).parameters}
            assert names >= {"network.hidden.depth", "training.batch_size"}
        else:
            assert spec.name == "fashion"


def test_every_command_exists():
    known = set(typer.main.get_command(kfc.cli.app).commands)
    for page in PAGES:
        shown = re.findall(r"(?:^\$ |`|&& )kfc ([a-z]\w*)", page.read_text("utf-8"), re.M)
        assert set(shown) <= known, page


def test_the_first_screen_has_one_line_to_run_and_one_to_test():
    first_screen = "\n".join(README.read_text("utf-8").splitlines()[:45])
    assert first_screen.count("$ python -m pip install . && kfc fit") == 1
    assert re.findall(r"^\$ .*pytest.*$", first_screen, flags=re.MULTILINE) == [
        "$ python -m pip install -e '.[test]' && python -m pytest"
    ]


def test_the_readme_has_one_line_for_the_tests_and_130_at_most():
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= 130
    assert sum(line.startswith("$ ") and "pytest" in line for line in lines) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_linked_or_named_file_exists(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:experiments|tests|kfc)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_guide_is_linked_from_the_readme_and_listed_in_the_navigation():
    readme, navigation = README.read_text("utf-8"), (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in readme
        assert f": {page.name}\n" in navigation
