"""Certificates from elsewhere."""

import json
import shutil

import pytest

import kfc
from kfc.exporting.loaded_export import load_export
from kfc.runs import result_file

CHANGES = {
    "ties of text": {"ties": "none"},
    "ties that are missing": {"ties": None},
    "ties below zero": {"ties": -1},
    "ties that are true": {"ties": True},
    "a difference of text": {"max_difference": "1e-9"},
    "a limit of nothing": {"limit": None},
    "a version of text": {"version": "1"},
    "a version of 0": {"version": 0},
    "a version beyond 64 bits": {"version": 10**30},
    "a name that is a list": {"name": ["table"]},
    "a format that is a number": {"format": 3},
    "an input that is an object": {"input": {}},
    "files that are a list": {"files": []},
    "files without sums": {"files": {"model.onnx": 1}},
    "rows of text": {"rows": "60"},
    "a task of text": {"task": "classes"},
    "input names that are numbers": {"input_names": {"a": 1}},
}
TASKS = {
    "class names that are numbers": {"class_names": [0, 1]},
    "class names that are text": {"class_names": "ab"},
    "a shape of text": {"input_shape": "4"},
    "a shape of nothing": {"input_shape": []},
    "a shape below zero": {"input_shape": [-4]},
    "a shape of fractions": {"input_shape": [4.0]},
    "outputs of none": {"outputs": 0},
    "a type that is none": {"input_dtype": "object"},
    "a scaling of text": {"scaling": {"shift": "0", "divisor": "1"}},
    "a scaling of quantiles of text": {"scaling": {"values": [["0"]], "scores": [[0.0]]}},
    "a scaling of nested lists": {"scaling": {"shift": [[0.0]], "divisor": 1.0}},
    "a scaling that is missing": {"target_scaling": None},
    "feature names that are none": {"feature_names": [None]},
}


@pytest.fixture
def changed(exported, tmp_path):
    """The folder of an export whose certificate is another, sealed as if it were its own."""

    def made(change):
        folder = shutil.copytree(exported("table", "onnx").path, tmp_path / "1")
        facts = json.loads((folder / "certificate.json").read_text("utf-8"))
        del facts["sha256"]
        change(facts)
        (folder / "certificate.json").write_text(
            result_file.as_json(result_file.with_sha256(facts)), "utf-8"
        )
        return folder

    return made


@pytest.mark.parametrize("what", CHANGES)
def test_a_fact_of_another_type_is_refused(what, changed):
    folder = changed(lambda facts: facts.update(CHANGES[what]))
    with pytest.raises(kfc.CheckpointError, match="a model that was exported, got Validation"):
        load_export(folder)


@pytest.mark.parametrize("what", TASKS)
def test_a_task_with_a_part_of_another_type_is_refused(what, changed):
    folder = changed(lambda facts: facts["task"].update(TASKS[what]))
    with pytest.raises(kfc.CheckpointError, match="got ValidationError: task"):
        load_export(folder)


@pytest.mark.parametrize(
    "name",
    ["name", "version", "format", "input", "rows", "calls", "limit", "task", "files", "ties"],
)
def test_a_fact_that_is_missing_is_refused(name, changed):
    folder = changed(lambda facts: facts.pop(name))
    with pytest.raises(
        kfc.CheckpointError, match=f"got ValidationError: .*{name}|Value error"
    ):
        load_export(folder)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "[]", "3", "", '{"sha256": NaN}', '{"version": 1e999}'],
    ids=["lists", "objects", "list", "number", "nothing", "nan", "infinity"],
)
def test_what_is_no_certificate_is_refused(text, exported, tmp_path):
    folder = shutil.copytree(exported("table", "onnx").path, tmp_path / "1")
    (folder / "certificate.json").write_text(text, "utf-8")
    with pytest.raises(kfc.CheckpointError, match="a model that was exported"):
        load_export(folder)


def test_a_certificate_of_ours_is_taken(changed):
    assert load_export(changed(lambda facts: facts.update(later="more"))).version == 1
