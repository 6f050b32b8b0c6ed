"""Waits for other workers in such a way that Ctrl-C and SIGTERM end the wait."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def wait_for(call: Callable[[], _Result]) -> _Result:
    """Returns the result of a call of TensorFlow that waits for other workers.

    No signal interrupts TensorFlow's wait, so the call runs in a thread, while this thread
    obeys signals.

    Args:
        call: Function without arguments.

    Raises:
        Exception: The error of the call.
        BaseException: Whatever a handler of a signal raises.
    """
    results: list[_Result] = []
    errors: list[BaseException] = []
    finished = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            finished.set()

    threading.Thread(target=run, name="waits for workers", daemon=True).start()
    try:
        finished.wait()
    except (KeyboardInterrupt, SystemExit) as end:
        # Python would end only after TensorFlow's wait.
        atexit.register(_leave, finished, _exit_code(end))
        raise
    if errors:
        raise errors[0]
    return results[0]


def _exit_code(end: BaseException) -> int:
    if isinstance(end, KeyboardInterrupt):
        return 130
    code = getattr(end, "code", None)
    return code if isinstance(code, int) else int(code is not None)


def _leave(finished: threading.Event, code: int) -> None:
    if not finished.is_set():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
