"""Replicas: devices or processes that share each batch of a training.

A step of `TapeModel.train_step` on N replicas, for a batch of B rows in the order of training:

    replica 0: rows 0, N, 2N, ...      replica 1: rows 1, N + 1, ...
        forward: outputs of the own rows
        gather: outputs of all B rows, in the order of one process, on every replica
        loss, regularizers, metrics: of the whole batch, the same on every replica
        backward: from the own rows' outputs
        mean: gradients of the whole batch, the same on every replica
        update: the same on every replica

So every loss, a mean over rows or not, and every metric is that of one process, and a batch
that N does not divide, or of fewer rows than N, needs no special case. The variables of a
replica are tensors within a call, so nothing but these two sums passes between replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import numpy as np
import tensorflow as tf

from kfc.compat import sum_over_replicas
from kfc.errors import Finding, WorkerError
from kfc.system import Cluster
from kfc.training.distributing.waiting import wait_for

_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError),
    tf.errors.InternalError,
)
"""Errors of an operation whose other end is gone."""


class OneReplica:
    """One process on one device: its share of a batch is the batch."""

    count = 1
    """Number of replicas."""

    cluster: Cluster | None = None
    """The processes that train, if there are several."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.cluster is None or self.cluster.is_chief

    def own(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns this replica's share of the rows of a batch, (batch,) -> (own,)."""
        return rows

    def places(self, num_rows: tf.Tensor) -> tf.Tensor:
        """Returns the places of this replica's rows in the batch, (own,), from 0.

        Args:
            num_rows: Number of its rows, ().
        """
        return tf.range(num_rows)

    def gather(self, outputs: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
        """Returns the outputs for all rows of a batch, (own, ...) -> (batch, ...).

        Args:
            outputs: Outputs for this replica's rows.
            num_rows: Number of rows of the batch, ().
        """
        return outputs

    def mean(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the means of gradients over the replicas."""
        return list(gradients)

    def on_devices(self) -> Iterator[int]:
        """Yields the number of each device of this process, whose operations come next."""
        yield 0

    def watched(self) -> AbstractContextManager[None]:
        """Returns a context in which a process that has ended raises a `WorkerError`."""
        return nullcontext()

    def table(self, numbers: Sequence[float]) -> np.ndarray:
        """Returns the numbers of each process, (processes, numbers), float32.

        Args:
            numbers: Numbers of this process.
        """
        return np.array([numbers], np.float32)

    def from_chief(self, content: bytes | None) -> bytes:
        """Returns the bytes of the chief, on every process.

        Args:
            content: Bytes of the chief; the other processes pass None.
        """
        return content or b""


class StrategyReplicas(OneReplica):
    """The replicas of a `tf.distribute.Strategy` with collective operations.

    Args:
        strategy: A `MirroredStrategy` or a `MultiWorkerMirroredStrategy`.
        batch_size: Largest number of rows of a batch.
    """

    # `strategy.run` is not used: within it Keras divides losses by the number of replicas.
    first = 0
    """Number of this process's first replica among all replicas."""

    def __init__(self, strategy: tf.distribute.Strategy, batch_size: int) -> None:
        self.strategy, self.batch_size = strategy, batch_size
        self.count = strategy.num_replicas_in_sync
        self.devices = strategy.extended.worker_devices
        self._device = 0  # number of the one whose operations are being traced

    @property
    def _rank(self) -> int:
        """Number of the replica whose operations are being traced, from 0."""
        return self.first + self._device

    def _sum(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum over all replicas of a tensor that each of them has."""
        result: tf.Tensor = sum_over_replicas(self.strategy, values, device=self._device)
        return result

    def own(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns every N-th row of a batch, from the replica's number on."""
        return rows[self._rank :: self.count]

    def places(self, num_rows: tf.Tensor) -> tf.Tensor:
        """Returns the places of this replica's rows in the batch, (own,), from 0."""
        return self._rank + self.count * tf.range(num_rows)

    def gather(self, outputs: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
        """Returns the outputs for all rows of a batch, (own, ...) -> (batch, ...).

        Its gradient is N times that of the own rows, so that the mean over the replicas is
        the sum over the rows.
        """
        rank, count = self._rank, self.count
        # A collective operation in a loop has one shape, so a short batch is padded.
        longest = -(-self.batch_size // count)

        @tf.custom_gradient
        def gathered(own: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            # Zeros at the places of the other replicas, whose sum is exact.
            rest = [[0, 0]] * (own.shape.rank - 1)
            padded = tf.pad(own, [[0, longest - tf.shape(own)[0]], *rest])
            placed = tf.pad(padded[:, None], [[0, 0], [rank, count - 1 - rank], *rest])
            flat = tf.reshape(placed, [longest * count, *own.shape[1:]])
            together = self._sum(flat)[:num_rows]
            return together, lambda upstream: count * upstream[rank::count]

        result: tf.Tensor = gathered(outputs)
        return result

    def mean(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the means of gradients over the replicas, by one collective operation."""
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        packed = tf.concat([tf.reshape(gradient, [-1]) for gradient in dense], axis=0)
        mean = self._sum(packed) / self.count  # (weights,)
        parts = tf.split(mean, [gradient.shape.num_elements() for gradient in dense])
        return [
            tf.reshape(part, gradient.shape)
            for part, gradient in zip(parts, dense, strict=True)
        ]

    def on_devices(self) -> Iterator[int]:
        """Yields the number of each device of this process, whose operations come next.

        A loop in a graph has the operations of all devices in its body: collective operations
        of two loops would not find each other.
        """
        for number, device in enumerate(self.devices):
            self._device = number
            with tf.device(device):
                yield number
        self._device = 0


class WorkerReplicas(StrategyReplicas):
    """The replicas of several processes.

    Args:
        strategy: A `MultiWorkerMirroredStrategy`.
        batch_size: Largest number of rows of a batch.
        cluster: The processes.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, batch_size: int, cluster: Cluster
    ) -> None:
        super().__init__(strategy, batch_size)
        self.cluster = self._cluster = cluster
        self.first = cluster.index * len(self.devices)
        self._graph = tf.function(
            self._sum_of_processes, autograph=False, reduce_retracing=True
        )

    def table(self, numbers: Sequence[float]) -> np.ndarray:
        """Returns the numbers of each process, (processes, numbers), float32."""
        table = np.zeros([len(self._cluster.addresses), len(numbers)], np.float32)
        table[self._cluster.index] = numbers
        return self._summed(table)

    def from_chief(self, content: bytes | None) -> bytes:
        """Returns the bytes of the chief, on every process.

        Args:
            content: Bytes of the chief; the other processes pass None.
        """
        mine = np.frombuffer(content or b"", np.uint8)
        # A float32 holds less than 2^24 exactly, so the length has two parts.
        high, low = self.table(divmod(len(mine), 2**20))[0].astype(int)
        # As float32, which every collective operation can add; the others add zeros.
        values = np.zeros(high * 2**20 + low, np.float32)
        if self._cluster.is_chief:
            values[:] = mine
        return self._summed(values).astype(np.uint8).tobytes()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turns the errors of an operation that waits for an ended process."""
        try:
            yield
        except _LOST as error:
            raise WorkerError(
                Finding(
                    self._cluster.name,
                    "every other worker to answer",
                    f"{type(error).__name__} of TensorFlow",
                    "A worker has ended: read its log. The same command on every worker "
                    "continues from the last checkpoint.",
                )
            ) from error

    def _summed(self, values: np.ndarray) -> np.ndarray:
        with self.watched():
            # Another worker may still encode the rows.
            return np.asarray(wait_for(partial(self._graph, tf.constant(values))))

    def _sum_of_processes(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum over processes, whatever the number of their devices."""
        sums = [
            self._sum(tf.zeros_like(values) if number else values)
            for number in self.on_devices()
        ]
        return sums[0]
