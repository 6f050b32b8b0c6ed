"""One point of the space, and what came of training it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kfc.spec import METRICS

Status = Literal["completed", "diverged", "pruned"]

_WORST = {"accuracy": 0.0, "loss": 1e30, "mae": 1e30, "r2": -1e30}


@dataclass(frozen=True)
class Proposal:
    """What a trial is to train.

    Args:
        number: Number of the trial, from 1; 0 for the spec's own values.
        point: Hyperparameter -> value, as the oracle knows them; empty for trial 0.
        values: Dotted path of the spec -> value.
        epochs: To have trained at its end.
        parent: Number of the trial whose training this one continues, or None.
    """

    number: int
    point: Mapping[str, Any]
    values: Mapping[str, Any]
    epochs: int
    parent: int | None = None


@dataclass(frozen=True)
class Trial:
    """What came of a proposal, or of a finalist's training on another seed.

    Args:
        number: Number of the trial, from 1; 0 for the spec's own values.
        values: Dotted path of the spec -> value.
        point: Hyperparameter -> value, as the oracle knows them; empty for trial 0.
        seed: Of the training.
        status: `completed`; `diverged`: a number became NaN or infinite, or the spec was
            refused; `pruned`: it ended on a rung, from which another trial may go on.
        score: The objective on validation rows, always finite; for a diverged trial the
            worst there is.
        epochs: Trained, those of an earlier rung included.
        seconds: That the training took.
        weights: Number of weights of the network; 0 where there was none.
        folder: Of its run, below the search's.
        cause: Of the divergence.
        metrics: Of the validation rows, after the training; of a pruned one's as if it had
            ended there, with the averages or the best weights that its spec asks for.
        weights_sha256: Of the weights' bytes, with which another trial may go on.
        parent: Number of the trial whose training this one continued, or None.
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


def worst_score(objective: str) -> float:
    """Returns the finite score of a trial that diverged: nothing trained scores worse.

    Args:
        objective: A recorded metric, such as `val_accuracy`.
    """
    return _WORST[objective.removeprefix("val_")]


def direction(objective: str) -> str:
    """Returns `min` or `max`: which way the objective becomes better."""
    return METRICS[objective.removeprefix("val_")]


def plain(trial: Trial) -> dict[str, Any]:
    """Returns what `--json` prints of a trial."""
    return {**asdict(trial), "diverged": trial.status == "diverged"}
