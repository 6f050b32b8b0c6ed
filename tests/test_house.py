"""The files around the package agree with the package and with each other."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

HOUSE = Path(__file__).parent.parent
EXPERIMENTS = HOUSE / "experiments"
FORMS = ["bug", "feature", "question"]


def text(name):
    return (HOUSE / name).read_text("utf-8")


def yaml(name):
    return YAML(typ="safe").load(text(name))


def project():
    return tomllib.loads(text("pyproject.toml"))["project"]


def folders(parent):
    return {path.parent.name for path in (HOUSE / parent).glob("*/*.py")}


def test_every_experiment_is_in_the_index_with_its_command():
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\) \| .+ \| `python experiments/(\w+)/(\w+\.py)\b",
        text("experiments/README.md"),
        re.MULTILINE,
    )
    assert [name for name, _, _ in rows] == sorted(folders("experiments"))
    for name, folder, script in rows:
        assert name == folder
        assert (EXPERIMENTS / folder / script).is_file()


def test_links_of_the_index_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)", text("experiments/README.md"))
    assert [link for link in links if not (EXPERIMENTS / link).exists()] == []


def test_the_workflow_calls_ci_run_on_every_supported_python():
    workflow = yaml(".github/workflows/ci.yml")
    assert {"push", "pull_request"} <= set(workflow["on"])
    (job,) = workflow["jobs"].values()
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project()["requires-python"]).groups()
    supported = [f"3.{minor}" for minor in range(int(low), int(high))]
    assert job["strategy"]["matrix"]["python"] == supported


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_has_the_keys_that_the_host_asks_for(name):
    form = yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field["validations"]["required"] for field in fields)


def test_hooks_run_the_installed_ruff():
    (repository,) = yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_citation_and_changelog_have_the_version_of_the_package():
    citation = yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == project()["license"]
    titles = re.findall(
        r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text("CHANGELOG.md"), re.MULTILINE
    )
    assert titles[0] == ("Unreleased", "")
    assert titles[1] == (project()["version"], str(citation["date-released"]))
    assert str(citation["version"]) == project()["version"]


def test_the_package_is_marked_as_typed():
    assert (HOUSE / "kfc" / "py.typed").is_file()


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        (["tests/data/test_splits.py"], 0),
        (["tests/test_house.py::test_x[a::b]"], 0),
        (["tests/data/test_splits.py::test_x", "tests/data/test_checks.py"], 0),
        (["tests/data"], 0),
        (["tests"], None),
        (["."], None),
        (["experiments"], None),
        (["tests/data", "tests/spec"], None),
        (["-n", "auto", "tests/data"], None),
        (["--numprocesses=auto", "tests/data"], None),
    ],
)
def test_one_folder_or_file_runs_in_one_process(pytestconfig, monkeypatch, words, processes):
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    conftest = pytestconfig.pluginmanager.get_plugin(str(HOUSE / "tests" / "conftest.py"))
    asked = SimpleNamespace(
        args=[word for word in words if word != "auto" and not word.startswith("-")],
        invocation_params=SimpleNamespace(args=words, dir=HOUSE),
    )
    assert conftest.pytest_xdist_auto_num_workers(asked) == processes


def table():
    """Returns the rows of CONTRIBUTING's table: what has changed, and the test command."""
    return re.findall(
        r"^\| (.+?) \| (`python -m pytest .+) \|$", text("CONTRIBUTING.md"), re.MULTILINE
    )


def test_every_folder_has_a_test_command():
    changed = {name for cell, _ in table() for name in re.findall(r"`kfc/(\w+)", cell)}
    assert folders("kfc") <= changed
    commanded = {name for _, cell in table() for name in re.findall(r"tests/(\w+)", cell)}
    assert folders("tests") - {"demo_plugin"} <= commanded


def test_every_path_of_the_test_commands_exists():
    paths = {path for _, cell in table() for path in re.findall(r"tests/[\w/.]+", cell)}
    paths |= {path for cell, _ in table() for path in re.findall(r"`([\w/.]+)`", cell)}
    assert sorted(path for path in paths if not (HOUSE / path).exists()) == []
