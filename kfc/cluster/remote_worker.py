"""Runs jobs on a node of a cluster, in a folder of its own, and returns their files."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.errors import Finding, KfcError, PluginError
from kfc.registry import BLOCKS, CALLBACKS, OPTIMIZERS
from kfc.runs import environment, running_process, start_for_spec
from kfc.spec import Spec
from kfc.system import atomic, safe_open, tensorflow_startup

_NOT_SENT = ".lock"
_TRAINING = (BLOCKS, OPTIMIZERS, CALLBACKS)


@dataclass(frozen=True)
class StartOrder:
    """Settings of the process that hands out the jobs.

    Args:
        spec: Spec of the trainings.
        plugins: Kind and name of each plug-in that it uses, with the package that owns it.
        threads: Number of TensorFlow's threads; None for one per core.
        flags: Environment variables that the bits of a training may depend on.
        folder: Current folder, from which relative paths of a spec begin.
    """

    spec: Spec
    plugins: Mapping[tuple[str, str], str]
    threads: int | None
    flags: Mapping[str, str]
    folder: str


@dataclass(frozen=True)
class Outcome:
    """Result of a job.

    Args:
        result: Object that the runner returned; None if it failed.
        files: Name -> bytes of each file in the job's folder.
        error: Error of kfc that the runner raised, or None.
    """

    result: Any
    files: dict[str, bytes]
    error: KfcError | None = None


class RemoteWorker:
    """Runs jobs in a process of a node. Ray makes an actor of it."""

    def __init__(self) -> None:
        self._runner: Any = None
        self._root = Path()

    def describe(self) -> dict[str, Any]:
        """Returns the address and versions of this node, before TensorFlow is imported."""
        import ray

        return {
            "address": ray.util.get_node_ip_address(),
            "node_id": ray.get_runtime_context().get_node_id(),
            "versions": environment.versions_of(environment.VERSIONS),
        }

    def start(self, order: StartOrder) -> dict[str, Any] | KfcError:
        """Starts TensorFlow and imports the plug-ins; returns the machine of this node."""
        for name in environment.FLAGS:
            os.environ.pop(name, None)
        os.environ.update(order.flags)
        if Path(order.folder).is_dir():
            os.chdir(order.folder)
        try:
            _check_plugins(order.plugins)
            tensorflow_startup.import_tensorflow()
            tensorflow_startup.start_tensorflow(order.threads)
            start_for_spec(order.spec, insist_on_threads=False)
            return running_process.running_process()
        except KfcError as error:
            return error

    def load(self, make_runner: Callable[[Path], Any]) -> None:
        """Makes the runner, with a folder that exists while a job runs.

        Args:
            make_runner: Callable with the data, which the node has received once.
        """
        self._root = Path(tempfile.mkdtemp(prefix="kfc-"))
        self._root.rmdir()
        self._runner = make_runner(self._root)

    def run(self, job: Any, folder: str, files: Mapping[str, bytes]) -> Outcome:
        """Runs a job; an error of kfc is returned, because it has to keep its class.

        Args:
            job: Argument of the runner's `run`.
            folder: Folder of the job, relative to the runner's folder.
            files: Name -> bytes of the files that the job needs, relative to it too.
        """
        self._root.mkdir(mode=0o700)
        try:
            for name, content in files.items():
                atomic.make_folder((self._root / name).parent)
                atomic.write_file(self._root / name, content)
            result, error = self._runner.run(job), None
        except KfcError as caught:
            result, error = None, caught
        try:
            return Outcome(result, folder_contents(self._root / folder), error)
        finally:
            shutil.rmtree(self._root, ignore_errors=True)

    def checkpoint(self, folder: str, known: str) -> tuple[str, dict[str, bytes]]:
        """Returns the files of the job that runs, if it has a newer checkpoint.

        Another thread writes these files meanwhile. Checkpoints appear and disappear as a
        whole, so they are complete if they are the same before and after; logs may be longer
        than a checkpoint says, and are truncated to it.

        Args:
            folder: Folder of the job, relative to the runner's folder.
            known: Name of the newest checkpoint that the other side has.

        Returns:
            Name of the newest checkpoint, and name -> bytes of each file; no files if there
            is none, or none that is newer.
        """
        place = self._root / folder
        try:
            before = safe_open.names_in(place / "checkpoints")
            newest = max((name for name in before if name[0].isdigit()), default="")
            if newest in ("", known):
                return known, {}
            files = folder_contents(place)
            if safe_open.names_in(place / "checkpoints") == before:
                return newest, files
        except OSError:  # a file was removed while it was read
            pass
        return known, {}


def folder_contents(folder: Path) -> dict[str, bytes]:
    """Returns name -> bytes of the files in a folder; none if it is missing.

    Partial files of killed processes and locks are left out.

    Args:
        folder: Folder.
    """
    if not folder.is_dir():
        return {}
    found = {}
    for path, is_folder in safe_open.tree(folder):
        parts = path.relative_to(folder).parts
        is_partial = any(part.startswith(atomic.PARTIAL) for part in parts)
        if not is_folder and not is_partial and path.name != _NOT_SENT:
            found["/".join(parts)] = atomic.read_bytes(path)
    return found


def used_plugins(spec: Spec) -> dict[tuple[str, str], str]:
    """Returns the plug-ins whose names are in a spec, also in its search space.

    Args:
        spec: Spec of the trainings.

    Returns:
        Kind and name of each plug-in -> the package that offers it.
    """
    text = spec.model_dump_json()
    return {
        (registry.kind, name): owners[0]
        for registry in _TRAINING
        for name, owners in registry.owners().items()
        if name not in registry.builtins and json.dumps(name) in text
    }


def _check_plugins(plugins: Mapping[tuple[str, str], str]) -> None:
    here = {(kind.kind, name) for kind in _TRAINING for name in kind.names()}
    missing = [
        Finding(f"{kind} {name}", f"the package {owner}, which offers it", "none")
        for (kind, name), owner in plugins.items()
        if (kind, name) not in here
    ]
    if missing:
        raise PluginError(*missing)
