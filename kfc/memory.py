"""How much memory this machine has, and how much this process has used."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def limit() -> int:
    """Returns the bytes this process may use: by machine, container and `ulimit -d`."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    data, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if data != resource.RLIM_INFINITY:
        limits.append(data)
    for name in _CGROUPS:
        try:
            limits.append(int(Path(name).read_text("ascii")))
        except (OSError, ValueError):
            continue  # no such file, or "max"
    return min(limits)


def used() -> int:
    """Returns the bytes this process holds that no file could give back."""
    return _status("RssAnon") or peak()


def peak() -> int:
    """Returns the most bytes this process has held at once, pages of mapped files included."""
    unit = 1 if sys.platform == "darwin" else 1024
    # Linux hands `ru_maxrss` on from a parent to its child.
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    """Returns a number of bytes that Linux knows of this process; elsewhere 0."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith(f"{name}:")), 0)
