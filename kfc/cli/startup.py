"""Starts TensorFlow in the process of a command."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from kfc.system import import_tensorflow

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_for_command(quiet: bool = False) -> None:
    """Imports TensorFlow and Keras without garbage collection, which saves about a second.

    The import creates a million objects that are never freed, and the collector would scan
    them repeatedly. Only commands do this; `import kfc` does not change the collector.

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
        with without_collection():
            import_tensorflow()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Runs the body without garbage collection, and never looks at its objects later.

    An import makes many objects that stay, which the collector would scan repeatedly: a
    fifth of the time of `kfc explain digits`.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception during the import of a C extension may crash; there is nothing to save yet.
    os._exit(128 + number)
