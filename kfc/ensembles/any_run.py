"""Fits, loads and resumes a run, or several runs that are averaged."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kfc.ensembles import average_file
from kfc.ensembles.averaging import AverageScore, average_uncertainty
from kfc.ensembles.cross_validating import CrossValidation, finish_folds, rows_in_memory
from kfc.ensembles.ensemble import Ensemble, load_ensemble
from kfc.ensembles.member_training import MemberRunner, check_members, train_members
from kfc.ensembles.plan_file import FILE, EnsemblePlan, is_ensemble, read_plan
from kfc.errors import DataError, Finding, SpecError
from kfc.pages import write_page
from kfc.runs import (
    Checks,
    Run,
    asks_for_uncertainty,
    fitting,
    load_run,
    scores,
    start_for_spec,
)
from kfc.spec import SpecLike, load_spec
from kfc.system import hint_on_interrupt, locks, progress_console, user_paths


def fit(
    spec: SpecLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    network: keras.Model | Run | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    runs: str | Path = "runs",
    verbose: bool | int = True,
    checks: Checks = "data",
) -> Run | Ensemble:
    """Trains the network of a spec in a new run folder, or several of them to average.

    Ctrl-C and SIGTERM end the training after a checkpoint; `resume` continues from there, as
    it does after a crash.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> run.metrics["test_accuracy"] > 0.5
        True

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows that replace `data.source`: `(x, y)` or `(x, y, sample_weight)`; a DataFrame
            of pandas or polars, or an Arrow table, with a column `target` or `label`; or a
            `tf.data.Dataset` of rows or of batches. A pair of these is training and test
            rows, as in `((x, y), (x_test, y_test))`; a mapping of the names `train`,
            `validation` and `test` brings validation rows too. A `numpy.memmap` as x is
            streamed from the disk where it is large for this machine's memory.
        network: Network whose weights are the initial weights. It is not changed, and its
            architecture must be the spec's. Of a run, columns, categories and classes must be
            those of the data, too.
        callbacks: Keras callbacks, called after those that the spec names and before kfc's
            logs.
        runs: Folder that holds the numbered run folders.
        verbose: Whether progress is shown on stderr; 2 shows a line for each epoch where
            True shows a bar.
        checks: Checks of the doctor that run first: `none`; `data`, how the parts of the data
            fit together; or `start`, also whether the untrained network can learn. Warnings
            are printed and kept with the run; no check changes a value. Of an ensemble, they
            run before its first run.

    Returns:
        The finished run; with `training.members` above 1 the ensemble of these runs, which
        are in its folder and were trained on the same rows, in turn or at once as
        `training.at_once` says.

    Raises:
        SpecError: If the spec is wrong, with every finding.
        DataError: If the data cannot be read or must not be trained on.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        PluginError: If a plug-in fails.
        DiskError: If the run folder cannot be written.
    """
    valid = load_spec(spec, overrides)
    if valid.training.members == 1:
        return fitting.fit_run(
            valid,
            data=data,
            network=network,
            callbacks=callbacks,
            runs=runs,
            verbose=verbose,
            checks=checks,
        )
    for name, given in (("network", network), ("callbacks", callbacks)):
        if given is not None:
            remedy = "Leave it out, or set training.members to 1."
            raise SpecError(Finding(name, "none for several members", "one", remedy))
    check_members(valid)
    numbers = tuple(range(valid.training.members))
    plan = EnsemblePlan("seeds", valid, numbers, in_memory=data is not None)
    place = user_paths.absolute(runs)
    contents = {FILE: plan.text().encode()}
    with locks.new_numbered_folder(place, valid.name, contents) as folder:
        return _finish_seeds(plan, folder, data, progress_console(verbose), checks)


def load(folder: str | Path) -> Run | Ensemble:
    """Loads a finished run from its folder, or an ensemble from that of its runs.

    The network is rebuilt from the spec, and its weights come from the newest checkpoint
    with a correct sha256. No code from the folder is executed.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> kfc.load(run.folder).metrics == run.metrics
        True

    Args:
        folder: Folder of a run, of a cross-validation, or of several members.

    Returns:
        The run with its trained network, or the ensemble.

    Raises:
        CheckpointError: If the folder holds no finished run, or its weights are damaged.
    """
    place = user_paths.absolute(folder)
    return load_ensemble(place) if is_ensemble(place) else load_run(folder)


def resume(
    folder: str | Path,
    *,
    data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    verbose: bool | int = True,
) -> Run | Ensemble | CrossValidation:
    """Resumes an interrupted run; the result has the bits of an uninterrupted one.

    Training continues from the newest complete checkpoint, or from the beginning if there is
    none yet. Versions, processors and flags that differ from those of the beginning are
    printed and recorded, because they may change bits. Callbacks that do not save their state
    may change bits too.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> again = kfc.resume(run.folder, verbose=False)  # finished, so it is only loaded
        >>> again.weights_sha256 == run.weights_sha256
        True

    Args:
        folder: Folder of a run, of a cross-validation, or of several members.
        data: Rows of the run, if it was given `data=`.
        callbacks: Callbacks of the run, if it was given `callbacks=`: new ones of the same
            classes, in the same order.
        verbose: Whether progress is shown on stderr; 2 shows a line for each epoch where
            True shows a bar.

    Returns:
        The finished run, ensemble or cross-validation. What was finished already is loaded.

    Raises:
        CheckpointError: If the folder holds no run, its spec was changed, or a file that the
            training depends on is damaged.
        BusyError: If another process works in the folder.
        DataError: If the rows are not those of the run.
        SpecError: If the callbacks are not those of the run, or the machine has too little
            memory.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        PluginError: If a plug-in fails.
        DiskError: If the run folder cannot be written.
    """
    place = user_paths.absolute(folder)
    if not is_ensemble(place):
        return fitting.resume_run(folder, data=data, callbacks=callbacks, verbose=verbose)
    plan = read_plan(place)
    if plan.in_memory != (data is not None):
        expected = "the rows that it was given in Python" if plan.in_memory else "no rows"
        remedy = f"Call `kfc.resume({str(place)!r}{', data=...' if plan.in_memory else ''})`."
        got = "none" if data is None else "data="
        raise DataError(Finding("data", expected, got, remedy))
    with locks.locked(place):
        if plan.kind == "folds":
            return finish_folds(plan, place, data, workers=1, verbose=verbose)
        return _finish_seeds(plan, place, data, progress_console(verbose))


def _finish_seeds(
    plan: EnsemblePlan, folder: Path, data: Any, console: Console, checks: Checks = "data"
) -> Ensemble:
    """Trains the members that are not finished, in a locked folder, and measures them."""
    if (folder / average_file.FILE).is_file():
        return load_ensemble(folder)
    start_for_spec(plan.spec)
    rows = rows_in_memory(data, plan.spec)
    runner = MemberRunner(rows, folder / ".tables", warn=not console.quiet)
    average, validation, trained = AverageScore(), AverageScore(), []
    baseline: dict[str, float] = {}
    message = f"`kfc resume {user_paths.shown_path(folder)}` continues"
    with hint_on_interrupt(console.print, message):
        say = functools.partial(console.print, soft_wrap=True)
        options: dict[str, Any] = {"workers": 1, "threads": None, "checks": checks, "say": say}
        for member, each in train_members(plan, folder, runner, **options):
            prepared = runner.prepare(member.spec)
            if prepared.test is not None:
                average.add(each, prepared.test)
            rows = prepared.interval_rows or prepared.validation
            if rows is not None and asks_for_uncertainty(each.spec):
                validation.add(each, rows)
            if prepared.test is not None and not baseline:
                baseline = scores.baseline_scores(prepared.train, prepared.test, each.task)
            trained.append(each)
            line = f"{member.folder.name}: {each.epochs} epochs, {each.seconds:.1f} s"
            console.print(f"{line}  {len(trained)}/{len(plan.numbers)}", soft_wrap=True)
    constant = {f"test_{name}": value for name, value in baseline.items()}
    Ensemble.of(trained)  # refuses runs that cannot be averaged
    parts = {"val": validation.labelled({}), "test": average.labelled({})}
    uncertainty = average_uncertainty(trained[0].spec, parts)
    measured = average.scores("test_", uncertainty)
    average_file.write_average(folder, trained, measured, constant, uncertainty)
    ensemble = load_ensemble(folder, trained)
    write_page(ensemble, console, data=data)
    return ensemble
