import io
import json

import pytest
from rich.console import Console

from kfc.diagnosing import Diagnosis
from kfc.errors import Finding

ERROR = Finding(
    "hidden_1", "units", "none", "Add some.", code="KFC323", cure={"network.init": "he_normal"}
)
WARNING = Finding(
    "loss",
    "low",
    "high",
    "Scale.",
    code="KFC325",
    name="start_loss_high",
    severity="warning",
    evidence={"loss": 30.0},
    cure={"network.init": "zeros", "data.scale": "standard"},
)


@pytest.fixture
def diagnosis():
    return Diagnosis((ERROR, WARNING), {"loss": 30.0}, "digits")


def test_errors_and_warnings_are_told_apart(diagnosis):
    assert diagnosis.codes == ("KFC323", "KFC325")
    assert (diagnosis.errors, diagnosis.warnings) == ((ERROR,), (WARNING,))


def test_of_two_changes_of_a_key_the_first_counts(diagnosis):
    assert diagnosis.changes == {"network.init": "he_normal", "data.scale": "standard"}


def test_json_has_the_keys_of_each_finding(diagnosis):
    facts = json.loads(json.dumps(diagnosis.as_json()))
    keys = {"code", "name", "severity", "cause", "evidence", "path", "cure", "changes"}
    assert [set(each) for each in facts["findings"]] == [keys, keys]
    assert facts["findings"][1]["evidence"] == {"loss": 30.0}
    assert facts["measured"] == {"loss": 30.0}


def test_the_text_says_what_was_found(diagnosis):
    first, *lines = repr(diagnosis).splitlines()
    assert first == "Diagnosis of digits: 1 error, 1 warning"
    assert "loss: expected low, got high. Scale. [KFC325 start_loss_high]" in lines[1]
    assert repr(Diagnosis((), {}, "digits")) == "Diagnosis of digits: nothing found"


def test_the_table_shows_cause_and_cure(diagnosis):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(diagnosis)
    text = console.export_text()
    assert "KFC323" in text
    assert "network.init: he_normal" in text
