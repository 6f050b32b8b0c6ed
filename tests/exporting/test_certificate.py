import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

import kfc
from kfc.data import Intervals, Task
from kfc.exporting import certificate, formats
from kfc.runs.predictions import from_outputs
from kfc.runs.sample_file import Sample

CLASSES = Task((2,), "float32", ("a", "b", "c"))
TWO_VALUES = Task((2,), "float32", (), outputs=2)
OWN = [[4.0, 1.0, 0.0], [2.0, 2.00001, 1.0]]


@pytest.fixture
def compared(monkeypatch):
    """Compares a run that says `own` with a model that says `answer`, in no process."""

    def compare(own, answer, task=CLASSES, *, limit=certificate.LIMIT, nan_rows=(None,) * 3):
        def outputs(folder, exporter, calls):
            return [outputs_of(call) for call in calls]

        def outputs_of(call):
            said = {k: np.array(v)[: call.rows] for k, v in answer.items()}
            if not call.nan_rows:
                return said
            return {k: np.concatenate([*none(k, v, nan_rows), v]) for k, v in said.items()}

        def none(name, values, given):
            shape = (1, *values.shape[1:])
            empty = "" if name == "label" else np.nan
            return [np.full(shape, empty if row is None else row[name]) for row in given]

        monkeypatch.setattr(certificate, "_outputs", outputs)
        rows = Sample(np.zeros((len(own), 2), np.float32), np.array(own, np.float32))
        serves = formats.SAVED_MODEL
        where = {"input_name": "features", "request": None}
        return certificate.compare_with_run(Path(), serves, rows, task, limit=limit, **where)

    return compare


def said(own, **changes):
    logits = np.array(own, np.float32)
    predictions = from_outputs(logits, CLASSES)._asdict()
    found = {name: values for name, values in predictions.items() if values.size}
    return {"logits": logits} | found | changes


def test_equal_answers_differ_in_nothing(compared):
    parity = compared(OWN, said(OWN))
    assert (parity.max_difference, parity.ties, parity.rows) == (0.0, 0, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": ["a", "c"]}, "the label 'b' for row 1 .* got 'c'"),
        ({"label": ["a", "other"]}, "the label 'b' for row 1 .* got 'other'"),
        ({"probability": [0.9, 0.0]}, r"the probability of softmax\(logits\)"),
        ({"probability": [np.nan, 0.9]}, r"the probability of softmax\(logits\)"),
        ({"probabilities": np.full((2, 3), 1 / 3)}, r"the probabilities of softmax"),
        ({"logits": np.array(OWN) + 1e-4}, "logits within 1e-05 of the run's own"),
        ({"logits": np.full((2, 3), np.nan)}, "logits within 1e-05 of the run's own"),
        ({"logits": np.array(OWN).T}, r"logits \(2, 3\), .* got .*logits \(2, 2\)"),
        (
            {"probability": [[0.9], [0.9]]},
            r"probability \(2,\) from .* got .*probability \(2, 1\)",
        ),
        ({"more": [1, 2]}, r"got label \(2,\), logits \(2, 3\), more \(2,\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_answer_that_differs_is_refused(changes, message, compared):
    with pytest.raises(kfc.NumbersError, match=message):
        compared(OWN, said(OWN, **changes))


@pytest.mark.parametrize("place", [0, 1, 2], ids=["NaN", "infinity", "minus infinity"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "a"}, "an empty label for a row with NaN or infinity from a .*, got 'a'"),
        ({"probability": 1.0}, "probability NaN for a row with NaN or infinity .*, got 1.0"),
        ({"logits": np.inf}, "logits NaN for a row with NaN or infinity .*, got inf"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_row_without_numbers_must_be_answered_with_none(place, changes, message, compared):
    nothing = {"label": "", "probability": np.nan, "probabilities": np.nan, "logits": np.nan}
    rows = [None] * 3
    rows[place] = nothing | changes
    with pytest.raises(kfc.NumbersError, match=message):
        compared(OWN, said(OWN), nan_rows=rows)


def test_a_row_beside_one_without_numbers_must_be_answered_as_ever(compared, monkeypatch):
    parity = compared(OWN, said(OWN))
    assert parity.nan_rows == 3
    assert parity.calls[-1] == "batch with NaN rows"


@pytest.mark.parametrize("missing", ["label", "probability", "probabilities", "logits"])
def test_every_output_must_be_there(missing, compared):
    answer = said(OWN)
    del answer[missing]
    with pytest.raises(kfc.NumbersError, match=f"expected .*{missing} "):
        compared(OWN, answer)


def test_a_label_may_differ_where_the_runs_own_logits_are_equal_within_the_limit(compared):
    other = [OWN[0], [2.00002, 2.00001, 1.0]]
    parity = compared(OWN, said(other))
    assert (parity.ties, parity.max_difference) == (1, pytest.approx(5e-6, rel=0.1))


def test_a_label_may_not_differ_where_bfloat16_moves_a_logit_by_more_than_the_limit(compared):
    own, other = [[3.0, 3.07, 1.0]], [[3.05, 3.03, 1.0]]  # each 0.05 or less, of 3 * 0.02
    with pytest.raises(kfc.NumbersError, match="the label 'b' for row 0"):
        compared(own, said(other), limit=certificate.LIMIT_BFLOAT16)


def test_each_output_of_a_regression_has_a_scale_of_its_own(compared):
    own = np.array([[1e6, 1.0], [2e6, 2.0]])
    assert compared(own, {"value": own}, TWO_VALUES).max_difference == 0
    with pytest.raises(kfc.NumbersError, match=r"a difference of 0\.05"):
        compared(own, {"value": own + np.array([0, 0.1])}, TWO_VALUES)


def test_the_bounds_of_intervals_are_compared_for_each_output(compared):
    task = dataclasses.replace(TWO_VALUES, intervals=Intervals(0.9, (1e5, 0.5)))
    own = np.array([[1e6, 1.0], [2e6, 2.0]])
    width = np.array([1e5, 0.5])
    answer = {"value": own, "lower": own - width, "upper": own + width}
    assert compared(own, answer, task).max_difference == 0
    with pytest.raises(kfc.NumbersError, match="upper within 1e-05 of the run's own"):
        compared(own, answer | {"upper": own + width + np.array([0, 1e-3])}, task)
    with pytest.raises(kfc.NumbersError, match="lower"):
        compared(own, answer | {"lower": np.full((2, 2), np.nan)}, task)
    with pytest.raises(kfc.NumbersError, match=r"expected lower \(2, 2\), upper \(2, 2\)"):
        compared(own, {"value": own}, task)


def test_a_regression_of_one_output_gives_one_number_per_row(compared):
    task = dataclasses.replace(TWO_VALUES, outputs=1)
    assert compared([[1.0], [2.0]], {"value": [1.0, 2.0]}, task).max_difference == 0
    with pytest.raises(kfc.NumbersError, match=r"expected value \(2,\)"):
        compared([[1.0], [2.0]], {"value": [[1.0], [2.0]]}, task)


def test_the_cause_of_a_failure_is_the_line_with_the_exceptions_type():
    stderr = (
        "noise\nTraceback (most recent call last):\n  File 'x', line 1, in load\n    load()\n"
        "FileNotFoundError: no variables\n You may be loading on another device.\nmore noise\n"
    )
    ended = subprocess.CompletedProcess((), 1, "", stderr)
    assert certificate._cause(ended) == "FileNotFoundError: no variables"
    ended = subprocess.CompletedProcess((), -11, "", "killed")
    assert certificate._cause(ended) == "exit code -11: killed"
