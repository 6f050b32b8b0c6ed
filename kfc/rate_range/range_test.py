"""The learning-rate range test: some steps with a growing rate, on a copy of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kfc.compat import without_graph_rewriting
from kfc.errors import DataError, Finding
from kfc.runs import Plan, make_plan
from kfc.spec import Spec, SpecLike
from kfc.system import user_paths
from kfc.training import TapeModel, compile_for_training, epoch_order, rows_of_step
from kfc.training.engine import build_optimizer_once

if TYPE_CHECKING:
    from rich.table import Table

Array = np.ndarray

STEPS = 300
"""Number of steps of a test, as far as the loss allows."""

_LOWEST, _HIGHEST = 1e-6, 10.0
_SMOOTHING = 0.9  # weight of the earlier losses in the mean
_STOP = 4.0  # times the smallest loss
_BELOW = 10.0  # part of the rate of the smallest loss


@dataclass(frozen=True)
class RateRange:
    """Result of a learning-rate range test.

    Examples:
        >>> found = kfc.learning_rate_range("diabetes", steps=100)
        >>> found.fell, 1e-6 < found.suggested < 10
        (True, True)

    Args:
        spec: Name of the spec.
        rates: Learning rate of each step, (steps,).
        losses: Loss of its batch, (steps,), perhaps not finite at the last one.
        smoothed: Exponential mean of the losses up to each step, (steps,).
        configured: Learning rate of the spec; of a schedule, None.
    """

    spec: str
    rates: Array
    losses: Array
    smoothed: Array
    configured: float | None

    @property
    def best_rate(self) -> float:
        """Rate at which the smoothed loss is smallest."""
        return float(self.rates[np.nanargmin(self.smoothed)])

    @property
    def suggested(self) -> float:
        """A tenth of the rate at which the smoothed loss is smallest, in one digit.

        At that rate the loss is about to grow; a tenth of it is the rule of Howard and Gugger,
        "fastai: a layered API for deep learning", 2020, https://arxiv.org/abs/2002.04688.
        """
        return float(f"{self.best_rate / _BELOW:.0e}")

    @property
    def fell(self) -> bool:
        """Whether the smoothed loss has fallen by 2 % at all; otherwise no rate is good."""
        return bool(np.nanmin(self.smoothed) < 0.98 * self.smoothed[0])

    def table(self, rows: int = 12) -> Table:
        """Returns rates and smoothed losses, evenly spaced, as a table of rich."""
        from rich.table import Table

        table = Table("learning rate", "loss", box=None, header_style="bold", pad_edge=False)
        for column in table.columns:
            column.justify = "right"
        for place in np.linspace(0, len(self.rates) - 1, min(rows, len(self.rates))):
            at = int(place)
            table.add_row(f"{self.rates[at]:.2g}", f"{self.smoothed[at]:.4g}")
        return table

    def summary(self) -> dict[str, Any]:
        """Returns plain values, for JSON; losses that are not finite are None."""
        finite = [float(v) if math.isfinite(v) else None for v in self.losses]
        return {
            "spec": self.spec,
            "suggested_learning_rate": self.suggested if self.fell else None,
            "best_learning_rate": self.best_rate,
            "learning_rate": self.configured,
            "steps": len(self.rates),
            "rates": [float(rate) for rate in self.rates],
            "losses": finite,
        }

    def sentence(self) -> str:
        """Returns the result in one sentence."""
        if not self.fell:
            return (
                "The loss falls at no learning rate: look at the data and the weights first."
            )
        own = "" if self.configured is None else f"; the spec has {self.configured:g}"
        low = float(np.nanmin(self.smoothed))
        return (
            f"Suggested learning rate: {self.suggested:g}, a tenth of {self.best_rate:.2g}, "
            f"where the loss is smallest ({low:.3g}){own}."
        )

    def save_picture(self, path: str | Path) -> Path:
        """Writes the loss against the rate as an SVG picture, and returns its path.

        Args:
            path: File to write; an older one is replaced.

        Raises:
            DiskError: If the file cannot be written.
        """
        from kfc.rate_range.rate_drawing import write_picture

        return write_picture(self, user_paths.absolute(path))


def learning_rate_range(
    spec: SpecLike,
    overrides: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    steps: int = STEPS,
) -> RateRange:
    """Trains a copy of the network with a rate that grows at every step, and records the loss.

    The rate grows by a constant factor from 1e-6 to 10, and each step is the training's own
    `TapeModel.train_step` on its batches. The test ends early where the mean of the last
    losses is four times the smallest one, or the loss is not finite. No run is touched, and
    the same spec gives the same losses. Smith, "Cyclical learning rates for training neural
    networks", 2017, https://arxiv.org/abs/1506.01186, section 3.3; the constant factor is that
    of fastai.

    Args:
        spec: A built-in spec's name, a file, a dict or a `Spec`.
        overrides: Dotted path -> value, such as `{"training.batch_size": 64}`.
        data: Rows that replace `data.source`, as for `kfc.fit`.
        steps: Number of steps, at least 10.

    Returns:
        Rates and losses, and the rate that they suggest.

    Raises:
        SpecError: If the spec is wrong.
        DataError: If the data cannot be read, or a check refuses them, or the first loss is
            not finite.
        PluginError: If a plug-in fails.

    Examples:
        >>> found = kfc.learning_rate_range("digits")
        >>> 0.001 <= found.suggested <= 0.05
        True
    """
    plan = make_plan(spec, overrides, data=data)
    rates = np.geomspace(_LOWEST, _HIGHEST, max(steps, 10))
    model = _model(plan, float(rates[0]))
    step = tf.function(
        lambda *batch: model.train_step(batch)["batch_loss"],
        autograph=False,
        reduce_retracing=True,
    )
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    with without_graph_rewriting():
        for number, (rate, batch) in enumerate(zip(rates, _batches(plan), strict=False), 1):
            model.optimizer.learning_rate.assign(rate)
            losses.append(float(step(*map(tf.constant, batch))))
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * losses[-1]
            smoothed.append(mean / (1 - _SMOOTHING**number))  # the mean began at 0
            if not math.isfinite(losses[-1]) or smoothed[-1] > _STOP * min(smoothed):
                break
    if not math.isfinite(losses[0]):
        remedy = "kfc doctor SPEC names the cause."
        raise DataError(Finding("the first step", "a finite loss", str(losses[0]), remedy))
    configured = plan.spec.training.optimizer.options.get("learning_rate")
    return RateRange(
        plan.spec.name,
        rates[: len(losses)],
        np.array(losses),
        np.array(smoothed),
        configured if isinstance(configured, float) else None,
    )


def _model(plan: Plan, rate: float) -> TapeModel:
    """Returns the model that trains the plan's network, with a constant learning rate."""
    constant = plan.spec.training.optimizer.with_learning_rate(rate)
    spec: Spec = plan.spec.model_copy(
        update={"training": plan.spec.training.model_copy(update={"optimizer": constant})}
    )
    prepared = plan.prepared
    model = compile_for_training(
        plan.network, spec, prepared.task, num_rows=len(prepared.train)
    )
    build_optimizer_once(model)
    return model


def _batches(plan: Plan) -> Iterator[tuple[Array, ...]]:
    """Yields the batches of the training without end."""
    spec, rows = plan.spec, plan.prepared.train
    training, epoch = spec.training, 0
    size = training.rows_per_step(len(rows))
    while True:
        order = epoch_order(
            len(rows),
            seed=spec.seed,
            epoch=epoch,
            shuffle=training.shuffle,
            num_orders=spec.num_orders,
        )
        for step in range(training.steps_per_epoch(len(rows))):
            chosen = rows_of_step(order, step, size)
            yield tuple(np.asarray(part) for part in rows.take(chosen).loaded().parts)
        epoch += 1
