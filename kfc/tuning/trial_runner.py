"""An order -> a trained trial, in this process."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.data import Prepared, Source, prepare, read_source
from kfc.errors import CheckpointError, DataError, NumbersError, SpecError
from kfc.runs import Trainer, compile_trainer, plan_training, result_file, weights_sha256
from kfc.spec import Spec, dump_spec
from kfc.system import atomic, safe_open
from kfc.training.callbacks import named_callbacks
from kfc.training.checkpoints import for_another_folder, store
from kfc.tuning.space import Space
from kfc.tuning.trial import Proposal, Trial, direction, worst_score

CHECKPOINT_SECONDS = 1.0
"""A short trial is never interrupted by a checkpoint, and a killed one loses an epoch at most,
or a second of a longer one."""

_MOST_PREPARED = 4


@dataclass(frozen=True)
class Order:
    """A trial to be run, or a finalist's training on another seed.

    Args:
        proposal: What to train.
        seed: Of the training.
        folder: Of its run, below the search's.
        to_beat: Weights are kept where the score is at least as good; None keeps them.
    """

    proposal: Proposal
    seed: int
    folder: str
    to_beat: float | None = None


class Preparer:
    """Prepares the data of specs: each source is read once, equal data prepared once.

    Args:
        source: Rows given as `data=`, or None for the spec's own.
    """

    def __init__(self, source: Source | None = None) -> None:
        self._source = source
        self._sources: dict[str, Source] = {}
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()  # the newest last

    def __call__(self, spec: Spec) -> Prepared:
        """Returns the data of a spec."""
        key = _key(spec)
        prepared = self._prepared.pop(key, None)
        if prepared is None:
            prepared = prepare(spec, self._source, read=self._read)
        self._prepared[key] = prepared
        if len(self._prepared) > _MOST_PREPARED:
            self._prepared.popitem(last=False)
        return prepared

    def resolved(self, spec: Spec, resolved: Spec) -> None:
        """Says that `resolved` takes the data of `spec`, which is asked for no more."""
        self._prepared[_key(resolved)] = self._prepared.pop(_key(spec))

    def _read(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = read_source(name)
        return self._sources[name]


class Runner:
    """Runs the trials of a search, whose compiled steps serve many of them.

    Args:
        space: Of the search.
        objective: A metric of the validation rows.
        root: The search's folder.
        prepare: Gives the data of a trial's spec.
    """

    def __init__(self, space: Space, objective: str, root: Path, prepare: Preparer) -> None:
        self._space, self._objective, self._root = space, objective, root
        safe_open.distrust(root)  # to this process, which may be a worker
        self._prepare = prepare

    def run(self, order: Order) -> Trial:
        """Trains and scores a trial; an interrupted one resumes from its last checkpoint.

        What would refuse or end a run of its own, such as a loss that is NaN, is the
        outcome of a trial: it `diverged`, for a cause.
        """
        proposal, began = order.proposal, time.monotonic()
        facts: dict[str, Any] = {"status": "diverged", "epochs": 0, "weights": 0}
        facts["score"] = worst_score(self._objective)
        try:
            spec = self._space.trial_spec(proposal.values, seed=order.seed)
            # A repeat's own seed would also split anew, and train on the winner's test rows.
            rows_of = spec.model_copy(update={"seed": self._space.spec.seed})
            plan = plan_training(spec, self._prepare(rows_of))
            trainer = compile_trainer(plan)
            facts["weights"] = plan.network.count_params()
            facts |= self._train(trainer, order)
        except (SpecError, DataError, NumbersError) as error:
            facts["cause"] = " ".join(str(error).split())
        return Trial(
            number=proposal.number,
            values=proposal.values,
            point=proposal.point,
            parent=proposal.parent,
            seed=order.seed,
            folder=order.folder,
            seconds=round(time.monotonic() - began, 3),
            **facts,
        )

    def _train(self, trainer: Trainer, order: Order) -> dict[str, Any]:
        """Returns what a trial is that did not diverge."""
        plan, folder, proposal = trainer.plan, self._root / order.folder, order.proposal
        atomic.make_folder(folder)
        began = time.monotonic()
        callbacks = named_callbacks(plan.spec, folder)
        progress = trainer.train(
            folder,
            callbacks,
            # The oracle's are those of the search's spec, which a space may hold too.
            until=proposal.values.get("training.epochs", proposal.epochs),
            start=self._start(folder, proposal.parent),
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )
        state_sha256 = weights_sha256(plan.network)
        paused = not progress.stopped and progress.epoch < plan.spec.training.epochs
        if paused:  # another trial may go on from here; this one's score is as if it ended
            trainer.save_checkpoint(folder, callbacks, progress)
            trainer.end(callbacks)
        metrics = trainer.measure("val")
        seconds = round(time.monotonic() - began, 3)
        score = self._bounded(metrics[self._objective])
        beaten = order.to_beat is not None and self._is_better(order.to_beat, score)
        if not paused and not beaten:
            trainer.save_checkpoint(folder, callbacks, progress)
        facts = {"metrics": metrics, "epochs": progress.epoch, "weights_sha256": state_sha256}
        of_run = {
            "folder": folder.name,
            "seconds": seconds,
            "history": progress.history,
            "data_sha256": plan.prepared.sha256,
        }
        atomic.write_file(folder / "spec.yaml", dump_spec(plan.spec))
        result_file.write_result(folder, {**of_run, **facts}, plan.prepared.task)
        return {**facts, "status": "pruned" if paused else "completed", "score": score}

    def _bounded(self, score: float) -> float:
        """Returns a score that is no worse than a divergence."""
        bound = min if direction(self._objective) == "min" else max
        return bound(score, worst_score(self._objective))

    def _is_better(self, one: float, other: float) -> bool:
        return one < other if direction(self._objective) == "min" else one > other

    def _start(self, folder: Path, parent: int | None) -> store.Checkpoint | None:
        """Returns where the training goes on: its own last checkpoint, or its parent's."""
        with suppress(CheckpointError):
            own = store.newest(folder / "checkpoints")
            store.drop_damaged(folder / "checkpoints", own)
            return own
        if parent is not None:
            with suppress(CheckpointError):
                place = self._root / trial_folder(parent)
                return for_another_folder(store.newest(place / "checkpoints"))
        return None


def trial_folder(number: int) -> str:
    """Returns the folder of a trial's run, below the search's."""
    return f"trials/{number:04d}"


def _key(spec: Spec) -> str:
    """Returns a text that is equal for specs with the same data."""
    return json.dumps([spec.data.model_dump(), spec.seed, spec.accept])
