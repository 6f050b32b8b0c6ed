"""The start of TensorFlow in the process of a command."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

from kfc.system import import_tensorflow

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_for_command(quiet: bool = False) -> None:
    """Imports TensorFlow and Keras without a second of garbage collection.

    The collector would walk the million objects they make, which all stay, again and again
    as their number grows. A process of somebody else's keeps its own habits.

    Args:
        quiet: Whether to leave out the line that tells a person at a terminal to wait.
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
    gc.disable()
    try:
        import_tensorflow()
        gc.freeze()
    finally:
        gc.enable()
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception within the import of a C extension may end in a crash; nothing is lost.
    os._exit(128 + number)
