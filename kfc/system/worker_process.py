"""Runs jobs in a worker process; imports TensorFlow only after its output is silenced."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from typing import Any

from kfc.system import parent_process, tensorflow_startup

_runner: Any = None


def end_with_parent() -> None:
    """Makes a worker process end when its parent does; it must be called first."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        raise RuntimeError("expected a process that multiprocessing started")
    parent_process.end_with(parent.pid)


def start_worker(pickled_make_runner: bytes, threads: int | None) -> None:
    """Starts TensorFlow and makes the runner of a worker process.

    Ctrl-C is blocked in the process from its start: the parent receives it and ends the
    process.

    Args:
        pickled_make_runner: Pickled callable that makes a `TrialRunner`.
        threads: Number of TensorFlow's threads; None for one per core.
    """
    global _runner
    tensorflow_startup.import_tensorflow()
    gc.freeze()  # the modules stay, so the garbage collector need not look at them again
    tensorflow_startup.start_tensorflow(threads)
    _runner = pickle.loads(pickled_make_runner)()  # written by the parent process


def run_job(job: Any) -> Any:
    """Runs a job and returns its trial."""
    return _runner.run(job)
