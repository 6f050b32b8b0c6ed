"""An exported folder and a sample of test rows -> a certificate that both say the same.

The folder is loaded by a fresh process in which neither kfc nor Keras can be imported.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kfc.data import Task
from kfc.errors import Finding, NumbersError
from kfc.exporting import serving_signature
from kfc.exporting.formats import Exporter
from kfc.exporting.requests import Request
from kfc.runs import Sample, class_logits, from_outputs

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
        calls: Asked of the model: sizes of batches, the signature of columns, the request,
            and rows with NaN and infinity in front of one of the sample.
        nan_rows: Rows with NaN or infinity that the model was asked about, each of which it
            answered with NaN; 0 where the inputs are whole numbers.
        max_difference: Largest difference of logits or values, see
            `kfc.runs.sample_file.Sample.difference`.
        limit: The largest that is allowed.
        ties: Rows with another label than the run's, where its logits of both are equal
            within `limit`; 0 for a regression.
    """

    rows: int
    calls: tuple[str, ...]
    nan_rows: int
    max_difference: float
    limit: float
    ties: int


class _Question(NamedTuple):
    call: str
    signature: str
    inputs: Mapping[str, np.ndarray]
    rows: int  # the first of the sample
    nan_rows: int = 0  # in front of them


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
    can serve it, by columns and with the request that goes with it. Where inputs are floats it
    is also asked for rows with NaN and infinity, which it must answer with NaN, in a batch
    with one row of the sample, which it must answer as ever.

    Args:
        folder: What `exporter` wrote.
        exporter: Says how to load it.
        sample: Test rows and the run's own outputs.
        task: What the network was trained for.
        input_name: Of a whole batch.
        request: The request to be tried, for the first row of the sample.
        limit: On the difference.

    Raises:
        NumbersError: If the model cannot be loaded or asked, if a label differs, if a
            difference is larger than `limit`, or if a row with NaN or infinity is answered
            with numbers or a class.
    """
    questions = _questions(exporter, sample, task, input_name, request)
    if task.classification:
        sample = Sample(sample.x, class_logits(sample.outputs))
    differences, ties = [], set()
    for question, answer in zip(questions, _ask(folder, exporter, questions), strict=True):
        _check_shapes(answer, task, question, serves=exporter.serves)
        _check_nan_rows(answer, question)
        answer = {name: values[question.nan_rows :] for name, values in answer.items()}
        differences.append(_difference(answer, sample, task, question, limit))
        if task.classification and question.rows:
            _check_probabilities(answer, task, question)
            ties |= _ties(answer, sample, task, question, limit)
    calls = tuple(question.call for question in questions)
    nan_rows = sum(question.nan_rows for question in questions)
    return Parity(len(sample.x), calls, nan_rows, max(differences), limit, len(ties))


def _questions(
    exporter: Exporter, sample: Sample, task: Task, input_name: str, request: Request | None
) -> list[_Question]:
    """Returns what the model is asked: by batch, by column, the request, and not numbers."""
    by_column = exporter.serves and bool(task.feature_names)

    def columns(x: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(serving_signature.column_names(task.feature_names), x.T, strict=True))

    questions = [
        _Question(f"batch of {n}", "", {input_name: sample.x[:n]}, n)
        for n in dict.fromkeys((len(sample.x), 1, 0))
    ]
    if by_column:
        x = sample.x
        questions.append(_Question("columns", serving_signature.ROWS, columns(x), len(x)))
    if request is not None:
        inputs = request.inputs(task.input_dtype)
        questions.append(_Question("request", request.signature, inputs, 1))
    if np.issubdtype(sample.x.dtype, np.floating):
        x, n = _with_nan_rows(sample.x[:1]), len(_NO_NUMBERS)
        questions.append(_Question("batch with NaN rows", "", {input_name: x}, 1, n))
        if by_column:
            inputs = columns(x)
            questions.append(
                _Question("columns with NaN rows", serving_signature.ROWS, inputs, 1, n)
            )
    return questions


_NO_NUMBERS = (np.nan, np.inf, -np.inf)


def _with_nan_rows(row: np.ndarray) -> np.ndarray:
    """Returns a row preceded by copies of it, one for each of `_NO_NUMBERS`, in one cell."""
    x = np.repeat(row, len(_NO_NUMBERS) + 1, axis=0)
    cells = x.reshape(len(x), -1)  # (rows, features), a view
    for number, value in enumerate(_NO_NUMBERS):
        cells[number, number % cells.shape[1]] = value
    return x


def _check_nan_rows(answer: Mapping[str, np.ndarray], question: _Question) -> None:
    """Checks that rows without numbers are answered with NaN, and with no class."""
    for name, values in answer.items():
        said = values[: question.nan_rows]
        is_text = said.dtype.kind in "US"
        right = said == serving_signature.NO_LABEL if is_text else np.isnan(said)
        if not right.all():
            raise _refused(
                f"{'an empty label' if is_text else f'{name} NaN'} for a row with NaN or "
                f"infinity from a {question.call}",
                repr(said[~right][0].item()),
            )


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
        command = [sys.executable, "-P", _PROBE, os.getpid(), exporter.runtime]
        ended = subprocess.run(
            [*map(str, command), str(folder), str(asked), str(answered)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            # On the processor, as the sample was; see `kfc.runs.sample_file.outputs_on_cpu`.
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        )
        if ended.returncode == os.EX_IOERR:
            raise OSError(errno.EIO, ended.stderr.strip())
        if ended.returncode != 0:
            raise _refused("a model that loads without kfc and Keras", _cause(ended))
        found: list[dict[str, np.ndarray]] = [{} for _ in questions]
        with np.load(answered, allow_pickle=False) as results:
            for key, values in results.items():
                number, _, name = key.split("/", 2)
                found[int(number)][name] = values
    return found


def _cause(ended: subprocess.CompletedProcess[str]) -> str:
    """Returns the line with an exception's type, which stands right below its traceback."""
    raised = re.findall(r"^Traceback \(most.*\n(?: .*\n)*(\S.*)", ended.stderr, re.MULTILINE)
    return raised[-1] if raised else f"exit code {ended.returncode}: {ended.stderr[-200:]}"


def _check_shapes(
    answer: Mapping[str, np.ndarray], task: Task, question: _Question, *, serves: bool
) -> None:
    """Checks names and shapes of all outputs."""
    rows = question.nan_rows + question.rows
    wanted = serving_signature.output_shapes(task, rows, serves=serves)
    got = {name: values.shape for name, values in answer.items()}
    if got != wanted:
        raise _refused(f"{_shown(wanted)} from a {question.call}", _shown(got))


def _difference(
    answer: Mapping[str, np.ndarray],
    sample: Sample,
    task: Task,
    question: _Question,
    limit: float,
) -> float:
    """Compares logits or values with the sample, and returns the difference."""
    name = "logits" if task.classification else "value"
    outputs = answer[name].reshape(question.rows, sample.outputs.shape[1])
    difference = sample.difference(outputs, by_output=not task.classification)
    if not difference <= limit:  # NaN too
        raise _refused(
            f"{name} within {limit:g} of the run's own, relative to the largest",
            f"a difference of {difference:.3g} from a {question.call}",
        )
    return difference


def _check_probabilities(
    answer: Mapping[str, np.ndarray], task: Task, question: _Question
) -> None:
    """Checks probabilities against logits that have passed."""
    implied = from_outputs(answer["logits"], task)
    for name in ("probabilities", "probability"):
        if name not in answer:
            continue
        off = np.abs(answer[name] - getattr(implied, name)).max()
        if not off <= LIMIT:
            raise _refused(
                f"the {name} of softmax(logits)",
                f"one that is {off:.3g} off from a {question.call}",
            )


def _ties(
    answer: Mapping[str, np.ndarray],
    sample: Sample,
    task: Task,
    question: _Question,
    limit: float,
) -> set[int]:
    """Returns the rows whose label is not the run's, though its logit is within `limit`."""
    own = sample.outputs[: question.rows]  # (rows, classes)
    wanted = from_outputs(own, task).label
    labels = answer.get("label", from_outputs(answer["logits"], task).label)
    room = limit * np.abs(sample.outputs).max()
    ties = {int(row) for row in np.flatnonzero(labels != wanted)}
    for row in ties:
        named = [number for number, name in enumerate(task.class_names) if name == labels[row]]
        if not named or own[row].max() - own[row, named].max() > room:
            raise _refused(
                f"the label {str(wanted[row])!r} for row {row} of the sample from a "
                f"{question.call}",
                repr(str(labels[row])),
            )
    return ties


def _shown(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items())) or "nothing"


def _refused(expected: str, got: str) -> NumbersError:
    return NumbersError(
        Finding(
            "export",
            expected,
            got,
            "Nothing was exported. Try another --format; the network may use an operation "
            "that this one lacks.",
        )
    )
