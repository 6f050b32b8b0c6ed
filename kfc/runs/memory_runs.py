"""Trains without a run folder, and writes the folder of such a run when somebody needs it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.data import Prepared, Rows, Task
from kfc.data.tables import TypedTable
from kfc.network import build
from kfc.runs import environment, result_file, sample_file
from kfc.runs.examining import Checks, examined
from kfc.runs.plan import Plan, make_plan
from kfc.runs.run import Run, load_run
from kfc.runs.running_process import running_process
from kfc.runs.scores import baseline_scores, further_scores, scores
from kfc.runs.table_sample import take_table_sample
from kfc.runs.trainer import Trainer, weights_sha256
from kfc.runs.trainer_pool import Lease
from kfc.runs.uncertainty import finish
from kfc.spec import Spec, dump_spec
from kfc.system import atomic, own_seconds, progress_console
from kfc.training import check_finite
from kfc.training.callbacks import Terminal, named_callbacks
from kfc.training.checkpoints import Checkpoint, Progress, store, training_state

IN_MEMORY = Path("<memory>")
"""`Run.folder` of a run without a folder."""


@dataclass(frozen=True)
class HeldOutOutputs:
    """Outputs of a finished network for its held-out rows, whose scores take long to compute.

    Args:
        train_y: Encoded targets of the training rows, for the baseline.
        parts: Prefix of the metrics -> recorded metrics, outputs, encoded targets.
    """

    train_y: np.ndarray
    parts: Mapping[str, tuple[dict[str, float], np.ndarray, np.ndarray]]

    def recorded(self) -> dict[str, float]:
        """Returns the metrics that training records, with their prefixes."""
        return {
            f"{part}_{name}": value
            for part, (recorded, _, _) in self.parts.items()
            for name, value in recorded.items()
        }

    def add_scores(self, run: Run) -> Run:
        """Returns a run with the scores of the outputs, and those of a constant prediction."""
        metrics: dict[str, float] = {}
        baseline: dict[str, float] = {}
        further, train = further_scores(run.spec), Rows(self.train_y, self.train_y)
        for part, (recorded, outputs, y) in self.parts.items():
            found = recorded | scores(outputs, y, run.task, further) | recorded
            constant = baseline_scores(train, Rows(y, y), run.task, further)
            metrics |= {f"{part}_{name}": value for name, value in found.items()}
            baseline |= {f"{part}_{name}": value for name, value in constant.items()}
        check_finite(metrics, "the final weights")
        return replace(run, metrics=metrics, baseline=baseline)


@dataclass(frozen=True)
class MemoryRun:
    """A finished run without a folder.

    Args:
        bare: The run, with the metrics that its training records, and perhaps without a
            network.
        weights: Weights of its network; None if it has one.
        measured: Outputs for held-out rows, with which `with_scores` computes the other
            metrics; None for a run whose metrics are complete.
        sample: Rows of which a run folder keeps a sample: inputs, columns of a table, or an
            earlier sample.
        state: State from which `fit_in_memory` can continue; None unless it was asked for.
    """

    bare: Run
    weights: list[np.ndarray] | None
    sample: np.ndarray | TypedTable | sample_file.Sample
    state: Checkpoint | None = None
    measured: HeldOutOutputs | None = None

    @functools.cached_property
    def run(self) -> Run:
        """The run, whose network is built when it is used first."""
        if self.weights is None:
            return self.bare
        network = build(self.bare.spec, self.bare.task)
        network.set_weights(self.weights)
        return replace(self.bare, network=network)

    def with_scores(self) -> Run:
        """Returns the run with all metrics that a run folder has, and their baseline."""
        return self.run if self.measured is None else self.measured.add_scores(self.run)


def fit_in_memory(
    spec: Spec,
    preparer: Callable[[Spec], Prepared],
    *,
    weights: list[np.ndarray] | None = None,
    start: Checkpoint | None = None,
    until: int | None = None,
    verbose: bool = False,
    checks: Checks = "none",
) -> MemoryRun:
    """Trains the network of a spec as `kfc.fit` does, without a run folder.

    Nothing is written to the disk, except by callbacks of the spec, whose files are in a
    temporary folder that is removed.

    Args:
        spec: Valid spec.
        preparer: Function that prepares the data of a spec.
        weights: Initial weights; None for those of the spec's seed.
        start: State of the same training, from which it continues.
        until: Number of epochs after which the training pauses; the state is then returned.
        verbose: Whether epochs are shown on stderr.
        checks: Checks of the doctor that run first; the run keeps their warnings.

    Raises:
        KfcError: As `kfc.fit` does.
    """
    lease = Lease()
    plan = make_plan(spec, data=(), preparer=preparer, build_network=lease.network)
    plan = examined(plan, checks)
    trainer = lease.trainer(plan)
    if weights is not None:
        plan.network.set_weights(weights)
    with _folder_of_callbacks(plan.spec) as folder:
        callbacks = named_callbacks(plan.spec, folder)
        if verbose:
            callbacks.append(Terminal(plan.spec.training.log_every, None, progress_console()))
        began = own_seconds()
        progress = trainer.train(None, callbacks, until=until, start=start)
        progress.seconds = own_seconds() - began
        state = None
        if until is not None:
            state = training_state.capture(trainer.model, callbacks, progress)
            trainer.end(callbacks)
    trainer, uncertainty = finish(trainer)
    kept = _memory_run(trainer, progress, uncertainty, with_network=not lease.key)
    lease.end()
    return replace(kept, state=state)


def _memory_run(
    trainer: Trainer, progress: Progress, uncertainty: dict[str, Any], *, with_network: bool
) -> MemoryRun:
    """Returns the run of a finished trainer.

    Args:
        trainer: Trainer of the finished network.
        progress: Progress at the end.
        uncertainty: Facts of `finish`.
        with_network: Whether the run gets the trainer's network. That of a pooled trainer
            trains again, so the run then builds one of its own.
    """
    plan, prepared, evaluator = trainer.plan, trainer.plan.prepared, trainer.evaluator
    measured = HeldOutOutputs(
        prepared.train.y,
        {
            part: (evaluator.evaluate(rows), evaluator.outputs(rows.x), rows.y)
            for part, rows in prepared.held_out.items()
        },
    )
    check_finite(measured.recorded(), "the final weights")
    network: Any = plan.network if with_network else None
    run = Run(
        spec=plan.spec,
        network=network,
        history=progress.history,
        metrics=measured.recorded(),
        baseline={},
        folder=IN_MEMORY,
        task=prepared.task,
        seconds=round(progress.seconds, 3),
        weights_sha256=weights_sha256(plan.network),
        data_sha256=prepared.sha256,
        num_rows={"train": len(prepared.train)}
        | {name: len(rows) for name, rows in prepared.held_out.items()},
        sample_sha256=None,
        warnings=[finding.as_json() for finding in prepared.warnings],
        uncertainty=uncertainty,
    )
    weights = None if with_network else plan.network.get_weights()
    return MemoryRun(run, weights, _sample(plan), measured=measured)


@contextmanager
def _folder_of_callbacks(spec: Spec) -> Iterator[Path]:
    """Yields a folder for the files of a spec's callbacks, which is removed afterwards."""
    if not spec.training.callbacks:
        yield IN_MEMORY
        return
    with tempfile.TemporaryDirectory(prefix="kfc-") as folder:
        yield Path(folder)


def _sample(plan: Plan) -> np.ndarray | TypedTable:
    prepared = plan.prepared
    if prepared.task.encoding is not None and prepared.test_columns is not None:
        return prepared.test_columns
    return sample_file.rows_of_sample(prepared.shown.x)


def write_run(kept: MemoryRun, folder: Path) -> Run:
    """Writes a run into a folder, from which `kfc.load` loads it with the same weights.

    The folder has all that a finished run needs to predict, to be exported and to be
    measured: not the logs, and of the checkpoint only the weights.

    Args:
        kept: The run and its sample.
        folder: Folder that exists and is empty.

    Returns:
        The same run, with this folder.

    Raises:
        DiskError: If a file cannot be written.
    """
    run = kept.with_scores()
    atomic.write_file(folder / "spec.yaml", dump_spec(run.spec))
    environment.write_environment(
        folder,
        running_process()
        | {
            "given": {"data": True, "network": None, "callbacks": []},
            "spec": environment.plain_spec(run.spec),
            "data_sha256": run.data_sha256,
            "resumed": [],
            "cwd": str(folder),
        },
    )
    weights = {f"weights/{n}": w for n, w in enumerate(run.network.get_weights())}
    facts = {"progress": {"epoch": run.epochs}, "callbacks": [], "states": []}
    store.save(folder / "checkpoints", Checkpoint(weights, facts))
    sample = _finished_sample(kept.sample, run.network, run.task)
    written = replace(
        run, folder=folder, sample_sha256=sample_file.write_sample(folder, sample)
    )
    result_file.write_result(
        folder,
        {
            **written.summary(),
            "folder": folder.name,
            "data_sha256": run.data_sha256,
            "rows": run.num_rows,
            "sample_sha256": written.sample_sha256,
            "warnings": run.warnings,
            "history": run.history,
        },
        run.task,
    )
    return written


def _finished_sample(
    rows: np.ndarray | TypedTable | sample_file.Sample, network: keras.Model, task: Task
) -> sample_file.Sample:
    if isinstance(rows, sample_file.Sample):
        return replace(rows, outputs=sample_file.outputs_on_cpu(network, rows.x))
    if isinstance(rows, TypedTable):
        if task.encoding is None:
            raise TypeError("task.encoding: expected that of a table, got None")
        return take_table_sample(network, task.encoding, rows)
    return sample_file.Sample(rows, sample_file.outputs_on_cpu(network, rows))


def read_run(folder: Path) -> MemoryRun:
    """Reads a finished run into memory, after which its folder is not needed.

    Raises:
        CheckpointError: If the folder holds no finished run, or it is damaged.
    """
    run = load_run(folder)
    sample = sample_file.read_sample(folder, run.sample_sha256)
    return MemoryRun(replace(run, folder=IN_MEMORY), None, sample)
