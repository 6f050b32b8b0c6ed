"""Measures the memory of this machine and of this process, in bytes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kfc.system.cores import num_cores

_PROCESS = Path("/proc/self")
_LIMIT_FILES = {"cgroup2": "memory.max", "cgroup": "memory.limit_in_bytes"}
"""Name of the file with the limit of a control group, by the type of its file system."""

_M_ARENA_MAX = -8  # of glibc's malloc.h


def limit_bytes() -> int:
    """Returns the bytes that this process may use.

    The smallest of these limits counts: the memory of the machine, `ulimit -d`, and the
    limits of the control group (version 1 or 2) in which the process runs and of the groups
    around it, as containers, systemd and SLURM set them.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    data, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if data != resource.RLIM_INFINITY:
        limits.append(data)
    return min([*limits, *_group_limits()])


def _group_limits() -> Iterator[int]:
    """Yields the limits of the control groups in which the process runs, innermost first."""
    try:
        groups = (_PROCESS / "cgroup").read_text("utf-8", "surrogateescape").splitlines()
        mounts = (_PROCESS / "mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # another system than Linux
        return
    # A line is `number:controllers:path`; version 2 has one line, without controllers.
    paths = {}
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split(" ")
        if kind not in paths or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        root, mount = (_unescaped(text) for text in before.split(" ")[3:5])
        for folder in _groups_around(Path(mount), root, paths[kind]):
            try:
                yield int((folder / _LIMIT_FILES[kind]).read_text("ascii"))
            except (OSError, ValueError):
                continue  # the outermost group has no such file; "max" is no limit


def _groups_around(mount: Path, root: str, path: str) -> list[Path]:
    """Returns the folder of a control group and those of the groups around it.

    Args:
        mount: The folder at which the groups are mounted.
        root: The path of the group that the mounted folder shows.
        path: The path of the group of the process.
    """
    group, shown = PurePosixPath(path), PurePosixPath(root)
    # A container may see only its own group, under a path that the process does not know.
    inner = group.relative_to(shown) if group.is_relative_to(shown) else PurePosixPath()
    return [mount / part for part in (inner, *inner.parents)]


def _unescaped(text: str) -> str:
    """Returns a path of `mountinfo`, in which blanks are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def used_bytes() -> int:
    """Returns the anonymous memory of this process in bytes, without mapped files."""
    return _status("RssAnon") or peak_bytes()


def mapped_bytes() -> int:
    """Returns the bytes of mapped files in memory, such as libraries; 0 if not on Linux."""
    return _status("RssFile")


def peak_bytes() -> int:
    """Returns the peak memory of this process in bytes, mapped files included."""
    unit = 1 if sys.platform == "darwin" else 1024
    # On Linux a child inherits `ru_maxrss` from its parent.
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Gives memory that C libraries have freed back to the system, where glibc is used.

    The compiler frees some 60 MB after it has compiled a training. glibc keeps such memory for
    the next request, while NumPy and TensorFlow ask for large blocks, which it maps anew.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def limit_pools() -> None:
    """Lets glibc have one pool of memory for each core, where it would have eight.

    Each thread asks in a pool of its own as long as there is one, and memory freed in a pool
    serves it alone: MNIST's training takes 25 MB less.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, num_cores())


def _status(name: str) -> int:
    """Returns a field of /proc/self/status in bytes; 0 on other systems than Linux."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith(f"{name}:")), 0)
