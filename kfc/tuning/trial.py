"""Trials of a search: the proposed hyperparameters and the result of training with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kfc.spec import METRICS

Status = Literal["completed", "diverged", "pruned"]

_WORST = {
    **{name: 1e30 for name, direction in METRICS.items() if direction == "min"},
    **dict.fromkeys(("accuracy", "auc", "average_precision", "balanced_accuracy", "f1"), 0.0),
    **{"mcc": -1.0, "r2": -1e30},
}


@dataclass(frozen=True)
class Proposal:
    """Hyperparameters that the oracle proposes for a trial.

    Args:
        number: Number of the trial, from 1; 0 is the baseline, the spec's own values.
        point: Hyperparameter -> value, as the oracle knows them; empty for trial 0.
        values: Dotted path of the spec -> value.
        epochs: Total number of epochs at the end of the trial.
        parent: Number of the trial whose training this one continues, or None.
    """

    number: int
    point: Mapping[str, Any]
    values: Mapping[str, Any]
    epochs: int
    parent: int | None = None


@dataclass(frozen=True)
class Trial:
    """Result of one training: of a trial, or of a finalist on another seed.

    Args:
        number: Number of the trial, from 1; 0 is the baseline, the spec's own values.
        values: Dotted path of the spec -> value.
        point: Hyperparameter -> value, as the oracle knows them; empty for trial 0.
        seed: Seed of the training.
        status: `completed`; `diverged`: a number became NaN or infinite, or the spec was
            refused; `pruned`: the trial ended at a Hyperband rung, and a later trial may
            continue it.
        score: Objective on the validation rows, always finite; the worst possible score
            for a diverged trial.
        epochs: Number of trained epochs, those of earlier rungs included.
        seconds: Duration of the training.
        weights: Number of weights of the network; 0 if none was built.
        folder: Folder of the trial, relative to the search's folder.
        cause: Reason for a divergence; empty otherwise.
        metrics: Metrics of the validation rows after the training. For a pruned trial they
            are measured as if the training had ended there, with the averaged or the best
            weights if the spec asks for them.
        weights_sha256: SHA-256 of the final weights.
        parent: Number of the trial whose training this one continued, or None.
        at_once: Number of trainings that were in lockstep with this one, itself included:
            those of one shape made each step together.
    """

    number: int
    values: Mapping[str, Any]
    point: Mapping[str, Any]
    seed: int
    status: Status
    score: float
    epochs: int
    seconds: float
    weights: int
    folder: str
    cause: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    weights_sha256: str = ""
    parent: int | None = None
    at_once: int = 1


def worst_score(objective: str) -> float:
    """Returns the score of a diverged trial: finite, and as bad as any score counts.

    Args:
        objective: Recorded metric, such as `val_accuracy`.
    """
    return _WORST[objective.removeprefix("val_")]


def objective_direction(objective: str) -> str:
    """Returns `max` if larger values of the objective are better, else `min`."""
    return METRICS[objective.removeprefix("val_")]


def trial_summary(trial: Trial) -> dict[str, Any]:
    """Returns the fields of a trial as `kfc tune --json` prints them."""
    return {**asdict(trial), "diverged": trial.status == "diverged"}
