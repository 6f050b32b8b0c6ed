"""Compares the processes of a training, and passes signals between them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import keras
import numpy as np

from kfc.errors import Finding, WorkerError
from kfc.training.distributing.replicas import OneReplica

_DIGITS = 3  # parts of a hash, of 16 bits each, which a float32 holds exactly


def agree_on_signal(
    replicas: OneReplica, heard: int | None, weights: Sequence[keras.Variable]
) -> int | None:
    """Returns the signal that waits in this process, else one that waits in another.

    All processes call it after the same step, so they obey after the same one.

    Args:
        replicas: Replicas of the training.
        heard: Number of the signal that waits in this process, or None.
        weights: Weights of the network, which must be the same in every process.

    Raises:
        WorkerError: If the weights differ, as processors of different kinds round them, or if
            another process has ended.
    """
    if replicas.cluster is None:
        return heard
    content = b"".join(np.asarray(weight).tobytes() for weight in weights)
    table = replicas.table([heard or 0, *_parts(content)])  # (processes, 1 + parts)
    _check_equal(table[:, 1:], "the weights")
    return heard or int(table[:, 0].max()) or None


def check_same_training(replicas: OneReplica, about: str) -> None:
    """Checks that every process trains the same network on the same rows.

    Args:
        replicas: Replicas of the training.
        about: Text that must be equal, such as hashes of the spec and the rows.

    Raises:
        WorkerError: If one process has another text, or has ended.
    """
    if replicas.cluster is not None:
        _check_equal(replicas.table(_parts(about.encode())), "the spec, rows and versions")


def check_same_pace(replicas: OneReplica, pace: str) -> None:
    """Checks that every process ends its calls of the graph after the same steps.

    A call has exchanges, so a process whose call ended earlier would leave the others waiting.

    Args:
        replicas: Replicas of the training.
        pace: Text with everything that ends a call of the graph.

    Raises:
        WorkerError: If one process has another pace, or has ended.
    """
    if replicas.cluster is not None:
        what = "callbacks that act after the same steps as those"
        _check_equal(replicas.table(_parts(pace.encode())), what)


def own_tables(replicas: OneReplica, identity: str) -> tuple[Finding, ...]:
    """Finds workers that train on rows of a file of their own, encoded once more.

    Args:
        replicas: Replicas of the training; all processes call this function.
        identity: Text that tells the file of the encoded rows from others, see
            `kfc.system.DiskArray.file_identity`; empty for rows in memory.

    Raises:
        WorkerError: If another process has ended.
    """
    if replicas.cluster is None:
        return ()
    numbers = _parts(identity.encode()) if identity else [0.0] * _DIGITS
    others = _others(replicas.table(numbers))
    if not others:
        return ()
    return (
        Finding(
            f"worker {others}",
            "the file of encoded rows that worker 1 reads",
            "another one, encoded on its own",
            "Set data.cache to a folder on a disk that all workers share, so that they share "
            "the work; the result is the same.",
            severity="warning",
        ),
    )


def _parts(content: bytes) -> list[float]:
    digest = hashlib.sha256(content).digest()
    return [float(part) for part in np.frombuffer(digest[: 2 * _DIGITS], np.uint16)]


def _check_equal(table: np.ndarray, what: str) -> None:
    """Checks that all processes have the numbers of the first, (processes, numbers)."""
    if others := _others(table):
        raise WorkerError(
            Finding(
                f"worker {others}",
                f"{what} of worker 1",
                "others",
                "Start every worker with the same command, files and versions, on processors "
                "of one kind.",
            )
        )


def _others(table: np.ndarray) -> str:
    """Returns the numbers of the processes whose row is not that of the first."""
    others = [number + 1 for number, row in enumerate(table) if (row != table[0]).any()]
    return ", ".join(map(str, others))
