"""A result -> `result.json`, sealed, and back.

It is written last: a run folder without it holds an unfinished run.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PositiveInt

from kfc.data import Task
from kfc.errors import CheckpointError, Finding, SpecError, reason
from kfc.preprocessing import NumericScaling, TargetScaling
from kfc.spec import Spec, load_spec
from kfc.system import atomic, safe_open, tensorflow_startup
from kfc.training import for_json, from_json


class _Task(BaseModel, strict=True, extra="forbid"):
    """What `result.json` says of a task; its seal says that nobody altered it, no more."""

    input_shape: list[PositiveInt] = Field(min_length=1)
    input_dtype: Literal["uint8", "float32"]
    class_names: list[str]
    outputs: PositiveInt
    feature_names: list[str]
    targets: list[str] = []  # runs of earlier versions lack it
    scaling: dict[Literal["shift", "divisor"], Any]
    target_scaling: dict[Literal["shift", "divisor"], Any]


class _Result(BaseModel, strict=True, extra="allow"):
    """What is read of `result.json`; more is there for people."""

    folder: str
    metrics: dict[str, float]
    baseline: dict[str, float] = {}
    epochs: int
    seconds: float
    weights_sha256: str
    data_sha256: str
    history: dict[str, list[Any]]
    task: _Task
    rows: dict[str, int] = {}
    sample_sha256: str | None = None
    spec_sha256: str


class Phases:
    """A stopwatch: the seconds of each phase of a run, in the order the phases ended."""

    def __init__(self) -> None:
        # Of the first run of a process alone.
        self.seconds = {"import": tensorflow_startup.import_seconds}
        tensorflow_startup.import_seconds = 0.0
        self._began = time.perf_counter()

    def end(self, phase: str) -> None:
        """Ends a phase, which began where the one before it ended."""
        now = time.perf_counter()
        self.seconds[phase] = round(self.seconds.get(phase, 0.0) + now - self._began, 3)
        self._began = now


def write_result(folder: Path, result: Mapping[str, Any], task: Task) -> None:
    """Records a finished run; writing this file is what finishes it.

    It has the sha256 of `spec.yaml`, which is there already, and of its own content.
    """
    spec_sha256 = atomic.sha256(atomic.read_bytes(folder / "spec.yaml"))
    facts = {
        **result,
        "history": for_json(result["history"]),  # a callback may add NaN
        "task": task_facts(task),
        "spec_sha256": spec_sha256,
    }
    atomic.write_file(folder / "result.json", as_json(sealed(facts)))


def read_result(folder: Path) -> tuple[dict[str, Any], Task]:
    """Returns what `write_result` recorded.

    Raises:
        CheckpointError: If the folder holds no finished run, or its record or its spec is
            damaged.
    """
    safe_open.hand_over(folder)
    try:
        result = json.loads(atomic.read_text(folder / "result.json"))
        check_seal(result)
        _Result.model_validate(result)
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


def is_finished(folder: Path) -> bool:
    """Says whether a run folder has a result, damaged or not."""
    return (folder / "result.json").exists()


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns facts with the sha256 of all of them as `sha256`; `check_seal` looks at it."""
    return {**facts, "sha256": _digest(facts)}


def check_seal(facts: Mapping[str, Any]) -> None:
    """Checks that facts, read from JSON, are those that `sealed` was given.

    Raises:
        ValueError: If they are not, or nobody has sealed them.
    """
    if not isinstance(facts, Mapping):
        raise ValueError("no object")
    rest = {key: value for key, value in facts.items() if key != "sha256"}
    if "sha256" not in facts:
        raise ValueError("written without a sha256 of its content, by an earlier kfc")
    if facts["sha256"] != _digest(rest):
        raise ValueError("its content is not what its sha256 says")


def _digest(facts: Mapping[str, Any]) -> str:
    return atomic.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode())


def _unfinished(folder: Path) -> CheckpointError:
    go_on = f"`kfc resume {shlex.quote(str(folder))}` goes on with it."
    return CheckpointError(Finding(str(folder), "a finished run", "an unfinished one", go_on))


def no_run(folder: Path, got: str) -> CheckpointError:
    """Returns the error for a folder that cannot be loaded."""
    return CheckpointError(
        Finding(str(folder), "the folder of a run", got, "`kfc fit` makes one.")
    )


def read_spec(folder: Path) -> Spec:
    """Reads the spec of a run.

    Args:
        folder: Run folder, which `kfc.system.safe_open.hand_over` has been told of.

    Raises:
        CheckpointError: If the file is damaged, or has keys that this version does not know.
    """
    path = folder / "spec.yaml"
    try:
        return load_spec(path)
    except SpecError as error:
        remedy = (
            "The file was damaged, or another version of kfc wrote it. Copy it, correct the "
            "copy, and train again: `kfc fit COPY`."
        )
        got = "; ".join(f"{finding.where}: {finding.got}" for finding in error.findings)
        finding = Finding(str(path), "the spec of a run of this version", got, remedy)
        raise CheckpointError(finding) from error


def train_again(folder: Path) -> str:
    """Returns the remedy for a run that is there, but not as it ended."""
    return f"Train again with `kfc fit {shlex.quote(str(folder / 'spec.yaml'))}`."


def _again(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(Finding(str(folder), "a run as it ended", got, train_again(folder)))


def task_facts(task: Task) -> dict[str, Any]:
    """Returns a task as plain values, for JSON."""
    facts = asdict(task)
    for name in ("scaling", "target_scaling"):
        facts[name] = getattr(task, name).get_config()
    return facts


def task_of(facts: Mapping[str, Any]) -> Task:
    """Returns the task whose `task_facts` are given.

    Raises:
        ValueError: If they do not fit together; KeyError or TypeError if they are of none.
    """
    shape = tuple(facts["input_shape"])
    scaling = NumericScaling.from_config(facts["scaling"])
    if scaling.num_features not in (1, math.prod(shape)):
        raise ValueError(f"a scaling of {scaling.num_features} features")
    return Task(
        input_shape=shape,
        input_dtype=facts["input_dtype"],
        class_names=tuple(facts["class_names"]),
        outputs=facts["outputs"],
        feature_names=tuple(facts["feature_names"]),
        targets=tuple(facts.get("targets", ())),
        scaling=scaling,
        target_scaling=TargetScaling.from_config(facts["target_scaling"]),
    )


def as_json(value: Mapping[str, Any]) -> str:
    """Returns JSON with a line for each key: a scaling alone may hold 784 numbers."""
    lines = (
        f" {json.dumps(key)}: {json.dumps(entry, allow_nan=False)}"
        for key, entry in value.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"
