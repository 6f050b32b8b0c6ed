"""Lists the run folders in a folder; it does not import TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, DataError, Finding
from kfc.runs import environment, result_file
from kfc.system import safe_open, user_paths

_PARTS = ("mean", "val", "test")
"""Prefixes of the metrics that a list shows; `mean` is that over the folds."""

_HEADLINE = ("accuracy", "rmse", "loss")
"""Metrics in order of preference: a list shows the first one that a run has."""


@dataclass(frozen=True)
class ListedRun:
    """One run folder.

    Args:
        folder: Absolute path of the run folder.
        status: `finished`, `unfinished` or `damaged`.
        date: Local date and time at which the run began, such as `2026-01-31 09:30`.
        metrics: Metrics of a finished run; empty for others.
        differences: Values of the spec that differ from the previous run of the same name, as
            `path: before -> after`.
        runs: Number of runs in the folder of an ensemble; 1 for a run.
    """

    folder: Path
    status: str
    date: str
    metrics: dict[str, float]
    differences: list[str]
    runs: int = 1

    @property
    def name(self) -> str:
        """Name of the folder, such as `0001-digits`."""
        return self.folder.name

    def headline(self) -> dict[str, float]:
        """Returns the metric that a list shows: over folds, on validation and test rows."""
        for metric in _HEADLINE:
            names = [f"{part}_{metric}" for part in _PARTS]
            if found := {name: self.metrics[name] for name in names if name in self.metrics}:
                return found
        return {}

    def summary(self) -> dict[str, Any]:
        """Returns the plain values that `--json` prints."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "status": self.status,
            "date": self.date,
            "metrics": self.metrics,
            "differences": self.differences,
            "runs": self.runs,
        }


def list_runs(folder: str | Path) -> list[ListedRun]:
    """Returns the runs in a folder, in the order of their numbers.

    Args:
        folder: Folder that holds run folders.

    Raises:
        DataError: If the folder does not exist.
    """
    folder = user_paths.absolute(folder)
    if not folder.is_dir():
        raise DataError(
            Finding(str(folder), "a folder of runs", "no such folder", "`kfc fit` makes one.")
        )
    listed: list[ListedRun] = []
    before: dict[str, dict[str, Any]] = {}  # name of a spec -> its newest spec so far
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not (path / "spec.yaml").is_file():
            continue
        safe_open.distrust(path)
        status, metrics = _result(path)
        spec = _spec(path)
        differences = []
        if spec is not None:
            differences = _differences(before.get(spec["name"], spec), spec)
            before[spec["name"]] = spec
        listed.append(ListedRun(path, status, date_of(path), metrics, differences))
    return listed


def _result(folder: Path) -> tuple[str, dict[str, float]]:
    if not result_file.is_finished(folder):
        return "unfinished", {}
    try:
        result, _ = result_file.read_result(folder)
    except CheckpointError:
        return "damaged", {}
    return "finished", dict(result["metrics"])


def _spec(folder: Path) -> dict[str, Any] | None:
    try:
        return environment.plain_spec(result_file.read_spec(folder))
    except CheckpointError:
        return None


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        line.replace(" then, ", " -> ").removesuffix(" now")
        for line in environment.value_differences(before, after)
    ]


def date_of(folder: Path, name: str = environment.FILE) -> str:
    """Returns the local date and time of the file that is written when a run begins.

    Args:
        folder: Run folder.
        name: Name of the file.
    """
    file = folder / name
    seconds = (file if file.is_file() else folder).stat().st_mtime
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
