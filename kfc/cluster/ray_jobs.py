"""Hands out jobs to the nodes of a Ray cluster, and writes the files that they return."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from kfc.cluster.ray_session import joined_ray
from kfc.cluster.remote_worker import (
    Outcome,
    RemoteWorker,
    StartOrder,
    folder_contents,
    used_plugins,
)
from kfc.errors import Finding, KfcError, SpecError, one_line
from kfc.runs import MACHINE_KEYS, environment, running_process
from kfc.spec import Spec
from kfc.system import atomic, user_paths

MAX_DEATHS = 3
"""Number of processes that die on one job, while their nodes live, until the job counts as the
cause; also the number of processes in a row that may die while they start."""

_SAME = "Install on every node what this machine has."
_TURN_SECONDS = 2.0
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class RemoteJob:
    """A job for any node.

    Args:
        number: Number of the job; of two finished ones the lower number is returned first.
        job: Argument of the runner's `run`.
        folder: Folder for its files, relative to the root.
        inputs: Further folders whose files it needs, relative to the root.
    """

    number: int
    job: Any
    folder: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterOptions:
    """How jobs are run on a cluster.

    Args:
        spec: Spec whose plug-ins the nodes need.
        threads: Number of TensorFlow's threads, and of processors that a worker reserves;
            None for one thread per core and one processor.
        count: Number of workers; None for as many as the cluster has room for.
        most: Largest number of workers that is of use.
        root: Folder below which the folders of the jobs appear.
        say: Function that shows a line to the user.
    """

    spec: Spec
    threads: int | None
    count: int | None
    most: int
    root: Path
    say: Callable[[str], None]

    @property
    def processors(self) -> int:
        """Number of processors that a worker reserves."""
        return self.threads or 1


@dataclass(eq=False)
class _Worker:
    """An actor and its stage: describe, start, load, idle, run."""

    actor: Any
    stage: str = "describe"
    job: RemoteJob | None = None
    node: str = ""
    machine: dict[str, Any] = field(default_factory=dict)


class RayJobs:
    """Runs jobs in actors of a Ray cluster.

    A job whose node or process dies runs again in another one. Only processes that run are
    given jobs, so that a request which the cluster cannot fulfil delays nothing.

    Args:
        ray: Module ray, connected.
        make_runner: Picklable callable that makes the runner in a folder. It holds the data,
            which each node receives once.
        options: How the jobs are run.

    Attributes:
        remarks: Sentences about nodes that differ from this machine.

    Raises:
        SpecError: If no node has enough processors.
    """

    def __init__(
        self, ray: ModuleType, make_runner: Callable[[Path], Any], options: ClusterOptions
    ) -> None:
        self._ray, self._options = ray, options
        self._root, self._say = options.root, options.say
        self._here = running_process()
        flags, folder = dict(self._here["flags"]), str(user_paths.current())
        self._order = StartOrder(
            options.spec, used_plugins(options.spec), options.threads, flags, folder
        )
        self._check_room()
        self._runner = ray.put(make_runner)
        self._actor_class = ray.remote(RemoteWorker)
        self._workers: list[_Worker] = []
        self._waiting: dict[Any, _Worker] = {}  # result that is awaited -> worker
        self._queue: deque[RemoteJob] = deque()
        self._deaths: dict[str, int] = {}  # folder of a job -> deaths, their nodes alive
        self._deaths_at_start = 0
        self._last_news = time.monotonic()
        self.remarks: list[str] = []
        self._say(self._room())

    def submit(self, job: RemoteJob) -> None:
        """Queues a job; it starts as soon as a worker is free."""
        self._queue.append(job)
        self._hand_out()

    def next_result(self) -> tuple[RemoteJob, Any]:
        """Waits until a job is done; its files are then in its folder.

        Returns:
            The job and the object that its runner returned; None if its processes died
            repeatedly.

        Raises:
            KfcError: The error that a runner raised.
            SpecError: If workers cannot start.
        """
        while True:
            ready, _ = self._ray.wait(list(self._waiting), timeout=_TURN_SECONDS)
            if not ready:
                self._show_patience()
                continue
            self._last_news = time.monotonic()
            (reference,) = ready
            worker = self._waiting.pop(reference)
            job = worker.job
            try:
                value = self._ray.get(reference)
            except self._ray.exceptions.RayActorError as error:
                if self._is_fatal(worker, error) and job is not None:
                    return job, None
                continue
            except (self._ray.exceptions.RayError, ImportError) as error:
                raise self._unusable(worker, error) from error
            if worker.stage == "run" and job is not None:
                worker.stage, worker.job = "idle", None
                self._hand_out()
                return job, self._received(job, value)
            self._advance(worker, value)
            self._hand_out()

    def close(self) -> None:
        """Ends all workers at once; files of unfinished jobs are lost."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._workers, self._waiting = [], {}

    # --- workers ----------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Gives idle workers the jobs of the queue, and asks for workers that are missing."""
        for worker in self._workers:
            if worker.stage == "idle" and self._queue:
                worker.job, worker.stage = self._queue.popleft(), "run"
                files = self._inputs(worker.job)
                call = worker.actor.run.remote(worker.job.job, worker.job.folder, files)
                self._waiting[call] = worker
        open_jobs = len(self._queue) + sum(each.stage == "run" for each in self._workers)
        while len(self._workers) < min(self.limit(), open_jobs):
            actor = self._actor_class.options(num_cpus=self._options.processors).remote()
            worker = _Worker(actor)
            self._workers.append(worker)
            self._waiting[actor.describe.remote()] = worker

    def _advance(self, worker: _Worker, value: Any) -> None:
        """Takes a worker from one stage of its start to the next one."""
        actor = worker.actor
        if worker.stage == "describe":
            self._check_node(worker, value)
            worker.stage, call = "start", actor.start.remote(self._order)
        elif worker.stage == "start":
            if isinstance(value, KfcError):
                raise _on_node(value, worker.node)
            self._compare(worker, value)
            worker.stage, call = "load", actor.load.remote(self._runner)
        else:
            worker.stage, self._deaths_at_start = "idle", 0
            return
        self._waiting[call] = worker

    def _is_fatal(self, dead: _Worker, error: Exception) -> bool:
        """Forgets a dead worker and queues its job; returns whether its job is the cause.

        Raises:
            SpecError: If too many workers died while they started.
        """
        self._workers.remove(dead)
        self._ray.kill(dead.actor)  # one that cannot be reached may still run
        died = isinstance(error, self._ray.exceptions.ActorDiedError)
        alone = died and self._is_alive(dead.machine.get("node_id", ""))
        if dead.job is not None:
            deaths = self._deaths.get(dead.job.folder, 0) + alone
            self._deaths[dead.job.folder] = deaths
            if deaths == MAX_DEATHS:
                self._hand_out()
                return True
            lost = f"a process of node {dead.node} died" if alone else f"lost node {dead.node}"
            self._say(f"{lost}: {dead.job.folder} starts again elsewhere")
            self._queue.appendleft(dead.job)
        elif dead.stage != "idle":
            self._deaths_at_start += 1
            if self._deaths_at_start == MAX_DEATHS:
                raise self._unusable(dead, error)
        self._hand_out()
        return False

    def _is_alive(self, node_id: str) -> bool:
        nodes = self._ray.nodes()
        return any(node["NodeID"] == node_id and node["Alive"] for node in nodes)

    # --- checks of a node -------------------------------------------------------------------

    def _check_node(self, worker: _Worker, facts: dict[str, Any]) -> None:
        """Checks that a node has this version of kfc, because objects of kfc are sent to it.

        Raises:
            SpecError: If it has another one.
        """
        worker.node = str(facts["address"])
        worker.machine = {"node_id": facts["node_id"]}
        name = "keras-fully-connected"
        here, there = self._here["versions"].get(name), facts["versions"].get(name)
        if here != there:
            remedy = "Install the same version on every node."
            raise SpecError(Finding(f"node {worker.node}", f"kfc {here}", f"{there}", remedy))

    def _compare(self, worker: _Worker, machine: dict[str, Any]) -> None:
        """Says once for each node how it differs from this machine."""
        then, now = (
            {key: of.get(key) for key in MACHINE_KEYS} for of in (self._here, machine)
        )
        changes = environment.value_differences(then, now)
        if not changes:
            return
        said = "; ".join(line.replace(" then, ", " here, ") for line in changes)
        said = said.replace(" now", " there")
        remark = f"Node {worker.node} has other values, so other bits are possible: {said}."
        if remark not in self.remarks:
            self.remarks.append(remark)
            self._say(remark)

    def _unusable(self, worker: _Worker, error: Exception) -> SpecError:
        """Returns the error for a worker that cannot start or whose job ended by a bug."""
        lines = str(getattr(error, "cause", None) or error).strip().splitlines()
        expected, got = "processes that start and work", lines[-1] if lines else repr(error)
        remedy = "Free memory on the node; the files that `data` names must be there too."
        if missing := re.search(r"No module named '([\w.]+)'", str(error)):
            expected, got = "the packages of this machine", f"no module {missing[1]}"
            remedy = "Install kfc and the plug-ins of the spec on every node."
        elif worker.stage == "describe":
            remedy = "Start Ray on every node with RAY_AUTH_MODE=token and the same token."
        where = f"node {worker.node}" if worker.node else "a node of the cluster"
        return SpecError(Finding(where, expected, one_line(got).rstrip("."), remedy))

    # --- room and progress ------------------------------------------------------------------

    def _total(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def limit(self) -> int:
        """Returns the number of jobs that can run at once."""
        room = max(1, self._total() // self._options.processors)
        return min(self._options.most, self._options.count or room)

    def _check_room(self) -> None:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        most = max((int(node["Resources"].get("CPU", 0)) for node in nodes), default=0)
        if most < self._options.processors:
            remedy = "Reduce training.threads, or add a node."
            expected = (
                f"a node with {self._options.processors} processors, one for each thread"
            )
            got = f"at most {most} on {len(nodes)} nodes"
            raise SpecError(Finding("ray", expected, got, remedy))

    def _room(self) -> str:
        size = self._ray.experimental.get_local_object_locations([self._runner])
        size_bytes = size.get(self._runner, {}).get("object_size", 0)
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return (
            f"Ray: nodes {nodes}, processors {self._total()}; each node "
            f"receives the data once, {size_bytes / 1e6:.1f} MB"
        )

    def _show_patience(self) -> None:
        if any(worker.stage != "describe" for worker in self._workers):
            return
        if time.monotonic() - self._last_news > _PATIENCE_SECONDS:
            self._last_news = time.monotonic()
            self._say("waiting for a node with a free processor for each thread")

    # --- files ------------------------------------------------------------------------------

    def _inputs(self, job: RemoteJob) -> dict[str, bytes]:
        """Returns the files that a job needs, by their names relative to the root."""
        return {
            f"{folder}/{name}": content
            for folder in (job.folder, *job.inputs)
            for name, content in folder_contents(self._root / folder).items()
        }

    def _received(self, job: RemoteJob, outcome: Outcome) -> Any:
        """Writes the files of a finished job; returns its result, or raises its error."""
        self._deaths.pop(job.folder, None)
        if outcome.files:
            folder = self._root / job.folder
            atomic.make_folder(folder.parent)
            atomic.write_folder(folder, outcome.files, replace=True)
        if outcome.error is not None:
            raise outcome.error
        return outcome.result


def _on_node(error: KfcError, node: str) -> KfcError:
    """Returns the same error with the node's name in each finding."""
    findings = (
        replace(
            each, where=f"node {node}, {each.where}", remedy=f"{_SAME} {each.remedy}".rstrip()
        )
        for each in error.findings
    )
    return type(error)(*findings)


@contextmanager
def cluster_jobs(
    address: str, make_runner: Callable[[Path], Any], options: ClusterOptions
) -> Iterator[RayJobs]:
    """Connects to a cluster, and ends its workers and the connection with the `with` block.

    Args:
        address: Address of the cluster, see `joined_ray`.
        make_runner: Picklable callable that makes the runner in a folder.
        options: How the jobs are run.

    Yields:
        The jobs.
    """
    processors = max(os.cpu_count() or 1, (options.count or 1) * options.processors)
    with (
        joined_ray(address, processors) as ray,
        closing(RayJobs(ray, make_runner, options)) as jobs,
    ):
        yield jobs
