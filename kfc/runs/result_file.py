"""Writes and reads `result.json`, the record of a finished run.

It is the last file written, so a run folder without it holds an unfinished run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PositiveInt, ValidationError

from kfc.data import Intervals, TableTask, Task
from kfc.errors import CheckpointError, Finding, SpecError, reason
from kfc.preprocessing import NumberBins, TargetScaling, scaling_from_config
from kfc.spec import Spec, load_spec
from kfc.system import atomic, safe_open
from kfc.training import for_json, from_json

_OTHER_VERSION = (
    "Another version of kfc wrote it, or somebody changed it. Copy spec.yaml, correct the "
    "copy, and train again: `kfc fit COPY`."
)


class _IntervalsRecord(BaseModel, strict=True, extra="forbid"):
    coverage: Annotated[float, Field(gt=0, lt=1)]
    half_widths: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]


class _TaskRecord(BaseModel, strict=True, extra="forbid"):
    """Task in `result.json`; the file's sha256 alone does not make its values valid."""

    input_shape: list[PositiveInt] = Field(min_length=1)
    input_dtype: Literal["uint8", "float32"]
    class_names: list[str]
    outputs: PositiveInt
    feature_names: list[str]
    targets: list[str] = []  # runs of earlier versions lack it
    scaling: (
        dict[Literal["shift", "divisor", "clip"], Any]
        | dict[Literal["values", "scores"], list[list[float]]]
    )
    target_scaling: dict[Literal["shift", "divisor"], Any]
    table: dict[str, Any] | None = None  # `TableTask.from_config` checks its values
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    limits: Annotated[list[list[float]], Field(min_length=2, max_length=2)] | None = None
    intervals: _IntervalsRecord | None = None
    number_bins: dict[Literal["edges"], list[list[float]]] | None = None


class _ResultRecord(BaseModel, strict=True, extra="allow"):
    """Keys of `result.json` that kfc reads; the others are for people."""

    folder: str
    metrics: dict[str, float]
    baseline: dict[str, float] = {}
    warnings: list[dict[str, Any]] = []
    passed_warnings: list[dict[str, Any]] = []
    epochs: int
    seconds: float
    weights_sha256: str
    data_sha256: str
    history: dict[str, list[Any]]
    task: _TaskRecord
    rows: dict[str, int] = {}
    sample_sha256: str | None = None
    uncertainty: dict[str, Any] = {}
    spec_sha256: str


def write_result(folder: Path, result: Mapping[str, Any], task: Task) -> None:
    """Writes `result.json`, which makes the run a finished one.

    The file holds the sha256 of `spec.yaml`, which must exist, and of its own content.

    Args:
        folder: Run folder.
        result: Metrics, history, hashes and other facts of the run, as plain values.
        task: Task of the run.

    Raises:
        DiskError: If the file cannot be written.
    """
    spec_sha256 = atomic.sha256(atomic.read_bytes(folder / "spec.yaml"))
    facts = {
        **result,
        "history": for_json(result["history"]),  # a callback may add NaN
        "task": task_facts(task),
        "spec_sha256": spec_sha256,
    }
    atomic.write_file(folder / "result.json", as_json(with_sha256(facts)))


def read_result(folder: Path) -> tuple[dict[str, Any], Task]:
    """Reads the facts and the task of a finished run.

    Raises:
        CheckpointError: If the folder holds no finished run, if its `result.json` or its
            `spec.yaml` is damaged, or if another version of kfc wrote them.
    """
    safe_open.distrust(folder)
    try:
        result = json.loads(atomic.read_text(folder / "result.json"))
        check_sha256(result)
        _check_form(folder, result)
        if atomic.sha256(atomic.read_bytes(folder / "spec.yaml")) != result["spec_sha256"]:
            raise _again(folder, "another spec.yaml than the run was trained with")
        return {**result, "history": from_json(result["history"])}, task_of(result["task"])
    except FileNotFoundError as error:
        if Path(error.filename).name == "spec.yaml":
            raise no_run(folder, "one without its spec.yaml") from error
        if (folder / "spec.yaml").exists():
            raise _unfinished(folder) from error
        raise no_run(folder, "none") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise _again(folder, f"a damaged result.json ({reason(error)})") from error


def _check_form(folder: Path, result: Mapping[str, Any]) -> None:
    # The sha256 is right, so the file is as it was written: it is not damaged.
    try:
        _ResultRecord.model_validate(result)
    except ValidationError as error:
        got = f"another form of result.json ({reason(error)})"
        finding = Finding(str(folder), "a run of this version", got, _OTHER_VERSION)
        raise CheckpointError(finding) from error


def is_finished(folder: Path) -> bool:
    """Returns whether a run folder has a `result.json`, which may be damaged."""
    return (folder / "result.json").exists()


def with_sha256(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns facts with the sha256 of their JSON, as the key `sha256`."""
    return {**facts, "sha256": _digest(facts)}


def check_sha256(facts: Mapping[str, Any]) -> None:
    """Checks the sha256 of facts that were read from JSON.

    Args:
        facts: Facts as `with_sha256` returns them.

    Raises:
        ValueError: If the sha256 is missing or differs.
    """
    if not isinstance(facts, Mapping):
        raise ValueError("its JSON is not an object")
    rest = {key: value for key, value in facts.items() if key != "sha256"}
    if "sha256" not in facts:
        raise ValueError("no sha256 of its content: an earlier kfc wrote it")
    if facts["sha256"] != _digest(rest):
        raise ValueError("the sha256 of its content differs")


def _digest(facts: Mapping[str, Any]) -> str:
    return atomic.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode())


def _unfinished(folder: Path) -> CheckpointError:
    remedy = f"Run `kfc resume {shlex.quote(str(folder))}` to continue it."
    return CheckpointError(Finding(str(folder), "a finished run", "an unfinished one", remedy))


def no_run(folder: Path, got: str) -> CheckpointError:
    """Returns the error for a folder that is not the folder of a run."""
    return CheckpointError(
        Finding(str(folder), "the folder of a run", got, "`kfc fit` makes one.")
    )


def read_spec(folder: Path) -> Spec:
    """Reads the `spec.yaml` of a run folder.

    Args:
        folder: Run folder, already marked by `kfc.system.safe_open.distrust`.

    Raises:
        CheckpointError: If the file is damaged, or has keys that this version of kfc does not
            know.
    """
    path = folder / "spec.yaml"
    try:
        return load_spec(path)
    except SpecError as error:
        got = "; ".join(f"{finding.where}: {finding.got}" for finding in error.findings)
        finding = Finding(str(path), "the spec of a run of this version", got, _OTHER_VERSION)
        raise CheckpointError(finding) from error


def train_again(folder: Path) -> str:
    """Returns the remedy for a damaged run: to train its spec again."""
    return f"Train again with `kfc fit {shlex.quote(str(folder / 'spec.yaml'))}`."


def _again(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(Finding(str(folder), "an undamaged run", got, train_again(folder)))


def task_facts(task: Task) -> dict[str, Any]:
    """Returns a task as plain values for JSON."""
    parts = ("scaling", "target_scaling", "table", "number_bins")
    facts = asdict(replace(task, table=None))
    for name in parts:
        part = getattr(task, name)
        facts[name] = None if part is None else part.get_config()
    fitted = ("temperature", "limits", "intervals")  # a task without them is written as ever
    return {
        key: value for key, value in facts.items() if value is not None or key not in fitted
    }


def task_of(facts: Mapping[str, Any]) -> Task:
    """Returns the task of plain values, as `task_facts` returns them.

    Raises:
        ValueError: If the values do not fit together.
        KeyError: If a value is missing.
        TypeError: If a value has the wrong type.
    """
    shape = tuple(facts["input_shape"])
    scaling = scaling_from_config(facts["scaling"])
    table, bins = facts.get("table"), facts.get("number_bins")
    task = Task(
        input_shape=shape,
        input_dtype=facts["input_dtype"],
        class_names=tuple(facts["class_names"]),
        outputs=facts["outputs"],
        feature_names=tuple(facts["feature_names"]),
        targets=tuple(facts.get("targets", ())),
        scaling=scaling,
        target_scaling=TargetScaling.from_config(facts["target_scaling"]),
        table=None if table is None else TableTask.from_config(table),
        temperature=facts.get("temperature"),
        limits=_limits_of(facts.get("limits")),
        intervals=_intervals_of(facts.get("intervals")),
        number_bins=None if bins is None else NumberBins.from_config(bins),
    )
    if task.intervals is not None and len(task.intervals.half_widths) != task.outputs:
        raise ValueError(f"intervals of {len(task.intervals.half_widths)} outputs")
    if task.limits is not None and {len(each) for each in task.limits} != {task.outputs}:
        raise ValueError(f"limits of {len(task.limits[0])} outputs")
    if scaling.num_features not in (1, task.num_scaled):
        raise ValueError(f"a scaling of {scaling.num_features} features")
    if task.number_bins and task.number_bins.num_features != task.num_scaled:
        raise ValueError(f"bins of {task.number_bins.num_features} features")
    return task


def _intervals_of(facts: Mapping[str, Any] | None) -> Intervals | None:
    return None if facts is None else Intervals(facts["coverage"], tuple(facts["half_widths"]))


def _limits_of(facts: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if facts is None:
        return None
    smallest, largest = (tuple(map(float, each)) for each in facts)
    return smallest, largest


def as_json(value: Mapping[str, Any]) -> str:
    """Returns JSON with one line for each key, so that long lists of numbers stay on one."""
    lines = (
        f" {json.dumps(key)}: {json.dumps(entry, allow_nan=False)}"
        for key, entry in value.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"
