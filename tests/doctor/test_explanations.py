import email.message
import importlib.util
import re
from pathlib import Path

import pytest

from kfc.check_table import CHECKS
from kfc.diagnosing import background, page_address, sections
from kfc.errors import SpecError

DOCS = Path(__file__).parents[2] / "docs"


def test_every_check_has_a_section_under_its_name():
    text = (DOCS.parent / "kfc" / "diagnosing" / "findings.md").read_text("utf-8")
    titles = re.findall(r"^## (\S+) (\S+)$", text, re.MULTILINE)
    assert sorted(titles) == sorted((check.code, check.name) for check in CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_background_says_the_cause_and_the_cure(check):
    text = sections()[check.code]
    assert len(text) > 40
    assert text.endswith((".", ">"))
    if check.code.startswith("KFC3"):
        assert "Source: " in text


def test_a_background_is_found_by_code_or_name():
    assert background("KFC323") == background("kfc323") == background("units_identical")
    assert background("KFC323").startswith("KFC323 units_identical (error, first steps)\n\n")


def test_an_unknown_code_is_refused():
    with pytest.raises(SpecError, match="the code of a check"):
        background("KFC999")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("unit_dead", "units_dead"),
        ("softmax_hiden", "softmax_hidden"),
        ("dropout", "dropout_too_high"),
        ("broadcast", "target_broadcast"),
        ("dead-relu", "units_dead"),
    ],
)
def test_the_nearest_check_is_offered(given, name):
    with pytest.raises(SpecError, match=f"Did you mean '{name}'"):
        background(given)


def test_codes_are_offered_where_no_name_is_near():
    with pytest.raises(SpecError, match="Use a code from KFC101 to KFC415, or a name"):
        background("nosuch")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_background_has_a_source_or_says_where_the_rule_comes_from(check):
    text = sections()[check.code]
    assert re.search(r"^(Source: |A rule of kfc|Common practice)", text, re.MULTILINE)


@pytest.fixture(scope="module")
def findings_page():
    path = DOCS / "findings_page.py"
    spec = importlib.util.spec_from_file_location("findings_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_the_documentation_are_made_from_the_package(findings_page):
    remedy = "Run `python docs/findings_page.py`."
    for path, text in findings_page.pages().items():
        assert path.is_file(), remedy
        assert path.read_text("utf-8") == text, remedy


def test_every_code_has_a_page_and_every_page_a_code(findings_page):
    codes = sorted(check.code for check in CHECKS)
    assert sorted(path.stem for path in (DOCS / "findings").iterdir()) == codes
    index = (DOCS / "findings.md").read_text("utf-8")
    assert re.findall(r"\(findings/(KFC\d+)\.md\)", index) == codes


def test_a_background_names_no_page_that_a_user_may_not_have():
    """An installed package has no folder `docs`."""
    assert page_address("KFC323") == ""
    assert "docs/" not in background("KFC323")
    assert "Page:" not in background("KFC323")


def test_a_background_names_the_page_of_the_site_where_there_is_one(monkeypatch):
    about = email.message.Message()
    about["Project-URL"] = "Documentation, https://kfc.example/docs/"
    monkeypatch.setattr("kfc.diagnosing.explanations.metadata.metadata", lambda _: about)
    assert page_address("KFC323") == "https://kfc.example/docs/findings/KFC323/"
    assert background("KFC323").endswith("\n\nPage: https://kfc.example/docs/findings/KFC323/")
