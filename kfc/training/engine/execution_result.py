"""Outputs of a call as Python's numbers."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from kfc.training.engine.multi_step import MultiStepOutputs
from kfc.training.metrics import defined


class ExecutionResult(NamedTuple):
    """Metrics of the steps of one `Engine.run`.

    Args:
        logs: Means over the last epoch so far, and `batch_loss` of the last step.
        epochs: Metrics of each epoch that these steps have finished, with held-out metrics
            if they were asked for.
        first_bad_step: First step whose loss is NaN or infinite, which was the last one to
            run; -1 if there is none.
    """

    logs: dict[str, float]
    epochs: list[dict[str, float]]
    first_bad_step: int


def execution_result(
    outputs: MultiStepOutputs,
    first_step: int,
    end_step: int,
    *,
    steps_per_epoch: int,
    left_out: Collection[str],
) -> ExecutionResult:
    """Returns the metrics of a call.

    Args:
        outputs: Outputs of the call.
        first_step: First step that the call had to run.
        end_step: Step before which it had to stop.
        steps_per_epoch: Number of steps of an epoch.
        left_out: Names of metrics of epochs that the call has not computed.
    """
    bad_step = int(outputs.bad_step)
    columns = {  # name -> (epochs,)
        name: np.asarray(column)
        for name, column in outputs.epoch_metrics.items()
        if name not in left_out
    }
    # Of the epochs, those that the call has finished.
    done = end_step if bad_step < 0 else bad_step
    finished = range(first_step // steps_per_epoch, done // steps_per_epoch)
    return ExecutionResult(
        defined({name: float(value) for name, value in outputs.logs.items()}),
        [
            defined({name: float(column[epoch]) for name, column in columns.items()})
            for epoch in finished
        ],
        bad_step,
    )
