"""Ctrl-C and SIGTERM at any moment -> the same signals at a moment of our choice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from kfc.errors import DiskError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Within it the first signal waits until `obey`; a second one acts at once.

    What a signal does is what it did before: raise KeyboardInterrupt, end the process, or
    whatever the caller has installed. One that was ignored stays ignored. In a thread that
    is not the main one, which no signal reaches, nothing changes.

    Attributes:
        heard: The signal that waits, or None.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None is a handler that Python did not install and cannot put back.
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
        """Lets the signal that waits, if any, do what it does."""
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
    """Says how to go on where a signal or a full disk ends what runs within.

    Args:
        say: Prints a line.
        how: For example "`kfc resume RUN` goes on".
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, DiskError):
        say(f"Interrupted: {how}.")
        raise
