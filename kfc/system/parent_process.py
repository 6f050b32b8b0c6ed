"""Ends a process when its parent process ends, whether the parent exits or is killed.

The module imports only the standard library, because a process that must not import kfc runs
the file itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_SECONDS = 0.2


def end_with(parent: int) -> None:
    """Makes this process end when its parent ends, and at once if the parent is gone.

    On Linux the kernel kills the process. A thread checks the parent as well, because other
    systems have no such call, and Linux resets it when a program changes its user.

    Args:
        parent: Process id of the parent, as `os.getpid` returns it there. The thread that
            started this process must live as long as this process is needed, because Linux
            takes the end of that thread for the end of the parent.
    """
    # CDLL(None) is the program itself, which is linked with the C library.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # the parent ended before the call
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
