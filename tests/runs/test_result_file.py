import json

import numpy as np
import pytest

import kfc
from kfc.data import Intervals, Task
from kfc.preprocessing import fit_scaling
from kfc.runs import environment, result_file

RESULT = {
    **{"folder": "0001-a", "metrics": {"test_loss": 0.1}, "epochs": 1, "seconds": 2.5},
    **{"weights_sha256": "ab", "data_sha256": "cd", "history": {"loss": [1e-05, 0.25]}},
}
TASK = Task((4,), "float32", ("a", "b"), feature_names=("größe", "w", "x", "y"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spec.yaml").write_text("name: a\nseed: 0\n")
    result_file.write_result(tmp_path, RESULT, TASK)
    return tmp_path


def test_what_is_written_is_read_again(folder):
    result, task = result_file.read_result(folder)
    assert {key: result[key] for key in RESULT} == RESULT
    assert result_file.task_facts(task) == result_file.task_facts(TASK)


@pytest.mark.parametrize("scale", ["none", "standard", "robust_clip", "quantile"])
def test_any_scaling_is_read_again(scale, folder):
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    task = Task((4,), "float32", ("a", "b"), scaling=fit_scaling(scale, x))
    result_file.write_result(folder, RESULT, task)
    read = result_file.read_result(folder)[1]
    np.testing.assert_array_equal(read.scaling.apply(x), task.scaling.apply(x))


@pytest.mark.parametrize(
    "task",
    [
        Task((4,), "float32", ("a", "b"), temperature=1.25),
        Task((4,), "float32", (), outputs=2, intervals=Intervals(0.9, (1.5, 0.0))),
    ],
)
def test_a_temperature_and_intervals_are_read_again(task, folder):
    result_file.write_result(folder, RESULT, task)
    read = result_file.read_result(folder)[1]
    assert (read.temperature, read.intervals) == (task.temperature, task.intervals)


def test_a_task_without_either_is_written_as_ever():
    assert {"temperature", "intervals"} & set(result_file.task_facts(TASK)) == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"intervals": {"coverage": 0.9, "half_widths": [1.0, 2.0]}},
        {"intervals": {"coverage": 1.0, "half_widths": [1.0]}},
        {"intervals": {"coverage": 0.9, "half_widths": [-1.0]}},
    ],
)
def test_an_uncertainty_that_cannot_be_is_refused(changes, folder):
    result = json.loads((folder / "result.json").read_text())
    del result["sha256"]
    result["task"] |= changes
    (folder / "result.json").write_text(json.dumps(result_file.with_sha256(result)))
    with pytest.raises(kfc.CheckpointError):
        result_file.read_result(folder)


@pytest.mark.parametrize("name", ["result.json", "spec.yaml"])
def test_no_bit_of_a_record_changes_what_is_read(name, folder):
    """Either it is refused, or, as in 1E-05, it says the same."""
    wanted, content = result_file.read_result(folder)[0], (folder / name).read_bytes()
    refused = 0
    for position in range(0, 8 * len(content), 3):  # every bit of a byte, in turn
        altered = bytearray(content)
        altered[position // 8] ^= 1 << position % 8
        (folder / name).write_bytes(altered)
        try:
            assert result_file.read_result(folder)[0] == wanted
        except kfc.CheckpointError:
            refused += 1
    assert refused >= 8 * len(content) // 3 - 8


def test_a_record_of_an_earlier_version_is_refused_with_a_remedy(folder):
    result = json.loads((folder / "result.json").read_text())
    del result["sha256"]
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(kfc.CheckpointError) as caught:
        result_file.read_result(folder)
    assert "no sha256 of its content: an earlier kfc wrote it" in str(caught.value)
    assert f"Train again with `kfc fit {folder}/spec.yaml`." in str(caught.value)


def test_a_record_of_another_form_is_of_another_version_and_not_damaged(folder):
    result = json.loads((folder / "result.json").read_text())
    del result["sha256"]
    result["task"]["labels"] = result["task"].pop("class_names")  # as kfc 0.1.0 wrote it
    (folder / "result.json").write_text(json.dumps(result_file.with_sha256(result)))
    with pytest.raises(kfc.CheckpointError) as caught:
        result_file.read_result(folder)
    (finding,) = caught.value.findings
    assert finding.where == str(folder)
    assert finding.got.startswith("another form of result.json (task.class_names: Field req")
    assert "correct the copy, and train again: `kfc fit COPY`" in finding.remedy


def test_a_record_without_its_spec_is_refused(folder):
    (folder / "spec.yaml").unlink()
    with pytest.raises(kfc.CheckpointError, match=r"got one without its spec.yaml"):
        result_file.read_result(folder)


def test_distributions_that_go_by_another_name_have_no_version():
    assert list(environment.versions_of(("numpy", "tensorflow-of-another-name"))) == ["numpy"]


def test_a_run_of_another_version_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "spec.yaml").write_text("training: {commit_seconds: 10}\n")
    with pytest.raises(kfc.CheckpointError) as caught:
        result_file.read_spec(tmp_path)
    (finding,) = caught.value.findings
    assert finding.where == str(tmp_path / "spec.yaml")
    assert "'commit_seconds'" in finding.got
    assert "kfc fit COPY" in finding.remedy
