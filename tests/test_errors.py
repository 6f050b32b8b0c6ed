import dataclasses
import pickle

import pytest

import kfc
from kfc.errors import Finding, KfcError, SpecError, nearest, one_line

FINDING = Finding("training.epochs", "an integer", "'3'", "Use for example epochs: 20.")

KINDS = {
    "SpecError": (2, ValueError),
    "RegistryError": (2, LookupError),
    "BusyError": (3, BlockingIOError),
    "DataError": (4, ValueError),
    "DiskError": (5, OSError),
    "NumbersError": (6, ArithmeticError),
    "CheckpointError": (7, RuntimeError),
    "PluginError": (8, ImportError),
    "WorkerError": (9, ConnectionError),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_error_has_its_exit_code_and_a_built_in_base(name):
    kind = getattr(kfc, name)
    code, base = KINDS[name]
    assert kind.exit_code == code
    assert issubclass(kind, KfcError)
    assert issubclass(kind, base)


def test_every_error_of_the_package_is_in_the_table():
    found = {
        kind.__name__ for kind in [*KfcError.__subclasses__(), *SpecError.__subclasses__()]
    }
    assert found == set(KINDS)


def test_a_message_has_four_parts():
    assert str(FINDING) == (
        "training.epochs: expected an integer, got '3'. Use for example epochs: 20."
    )


def test_a_message_names_the_line_where_there_is_one():
    finding = Finding("seed", "an integer", "true", "Use 0.", "my.yaml, line 7")
    assert str(finding) == "seed (my.yaml, line 7): expected an integer, got true. Use 0."


def test_json_names_the_cause_and_the_cure_of_a_finding():
    finding = dataclasses.replace(
        FINDING, code="KFC204", name="input_type", evidence={"row": 3}
    )
    assert finding.as_json() == {
        "code": "KFC204",
        "name": "input_type",
        "severity": "error",
        "cause": "expected an integer, got '3'",
        "evidence": {"row": 3},
        "path": "training.epochs",
        "cure": "Use for example epochs: 20.",
        "changes": {},
    }


def test_a_finding_without_a_check_has_no_code_and_no_evidence():
    assert (FINDING.code, FINDING.severity, FINDING.evidence) == ("", "error", {})
    assert {FINDING: 1}[FINDING] == 1


def test_a_message_without_remedy_ends_with_a_full_stop():
    assert str(Finding("seed", "an integer", "true")) == "seed: expected an integer, got true."


def test_an_error_keeps_all_its_findings_one_per_line():
    error = SpecError(FINDING, Finding("seed", "an integer", "true"))
    assert len(error.findings) == 2
    assert str(error).splitlines() == [str(finding) for finding in error.findings]


@pytest.mark.parametrize("name", KINDS)
def test_errors_survive_a_trip_between_processes(name):
    error = pickle.loads(pickle.dumps(getattr(kfc, name)(FINDING)))
    assert error.findings == (FINDING,)
    assert str(error) == str(FINDING)


@pytest.mark.parametrize(
    ("name", "found"),
    [("sdg", "sgd"), ("ADAM", "adam"), ("Adam ", "adam"), ("zzz", ""), ("", "")],
)
def test_the_nearest_known_name_is_offered(name, found):
    hint = nearest(name, ["adam", "sgd", "rmsprop"])
    assert hint == (f"Did you mean {found!r}? " if found else "")


def test_a_message_is_one_line_that_cannot_steer_a_terminal():
    finding = Finding("a\x1b[31mb", "c\nd", "\ud800\x07", "e\r\n")
    assert str(finding) == "a\\x1b[31mb: expected c d, got \\ud800\\x07. e"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, \u00fc\u4e2d", "plain, \u00fc\u4e2d"),
        ("a\nb\rc\r\nd\x0be\u2028f", "a b c d e f"),
        ("\x1b[31m\x00\x9b", "\\x1b[31m\\x00\\x9b"),
        ("\u202egnp.exe\u200b", "\\u202egnp.exe\\u200b"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
    ids=["printable", "line ends", "controls", "directions", "half a character", "nothing"],
)
def test_other_peoples_text_becomes_one_printable_line(text, line):
    assert one_line(text) == line


def test_a_name_that_was_cut_short_is_completed():
    assert nearest("val_acc", ["val_mcc", "val_accuracy"]) == "Did you mean 'val_accuracy'? "
