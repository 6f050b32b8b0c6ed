"""Runs jobs in this process, or in several worker processes.

Anything with the methods of `Workers` can run the jobs of a search; `hand_out` runs them on
the nodes of a Ray cluster.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kfc.errors import Finding, SpecError
from kfc.system import safe_open, worker_process
from kfc.tuning.trial import Trial, worst_score
from kfc.tuning.trial_runner import Job, TrialRunner

_MAX_DEATHS = 3
"""Number of processes that die on one job, without a new checkpoint between, until the job
counts as the cause; also the number of processes in a row that may die while they start."""


class Workers(Protocol):
    """Runs jobs and returns each one when it is done."""

    def submit(self, job: Job) -> None:
        """Queues a job; it starts as soon as a worker is free."""

    def next_result(self) -> tuple[Job, Trial]:
        """Waits until a job is done and returns it; at least one must be queued."""

    def close(self) -> None:
        """Ends all workers at once, also in the middle of a job."""

    @property
    def count(self) -> int:
        """Number of jobs that can run at once."""

    @property
    def remarks(self) -> list[str]:
        """Sentences about workers that may give other bits."""


class CurrentProcess:
    """Runs one job after another in this process.

    Args:
        runner: Runner of the jobs.
    """

    def __init__(self, runner: TrialRunner) -> None:
        self._runner = runner
        self._queue: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Queues a job."""
        self._queue.append(job)

    def next_result(self) -> tuple[Job, Trial]:
        """Runs the job that was queued first."""
        job = self._queue.popleft()
        return job, self._runner.run(job)

    def close(self) -> None:
        """Does nothing, because no process has to end."""

    @property
    def count(self) -> int:
        """1, this process."""
        return 1

    @property
    def remarks(self) -> list[str]:
        """No sentence, because this process trains."""
        return []


class WorkerProcesses:
    """Runs jobs in worker processes, each with an executor of its own.

    With one executor for all, the death of one process would end all of them.

    Args:
        count: Number of processes, at least 1.
        make_runner: Picklable callable that makes the runner in each process.
        threads: Number of TensorFlow's threads in each process; None for one per core.
        objective: Objective, whose worst score a job gets if its processes die repeatedly.
        root: Folder of the search.
    """

    def __init__(
        self,
        count: int,
        make_runner: Callable[[], TrialRunner],
        *,
        threads: int | None,
        objective: str,
        root: Path,
    ) -> None:
        self._root = root
        self._start_arguments = pickle.dumps(make_runner), threads
        self._objective = objective
        self._processes = [_Process(*self._start_arguments) for _ in range(count)]
        self._queue: deque[Job] = deque()
        self._running: dict[Future[Trial], tuple[int, Job]] = {}  # index of the process, job
        # Folder of a job -> number of deaths since its newest checkpoint, and its name.
        self._deaths: dict[str, tuple[int, str]] = {}
        self._deaths_at_start = 0

    def submit(self, job: Job) -> None:
        """Queues a job; it starts as soon as a process is free."""
        self._queue.append(job)
        self._start_jobs()

    def next_result(self) -> tuple[Job, Trial]:
        """Waits until a job is done; a job whose process died runs again in another one.

        Raises:
            SpecError: If processes die while they start.
        """
        while True:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            # The lowest number first, so that the order in the journal depends less on chance.
            future = min(done, key=lambda f: self._running[f][1].proposal.number)
            index, job = self._running.pop(future)
            try:
                self._processes[index].wait_for_start()
                trial = future.result()
            except BrokenProcessPool:
                if not self._is_fatal(self._replace(index), job):
                    self._queue.appendleft(job)
                    self._start_jobs()
                    continue
                trial = fatal_trial(job, self._objective, _MAX_DEATHS)
            self._deaths_at_start = 0
            self._start_jobs()
            return job, trial

    def close(self) -> None:
        """Kills the processes; interrupted jobs resume from their checkpoints later."""
        for each in self._processes:
            each.kill()

    @property
    def count(self) -> int:
        """Number of processes."""
        return len(self._processes)

    @property
    def remarks(self) -> list[str]:
        """No sentence, because the processes are on this machine."""
        return []

    def _start_jobs(self) -> None:
        """Gives each free process a job of the queue."""
        busy = {index for index, _ in self._running.values()}
        for index in range(len(self._processes)):
            if index not in busy and self._queue:
                job = self._queue.popleft()
                try:
                    future = self._processes[index].submit(job)
                except BrokenProcessPool:  # killed while it was idle
                    self._replace(index)
                    future = self._processes[index].submit(job)
                self._running[future] = index, job

    def _replace(self, index: int) -> _Process:
        """Replaces a dead process by a new one and returns the dead one."""
        dead = self._processes[index]
        dead.kill()
        self._processes[index] = _Process(*self._start_arguments)
        return dead

    def _is_fatal(self, dead: _Process, job: Job) -> bool:
        """Counts a death; returns whether the job is the cause of too many.

        Raises:
            SpecError: If too many processes died while they started.
        """
        if dead.has_started:
            names = safe_open.names_in(self._root / job.folder / "checkpoints")
            newest = max((name for name in names if name[0].isdigit()), default="")
            deaths, checkpoint = self._deaths.get(job.folder, (0, newest))
            deaths = deaths + 1 if newest == checkpoint else 1
            self._deaths[job.folder] = deaths, newest
            return deaths == _MAX_DEATHS
        self._deaths_at_start += 1
        if self._deaths_at_start == _MAX_DEATHS:
            raise SpecError(
                Finding(
                    "workers",
                    "processes that start",
                    f"{_MAX_DEATHS} that died before their first trial",
                    'Call kfc.tune below `if __name__ == "__main__":` in a script file, '
                    "free memory, or use workers=1.",
                )
            )
        return False


def fatal_trial(job: Job, objective: str, deaths: int) -> Trial:
    """Returns the result of a job whose processes died.

    Args:
        job: Job that counts as the cause.
        objective: Objective, whose worst score the trial gets.
        deaths: Number of processes that died.
    """
    return Trial(
        number=job.proposal.number,
        values=job.proposal.values,
        point=job.proposal.point,
        parent=job.proposal.parent,
        seed=job.seed,
        status="diverged",
        score=worst_score(objective),
        epochs=0,
        seconds=0.0,
        weights=0,
        folder=job.folder,
        cause=f"{deaths} processes died while they ran it; is there enough memory?",
    )


class _Process:
    """An executor of one process, which starts with its first job.

    Args:
        pickled_make_runner: Pickled callable that makes a `TrialRunner`.
        threads: Number of TensorFlow's threads; None for one per core.
    """

    def __init__(self, pickled_make_runner: bytes, threads: int | None) -> None:
        # A forked process hangs if TensorFlow has been started before.
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(
            1, context, initializer=worker_process.end_with_parent
        )
        self._start_arguments = pickled_make_runner, threads
        self._start: Future[None] | None = None

    def submit(self, job: Job) -> Future[Trial]:
        if self._start is None:
            with _no_interrupts():
                self._start = self._executor.submit(
                    worker_process.start_worker, *self._start_arguments
                )
        return self._executor.submit(worker_process.run_job, job)

    @property
    def has_started(self) -> bool:
        return bool(self._start and self._start.done() and not self._start.exception())

    def wait_for_start(self) -> None:
        """Waits until the process has started; raises the errors of its start."""
        if self._start:
            self._start.result()

    def kill(self) -> None:
        for child in list((self._executor._processes or {}).values()):
            child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back while a process starts; the process inherits the blocked signal.

    A signal is blocked for one thread only. If another thread receives it, Python still calls
    the handler in the main thread, so the handler is replaced for the time being.
    """
    received: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    is_main = threading.current_thread() is threading.main_thread()
    handler = is_main and signal.signal(
        signal.SIGINT, lambda number, _: received.append(number)
    )
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if received:
            signal.raise_signal(signal.SIGINT)
