"""Runs the trials of a search at once in this process, see `training.at_once`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from functools import partial

from kfc.system import in_lockstep
from kfc.training.engine import JointCalls
from kfc.tuning.trial import Trial
from kfc.tuning.trial_runner import Job, TrialRunner
from kfc.tuning.workers import CurrentProcess


class NetworksAtOnce(CurrentProcess):
    """Trains queued jobs in lockstep: networks of one shape make each step together.

    Jobs that are queued meanwhile begin when these have ended. Each trial says how many
    trained at once, and its seconds are its share of the time of all.

    Args:
        runner: Runner of the jobs.
        most: Largest number of jobs in lockstep.
    """

    def __init__(self, runner: TrialRunner, most: int) -> None:
        super().__init__(runner)
        self._most = most
        self._training: deque[Job] = deque()  # those whose trials `_trials` has yet to yield
        self._trials: Generator[Trial, None, None] | None = None

    def next_result(self) -> tuple[Job, Trial]:
        """Trains the next jobs, unless some have begun, until the first one is done."""
        if self._trials is None or not self._training:
            self.close()  # obeys a signal that came after the last of them
            number = min(self._most, len(self._queue))
            self._training = deque(self._queue.popleft() for _ in range(number))
            functions = [partial(self._runner.run, job) for job in self._training]
            self._trials = in_lockstep(functions, JointCalls())
        trial = next(self._trials)
        return self._training.popleft(), trial

    def close(self) -> None:
        """Ends the trainings; interrupted trials start again later."""
        if self._trials is not None:
            self._trials.close()
