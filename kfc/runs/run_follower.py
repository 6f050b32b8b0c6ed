"""Trains as one of several workers, of which another one, the chief, writes the run folder.

The chief sends its checkpoint before the first step and the metrics after the last one, so
the others need neither its folder nor a shared disk.
"""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from kfc.errors import WorkerError
from kfc.runs import environment
from kfc.runs.phases import Phases
from kfc.runs.run import Run
from kfc.runs.trainer import Trainer, weights_sha256
from kfc.runs.uncertainty import finish
from kfc.training.callbacks import named_callbacks
from kfc.training.checkpoints import Checkpoint
from kfc.training.distributing import check_same_training


def send_start(trainer: Trainer, folder: Path, start: Checkpoint | None) -> None:
    """Sends the folder and the checkpoint of the chief to the other workers.

    Args:
        trainer: Trainer of the untrained network.
        folder: Run folder.
        start: Checkpoint to continue from, or None.

    Raises:
        WorkerError: If another worker trains something else, or has ended.
    """
    replicas = trainer.plan.replicas
    if replicas.cluster is None:
        return
    check_same_training(replicas, _about(trainer))
    buffer = io.BytesIO()
    facts = {"folder": str(folder), "start": None if start is None else dict(start.facts)}
    arrays = {} if start is None else dict(start.arrays)
    np.savez(buffer, allow_pickle=False, **arrays)
    replicas.from_chief(json.dumps(facts).encode())
    replicas.from_chief(buffer.getvalue())


def send_result(trainer: Trainer, run: Run) -> None:
    """Sends the metrics of the chief's finished run to the other workers, if they live."""
    if trainer.plan.replicas.cluster is None:
        return
    with suppress(WorkerError):  # the run is complete without them
        facts = {
            "metrics": run.metrics,
            "baseline": run.baseline,
            "seconds": run.seconds,
            "sample_sha256": run.sample_sha256,
        }
        trainer.plan.replicas.from_chief(json.dumps(facts).encode())


def follow(trainer: Trainer, phases: Phases) -> Run:
    """Trains to the end as a worker that is not the chief.

    Args:
        trainer: Trainer of the untrained network.
        phases: Stopwatch; it ends the phases `build`, `compile` and `train`.

    Returns:
        The finished run; its folder is the chief's, which this machine may not have.

    Raises:
        NumbersError: If a loss, a weight or a metric becomes NaN or infinite.
        WorkerError: If another worker trains something else, or has ended.
    """
    plan = trainer.plan
    replicas = plan.replicas
    check_same_training(replicas, _about(trainer))
    facts = json.loads(replicas.from_chief(None))
    content = io.BytesIO(replicas.from_chief(None))
    acting = named_callbacks(plan.spec, Path(facts["folder"]))
    callbacks = [*acting, _Pace(plan.spec.training.log_every)]
    start = None
    if facts["start"] is not None:
        arrays = dict(np.load(content, allow_pickle=False))
        start = _without_logs(Checkpoint(arrays, facts["start"]), len(acting))
    progress = trainer.train(None, callbacks, start=start, phases=phases)
    phases.end("train")
    trainer, uncertainty = finish(trainer)
    plan = trainer.plan
    result = json.loads(replicas.from_chief(None))
    parts = {"train": plan.prepared.train, **plan.prepared.held_out}
    return Run(
        spec=plan.spec,
        network=plan.network,
        history=progress.history,
        folder=Path(facts["folder"]),
        task=plan.prepared.task,
        weights_sha256=weights_sha256(plan.network),
        data_sha256=plan.prepared.sha256,
        num_rows={name: len(rows) for name, rows in parts.items()},
        warnings=[finding.as_json() for finding in plan.prepared.warnings],
        uncertainty=uncertainty,
        **result,
    )


class _Pace(keras.callbacks.Callback):
    """Stands for the logs of the chief: calls of the graph end where a log would be called.

    Args:
        called_every: Steps between log lines, or None.
    """

    only_reads = True

    def __init__(self, called_every: int | None) -> None:
        super().__init__()
        self.called_every = called_every


def _without_logs(checkpoint: Checkpoint, count: int) -> Checkpoint:
    """Returns the chief's checkpoint with the state of its first callbacks, and of a pace."""
    kinds, states = (checkpoint.facts[name][:count] for name in ("callbacks", "states"))
    arrays = {
        name: array
        for name, array in checkpoint.arrays.items()
        if not name.startswith("callback/") or int(name.split("/")[1]) < count
    }
    facts = {"callbacks": [*kinds, _Pace.__name__], "states": [*states, {}]}
    return Checkpoint(arrays, {**checkpoint.facts, **facts})


def _about(trainer: Trainer) -> str:
    """Returns a text that is the same in every process of one training."""
    plan = trainer.plan
    identity = environment.identity(environment.plain_spec(plan.spec), plan.prepared.sha256)
    weights = weights_sha256(plan.network)
    return json.dumps([identity, weights, environment.versions_of(environment.VERSIONS)])
