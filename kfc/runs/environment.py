"""Records the machine, the versions and the settings of a run in `environment.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt

from kfc.errors import CheckpointError, DataError, Finding, reason
from kfc.runs import result_file
from kfc.spec import Spec
from kfc.system import atomic, num_cores, user_paths

FILE = "environment.json"
VERSIONS = (
    *("keras-fully-connected", "keras", "tensorflow", "tensorflow-cpu", "numpy"),
    *("scikit-learn", "ml-dtypes", "h5py"),
)
FLAGS = (
    *("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS", "TF_DETERMINISTIC_OPS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES"),
)


class _Given(BaseModel, strict=True, extra="forbid"):
    data: bool
    network: str | None
    callbacks: list[str]
    checks: Literal["none", "data", "start"] = "none"


class _Resumed(BaseModel, strict=True, extra="forbid"):
    epoch: NonNegativeInt
    step: NonNegativeInt
    differences: list[str]


class _Environment(BaseModel, strict=True, extra="allow"):
    """Keys of `environment.json` that kfc reads; the others are for people."""

    versions: dict[str, str]
    flags: dict[str, str]
    given: _Given
    spec: dict[str, Any]
    data_sha256: str
    resumed: list[_Resumed]
    cwd: str


def machine(threads: int | None) -> dict[str, Any]:
    """Returns the processor, the versions and the flags of this process.

    Args:
        threads: Number of TensorFlow's threads; None is one per core.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": num_cores(),  # XLA's bits depend on it
        "threads": threads,
        "versions": versions_of(VERSIONS),
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
    }


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Returns the versions of those distributions that are installed."""
    found = {}
    for name in names:
        with suppress(
            PackageNotFoundError
        ):  # either tensorflow or tensorflow-cpu is installed
            found[name] = version(name)
    return found


def environment_text(environment: Mapping[str, Any]) -> str:
    """Returns the text of `environment.json`, with the sha256 of its content."""
    facts = {key: value for key, value in environment.items() if key != "sha256"}
    return result_file.as_json(result_file.with_sha256(facts))


def write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    """Writes `environment.json` into a run folder.

    Raises:
        DiskError: If the file cannot be written.
    """
    atomic.write_file(folder / FILE, environment_text(environment))


def read_environment(folder: Path) -> dict[str, Any]:
    """Reads the `environment.json` of a run folder.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        environment = json.loads(atomic.read_text(folder / FILE))
        result_file.check_sha256(environment)
        _Environment.model_validate(environment)
        return dict(environment)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            Finding(
                str(folder / FILE),
                "the environment in which this run began",
                reason(error),
                result_file.train_again(folder),
            )
        ) from error


@contextmanager
def explaining_relative_paths(folder: Path) -> Iterator[None]:
    """Adds to each DataError the folder from which the run was started.

    Paths in a spec are relative to the current folder, which may have changed since.

    Args:
        folder: Run folder.

    Raises:
        DataError: If one is raised within, with the folder in its remedy.
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


def identity(plain: Mapping[str, Any], data_sha256: str) -> dict[str, str]:
    """Returns the hashes that a checkpoint stores, so that only its own run continues it.

    Args:
        plain: Spec as `plain_spec` returns it.
        data_sha256: Hash of the rows.
    """
    text = json.dumps(plain, sort_keys=True)
    return {"spec_sha256": atomic.sha256(text.encode()), "data_sha256": data_sha256}


def value_differences(then: Any, now: Any, where: str = "") -> list[str]:
    """Returns a line for each value that differs, such as `seed: 0 then, 1 now`.

    Args:
        then: Nested mapping of the run's beginning.
        now: Nested mapping to compare with it.
        where: Dotted path of both mappings.
    """
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


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()
