"""Comparison of an exported model with its run, on test rows.

The exported model is loaded by a fresh process that can import neither kfc nor Keras.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kfc.data import Task
from kfc.errors import Finding, NumbersError
from kfc.exporting import serving_signature
from kfc.exporting.formats import Exporter
from kfc.exporting.requests import AnyRequest
from kfc.exporting.table_requests import with_bad_rows
from kfc.runs import Sample, from_outputs
from kfc.training import class_logits

LIMIT = 1e-5
"""Largest relative difference of logits; one float32 operation rounds by 6e-8."""
LIMIT_BFLOAT16 = 2e-2
"""The same for hidden layers that compute in bfloat16, which rounds by 4e-3."""

_PROBE = Path(__file__).with_name("probe.py")  # run, never imported: it forbids kfc


@dataclass(frozen=True)
class Parity:
    """Result of a comparison.

    Args:
        rows: Number of rows in the sample.
        calls: Calls of the model: batches of several sizes, the signature with an input per
            feature, the request, and rows with NaN and infinity before a row of the sample.
        nan_rows: Number of rows with NaN or infinity in these calls, each of which the model
            answered with NaN; 0 for integer inputs.
        max_difference: Largest difference of logits or values, see
            `kfc.runs.sample_file.Sample.difference`.
        limit: Largest difference that is allowed.
        ties: Number of rows with another label than the run's although the run's logits of
            both classes are equal within `limit`; 0 for a regression.
    """

    rows: int
    calls: tuple[str, ...]
    nan_rows: int
    max_difference: float
    limit: float
    ties: int


class _Call(NamedTuple):
    name: str
    signature: str
    inputs: Mapping[str, np.ndarray]
    rows: int  # number of rows of the sample, from its first
    nan_rows: int = 0  # number of rows before them


def compare_with_run(
    folder: Path,
    exporter: Exporter,
    sample: Sample,
    task: Task,
    *,
    input_name: str,
    request: AnyRequest | None,
    limit: float = LIMIT,
) -> Parity:
    """Calls an exported model on the sample, in a fresh process, and compares the outputs.

    The model is called on all rows at once, on one row and on none. If TensorFlow Serving can
    serve it, it is also called by feature, and with the request that is exported beside it.
    For float inputs it is also called on rows with NaN and infinity, in a batch with one row
    of the sample: the former must give NaN, the latter its usual outputs.

    Args:
        folder: Folder that `exporter` has written.
        exporter: Format of the model.
        sample: Test rows and the run's own outputs.
        task: Task of the network.
        input_name: Name of the input for a batch.
        request: The exported request, for the first row of the sample.
        limit: Largest difference that is allowed.

    Raises:
        NumbersError: If the model cannot be loaded or called, if a label differs, if a
            difference is larger than `limit`, or if a row with NaN or infinity gives numbers
            or a class.
    """
    calls = _calls(exporter, sample, task, input_name, request)
    if task.classification:
        sample = replace(sample, outputs=class_logits(sample.outputs))
    differences, ties = [], set()
    for call, outputs in zip(calls, _outputs(folder, exporter, calls), strict=True):
        _check_shapes(outputs, task, call, serves=exporter.serves)
        _check_nan_rows(outputs, call)
        outputs = {name: values[call.nan_rows :] for name, values in outputs.items()}
        differences.append(_difference(outputs, sample, task, call, limit))
        if task.classification and call.rows:
            _check_probabilities(outputs, task, call)
            ties |= _ties(outputs, sample, task, call, limit)
        elif task.intervals is not None and call.rows:
            _check_bounds(outputs, sample, task, call, limit)
    names = tuple(call.name for call in calls)
    nan_rows = sum(call.nan_rows for call in calls)
    return Parity(len(sample.x), names, nan_rows, max(differences), limit, len(ties))


def _calls(
    exporter: Exporter, sample: Sample, task: Task, input_name: str, request: AnyRequest | None
) -> list[_Call]:
    """Returns the calls to make: by batch, by feature, the request, and rows with NaN."""
    if task.table is not None:
        return _table_calls(sample, task, request)
    by_feature = exporter.serves and bool(task.feature_names)

    def features(x: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(serving_signature.input_names(task.feature_names), x.T, strict=True))

    calls = [
        _Call(f"batch of {n}", "", {input_name: sample.x[:n]}, n)
        for n in dict.fromkeys((len(sample.x), 1, 0))
    ]
    if by_feature:
        x = sample.x
        calls.append(_Call("columns", serving_signature.ROWS, features(x), len(x)))
    if request is not None:
        inputs = request.inputs(task.input_dtype)
        calls.append(_Call("request", request.signature, inputs, 1))
    if np.issubdtype(sample.x.dtype, np.floating):
        x, n = _with_nan_rows(sample.x[:1]), len(_NOT_FINITE)
        calls.append(_Call("batch with NaN rows", "", {input_name: x}, 1, n))
        if by_feature:
            signature = serving_signature.ROWS
            calls.append(_Call("columns with NaN rows", signature, features(x), 1, n))
    return calls


def _table_calls(sample: Sample, task: Task, request: AnyRequest | None) -> list[_Call]:
    """Returns the calls of a table: by columns, the request, and rows that give NaN."""
    calls = [
        _Call(f"batch of {n}", "", {name: x[:n] for name, x in sample.columns.items()}, n)
        for n in dict.fromkeys((len(sample.x), 1, 0))
    ]
    if request is not None:
        inputs = request.inputs(task.input_dtype)
        calls.append(_Call("request", request.signature, inputs, request.num_rows))
    columns, bad = with_bad_rows(sample, task)
    if bad:
        calls.append(_Call("batch with NaN rows", "", columns, 1, bad))
    return calls


_NOT_FINITE = (np.nan, np.inf, -np.inf)


def _with_nan_rows(row: np.ndarray) -> np.ndarray:
    """Returns a row after copies of it, each with a value of `_NOT_FINITE` in one cell."""
    x = np.repeat(row, len(_NOT_FINITE) + 1, axis=0)
    cells = x.reshape(len(x), -1)  # (rows, features), a view
    for number, value in enumerate(_NOT_FINITE):
        cells[number, number % cells.shape[1]] = value
    return x


def _check_nan_rows(outputs: Mapping[str, np.ndarray], call: _Call) -> None:
    """Checks that rows with NaN or infinity give NaN and no class."""
    for name, values in outputs.items():
        given = values[: call.nan_rows]
        is_text = given.dtype.kind in "US"
        right = given == serving_signature.NO_LABEL if is_text else np.isnan(given)
        if not right.all():
            raise _refused(
                f"{'an empty label' if is_text else f'{name} NaN'} for a row with NaN or "
                f"infinity from a {call.name}",
                repr(given[~right][0].item()),
            )


def _outputs(
    folder: Path, exporter: Exporter, calls: list[_Call]
) -> list[dict[str, np.ndarray]]:
    """Makes the calls in a fresh process, and returns the outputs by name of each."""
    with tempfile.TemporaryDirectory(prefix="kfc-") as work:
        inputs_file, outputs_file = Path(work) / "inputs.npz", Path(work) / "outputs.npz"
        arrays = {
            f"{number}/{call.signature}/{name}": values
            for number, call in enumerate(calls)
            for name, values in call.inputs.items()
        }
        np.savez(inputs_file, allow_pickle=False, **arrays)
        ended = _run_probe(exporter.runtime, folder, inputs_file, outputs_file)
        if ended.returncode == os.EX_IOERR:
            raise OSError(errno.EIO, ended.stderr.strip())
        if ended.returncode != 0:
            raise _refused("a model that loads without kfc and Keras", _cause(ended))
        found: list[dict[str, np.ndarray]] = [{} for _ in calls]
        with np.load(outputs_file, allow_pickle=False) as results:
            for key, values in results.items():
                number, _, name = key.split("/", 2)
                found[int(number)][name] = values
    return found


def _run_probe(*arguments: Path) -> subprocess.CompletedProcess[str]:
    """Runs `probe.py` with these arguments in a fresh process."""
    # With -P nothing is imported from the folder of the script.
    command = [sys.executable, "-P", str(_PROBE), str(os.getpid()), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        # On the CPU, like the sample; see `kfc.runs.sample_file.outputs_on_cpu`.
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )


def _cause(ended: subprocess.CompletedProcess[str]) -> str:
    """Returns the line with the type of an exception, which follows its traceback."""
    raised = re.findall(r"^Traceback \(most.*\n(?: .*\n)*(\S.*)", ended.stderr, re.MULTILINE)
    return raised[-1] if raised else f"exit code {ended.returncode}: {ended.stderr[-200:]}"


def _check_shapes(
    outputs: Mapping[str, np.ndarray], task: Task, call: _Call, *, serves: bool
) -> None:
    """Checks names and shapes of all outputs."""
    rows = call.nan_rows + call.rows
    wanted = serving_signature.output_shapes(task, rows, serves=serves)
    got = {name: values.shape for name, values in outputs.items()}
    if got != wanted:
        raise _refused(f"{_shown(wanted)} from a {call.name}", _shown(got))


def _difference(
    outputs: Mapping[str, np.ndarray], sample: Sample, task: Task, call: _Call, limit: float
) -> float:
    """Compares logits or values with the sample, and returns the difference."""
    name = "logits" if task.classification else "value"
    values = outputs[name].reshape(call.rows, sample.outputs.shape[1])
    difference = sample.difference(values, by_output=not task.classification)
    if not difference <= limit:  # true for NaN too
        raise _refused(
            f"{name} within {limit:g} of the run's own, relative to the largest",
            f"a difference of {difference:.3g} from a {call.name}",
        )
    return difference


def _check_probabilities(outputs: Mapping[str, np.ndarray], task: Task, call: _Call) -> None:
    """Checks probabilities against the softmax of logits that were checked before."""
    implied = from_outputs(outputs["logits"], task)
    for name in ("probabilities", "probability"):
        if name not in outputs:
            continue
        off = np.abs(outputs[name] - getattr(implied, name)).max()
        if not off <= LIMIT:
            raise _refused(
                f"the {name} of softmax(logits)",
                f"one that is {off:.3g} off from a {call.name}",
            )


def _check_bounds(
    outputs: Mapping[str, np.ndarray], sample: Sample, task: Task, call: _Call, limit: float
) -> None:
    """Checks the bounds of intervals against those of the run."""
    own = from_outputs(sample.outputs, task)
    size = np.maximum(np.abs(own.lower), np.abs(own.upper)).max(axis=0)
    for name in ("lower", "upper"):
        wanted = getattr(own, name)[: call.rows].astype(np.float64)
        off = np.abs(outputs[name].reshape(wanted.shape) - wanted)
        difference = (off / np.where(size == 0, 1.0, size)).max()
        if not difference <= limit:
            raise _refused(
                f"{name} within {limit:g} of the run's own, relative to the largest",
                f"a difference of {difference:.3g} from a {call.name}",
            )


def _ties(
    outputs: Mapping[str, np.ndarray], sample: Sample, task: Task, call: _Call, limit: float
) -> set[int]:
    """Returns the rows whose label is not the run's, though its logit is within `limit`."""
    own = sample.outputs[: call.rows]  # (rows, classes)
    wanted = from_outputs(own, task).label
    labels = outputs.get("label", from_outputs(outputs["logits"], task).label)
    room = limit * np.abs(sample.outputs).max()
    ties = {int(row) for row in np.flatnonzero(labels != wanted)}
    for row in ties:
        named = [number for number, name in enumerate(task.class_names) if name == labels[row]]
        if not named or own[row].max() - own[row, named].max() > room:
            raise _refused(
                f"the label {str(wanted[row])!r} for row {row} of the sample from a "
                f"{call.name}",
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
