"""A process that runs orders; nothing here imports TensorFlow before it can be silent."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.connection
import os
import pickle
import threading
from typing import Any

from kfc import quiet

_runner: Any = None


def begin(pickled_runner: bytes, threads: int | None) -> None:
    """Starts a worker process, which ends when its parent does, however that ends.

    It has inherited that Ctrl-C is blocked: the parent is told, and ends it.

    Args:
        pickled_runner: A callable that makes the `Runner`.
        threads: Of TensorFlow; None is every core.
    """
    global _runner
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet.import_tensorflow()
    gc.freeze()
    quiet.start_tensorflow(threads)
    _runner = pickle.loads(pickled_runner)()  # what our own parent wrote


def run(order: Any) -> Any:
    """Runs an order."""
    return _runner.run(order)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
