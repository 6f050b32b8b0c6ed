"""What is trained: five networks that differ in what limits their speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Workload:
    """A network, its loss and its optimizer on a data set.

    Args:
        name: As in the table of results.
        hidden: Widths of the relu layers; ten outputs follow.
        loss: `mse`, of the logits against one-hot targets, or `cross_entropy`.
        optimizer: `sgd` or `adam`.
        batch_size: Rows per step.
        data: `mnist` or `digits`.
        rows: Use only the first so many training rows.
        network: More of the spec's `network`, for a workload of kfc alone.
    """

    name: str
    hidden: tuple[int, ...]
    loss: str
    optimizer: str
    batch_size: int
    data: str = "mnist"
    rows: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the logits."""
        return ({"mnist": 784, "digits": 64}[self.data], *self.hidden, 10)

    @property
    def learning_rate(self) -> float:
        """A rate at which none of the workloads diverges."""
        return {"sgd": 0.05, "adam": 0.001}[self.optimizer]

    @property
    def title(self) -> str:
        """One line that says it all."""
        loss = {"mse": "mean squared error", "cross_entropy": "cross-entropy"}[self.loss]
        extra = [f"{key} {value}" for key, value in self.network.items()]
        parts = [loss, self.optimizer.replace("sgd", "SGD").replace("adam", "Adam")]
        sizes = "-".join(map(str, self.sizes))
        return ", ".join([sizes, *parts, f"batch {self.batch_size}", *extra])

    def operations(self) -> int:
        """Floating-point operations of one step's matrix products."""
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        products = sum(3 * rows * columns for rows, columns in pairs)
        into_input = self.sizes[0] * self.sizes[1]
        return 2 * self.batch_size * (products - into_input)


_WORKLOADS = (
    Workload("W1", (256, 128), "mse", "sgd", 128),
    Workload("W2", (256, 128), "cross_entropy", "sgd", 256),
    Workload("W3", (256, 128, 64, 32), "cross_entropy", "adam", 100),
    Workload("W4", (32,), "cross_entropy", "sgd", 32, data="digits"),
    Workload("W5", (2048, 2048), "cross_entropy", "adam", 512, rows=10_240),
    Workload("W2-dropout", (256, 128), "cross_entropy", "sgd", 256, network={"dropout": 0.2}),
    Workload(
        "W2-batch-norm",
        (256, 128),
        "cross_entropy",
        "sgd",
        256,
        network={"normalization": "batch"},
    ),
)

WORKLOADS = {workload.name: workload for workload in _WORKLOADS}
