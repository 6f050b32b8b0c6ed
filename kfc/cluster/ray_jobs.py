"""Hands out jobs to the nodes of a Ray cluster, and writes the files that they return."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from kfc.cluster.node_checks import bits_remark, check_version, on_node, start_failure
from kfc.cluster.ray_session import joined_ray
from kfc.cluster.remote_worker import (
    Outcome,
    RemoteWorker,
    StartOrder,
    folder_contents,
    used_plugins,
)
from kfc.errors import Finding, KfcError, SpecError
from kfc.runs import running_process
from kfc.spec import Spec
from kfc.system import atomic, user_paths

MAX_DEATHS = 3
"""Number of processes that die on one job, while their nodes live, until the job counts as the
cause; also the number of processes in a row that may die while they start."""

SAVE_SECONDS = 20.0
"""Seconds between two checkpoints of a job that come back: a dead node loses about as many."""

_FILES = "files"
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
    """Options with which jobs run on a cluster.

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
    """An actor and its stage: describe, start, load, idle, run.

    Args:
        actor: Handle of the actor.
        stage: Method that it runs, or `idle`.
        job: Job that it runs.
        node: Address of its node; empty until the actor answers.
        node_id: Ray's name of the node.
        saved_at: Time of the last question for a checkpoint, or of the start of the job.
        saved: Name of the newest checkpoint that this machine has.
    """

    actor: Any
    stage: str = "describe"
    job: RemoteJob | None = None
    node: str = ""
    node_id: str = ""
    saved_at: float = 0.0
    saved: str = ""


class RayJobs:
    """Runs jobs in actors of a Ray cluster.

    A job whose node or process dies runs again in another one. Only processes that run are
    given jobs, so that a request which the cluster cannot fulfil delays nothing.

    Args:
        ray: Module ray, connected.
        make_runner: Picklable callable that makes the runner in a folder. It holds the data,
            which each node receives once.
        options: Options of the jobs.

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
        self._here = running_process.running_process()
        flags, folder = dict(self._here["flags"]), str(user_paths.current())
        self._order = StartOrder(
            options.spec, used_plugins(options.spec), options.threads, flags, folder
        )
        self._check_room()
        self._runner = ray.put(make_runner)
        # A job runs in one thread, and a second one reads its checkpoints meanwhile.
        self._actor_class = ray.remote(concurrency_groups={_FILES: 1})(RemoteWorker)
        self._workers: list[_Worker] = []
        self._waiting: dict[Any, _Worker] = {}  # result that is awaited -> worker
        self._saving: dict[Any, tuple[_Worker, RemoteJob]] = {}  # checkpoints that come
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
            self._ask_for_checkpoints()
            awaited = [*self._saving, *self._waiting]
            ready, _ = self._ray.wait(awaited, timeout=_TURN_SECONDS)
            if not ready:
                self._show_patience()
                continue
            self._last_news = time.monotonic()
            (reference,) = ready
            if reference in self._saving:
                self._keep_checkpoint(reference)
                continue
            worker = self._waiting.pop(reference)
            job = worker.job
            try:
                value = self._ray.get(reference)
            except self._ray.exceptions.RayActorError as error:
                if self._is_fatal(worker, error) and job is not None:
                    return job, None
                continue
            except self._ray.exceptions.RayError as error:
                if worker.stage == "run":
                    raise  # a bug, with its traceback on the node
                raise start_failure(worker.node, error) from error
            if worker.stage == "run" and job is not None:
                worker.stage, worker.job = "idle", None
                self._hand_out()
                return job, self._received(job, value)
            self._advance(worker, value)
            self._hand_out()

    def close(self) -> None:
        """Ends all workers at once; unfinished jobs keep the checkpoints that came back."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._workers, self._waiting, self._saving = [], {}, {}

    # --- workers ----------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Gives idle workers the jobs of the queue, and asks for workers that are missing."""
        for worker in self._workers:
            if worker.stage == "idle" and self._queue:
                worker.job, worker.stage = self._queue.popleft(), "run"
                worker.saved_at, worker.saved = time.monotonic(), ""
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
            worker.node, worker.node_id = str(value["address"]), value["node_id"]
            check_version(worker.node, self._here["versions"], value["versions"])
            worker.stage, call = "start", actor.start.remote(self._order)
        elif worker.stage == "start":
            if isinstance(value, KfcError):
                raise on_node(value, worker.node)
            remark = bits_remark(worker.node, self._here, value)
            if remark and remark not in self.remarks:
                self.remarks.append(remark)
                self._say(remark)
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
        alone = died and self._is_alive(dead.node_id)
        if dead.job is not None:
            deaths = self._deaths.get(dead.job.folder, 0) + alone
            self._deaths[dead.job.folder] = deaths
            if deaths == MAX_DEATHS:
                self._hand_out()
                return True
            lost = f"a process of node {dead.node} died" if alone else f"lost node {dead.node}"
            self._say(f"{lost}: {dead.job.folder} continues elsewhere")
            self._queue.appendleft(dead.job)
        elif dead.stage != "idle":
            self._deaths_at_start += 1
            if self._deaths_at_start == MAX_DEATHS:
                raise start_failure(dead.node, error)
        self._hand_out()
        return False

    def _is_alive(self, node_id: str) -> bool:
        nodes = self._ray.nodes()
        return any(node["NodeID"] == node_id and node["Alive"] for node in nodes)

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
        self._write(job, outcome.files)
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def _write(self, job: RemoteJob, files: dict[str, bytes]) -> None:
        if files:
            folder = self._root / job.folder
            atomic.make_folder(folder.parent)
            atomic.write_folder(folder, files, replace=True)

    def _ask_for_checkpoints(self) -> None:
        """Asks for the newest checkpoint of each job that has run for a while."""
        asked = [worker for worker, _ in self._saving.values()]
        for worker in self._workers:
            due = time.monotonic() - worker.saved_at >= SAVE_SECONDS
            if worker.job is not None and due and worker not in asked:
                method = worker.actor.checkpoint.options(concurrency_group=_FILES)
                call = method.remote(worker.job.folder, worker.saved)
                self._saving[call] = worker, worker.job

    def _keep_checkpoint(self, reference: Any) -> None:
        """Writes the files of an unfinished job, with which another node continues it."""
        worker, job = self._saving.pop(reference)
        worker.saved_at = time.monotonic()
        try:
            name, files = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            return  # the job's own result says what happened
        if worker.job is job and files:
            self._write(job, files)
            worker.saved = name
            self._deaths.pop(job.folder, None)


@contextmanager
def cluster_jobs(
    address: str, make_runner: Callable[[Path], Any], options: ClusterOptions
) -> Iterator[RayJobs]:
    """Connects to a cluster, and ends its workers and the connection with the `with` block.

    Args:
        address: Address of the cluster, see `joined_ray`.
        make_runner: Picklable callable that makes the runner in a folder.
        options: Options of the jobs.

    Yields:
        The jobs.
    """
    processors = max(os.cpu_count() or 1, (options.count or 1) * options.processors)
    with (
        joined_ray(address, processors) as ray,
        closing(RayJobs(ray, make_runner, options)) as jobs,
    ):
        yield jobs
