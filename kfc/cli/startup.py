"""Starts TensorFlow in the process of a command."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from kfc.system import import_tensorflow, memory, without_collection

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_for_command(quiet: bool = False) -> None:
    """Imports TensorFlow and Keras, whose objects the garbage collector never looks at.

    Args:
        quiet: Whether to omit the line that asks the user of a terminal to wait.
    """
    if "tensorflow" in sys.modules:
        return
    if not quiet and sys.stderr.isatty():  # the import takes three to eight seconds
        print("starting TensorFlow", file=sys.stderr, flush=True)
    before = {
        number: signal.signal(number, _leave)
        for number in _SIGNALS
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # ignored stays ignored
    }
    try:
        memory.limit_pools()
        with modules_that_stay():
            import_tensorflow()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def modules_that_stay() -> Iterator[None]:
    """Runs imports without garbage collection, which never looks at their objects later.

    Only commands do this: in a process of the caller, cycles of its objects would stay too.
    """
    with without_collection():
        yield
        gc.freeze()


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception during the import of a C extension may crash; there is nothing to save yet.
    os._exit(128 + number)
