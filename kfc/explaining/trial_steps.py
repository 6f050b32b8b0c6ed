"""The first steps of a training in NumPy, on a sample of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.explaining.simulated_loss import LossFunction
from kfc.explaining.simulated_network import SimulatedNetwork
from kfc.explaining.simulated_optimizer import SimulatedOptimizer
from kfc.explaining.simulated_schedule import rates_of_steps
from kfc.spec import OptimizerSpec, Spec
from kfc.training import epoch_order

Array = np.ndarray

_JUDGED_ROWS = 256  # on which the loss is measured before and after the steps


_WORSE = 1.05  # times the first loss: a plateau's noise is smaller
_BETTER = 0.98  # times the loss of a constant answer
_ABOVE = 1.1  # times that loss: it has not fallen to it yet
_FALLEN = 0.9  # times the first loss


@dataclass(frozen=True)
class TrialSteps:
    """Result of the first steps.

    Args:
        steps: Number of steps that were made.
        losses: Losses of the batches, (steps,).
        first_loss: Loss of the sample before the first step.
        last_loss: Loss of the sample after the last step; infinite where a number is NaN or
            larger than float32 holds.
        chance_loss: Loss of the best constant answer.
    """

    steps: int
    losses: Array
    first_loss: float
    last_loss: float
    chance_loss: float

    @property
    def outcome(self) -> str:
        """Outcome of the steps: `learns`, `stalls` or `diverges`.

        They diverge if a number is NaN or infinite in float32, or the loss is more than 5 %
        above that at the start. They learn if the loss ends below 98 % of that of a constant
        answer and of the start, or is still far above a constant answer and has fallen by
        10 %. Otherwise they stall.
        """
        first, last, chance = self.first_loss, self.last_loss, self.chance_loss
        if not np.isfinite(last) or last > _WORSE * first:
            return "diverges"
        if last < _BETTER * min(first, chance):
            return "learns"
        return "learns" if _ABOVE * chance < last < _FALLEN * first else "stalls"


def try_steps(
    network: SimulatedNetwork,
    spec: Spec,
    x: Array,
    y: Array,
    *,
    steps: int,
    rate: float | None = None,
    num_rows: int | None = None,
) -> TrialSteps:
    """Makes the first steps of a training on a sample, in float32 as a training does.

    Learning rate and weight decay follow their schedules, see
    `kfc.explaining.simulated_schedule.rates_of_steps`.

    Args:
        network: Network at the start, which stays as it is.
        spec: Spec with an optimizer for which `optimizer_unsupported` returns "".
        x: Scaled rows of the sample.
        y: Their targets.
        steps: Number of steps.
        rate: Learning rate, or the largest one of a schedule; None for that of the spec.
        num_rows: Training rows of the spec, for the schedules; None for those of the sample.
    """
    network, own = network.in_float32(), spec.training.optimizer
    scaled = 1.0 if rate is None else rate / own.largest_rate
    optimizer = SimulatedOptimizer(own, kinds=network.kinds if _has_factors(own) else None)
    per_epoch = spec.training.steps_per_epoch(num_rows or len(x))
    planned = rates_of_steps(own, steps, per_epoch=per_epoch, epochs=spec.training.epochs)
    generator = np.random.default_rng(spec.seed)
    x = x.astype(np.float32)
    judged = slice(None, None, max(1, len(x) // _JUDGED_ROWS))
    losses: list[float] = []
    with np.errstate(all="ignore"):
        first_loss = network.run(x[judged], y[judged]).loss
        finite = bool(np.isfinite(first_loss))
        for number, rows in enumerate(_batches(spec, len(x), steps) if finite else ()):
            result = network.run(x[rows], y[rows], generator)
            losses.append(result.loss)
            weights = optimizer.step(
                network.weights,
                result.gradients,
                rate=scaled * float(planned.rates[number]),
                decay=float(planned.decays[number]),
            )
            network.assign([w.astype(np.float32) for w in weights])
            inside = [seen[name] for seen in result.seen for name in ("a", "y")]
            if not all(map(_is_finite, (*inside, *result.gradients, *network.weights))):
                finite = False
                break
        last_loss = network.run(x[judged], y[judged]).loss if finite else float("inf")
    last_loss = last_loss if np.isfinite(last_loss) else float("inf")
    chance = chance_loss(network.loss, y, network.outputs)
    return TrialSteps(len(losses), np.array(losses), first_loss, last_loss, chance)


def _has_factors(optimizer: OptimizerSpec) -> bool:
    return any(optimizer.options.get(name) for name in OptimizerSpec.added)


def chance_loss(loss: LossFunction, y: Array, outputs: int) -> float:
    """Returns the loss of a constant answer: the shares of the classes, or the mean target.

    Args:
        loss: Function of outputs and targets.
        y: Numbers of the classes, (rows,), or targets, (rows, outputs).
        outputs: Number of outputs; 1 for the logit of the second of two classes.
    """
    if y.ndim == 2:
        candidates = [y.mean(axis=0), np.median(y, axis=0)]
    else:
        shares = np.maximum(np.bincount(y, minlength=max(outputs, 2)) / len(y), 1e-12)
        candidates = [np.log(shares), shares, np.zeros(len(shares))]
        if outputs == 1:
            candidates = [np.log(shares[1:] / shares[:1])]
    return min(
        float(loss(np.broadcast_to(answer, (len(y), outputs)), y)[0]) for answer in candidates
    )


def _is_finite(w: Array) -> bool:
    return bool(np.isfinite(np.abs(w).max(initial=0.0)))


def _batches(spec: Spec, rows: int, steps: int) -> list[Array]:
    """Returns the row numbers of each step."""
    size, found, epoch = min(spec.training.batch_size, rows), list[Array](), 0
    while len(found) < steps:
        order = epoch_order(rows, seed=spec.seed, epoch=epoch, shuffle=spec.training.shuffle)
        found += [order[first : first + size] for first in range(0, rows, size)]
        epoch += 1
    return found[:steps]
