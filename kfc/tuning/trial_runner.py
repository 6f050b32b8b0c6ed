"""Trains and scores single trials, in this process."""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.data import Prepared, Source, prepare, read_source
from kfc.errors import CheckpointError, DataError, NumbersError, SpecError
from kfc.runs import Lease, Trainer, plan_training, result_file, weights_sha256
from kfc.spec import Spec, dump_spec
from kfc.system import atomic, number_in_lockstep, own_seconds, safe_open
from kfc.training.callbacks import named_callbacks
from kfc.training.checkpoints import for_another_folder, store
from kfc.tuning.space import Space
from kfc.tuning.trial import Proposal, Trial, objective_direction, worst_score

CHECKPOINT_SECONDS = 1.0
"""Trials shorter than this write no checkpoint before their end. A killed process loses at
most one epoch, or one second of a longer epoch."""

_MAX_PREPARED = 4


@dataclass(frozen=True)
class Job:
    """A training to run: a trial, or a finalist on another seed.

    Args:
        proposal: Values and number of epochs.
        seed: Seed of the training.
        folder: Folder of the training, relative to the search's folder.
        to_beat: Score below which (for a loss: above which) the weights are not kept; None
            keeps them.
    """

    proposal: Proposal
    seed: int
    folder: str
    to_beat: float | None = None


class Preparer:
    """Prepares the data of specs; reads each source once and prepares equal data once.

    Args:
        source: Rows given as `data=`; None for the source of the spec.
        cache: Folder of encoded tables, see `kfc.data.prepare`.
    """

    def __init__(self, source: Any = None, cache: Path | None = None) -> None:
        self._source, self._cache = source, cache
        self._sources: dict[str, Source] = {}
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()  # least recently used first

    def __call__(self, spec: Spec) -> Prepared:
        """Returns the prepared data of a spec."""
        key = _data_key(spec)
        prepared = self._prepared.pop(key, None)
        if prepared is None:
            prepared = prepare(spec, self._source, read=self._read, cache=self._cache)
        self._prepared[key] = prepared
        if len(self._prepared) > _MAX_PREPARED:
            self._prepared.popitem(last=False)
        return prepared

    def resolved(self, spec: Spec, resolved: Spec) -> None:
        """Keeps the data of `spec` as that of `resolved`, which replaces it from now on."""
        self._prepared[_data_key(resolved)] = self._prepared.pop(_data_key(spec))

    def _read(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = read_source(name)
        return self._sources[name]


class TrialRunner:
    """Runs the trials of a search in this process, which share compiled training steps.

    Args:
        space: Space of the search.
        objective: Metric of the validation rows.
        root: Folder of the search.
        prepare: Callable that returns the prepared data of a spec.
    """

    def __init__(self, space: Space, objective: str, root: Path, prepare: Preparer) -> None:
        self._space, self._objective, self._root = space, objective, root
        safe_open.distrust(root)  # also in a worker process, which inherits nothing
        self._prepare = prepare

    def run(self, job: Job) -> Trial:
        """Trains and scores a trial; an interrupted one resumes from its last checkpoint.

        An error that would refuse or end an ordinary run, such as a NaN loss, is a result
        of the trial: its status is `diverged`, and the error is the cause.

        Args:
            job: Training to run.
        """
        proposal, started = job.proposal, own_seconds()
        facts: dict[str, Any] = {"status": "diverged", "epochs": 0, "weights": 0}
        facts["score"] = worst_score(self._objective)
        lease = Lease()
        try:
            spec = self._space.trial_spec(proposal.values, seed=job.seed)
            # The rows are split by the search's seed on every seed of a finalist: with another
            # split, test rows of the winner would become training rows.
            rows_of = spec.model_copy(update={"seed": self._space.spec.seed})
            plan = plan_training(spec, self._prepare(rows_of), build_network=lease.network)
            trainer = lease.trainer(plan)
            facts["weights"] = plan.network.count_params()
            facts |= self._train(trainer, job)
        except (SpecError, DataError, NumbersError) as error:
            facts["cause"] = " ".join(str(error).split())
        lease.end()
        return Trial(
            number=proposal.number,
            values=proposal.values,
            point=proposal.point,
            parent=proposal.parent,
            seed=job.seed,
            folder=job.folder,
            seconds=round(own_seconds() - started, 3),
            at_once=number_in_lockstep(),
            **facts,
        )

    def _train(self, trainer: Trainer, job: Job) -> dict[str, Any]:
        """Trains and scores a trial; returns the fields of the result."""
        plan, folder, proposal = trainer.plan, self._root / job.folder, job.proposal
        atomic.make_folder(folder)
        started = own_seconds()

        # Train to the proposed epoch.
        callbacks = named_callbacks(plan.spec, folder)
        progress = trainer.train(
            folder,
            callbacks,
            # The epochs of the proposal are those of the search's spec; a space may vary them.
            until=proposal.values.get("training.epochs", proposal.epochs),
            start=self._start_checkpoint(folder, proposal.parent),
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )
        state_sha256 = weights_sha256(plan.network)
        paused = not progress.stopped and progress.epoch < plan.spec.training.epochs

        # A paused trial may be continued by another one, so its checkpoint is taken before the
        # callbacks end. Its score is that of a training that ends here.
        if paused:
            trainer.save_checkpoint(folder, callbacks, progress)
            trainer.end(callbacks)
        metrics = trainer.measure("val", objective=self._objective)
        seconds = round(own_seconds() - started, 3)
        score = self._bounded(metrics[self._objective])
        beaten = job.to_beat is not None and self._is_better(job.to_beat, score)
        if not paused and not beaten:
            trainer.save_checkpoint(folder, callbacks, progress)

        # Write the folder of the trial, which can be read as a run.
        facts = {"metrics": metrics, "epochs": progress.epoch, "weights_sha256": state_sha256}
        run_facts = {
            "folder": folder.name,
            "seconds": seconds,
            "history": progress.history,
            "data_sha256": plan.prepared.sha256,
        }
        atomic.write_file(folder / "spec.yaml", dump_spec(plan.spec))
        result_file.write_result(folder, {**run_facts, **facts}, plan.prepared.task)
        return {**facts, "status": "pruned" if paused else "completed", "score": score}

    def _bounded(self, score: float) -> float:
        """Returns the score, limited to the worst score, that of a divergence."""
        bound = min if objective_direction(self._objective) == "min" else max
        return bound(score, worst_score(self._objective))

    def _is_better(self, one: float, other: float) -> bool:
        return one < other if objective_direction(self._objective) == "min" else one > other

    def _start_checkpoint(self, folder: Path, parent: int | None) -> store.Checkpoint | None:
        """Returns the newest checkpoint of the trial, else of its parent, else None."""
        with suppress(CheckpointError):
            newest = store.newest(folder / "checkpoints")
            store.drop_damaged(folder / "checkpoints", newest)
            return newest
        if parent is not None:
            with suppress(CheckpointError):
                parent_folder = self._root / trial_folder(parent)
                return for_another_folder(store.newest(parent_folder / "checkpoints"))
        return None


def trial_folder(number: int) -> str:
    """Returns the folder of a trial, relative to the search's folder."""
    return f"trials/{number:04d}"


def _data_key(spec: Spec) -> str:
    """Returns a cache key that is equal for specs with the same data."""
    return json.dumps([spec.data.model_dump(), spec.seed, spec.accept])
