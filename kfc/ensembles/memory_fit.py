"""Fits a run, or several runs that are averaged, without a folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Prepared, Task
from kfc.ensembles import average_file
from kfc.ensembles.averaging import AverageScore, average_uncertainty, averaged_outputs
from kfc.ensembles.ensemble import Ensemble
from kfc.ensembles.plan_file import FILE, EnsemblePlan, is_ensemble, read_plan
from kfc.runs import (
    IN_MEMORY,
    Checks,
    MemoryRun,
    Run,
    asks_for_uncertainty,
    fit_in_memory,
    padded_outputs,
    read_run,
    train_at_once,
    write_run,
)
from kfc.spec import Spec
from kfc.system import atomic, in_lockstep
from kfc.training.engine import JointCalls


@dataclass(frozen=True)
class MemoryFit:
    """A fitted run, or several that are averaged, without a folder.

    Args:
        spec: Spec of the fit, with `training.members`.
        members: The runs.
        metrics: Scores of the average on validation rows; empty for one run.
        uncertainty: Temperature or intervals of the average; empty for one run.
    """

    spec: Spec
    members: tuple[MemoryRun, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def result(self) -> Run | Ensemble:
        """The run, or the ensemble of the runs."""
        if len(self.members) == 1:
            return self.members[0].with_scores()
        runs = tuple(member.with_scores() for member in self.members)
        return Ensemble(runs, IN_MEMORY, self.metrics, {}, self.uncertainty)

    @property
    def task(self) -> Task:
        """Task of the first run, or of the average without its joint encoding."""
        return replace(
            self.members[0].bare.task,
            **{} if len(self.members) == 1 else _fitted(self.result.task),
        )

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Returns logits or values for encoded rows, (rows, outputs), float64.

        The outputs of a row do not depend on the other rows, to the last bit.

        Args:
            x: Rows as the network of the first run takes them, (rows, ...).
        """
        outputs = [
            padded_outputs(member.run.network, x).astype(np.float64) for member in self.members
        ]
        return outputs[0] if len(outputs) == 1 else averaged_outputs(outputs, self.task)

    def write(self, folder: Path) -> Run | Ensemble:
        """Writes the run, or the ensemble, into an empty folder that `kfc.load` reads.

        Raises:
            DiskError: If a file cannot be written.
        """
        if len(self.members) == 1:
            return write_run(self.members[0], folder)
        plan = _plan(self.spec)
        atomic.write_file(folder / FILE, plan.text())
        runs = []
        for kept, member in zip(self.members, plan.members(folder), strict=True):
            atomic.make_folder(member.folder)
            runs.append(write_run(kept, member.folder))
        average_file.write_average(folder, runs, self.metrics, {}, self.uncertainty)
        return Ensemble(tuple(runs), folder, self.metrics, {}, self.uncertainty)


def _fitted(task: Task) -> dict[str, Any]:
    return {"temperature": task.temperature, "limits": None, "intervals": task.intervals}


def _plan(spec: Spec) -> EnsemblePlan:
    numbers = tuple(range(spec.training.members))
    return EnsemblePlan("seeds", spec, numbers, in_memory=True)


def fit_all_in_memory(
    spec: Spec,
    preparer: Callable[[Spec], Prepared],
    *,
    earlier: MemoryFit | None = None,
    until: int | None = None,
    verbose: bool = False,
) -> MemoryFit:
    """Trains the network of a spec, or its `training.members`, without a folder.

    Args:
        spec: Valid spec.
        preparer: Function that prepares the data of a spec.
        earlier: Fit from whose weights, or whose states if it has any, the training continues.
        until: Number of epochs after which the training pauses.
        verbose: Whether epochs are shown on stderr.

    Raises:
        KfcError: As `kfc.fit` does.
    """
    if spec.training.members == 1:
        start = earlier.members[0] if earlier else None
        return MemoryFit(spec, (_fit_one(spec, preparer, start, until, verbose),))
    prepared: list[Prepared] = []

    def prepare_once(of: Spec) -> Prepared:
        if not prepared:  # seeds alone tell the members apart, and the rows have their own
            prepared.append(preparer(of))
        return prepared[0]

    specs = [member.spec for member in _plan(spec).members(IN_MEMORY)]
    starts: Sequence[MemoryRun | None] = earlier.members if earlier else [None] * len(specs)
    first: Checks = "data"  # the members have the same rows
    at_once = train_at_once(specs, prepare_once, data=())
    fits: list[Callable[[], MemoryRun]] = [
        functools.partial(
            _fit_one,
            *(each, prepare_once, start, until),
            # At once, the lines of the first one stand for all.
            verbose and not (at_once and number),
            "none" if number else first,
        )
        for number, (each, start) in enumerate(zip(specs, starts, strict=True))
    ]
    if at_once:
        members = tuple(in_lockstep(fits, JointCalls()))
    else:
        members = tuple(fit() for fit in fits)
    return _averaged(spec, members, prepared[0])


def _fit_one(
    spec: Spec,
    preparer: Callable[[Spec], Prepared],
    start: MemoryRun | None,
    until: int | None,
    verbose: bool,
    checks: Checks = "data",
) -> MemoryRun:
    if start is None:
        return fit_in_memory(spec, preparer, until=until, verbose=verbose, checks=checks)
    if start.state is not None and until is not None:
        fitted = fit_in_memory(spec, preparer, start=start.state, until=until, verbose=verbose)
    else:
        weights = start.run.network.get_weights()
        fitted = fit_in_memory(spec, preparer, weights=weights, until=until, verbose=verbose)
    return replace(fitted, sample=start.sample)


def _averaged(spec: Spec, members: tuple[MemoryRun, ...], prepared: Prepared) -> MemoryFit:
    """Measures the average of members on the validation rows, and fits its uncertainty."""
    average, held_out = AverageScore(), AverageScore()
    runs = [member.run for member in members]
    resolved = runs[0].spec
    rows = prepared.interval_rows or prepared.validation
    for run in runs:
        if prepared.validation is not None:
            average.add(run, prepared.validation)
        if rows is not None and asks_for_uncertainty(resolved):
            held_out.add(run, rows)
    uncertainty = average_uncertainty(resolved, {"val": held_out.labelled({})})
    return MemoryFit(spec, members, average.scores("val_", uncertainty), uncertainty)


def read_fit(folder: Path) -> MemoryFit:
    """Reads a finished run, or an ensemble, into memory; then its folder is not needed.

    Raises:
        CheckpointError: If the folder holds neither, or it is damaged.
    """
    if not is_ensemble(folder):
        kept = read_run(folder)
        return MemoryFit(kept.run.spec, (kept,))
    plan = read_plan(folder)
    facts = average_file.read_average(folder)
    members = tuple(read_run(member.folder) for member in plan.members(folder))
    return MemoryFit(plan.spec, members, facts["metrics"], facts.get("uncertainty", {}))
