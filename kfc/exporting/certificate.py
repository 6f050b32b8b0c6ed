"""An exported folder and a sample of test rows -> a certificate that both say the same.

The folder is loaded by a fresh process in which neither kfc nor Keras can be imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kfc.data import Task
from kfc.errors import Fault, NumbersError
from kfc.exporting import signatures
from kfc.exporting.exporters import Exporter
from kfc.exporting.serving import Request
from kfc.predictions import class_logits, from_outputs
from kfc.sample import Sample

LIMIT = 1e-5
"""Largest relative difference of logits; what one float32 operation rounds is 6e-8."""
LIMIT_BFLOAT16 = 2e-2
"""Where hidden layers compute in bfloat16, which rounds by 4e-3."""

_PROBE = Path(__file__).with_name("probe.py")  # which nobody may import: it forbids kfc


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Args:
        rows: Of the sample.
        calls: Asked of the model: sizes of batches, the signature of columns, the request.
        max_difference: Of logits or values, see `kfc.sample.Sample.difference`.
        limit: The largest that is allowed.
    """

    rows: int
    calls: tuple[str, ...]
    max_difference: float
    limit: float


class _Question(NamedTuple):
    call: str
    signature: str
    inputs: Mapping[str, np.ndarray]
    rows: int  # the first of the sample


def compare(
    folder: Path,
    exporter: Exporter,
    sample: Sample,
    task: Task,
    *,
    input_name: str,
    request: Request | None,
    limit: float = LIMIT,
) -> Parity:
    """Asks an exported model about the sample, in a fresh process, and compares.

    It is asked for all rows at once, for one and for none, and, where TensorFlow Serving
    can serve it, by columns and with the request that goes with it.

    Args:
        folder: What `exporter` wrote.
        exporter: Says how to load it.
        sample: Test rows and the run's own outputs.
        task: What the network was trained for.
        input_name: Of a whole batch.
        request: The request to be tried, for the first row of the sample.
        limit: On the difference.

    Raises:
        NumbersError: If the model cannot be loaded or asked, if a label differs, or if a
            difference is larger than `limit`.
    """
    questions = [
        _Question(f"batch of {n}", "", {input_name: sample.x[:n]}, n)
        for n in dict.fromkeys((len(sample.x), 1, 0))
    ]
    if exporter.serves and task.columns:
        names = signatures.column_names(task.columns)
        columns = dict(zip(names, sample.x.T, strict=True))
        questions.append(_Question("columns", signatures.ROWS, columns, len(sample.x)))
    if request is not None:
        inputs = request.inputs(task.input_dtype)
        questions.append(_Question("request", request.signature, inputs, 1))

    if task.classification:
        sample = Sample(sample.x, class_logits(sample.outputs))
    differences = [
        _difference(answer, sample, task, question, limit)
        for question, answer in zip(questions, _ask(folder, exporter, questions), strict=True)
    ]
    calls = tuple(question.call for question in questions)
    return Parity(len(sample.x), calls, max(differences), limit)


def _ask(
    folder: Path, exporter: Exporter, questions: list[_Question]
) -> list[dict[str, np.ndarray]]:
    """Returns the outputs by name of each question."""
    with tempfile.TemporaryDirectory(prefix="kfc-") as work:
        asked, answered = Path(work) / "questions.npz", Path(work) / "answers.npz"
        arrays = {
            f"{number}/{question.signature}/{name}": values
            for number, question in enumerate(questions)
            for name, values in question.inputs.items()
        }
        np.savez(asked, allow_pickle=False, **arrays)
        # -P: the script's own folder is no place to import from.
        command = [sys.executable, "-P", _PROBE, exporter.runtime]
        ended = subprocess.run(
            [*map(str, command), str(folder), str(asked), str(answered)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if ended.returncode != 0:
            lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise _refused("a model that loads without kfc and Keras", lines[-1])
        found: list[dict[str, np.ndarray]] = [{} for _ in questions]
        with np.load(answered, allow_pickle=False) as results:
            for key, values in results.items():
                number, _, name = key.split("/", 2)
                found[int(number)][name] = values
    return found


def _difference(
    answer: Mapping[str, np.ndarray],
    sample: Sample,
    task: Task,
    question: _Question,
    limit: float,
) -> float:
    """Compares one answer with the sample, and returns the difference."""
    name = "logits" if task.classification else "value"
    shape = (question.rows, sample.outputs.shape[1])
    if name not in answer or answer[name].size != np.prod(shape):
        got = ", ".join(f"{key} {values.shape}" for key, values in answer.items())
        raise _refused(f"{name} {shape} from a {question.call}", got)
    outputs = answer[name].reshape(shape)
    difference = sample.difference(outputs)
    if not difference <= limit:  # NaN too
        raise _refused(
            f"{name} within {limit:g} of the run's own, relative to the largest",
            f"a difference of {difference:.3g} from a {question.call}",
        )
    if task.classification and question.rows:
        _check_classes(answer, sample, task, question, limit)
    return difference


def _check_classes(
    answer: Mapping[str, np.ndarray],
    sample: Sample,
    task: Task,
    question: _Question,
    limit: float,
) -> None:
    """Checks labels and probabilities against logits that have passed."""
    implied = from_outputs(answer["logits"], task)
    off = np.abs(answer["probabilities"] - implied.probabilities).max()
    if not off <= LIMIT:
        got = f"probabilities that are {off:.3g} off from a {question.call}"
        raise _refused("the softmax of the logits", got)
    labels = answer.get("label", implied.label)
    numbers = np.array([[label == name for name in task.labels] for label in labels])
    own = sample.outputs[: question.rows]
    # A label other than the run's own may only be one that the run's own equals, within
    # what is allowed: rounding decides between them.
    best = np.where(numbers, own, -np.inf).max(axis=1)
    lost = own.max(axis=1) - best > limit * np.abs(sample.outputs).max()
    if lost.any():
        row = int(np.argmax(lost))
        wanted = task.labels[own[row].argmax()]
        raise _refused(
            f"the label {wanted!r} for row {row} of the sample from a {question.call}",
            repr(str(labels[row])),
        )


def _refused(expected: str, got: str) -> NumbersError:
    return NumbersError(
        Fault(
            "export",
            expected,
            got,
            "Nothing was exported. Try another --format; the network may use an operation "
            "that this one lacks.",
        )
    )
