"""Pauses of Python's garbage collector, while many objects are made that stay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Runs the body without garbage collection, and counts its objects as old ones after it.

    An import or the tracing of a graph makes many objects that stay, at which each collection
    looks again: about a second of the first `kfc.fit` of a process. Later collections look at
    old objects seldom.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # else the caller keeps objects frozen
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            gc.enable()
