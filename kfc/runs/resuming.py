"""Reads an interrupted run, and checks whether its training can continue.

This module does not import TensorFlow, so a folder that cannot be resumed is refused at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, DataError, Finding, SpecError
from kfc.runs import environment, result_file
from kfc.spec import Spec, load_spec
from kfc.system import locks, read_cluster, safe_open
from kfc.training.checkpoints import Checkpoint, store

_BEGINNING = ("spec.yaml", environment.FILE)
MACHINE_KEYS = (
    *("python", "processor", "cores", "devices", "replicas", "at_once", "threads"),
    *("versions", "flags"),
    "keras",
)


@dataclass(frozen=True)
class Unfinished:
    """An interrupted run.

    Args:
        folder: Run folder.
        spec: Resolved spec of the run.
        environment: Content of the run's `environment.json`.
        start: Newest complete checkpoint, or None if there is none yet.
    """

    folder: Path
    spec: Spec
    environment: dict[str, Any]
    start: Checkpoint | None

    @property
    def given(self) -> dict[str, Any]:
        """Objects that the caller passed in Python: data, network, callbacks."""
        return dict(self.environment["given"])


def check_resumable(folder: Path) -> None:
    """Checks that `kfc resume` can continue a run, before TensorFlow is imported.

    Args:
        folder: Run folder.

    Raises:
        CheckpointError: If the folder holds no run, or a damaged one.
        BusyError: If another process works in the folder.
        DataError: If the run was given its rows in Python.
        SpecError: If the run was given callbacks in Python.
    """
    check_is_run(folder)
    if not result_file.is_finished(folder) and not follows(folder):
        with locks.locked(folder):
            check_given(read_unfinished(folder), in_memory=False, callbacks=())


def check_is_run(folder: Path) -> None:
    """Checks that a folder holds a run, finished or not.

    Raises:
        CheckpointError: If it does not.
    """
    try:
        found = is_run(folder)
    except (OSError, ValueError) as error:  # the name is too long, or not UTF-8
        raise result_file.no_run(folder, f"a path that cannot be read ({error})") from error
    if not found:
        raise result_file.no_run(folder, "none")


def is_run(folder: Path) -> bool:
    """Returns whether a folder has a file of a run, finished or not.

    Raises:
        OSError: If its name is too long.
        ValueError: If its name is not UTF-8.
    """
    safe_open.distrust(folder)
    str(folder).encode()
    return any((folder / name).is_file() for name in (*_BEGINNING, "result.json"))


def follows(folder: Path) -> bool:
    """Returns whether this process resumes a run as a worker that does not write its folder.

    Args:
        folder: Run folder.

    Raises:
        CheckpointError: If its spec is damaged.
        SpecError: If `TF_CONFIG` is wrong.
    """
    cluster = read_cluster()
    if cluster is None or cluster.is_chief:
        return False
    return result_file.read_spec(folder).training.distribute == "multi_worker"


def read_unfinished(folder: Path, *, checkpoints: bool = True) -> Unfinished:
    """Reads an interrupted run, and checks every byte that its training depends on.

    Args:
        folder: Run folder that `kfc.system.locks.locked` has locked and checked for links.
        checkpoints: Whether to read the newest checkpoint; a worker gets the chief's.

    Raises:
        CheckpointError: If a file is damaged, the spec was changed, or no checkpoint is
            complete.
    """
    beginning = environment.read_environment(folder)
    spec = _read_spec(folder, beginning)
    start = None
    place = folder / "checkpoints"
    if not checkpoints:
        return Unfinished(folder, spec, beginning, None)
    if store.has_checkpoints(place):
        start = store.newest(place)
        # An earlier version, which began the run, did not know all keys of this one.
        plain = (beginning["spec"], environment.plain_spec(spec))
        sha256 = beginning["data_sha256"]
        if start.facts.get("about") not in [environment.identity(p, sha256) for p in plain]:
            raise _damaged(folder, place, "the checkpoints of this run", "another run's")
        epochs = start.facts["progress"]["epoch"]
        if epochs > spec.training.epochs:
            most = f"at most {spec.training.epochs} epochs"
            raise _damaged(folder, place, most, f"{epochs} epochs done")
    elif beginning["given"]["network"]:
        raise _damaged(folder, place, "a checkpoint with the weights of `network=`", "none")
    return Unfinished(folder, spec, beginning, start)


def check_given(
    unfinished: Unfinished, *, in_memory: bool, callbacks: Sequence[object]
) -> None:
    """Checks that the caller passes the same kinds of objects as when the run began.

    Args:
        unfinished: Interrupted run.
        in_memory: Whether the caller passes `data=`.
        callbacks: Callbacks that the caller passes.

    Raises:
        DataError: If `data=` is missing, or is passed although the spec has a source.
        SpecError: If the classes of the callbacks differ.
    """
    given, folder = unfinished.given, str(unfinished.folder)
    if given["data"] != in_memory:
        words = ("the rows that the run was given in Python", "none")
        expected, got = words if given["data"] else ("no rows: the spec has a source", "data=")
        quoted = shlex.quote(folder)
        how = f"kfc.resume({folder!r}, data=...)" if given["data"] else f"kfc resume {quoted}"
        raise DataError(Finding("data", expected, got, f"Call `{how}`."))
    names = [type(callback).__name__ for callback in callbacks]
    if given["callbacks"] != names:
        raise SpecError(
            Finding(
                "callbacks",
                f"the callbacks of this run: {_listed(given['callbacks'])}",
                _listed(names),
                f"Call `kfc.resume({folder!r}, callbacks=[...])` with the same ones.",
            )
        )


def check_data(unfinished: Unfinished, data_sha256: str, num_rows: int) -> None:
    """Checks that the rows are the rows with which the run began.

    Args:
        unfinished: Interrupted run.
        data_sha256: Hash of the rows that were read now.
        num_rows: Number of training rows among them.

    Raises:
        DataError: If the rows differ.
        CheckpointError: If the checkpoint has more steps than an epoch.
    """
    began_with = unfinished.environment["data_sha256"]
    if data_sha256 != began_with:
        raise DataError(
            Finding(
                unfinished.spec.data.source or "data",
                f"the rows of this run (sha256 {began_with[:12]})",
                f"other rows (sha256 {data_sha256[:12]})",
                f"Restore those rows. {result_file.train_again(unfinished.folder)}",
            )
        )
    start, folder = unfinished.start, unfinished.folder
    steps = unfinished.spec.training.steps_per_epoch(num_rows)
    if start and start.facts["progress"]["step"] >= steps:
        got = f"{start.facts['progress']['step']} steps done"
        raise _damaged(folder, folder / "checkpoints", f"epochs of {steps} steps", got)


def machine_differences(unfinished: Unfinished, machine: dict[str, Any]) -> list[str]:
    """Returns a line for each value of the machine that has changed since the run began.

    Args:
        unfinished: Interrupted run.
        machine: Machine, versions, devices and settings of this process.
    """
    # Earlier versions had no others.
    began_on = {"replicas": 1, "at_once": 1, **unfinished.environment}
    then, now = ({key: of.get(key) for key in MACHINE_KEYS} for of in (began_on, machine))
    return environment.value_differences(then, now)


def _read_spec(folder: Path, beginning: dict[str, Any]) -> Spec:
    path, spec = folder / "spec.yaml", result_file.read_spec(folder)
    began, now = beginning["spec"], environment.plain_spec(spec)
    if began != now:  # loaded again, what an earlier version wrote has the keys of this one
        began = environment.plain_spec(load_spec(began))
    if changed := environment.value_differences(began, now):
        raise CheckpointError(
            Finding(
                str(path),
                "the spec with which this run began",
                "; ".join(changed),
                "Restore that spec to resume, or train from the beginning: "
                f"`kfc fit {shlex.quote(str(path))}`.",
            )
        )
    return spec


def _damaged(folder: Path, path: Path, expected: str, got: str) -> CheckpointError:
    return CheckpointError(Finding(str(path), expected, got, result_file.train_again(folder)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
