"""Delays Ctrl-C and SIGTERM until the program can stop cleanly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from kfc.errors import DiskError, WorkerError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Delays the first signal of a `with` block until `obey`; the second one acts at once.

    A delayed signal keeps its handler: it raises KeyboardInterrupt, ends the process or calls
    the function that the caller has installed. An ignored signal stays ignored. Outside the
    main thread, which alone receives signals, nothing changes.

    Attributes:
        heard: Number of the signal that waits, or None.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None stands for a handler that Python did not install and cannot restore.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        self.obey()

    def obey(self) -> None:
        """Delivers the signal that waits, if there is one."""
        if self.heard is not None:
            number, self.heard = self.heard, None
            self._restore()
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_second, self.heard = self.heard is not None, number
        if is_second:
            self.obey()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


@contextmanager
def hint_on_interrupt(say: Callable[[str], None], how: str) -> Iterator[None]:
    """Prints how to continue if a signal, a full disk or a lost worker ends the `with` block.

    Args:
        say: Function that prints a line.
        how: Words after "Interrupted:", such as "`kfc resume RUN` continues".
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, DiskError, WorkerError):
        say(f"Interrupted: {how}.")
        raise


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the process at once within the `with` block.

    Python's handlers do not run while a library waits with the interpreter's lock. An ignored
    signal stays ignored.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for changed, handler in before.items():
            signal.signal(changed, handler)
