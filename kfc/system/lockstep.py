"""Functions in lockstep: each runs to its next question, then all questions are answered.

    function 0    runs, asks               runs, asks               runs, returns
    function 1                runs, asks               runs, asks
    caller                                                                   ...
                                  answers both             answers both

Each function has a thread of its own, of which exactly one runs at any time, so that the
functions need no locks. Signals arrive in the thread of the caller, who tells all functions
between two rounds: all obey after the same number of questions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Generic, TypeVar

from kfc.system.signals import Interrupts

_Result = TypeVar("_Result")

_Answer = Callable[[list[Any]], Sequence[Any]]
"""Function that answers the questions of a round, in the same order."""


_NAME = "kfc in lockstep"
"""Name of the threads."""


class _Stopped(BaseException):
    """Ends a function at its question, because another one or the caller has ended."""


class _Obey:
    """Question of a function that is ready for the signal which it has heard."""


_OBEY = _Obey()


class _Function(Generic[_Result]):
    """A function in its thread.

    Args:
        function: The function.
        count: Number of functions in lockstep.
    """

    def __init__(self, function: Callable[[], _Result], count: int) -> None:
        self._function, self.count = function, count
        self.question: Any = None
        self.signal: int | None = None  # that the caller has heard
        self.seconds = 0.0  # its runs up to the last question, and its shares of the answers
        self._runs_since = 0.0
        self.begun = self.ended = self._runs = self._stops = False
        self.error: BaseException | None = None
        self._answer: Any = None
        self._result: _Result | None = None
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        # A daemon, so that a second Ctrl-C ends the process although the thread waits.
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)

    def run_on(self, answer: Any = None) -> None:
        """Runs the function from the answer to its next question, or to its end."""
        self._answer, self._runs_since = answer, time.monotonic()
        if self.begun:
            self._go.release()
        else:
            self.begun = True
            self._thread.start()
        self._runs = True  # now: if a signal came before, `stop` would wait for ever
        self._wait()
        self.seconds = self.seconds_now()

    def stop(self) -> None:
        """Ends the function at its question; one that has not begun never begins."""
        self._stops = True
        self._wait()  # an error may have come while the function ran
        if self.begun and not self.ended:
            self.run_on()
        self.ended = True

    def result(self) -> _Result:
        """Returns the result of the ended function, or raises its error."""
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]

    def seconds_now(self) -> float:
        """Returns `seconds` with those since it runs; called while it does."""
        return self.seconds + time.monotonic() - self._runs_since

    def ask(self, question: Any) -> Any:
        """Returns the answer to a question; called in the thread of the function."""
        if not self._stops:
            self.question = question
            self._paused.release()
            self._go.acquire()
        if self._stops:
            raise _Stopped
        return self._answer

    def _wait(self) -> None:
        if self._runs:
            self._paused.acquire()
            self._runs = False

    def _run(self) -> None:
        _here.set(self)
        try:
            self._result = self._function()
        except BaseException as error:
            self.error = error
        self.ended = True
        self._paused.release()


_here: ContextVar[_Function[Any] | None] = ContextVar("function in lockstep", default=None)


def in_lockstep(
    functions: Sequence[Callable[[], _Result]], answer: _Answer
) -> Generator[_Result, None, None]:
    """Yields the result of each function, in their order, as soon as it has one.

    An error ends the functions after the one that raised it; those before it run to their
    end, as if each had been called after the one before it.

    Args:
        functions: Functions that call `ask`.
        answer: Function that gets the questions of all functions which have not ended, and
            returns an answer to each.

    Raises:
        Exception: The error of the first function, in their order, for which there is one.
    """
    running = [_Function(each, len(functions)) for each in functions]
    with Interrupts() as interrupts:
        try:
            for each in running:
                while not each.ended:
                    _round(running, answer, interrupts)
                yield each.result()
        finally:
            for each in running:
                each.stop()


def _round(running: list[_Function[Any]], answer: _Answer, interrupts: Interrupts) -> None:
    """Answers the questions of all functions, and runs each to its next one."""
    asking = [each for each in running if each.begun and not each.ended]
    if interrupts.heard is not None and all(each.question is _OBEY for each in asking):
        interrupts.obey()  # returns if a function of the caller handles the signal
    heard = interrupts.heard
    for each in asking:
        each.signal = heard
    # After a signal, those that are ready for it wait for the others, and none begins.
    if heard is not None:
        asking = [each for each in asking if each.question is not _OBEY]
    asked = [each for each in asking if each.question is not _OBEY]
    began = time.monotonic()
    answers = answer([each.question for each in asked]) if asked else ()
    for each in asked:
        each.seconds += (time.monotonic() - began) / len(asked)
    answer_of = {id(each): found for each, found in zip(asked, answers, strict=True)}
    unbegun = [each for each in running if not (each.begun or each.ended)]
    for each in [*asking, *unbegun]:
        begins = not each.begun and interrupts.heard is None
        if not each.ended and (each.begun or begins):  # the error of an earlier one ends it
            each.run_on(answer_of.get(id(each)))
        if each.error is not None:
            for later in running[running.index(each) + 1 :]:
                later.stop()


def ask(question: Any) -> Any:
    """Returns the answer to the question of a function in lockstep.

    Args:
        question: Question, see `in_lockstep`.

    Returns:
        The answer; None elsewhere, where nobody answers.
    """
    here = _here.get()
    return None if here is None else here.ask(question)


def number_in_lockstep() -> int:
    """Returns the number of functions in lockstep with the caller, itself included, or 1."""
    here = _here.get()
    return 1 if here is None else here.count


def own_seconds() -> float:
    """Returns the time of a clock that, in lockstep, stands still while other functions run.

    The caller's clock goes while it runs itself, and while its questions are answered, where
    each function that has asked has the same share of the time.
    """
    here = _here.get()
    return time.monotonic() if here is None else here.seconds_now()


class _InLockstep:
    """`Interrupts` of a function in lockstep: it asks its caller to deliver a signal."""

    def __init__(self, here: _Function[Any]) -> None:
        self._here = here

    @property
    def heard(self) -> int | None:
        """Number of the signal that waits, or None."""
        return self._here.signal

    @heard.setter
    def heard(self, number: int | None) -> None:
        self._here.signal = number

    def __enter__(self) -> _InLockstep:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.obey()

    def obey(self) -> None:
        """Waits until all functions are ready for the signal that waits, if there is one."""
        if self.heard is not None:
            self._here.ask(_OBEY)


def interrupts_here() -> Interrupts | _InLockstep:
    """Returns the delayed signals of the caller, which may be a function in lockstep."""
    here = _here.get()
    return Interrupts() if here is None else _InLockstep(here)
