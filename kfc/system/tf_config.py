"""Reads `TF_CONFIG`, by which a cluster tells each of its processes what the others are.

Kubeflow, Vertex AI, Ray Train and a shell set it:

    TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
                "task": {"type": "worker", "index": 0}}'
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfc.errors import Finding, SpecError

VARIABLE = "TF_CONFIG"

_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")
_LAST_PORT = 65535
_ONLY_WATCH = ("evaluator",)
"""Tasks that take part in no step; kfc evaluates on the workers."""


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, of which this process is one.

    Args:
        addresses: Address of each worker, `host:port`; the first is the chief's.
        index: Number of this process among them, from 0.

    Examples:
        >>> Cluster(("10.0.0.1:2222", "10.0.0.2:2222"), 1).is_chief
        False
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.index == 0

    @property
    def name(self) -> str:
        """Name of this process in messages, such as `worker 2 of 4`."""
        return f"worker {self.index + 1} of {len(self.addresses)}"


def read_cluster() -> Cluster | None:
    """Returns the cluster that `TF_CONFIG` names, or None where it names one task or none.

    Raises:
        SpecError: If the variable is no JSON of such a cluster.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
        named = dict(config.get("cluster") or {})
        task = dict(config.get("task") or {})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _wrong("a JSON object with cluster and task", str(error)) from error
    cluster = _cluster(named, task)
    return cluster if len(cluster.addresses) > 1 else None


def config_text(addresses: tuple[str, ...], index: int) -> str:
    """Returns the value of `TF_CONFIG` for a worker.

    Args:
        addresses: Address of each worker, `host:port`.
        index: Number of the worker, from 0.
    """
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": task})


def _cluster(named: Mapping[str, Any], task: Mapping[str, Any]) -> Cluster:
    """Returns the workers in the order of TensorFlow: the chief first."""
    unknown = sorted(set(named) - {"chief", "master", "worker", *_ONLY_WATCH})
    if unknown:
        raise _wrong("tasks named chief or worker", ", ".join(unknown))
    jobs = {job: named.get(job) or [] for job in ("chief", "master", "worker")}
    for job, listed in jobs.items():
        if not isinstance(listed, list):
            raise _wrong("a list of addresses", f"{job}: {listed!r}")
    places = [
        (job, number, address)
        for job, listed in jobs.items()
        for number, address in enumerate(listed)
    ]
    for job, number, address in places:
        if not isinstance(address, str) or not _is_address(address):
            raise _wrong("addresses such as 10.0.0.1:2222", f"{job} {number}: {address!r}")
    addresses = tuple(address for _, _, address in places)
    if len(set(addresses)) < len(addresses):
        raise _wrong("an address of its own for each task", "the same address twice")
    if len(addresses) < 2:
        return Cluster(addresses, 0)
    kind, index = task.get("type"), task.get("index")
    for number, (job, place, _) in enumerate(places):
        if (job, place) == (kind, index) and not isinstance(index, bool):
            return Cluster(addresses, number)
    raise _wrong("a task of the cluster", f"type {kind!r}, index {index!r}")


def _is_address(text: str) -> bool:
    found = _ADDRESS.fullmatch(text)
    return bool(found) and 0 < int(text.rpartition(":")[2]) <= _LAST_PORT


def _wrong(expected: str, got: str) -> SpecError:
    remedy = "Set it as docs/scale.md shows, or unset it to train in one process."
    return SpecError(Finding(VARIABLE, expected, got, remedy))
