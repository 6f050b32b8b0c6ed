"""Starts the workers of a search: here, in several processes, or on a Ray cluster."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kfc.cluster import MAX_DEATHS, ClusterOptions, RayJobs, RemoteJob, cluster_jobs
from kfc.tuning.networks_at_once import NetworksAtOnce
from kfc.tuning.space import Space
from kfc.tuning.trial import Trial
from kfc.tuning.trial_runner import Job, Preparer, TrialRunner, trial_folder
from kfc.tuning.workers import CurrentProcess, WorkerProcesses, Workers, fatal_trial


@dataclass(frozen=True)
class Runners:
    """Makes runners of trials; pickled, it holds the rows that this process has read.

    Args:
        space: Space of the search.
        objective: Metric of the validation rows.
        root: Folder of the search.
        prepare: Callable that returns the prepared data of a spec.
    """

    space: Space
    objective: str
    root: Path
    prepare: Preparer

    def __call__(self, root: Path | None = None) -> TrialRunner:
        """Returns a runner whose trials are below `root`, by default the search's folder."""
        return TrialRunner(self.space, self.objective, root or self.root, self.prepare)


class ClusterWorkers:
    """Runs the jobs of a search on the nodes of a Ray cluster.

    Args:
        jobs: Jobs of the cluster.
        objective: Objective, whose worst score a job gets if its processes die repeatedly.
    """

    def __init__(self, jobs: RayJobs, objective: str) -> None:
        self._jobs, self._objective = jobs, objective

    def submit(self, job: Job) -> None:
        """Queues a job; it starts as soon as a node is free."""
        parent = job.proposal.parent
        inputs = () if parent is None else (f"{trial_folder(parent)}/checkpoints",)
        self._jobs.submit(RemoteJob(job.proposal.number, job, job.folder, inputs))

    def next_result(self) -> tuple[Job, Trial]:
        """Waits until a job is done; one whose node died runs again on another one.

        Raises:
            SpecError: If workers cannot start.
        """
        done, trial = self._jobs.next_result()
        return done.job, trial or fatal_trial(done.job, self._objective, MAX_DEATHS)

    def close(self) -> None:
        """Ends all workers at once; interrupted trials start again later."""
        self._jobs.close()

    @property
    def count(self) -> int:
        """Number of jobs that can run at once."""
        return self._jobs.limit()

    @property
    def remarks(self) -> list[str]:
        """Sentences about nodes that differ from this machine."""
        return self._jobs.remarks


@contextmanager
def started_workers(
    runners: Runners,
    count: int | None,
    threads: int | None,
    ray: str | None,
    console: Console,
    *,
    at_once: int = 1,
) -> Iterator[Workers]:
    """Starts the workers of a search, and ends them with the `with` block.

    Args:
        runners: Makes the runner of each worker.
        count: Number of workers; None is 1 here, and on a cluster as many as have room.
        threads: Number of TensorFlow's threads in each; None for one per core.
        ray: Address of a Ray cluster; None for this machine.
        console: Console for lines about the cluster.
        at_once: Number of trainings in lockstep, in this process.

    Yields:
        The workers.
    """
    objective, search = runners.objective, runners.space.spec.search
    if ray is not None:
        options = ClusterOptions(
            runners.space.spec,
            threads,
            count,
            search.parallel if search else 1,
            runners.root,
            functools.partial(console.print, soft_wrap=True),
        )
        with cluster_jobs(ray, runners, options) as jobs:
            yield ClusterWorkers(jobs, objective)
        return
    pool: Workers
    if at_once > 1:
        pool = NetworksAtOnce(runners(), at_once)
    elif count is None or count == 1:
        pool = CurrentProcess(runners())
    else:
        pool = WorkerProcesses(
            count, runners, threads=threads, objective=objective, root=runners.root
        )
    with closing(pool):
        yield pool
