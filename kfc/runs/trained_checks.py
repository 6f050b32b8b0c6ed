"""Checks of a training, while it runs and at its end: its history, scores and layers.

Each looks at what has happened, so none can refuse: they are warnings, which are printed once
and kept with the run. Their thresholds are about effects that no chance explains: twice the
standard error of a share, or a loss that differs by a fifth of what the training has changed.
`kfc.runs.watching` runs them after epochs, and `kfc.runs.run_writer` once more at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.spec import METRICS, Spec
from kfc.training import LayerNumbers

_FEWEST_EPOCHS = 5
"""A shorter training was perhaps only tried."""

_MANY_EPOCHS = 10

_SHARE_OF_EPOCHS = 0.2
"""A training that runs is compared with a constant after this share of its epochs: small
tables, warm-ups and deep networks need some epochs to leave the constant."""


@dataclass(frozen=True)
class Trained:
    """A training: a finished one, or the epochs so far of one that runs.

    Args:
        spec: Resolved spec.
        history: Metric -> one value per epoch.
        metrics: Metrics on held-out rows, of the final weights or after the last epoch.
        baseline: The same metrics of a constant prediction.
        num_rows: Number of rows of each part.
        best_epoch: Epoch whose weights are kept, from 1; None for the last one.
        layers: Epoch and numbers of each layer, see `kfc.training.callbacks.read_layers`.
        finished: Whether the training has ended.
    """

    spec: Spec
    history: Mapping[str, Sequence[Any] | np.ndarray]
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    num_rows: Mapping[str, int]
    best_epoch: int | None = None
    layers: Sequence[tuple[int, Sequence[LayerNumbers]]] = ()
    finished: bool = True

    def values(self, name: str) -> np.ndarray:
        """Returns the values of a metric, (epochs,); empty if it was not recorded."""
        found: Sequence[Any] | np.ndarray = self.history.get(name, ())
        if isinstance(found, np.ndarray):
            return found
        plain = all(isinstance(value, (int, float)) for value in found)
        return np.asarray(found if plain else (), np.float64)


def no_better_than_constant(trained: Trained) -> Finding | None:
    """Finds a network that predicts held-out rows no better than a constant does."""
    compared = _beside_constant(trained)
    if compared is None or _moves_no_more(trained, compared):
        return None
    name, ours, constant = compared
    part = name.partition("_")[0]
    if ours < constant or _predicts_more_classes(trained, part):
        return None
    epochs = len(trained.values("loss"))
    return Finding(
        "training",
        f"a smaller {name} than that of a constant prediction, {constant:.4g}",
        f"{ours:.4g} after {epochs} epochs",
        "Look at the learning rate, at the scale of the inputs and at the labels: "
        "`kfc doctor` does.",
        evidence={name: ours, "constant": constant},
    )


def loss_stands_still(trained: Trained) -> Finding | None:
    """Finds a training whose loss has hardly changed, and which has learned almost nothing."""
    compared, loss = _beside_constant(trained), trained.values("loss")
    if compared is None or not _moves_no_more(trained, compared):
        return None
    return Finding(
        "training.optimizer.learning_rate",
        f"a loss that shrinks from {loss[0]:.4g}, that of the first epoch",
        f"{loss[-1]:.4g} after {len(loss)} epochs",
        "Multiply the learning rate by 10. If the loss still stands, no gradient arrives: "
        "`kfc doctor` measures it.",
        evidence={"first": float(loss[0]), "last": float(loss[-1]), compared[0]: compared[1]},
        cure=_other_rate(trained.spec, 10),
    )


def _moves_no_more(trained: Trained, compared: tuple[str, float, float]) -> bool:
    """Returns whether the loss stands where it began, which is not below a constant's."""
    loss, (_, ours, constant) = trained.values("loss"), compared
    return abs(loss[0] - loss[-1]) <= 0.01 * abs(loss[0]) and ours >= 0.97 * constant


def _beside_constant(trained: Trained) -> tuple[str, float, float] | None:
    """Returns name and value of a loss of held-out rows, and that of a constant prediction.

    None where neither is known, or the training was too short to tell.
    """
    fewest: float = _FEWEST_EPOCHS
    if not trained.finished:
        fewest = max(fewest, _SHARE_OF_EPOCHS * trained.spec.training.epochs)
    if len(trained.values("loss")) < fewest:
        return None
    part = "val" if "val_loss" in trained.metrics else "test"
    for metric in ("log_loss", "rmse", "loss"):  # the last while the training runs
        name = f"{part}_{metric}"
        if name in trained.metrics and name in trained.baseline:
            return name, trained.metrics[name], trained.baseline[name]
    return None


def _predicts_more_classes(trained: Trained, part: str) -> bool:
    """Returns whether the accuracy is above that of the most frequent class, chance aside."""
    name, rows = f"{part}_accuracy", trained.num_rows.get(part, 0)
    if name not in trained.metrics or name not in trained.baseline or not rows:
        return False
    share = trained.baseline[name]
    chance = 2 * math.sqrt(share * (1 - share) / rows)
    return trained.metrics[name] > share + chance


def loss_has_grown(trained: Trained) -> Finding | None:
    """Finds a training whose loss of training rows is higher at its end than at its start."""
    loss = trained.values("loss")
    if len(loss) < _FEWEST_EPOCHS or not np.isfinite(loss).all():
        return None
    end = np.median(loss[-3:])
    if end <= 1.2 * loss[0] or loss[0] <= 0:
        return None
    return Finding(
        "training.optimizer.learning_rate",
        f"a loss that shrinks from {loss[0]:.4g}, that of the first epoch",
        f"{end:.4g} in the last three epochs",
        "The training diverges: divide the learning rate by 10.",
        evidence={"first": float(loss[0]), "last": float(end)},
        cure=_other_rate(trained.spec, 0.1),
    )


def loss_oscillates(trained: Trained) -> Finding | None:
    """Finds a loss of training rows that jumps up and down instead of settling."""
    loss = trained.values("loss")
    if len(loss) < _MANY_EPOCHS or not np.isfinite(loss).all():
        return None
    late = loss[len(loss) // 2 :]
    changes = np.diff(late)
    jump = float(np.median(np.abs(changes)))
    # A loss close to 0 varies by its own size; it must also be a part of the first loss.
    if (changes > 0).mean() < 0.4 or jump < max(0.2 * np.median(late), 0.05 * abs(loss[0])):
        return None
    return Finding(
        "training.optimizer.learning_rate",
        "a loss that settles",
        f"changes of {jump:.3g} from epoch to epoch around {np.median(late):.3g}, in the "
        f"second half of {len(loss)} epochs",
        "Divide the learning rate by 3 to 10, or let it shrink by a schedule.",
        evidence={"change": jump, "loss": float(np.median(late))},
        cure=_other_rate(trained.spec, 0.2),
    )


def held_out_loss_has_grown(trained: Trained) -> Finding | None:
    """Finds a network that was kept although it had been better on validation rows before.

    Only where a metric that people read agrees with the loss: a cross-entropy grows with the
    confidence of a network whose accuracy still rises.
    """
    loss, rows = trained.values("val_loss"), trained.num_rows.get("val", 0)
    if len(loss) < _MANY_EPOCHS or trained.best_epoch or not rows:
        return None
    best = int(np.argmin(loss))
    fallen = loss[0] - loss[best]
    if best >= 2 * len(loss) / 3 or loss[-1] - loss[best] < 0.2 * fallen or fallen <= 0:
        return None
    monitored = next((m for m in ("accuracy", "r2") if len(trained.values(f"val_{m}"))), None)
    if monitored is None:
        return None
    values = trained.values(f"val_{monitored}")
    sign = 1.0 if METRICS.get(monitored, "max") == "max" else -1.0
    then, now = values[best], values[-1]
    chance = 2 * math.sqrt(max(then * (1 - then), 0) / rows) if monitored == "accuracy" else 0
    if sign * (then - now) <= chance:
        return None
    return Finding(
        "training.epochs",
        f"the weights that predict validation rows best, those of epoch {best + 1} "
        f"({monitored} {then:.4g})",
        f"those of epoch {len(loss)} ({monitored} {now:.4g})",
        "The network overfits: add training.early_stopping, network.dropout or weight decay.",
        evidence={"best_epoch": best + 1, "best": float(then), "last": float(now)},
        cure={"training.early_stopping": {"patience": max(len(loss) // 10, 3)}},
    )


def _other_rate(spec: Spec, factor: float) -> dict[str, Any]:
    """Returns the change of a spec that multiplies its learning rate, if that is a number."""
    rate = spec.training.optimizer.options.get("learning_rate")
    if not isinstance(rate, (int, float)):
        return {}
    return {"training.optimizer.learning_rate": float(f"{rate * factor:.3g}")}


def units_have_died(trained: Trained) -> Finding | None:
    """Finds a hidden layer of which at least half of the units give one value for all rows."""
    if not trained.layers:
        return None
    epoch, numbers = trained.layers[-1]
    for each in numbers:
        if each.layer.startswith("hidden") and each.constant >= 0.5:
            return Finding(
                each.layer,
                "units whose output depends on the row",
                f"{100 * each.constant:.0f} % of the units with one value for all of 256 "
                f"training rows, after epoch {epoch}",
                "Lower the learning rate, or use network.activation: leaky_relu or gelu.",
                evidence={"share": each.constant, "epoch": epoch},
            )
    return None
