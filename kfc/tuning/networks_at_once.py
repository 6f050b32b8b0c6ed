"""Runs the trials of a search at once in this process, see `training.at_once`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from functools import partial

from kfc.system import in_lockstep
from kfc.training.engine import JointCalls
from kfc.tuning.trial import Trial
from kfc.tuning.trial_runner import Job, TrialRunner


class NetworksAtOnce:
    """Trains all queued jobs in lockstep: networks of one shape make each step together.

    Jobs that are queued meanwhile begin when these have ended.

    Args:
        runner: Runner of the jobs.
    """

    def __init__(self, runner: TrialRunner) -> None:
        self._runner = runner
        self._queue: deque[Job] = deque()
        self._training: deque[Job] = deque()  # those whose trials `_trials` has yet to yield
        self._trials: Generator[Trial, None, None] | None = None
        self._most = 1  # networks in one step

    def submit(self, job: Job) -> None:
        """Queues a job."""
        self._queue.append(job)

    def next_result(self) -> tuple[Job, Trial]:
        """Trains all queued jobs, unless some have begun, until the first one is done."""
        if self._trials is None or not self._training:
            self._training, self._queue = self._queue, deque()
            functions = [partial(self._runner.run, job) for job in self._training]
            self._trials = in_lockstep(functions, JointCalls(self._note))
        trial = next(self._trials)
        return self._training.popleft(), trial

    def close(self) -> None:
        """Ends the trainings; interrupted trials start again later."""
        if self._trials is not None:
            self._trials.close()

    @property
    def count(self) -> int:
        """1: a trial's seconds are its share of the time of all."""
        return 1

    @property
    def remarks(self) -> list[str]:
        """A sentence about the bits, if networks have shared a step."""
        if self._most == 1:
            return []
        return [
            f"Up to {self._most} networks of one shape trained at once (training.at_once), so "
            "their weights are those of a training alone but for rounding."
        ]

    def _note(self, counts: list[int]) -> None:
        self._most = max(self._most, *counts)
