"""A process that runs orders; nothing here imports TensorFlow before it can be silent."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from typing import Any

from kfc.system import parent_process, tensorflow_startup

_runner: Any = None


def end_with_parent() -> None:
    """Makes a worker process end when its parent does; it is called before anything else."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        raise RuntimeError("expected a process that multiprocessing started")
    parent_process.end_with(parent.pid)


def begin(pickled_runner: bytes, threads: int | None) -> None:
    """Starts a worker process.

    It has inherited that Ctrl-C is blocked: the parent is told, and ends it.

    Args:
        pickled_runner: A callable that makes the `Runner`.
        threads: Of TensorFlow; None is every core.
    """
    global _runner
    tensorflow_startup.import_tensorflow()
    gc.freeze()
    tensorflow_startup.start_tensorflow(threads)
    _runner = pickle.loads(pickled_runner)()  # what our own parent wrote


def run(order: Any) -> Any:
    """Runs an order."""
    return _runner.run(order)
