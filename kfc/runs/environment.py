"""What the bits of a run depend on -> `environment.json`, and what has changed since."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt

from kfc.errors import CheckpointError, DataError, Finding, reason
from kfc.runs import result_file
from kfc.spec import Spec
from kfc.system import atomic, user_paths

FILE = "environment.json"
VERSIONS = (
    *("keras-fully-connected", "keras", "tensorflow", "tensorflow-cpu", "numpy"),
    *("scikit-learn", "ml-dtypes", "h5py"),
)
_FLAGS = (
    *("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS", "TF_DETERMINISTIC_OPS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES"),
)


class _Given(BaseModel, strict=True, extra="forbid"):
    data: bool
    network: str | None
    callbacks: list[str]


class _Resumed(BaseModel, strict=True, extra="forbid"):
    epoch: NonNegativeInt
    step: NonNegativeInt
    differences: list[str]


class _Environment(BaseModel, strict=True, extra="allow"):
    """What is read of `environment.json`; more is there for people."""

    versions: dict[str, str]
    flags: dict[str, str]
    given: _Given
    spec: dict[str, Any]
    data_sha256: str
    resumed: list[_Resumed]
    cwd: str


def machine(threads: int | None) -> dict[str, Any]:
    """Returns what is here: processor, versions and flags.

    Args:
        threads: Of TensorFlow; None is every core.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "threads": threads,
        "versions": versions_of(VERSIONS),
        "flags": {name: os.environ[name] for name in _FLAGS if name in os.environ},
    }


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Returns the versions of distributions, but of those that go by another name here."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):  # tensorflow may be tensorflow-cpu
            found[name] = version(name)
    return found


def environment_text(environment: Mapping[str, Any]) -> str:
    """Returns the content of `environment.json`, with its own sha256."""
    facts = {key: value for key, value in environment.items() if key != "sha256"}
    return result_file.as_json(result_file.sealed(facts))


def write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    """Writes `environment.json` into a run folder.

    Raises:
        DiskError: If it cannot be written.
    """
    atomic.write_file(folder / FILE, environment_text(environment))


def read_environment(folder: Path) -> dict[str, Any]:
    """Returns what `write` was given for a run.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    try:
        environment = json.loads(atomic.read_text(folder / FILE))
        result_file.check_seal(environment)
        _Environment.model_validate(environment)
        return dict(environment)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            Finding(
                str(folder / FILE),
                "the record of a run's beginning",
                reason(error),
                result_file.train_again(folder),
            )
        ) from error


@contextmanager
def explaining_relative_paths(folder: Path) -> Iterator[None]:
    """Adds to a refusal of data the folder from which the run was started.

    The paths of a spec are relative to the current folder, which may be another one now.

    Args:
        folder: The run folder.

    Raises:
        DataError: Instead of the one that is raised within.
    """
    try:
        yield
    except DataError as error:
        try:
            began = read_environment(folder)["cwd"]
        except CheckpointError:
            raise error from None
        if began == str(user_paths.current()):
            raise
        said = f"The run began in {began}: call kfc from there if a path is relative."
        findings = (replace(each, remedy=f"{said} {each.remedy}") for each in error.findings)
        raise DataError(*findings) from error


def plain_spec(spec: Spec) -> dict[str, Any]:
    """Returns a spec as `environment.json` holds it."""
    return spec.model_dump(mode="json")


def identity(spec: Spec, data_sha256: str) -> dict[str, str]:
    """Returns what tells the checkpoints of a run from those of another."""
    plain = json.dumps(plain_spec(spec), sort_keys=True)
    return {"spec_sha256": atomic.sha256(plain.encode()), "data_sha256": data_sha256}


def value_differences(then: Any, now: Any, where: str = "") -> list[str]:
    """Returns each value in which two nested mappings differ, as `path: then, now`."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return [
            line
            for key in {**then, **now}
            for line in value_differences(
                then.get(key), now.get(key), f"{where}.{key}" if where else str(key)
            )
        ]
    return [] if then == now else [f"{where}: {_shown(then)} then, {_shown(now)} now"]


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def _cores() -> int:
    """Returns on how many cores this process may run, on which XLA's bits depend."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()
