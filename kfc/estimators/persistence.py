"""Turns a fit into the bytes of its run folder, and back, for pickles."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kfc.ensembles import Ensemble, MemoryFit, read_fit
from kfc.runs import Run
from kfc.system import atomic
from kfc.training.checkpoints import Checkpoint


def pickled_fit(fit: MemoryFit) -> dict[str, Any]:
    """Returns the arguments of `fit_of`: bytes, arrays and plain values.

    `files` are those of a run folder by their relative paths, `states` the arrays and facts
    from which `partial_fit` continues, for each member.
    """
    with written(fit) as result:
        paths = sorted(path for path in result.folder.rglob("*") if path.is_file())
        files = {
            path.relative_to(result.folder).as_posix(): atomic.read_bytes(path)
            for path in paths
        }
    states = [
        None if member.state is None else (dict(member.state.arrays), dict(member.state.facts))
        for member in fit.members
    ]
    return {"files": files, "states": states}


def fit_of(files: Mapping[str, bytes], states: Sequence[Any]) -> MemoryFit:
    """Returns the fit of the files of a run folder.

    Args:
        files: Content of each file by its relative path.
        states: Arrays and facts of each member; None without them.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="kfc-") as place:
        folder = Path(place).resolve()
        atomic.fill_folder(folder, files)
        fit = read_fit(folder)
    members = tuple(
        member if state is None else replace(member, state=Checkpoint(*state))
        for member, state in zip(fit.members, states, strict=True)
    )
    return replace(fit, members=members)


@contextmanager
def written(fit: MemoryFit) -> Iterator[Run | Ensemble]:
    """Yields the run or the ensemble of a fit in a temporary folder, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="kfc-") as place:
        folder = Path(place).resolve() / fit.spec.name
        atomic.make_folder(folder)
        yield fit.write(folder)
