"""Counts the cores that this process may use."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Returns the number of cores that this process may use, at least 1.

    `taskset`, SLURM and containers with pinned cores may allow fewer than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
