"""Orders -> trials, in this process or in several.

This is where a trial is handed out: whatever takes an `Order` and gives a `Trial` back can
stand here, on other machines too.
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
from kfc.system import safe_open
from kfc.tuning import worker_process
from kfc.tuning.trial import Trial, worst_score
from kfc.tuning.trial_runner import Order, Runner

_MOST_DEATHS = 3
"""Processes that one order may cost without a new checkpoint, before it counts as what kills
them; and processes that may die one after another before they can take any."""


class Workers(Protocol):
    """Runs orders, and gives them back as they are done."""

    def submit(self, order: Order) -> None:
        """Takes an order; it begins as soon as a worker is free."""

    def next_done(self) -> tuple[Order, Trial]:
        """Waits until an order is done; there must be one."""

    def close(self) -> None:
        """Ends every worker, whatever it is doing."""


class OwnProcess:
    """Runs one order after another, in this process.

    Args:
        runner: Runs an order.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._orders: deque[Order] = deque()

    def submit(self, order: Order) -> None:
        """Takes an order."""
        self._orders.append(order)

    def next_done(self) -> tuple[Order, Trial]:
        """Runs the order that has waited longest."""
        order = self._orders.popleft()
        return order, self._runner.run(order)

    def close(self) -> None:
        """Does nothing: there is nothing to end."""


class Processes:
    """Runs orders in processes of their own, each with an executor of its own.

    One executor for all would end every process when one is killed.

    Args:
        count: Of processes, of at least 1.
        make_runner: Makes the runner in each process; picklable.
        threads: Of TensorFlow in each; None is every core.
        objective: Whose worst score an order gets that kills its process again and again.
        root: The search's folder.
    """

    def __init__(
        self,
        count: int,
        make_runner: Callable[[], Runner],
        *,
        threads: int | None,
        objective: str,
        root: Path,
    ) -> None:
        self._root = root
        self._start = pickle.dumps(make_runner), threads
        self._objective = objective
        self._processes = [_Process(*self._start) for _ in range(count)]
        self._orders: deque[Order] = deque()
        self._running: dict[Future[Trial], tuple[int, Order]] = {}
        # Folder of an order -> processes that died since its newest checkpoint, which is that.
        self._deaths: dict[str, tuple[int, str]] = {}
        self._deaths_at_start = 0

    def submit(self, order: Order) -> None:
        """Takes an order; it begins as soon as a process is free."""
        self._orders.append(order)
        self._hand_out()

    def next_done(self) -> tuple[Order, Trial]:
        """Waits until an order is done; one whose process died goes to another."""
        while True:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            # By number, so that what the journal holds depends less on chance.
            future = min(done, key=lambda f: self._running[f][1].proposal.number)
            place, order = self._running.pop(future)
            try:
                self._processes[place].wait_for_start()
                trial = future.result()
            except BrokenProcessPool:
                if not self._is_killer(self._replace(place), order):
                    self._orders.appendleft(order)
                    self._hand_out()
                    continue
                trial = self._killer(order)
            self._deaths_at_start = 0
            self._hand_out()
            return order, trial

    def close(self) -> None:
        """Kills the processes: what they run has its checkpoints."""
        for each in self._processes:
            each.kill()

    def _hand_out(self) -> None:
        busy = {place for place, _ in self._running.values()}
        for place in range(len(self._processes)):
            if place not in busy and self._orders:
                order = self._orders.popleft()
                try:
                    future = self._processes[place].submit(order)
                except BrokenProcessPool:  # killed while it was idle
                    self._replace(place)
                    future = self._processes[place].submit(order)
                self._running[future] = place, order

    def _replace(self, place: int) -> _Process:
        """Returns the dead process in whose place there is a new one."""
        dead = self._processes[place]
        dead.kill()
        self._processes[place] = _Process(*self._start)
        return dead

    def _is_killer(self, dead: _Process, order: Order) -> bool:
        """Counts a death, and says whether it was one too many for its order.

        Raises:
            SpecError: If it was one of many that no order is to blame for.
        """
        if dead.has_started:
            names = safe_open.names_in(self._root / order.folder / "checkpoints")
            newest = max((name for name in names if name[0].isdigit()), default="")
            deaths, earlier = self._deaths.get(order.folder, (0, newest))
            deaths = deaths + 1 if newest == earlier else 1
            self._deaths[order.folder] = deaths, newest
            return deaths == _MOST_DEATHS
        self._deaths_at_start += 1
        if self._deaths_at_start == _MOST_DEATHS:
            raise SpecError(
                Finding(
                    "workers",
                    "processes that start",
                    f"{_MOST_DEATHS} that died before their first trial",
                    'Call kfc.tune below `if __name__ == "__main__":` of a script in a file, '
                    "free memory, or use workers=1.",
                )
            )
        return False

    def _killer(self, order: Order) -> Trial:
        return Trial(
            number=order.proposal.number,
            values=order.proposal.values,
            point=order.proposal.point,
            parent=order.proposal.parent,
            seed=order.seed,
            status="diverged",
            score=worst_score(self._objective),
            epochs=0,
            seconds=0.0,
            weights=0,
            folder=order.folder,
            cause=f"{_MOST_DEATHS} processes died of it; is there enough memory?",
        )


class _Process:
    """An executor of one process, which starts with its first order.

    Args:
        pickled_runner: A callable that makes the `Runner`.
        threads: Of TensorFlow; None is every core.
    """

    def __init__(self, pickled_runner: bytes, threads: int | None) -> None:
        # A fork of a process in which TensorFlow has started hangs.
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(
            1, context, initializer=worker_process.end_with_parent
        )
        self._begin = pickled_runner, threads
        self._begun: Future[None] | None = None

    def submit(self, order: Order) -> Future[Trial]:
        if self._begun is None:
            with _no_interrupts():
                self._begun = self._executor.submit(worker_process.begin, *self._begin)
        return self._executor.submit(worker_process.run, order)

    @property
    def has_started(self) -> bool:
        return bool(self._begun and self._begun.done() and not self._begun.exception())

    def wait_for_start(self) -> None:
        """Raises what its start has raised."""
        if self._begun:
            self._begun.result()

    def kill(self) -> None:
        for child in list((self._executor._processes or {}).values()):
            child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back while a process starts, which inherits that it is blocked.

    A block is this thread's own: where another one takes the signal, Python still calls its
    handler in the main thread, so that is another one meanwhile.
    """
    heard: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    is_main = threading.current_thread() is threading.main_thread()
    handler = is_main and signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if heard:
            signal.raise_signal(signal.SIGINT)
