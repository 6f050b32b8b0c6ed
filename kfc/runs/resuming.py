"""A run folder -> where its training stopped, and whether it can go on from there.

Nothing here imports TensorFlow, so what cannot go on is refused at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, DataError, Finding, SpecError
from kfc.runs import environment, result_file
from kfc.spec import Spec
from kfc.system import locks, safe_open
from kfc.training.checkpoints import Checkpoint, store

_BEGINNING = ("spec.yaml", environment.FILE)
_MACHINE = ("python", "processor", "cores", "devices", "threads", "versions", "flags", "keras")


@dataclass(frozen=True)
class Unfinished:
    """A run that was interrupted.

    Args:
        folder: Its folder.
        spec: Its resolved spec.
        environment: What it depended on when it began.
        start: Its newest complete checkpoint, or None before the first.
    """

    folder: Path
    spec: Spec
    environment: dict[str, Any]
    start: Checkpoint | None

    @property
    def given(self) -> dict[str, Any]:
        """What a caller in Python gave it beside the spec."""
        return dict(self.environment["given"])


def check(folder: Path) -> None:
    """Refuses what `kfc resume` could not go on with, before TensorFlow is imported.

    Raises:
        CheckpointError: If there is no run, or no whole one.
        BusyError: If another process works in it.
        DataError: If it was given its rows in Python; SpecError for callbacks.
    """
    check_is_run(folder)
    if not result_file.is_finished(folder):
        with locks.locked(folder):
            check_given(look(folder), in_memory=False, callbacks=())


def check_is_run(folder: Path) -> None:
    """Checks that a run has begun, or ended, in a folder.

    Raises:
        CheckpointError: If not.
    """
    safe_open.hand_over(folder)
    try:
        str(folder).encode()
        found = any((folder / name).is_file() for name in (*_BEGINNING, "result.json"))
    except (OSError, ValueError) as error:  # a name too long, or of no characters
        raise result_file.no_run(folder, f"a path that cannot be read ({error})") from error
    if not found:
        raise result_file.no_run(folder, "none")


def look(folder: Path) -> Unfinished:
    """Reads an interrupted run, and checks every byte that decides how it goes on.

    Args:
        folder: Run folder, which `kfc.system.locks.locked` has checked for links.

    Raises:
        CheckpointError: If one is damaged, or the spec was changed, or no checkpoint is whole.
    """
    begun = environment.read(folder)
    spec = _read_spec(folder, begun)
    start = None
    place = folder / "checkpoints"
    if store.has_checkpoints(place):
        start = store.newest(place)
        if start.facts.get("about") != environment.identity(spec, begun["data_sha256"]):
            raise _damaged(folder, place, "the checkpoints of this run", "another run's")
        epochs = start.facts["progress"]["epoch"]
        if epochs > spec.training.epochs:
            most = f"at most {spec.training.epochs} epochs"
            raise _damaged(folder, place, most, f"{epochs} of them done")
    elif begun["given"]["network"]:
        raise _damaged(folder, place, "the weights it was given", "no checkpoint")
    return Unfinished(folder, spec, begun, start)


def check_given(
    unfinished: Unfinished, *, in_memory: bool, callbacks: Sequence[object]
) -> None:
    """Checks that the caller gives again what he gave when the run began.

    Raises:
        DataError: If rows are missing, or given where there were none.
        SpecError: If the callbacks are not the same ones.
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
    """Checks that the rows are those with which the run began.

    Args:
        unfinished: The run.
        data_sha256: Of the rows that are there now.
        num_rows: Of them, to train on.

    Raises:
        DataError: If they are not.
        CheckpointError: If the checkpoint says that it is after an epoch's last step.
    """
    began_with = unfinished.environment["data_sha256"]
    if data_sha256 != began_with:
        raise DataError(
            Finding(
                unfinished.spec.data.source or "data",
                f"the rows of this run (sha256 {began_with[:12]})",
                f"other rows (sha256 {data_sha256[:12]})",
                f"Get those rows back. {result_file.train_again(unfinished.folder)}",
            )
        )
    start, folder = unfinished.start, unfinished.folder
    steps = -(-num_rows // unfinished.spec.training.batch_size)
    if start and start.facts["progress"]["step"] >= steps:
        got = f"{start.facts['progress']['step']} of them done"
        raise _damaged(folder, folder / "checkpoints", f"epochs of {steps} steps", got)


def differences(unfinished: Unfinished, machine: dict[str, Any]) -> list[str]:
    """Returns in what this machine differs from that on which the run began."""
    then, now = (
        {key: of.get(key) for key in _MACHINE} for of in (unfinished.environment, machine)
    )
    return environment.differences(then, now)


def _read_spec(folder: Path, begun: dict[str, Any]) -> Spec:
    path, spec = folder / "spec.yaml", result_file.read_spec(folder)
    changed = environment.differences(begun["spec"], environment.plain_spec(spec))
    if changed:
        raise CheckpointError(
            Finding(
                str(path),
                "the spec with which this run began",
                "; ".join(changed),
                "Put it back to go on, or train from the beginning: "
                f"`kfc fit {shlex.quote(str(path))}`.",
            )
        )
    return spec


def _damaged(folder: Path, path: Path, expected: str, got: str) -> CheckpointError:
    return CheckpointError(Finding(str(path), expected, got, result_file.train_again(folder)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
