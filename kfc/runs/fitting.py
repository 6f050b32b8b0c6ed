"""Fits a network in a new run folder, and resumes an interrupted run in its own."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kfc.data import Prepared, prepare, tables_beside
from kfc.data.tables import report_table
from kfc.errors import BusyError
from kfc.network import check_architecture, check_meaning
from kfc.pages import write_page
from kfc.runs import environment, result_file, resuming
from kfc.runs.caller_callbacks import as_callback_list
from kfc.runs.examining import Checks, examined
from kfc.runs.phases import Phases
from kfc.runs.plan import make_plan
from kfc.runs.run import Run, load_run
from kfc.runs.run_follower import follow
from kfc.runs.run_writer import RunWriter, say, say_to_terminal
from kfc.runs.running_process import running_process
from kfc.runs.trainer import Trainer, compile_trainer, weights_sha256
from kfc.spec import Spec, SpecLike, dump_spec, load_spec
from kfc.system import (
    atomic,
    locks,
    number_in_lockstep,
    progress_console,
    safe_open,
    user_paths,
)
from kfc.training.checkpoints import store


def fit_run(
    spec: SpecLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    network: keras.Model | Run | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    runs: str | Path = "runs",
    verbose: bool | int = True,
    checks: Checks = "data",
) -> Run:
    """Trains the network of a spec in a new run folder, as `kfc.fit` does for one network.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows that replace `data.source`, as for `kfc.fit`.
        network: Network or run whose weights are the initial weights, see `kfc.fit`.
        callbacks: Keras callbacks, called after those that the spec names and before kfc's
            logs.
        runs: Folder that holds the numbered run folders.
        verbose: Whether progress is shown on stderr; 2 shows a line for each epoch where
            True shows a bar.
        checks: Checks of the doctor that run first, see `kfc.fit`.

    Returns:
        The finished run.

    Raises:
        KfcError: As `kfc.fit` does.
    """
    console = progress_console(verbose)
    place = user_paths.absolute(runs)
    valid = load_spec(spec, overrides)
    begun = _begin(
        valid,
        console,
        data=data,
        network=network,
        callbacks=callbacks,
        preparer=functools.partial(prepare, data=data, cache=tables_beside(place / "run")),
        checks=checks,
        distributed=True,
    )
    replicas = begun.trainer.plan.replicas
    if not replicas.is_chief:
        return follow(begun.trainer, begun.phases)
    with ExitStack() as held:
        if replicas.cluster and (unfinished := _same_run(begun, place, valid.name, held)):
            run = _continue(unfinished, begun.trainer, console, begun.phases)
            write_page(run, console, prepared=begun.trainer.plan.prepared)
            return run
    # The folder appears with both files, so a killed run can always be resumed.
    with locks.new_numbered_folder(place, valid.name, begun.contents) as folder:
        run = begun.train(folder, console)
        write_page(run, console, prepared=begun.trainer.plan.prepared)
        return run


def _same_run(
    begun: _Begun, runs: Path, name: str, held: ExitStack
) -> resuming.Unfinished | None:
    """Returns the newest run if it is an unfinished one of the same spec, rows and objects.

    A cluster starts the workers of a job again with the same command.

    Args:
        begun: Training that is about to begin.
        runs: Folder of the numbered run folders.
        name: Name of the spec.
        held: Stack that holds the lock of the folder.
    """
    names = [each for each in safe_open.names_in(runs) if re.fullmatch(r"[0-9]{4,}-.+", each)]
    newest = runs / max(names, key=lambda each: int(each.partition("-")[0]), default="")
    if newest.name.partition("-")[2] != name or not resuming.is_run(newest):
        return None
    if result_file.is_finished(newest):
        return None
    try:
        held.enter_context(locks.locked(newest))
    except BusyError:
        return None
    unfinished = resuming.read_unfinished(newest)
    keys = ("spec", "data_sha256", "given")
    same = all(unfinished.environment[key] == begun.beginning[key] for key in keys)
    return unfinished if same else None


def fit_member(
    folder: Path,
    spec: Spec,
    preparer: Callable[[Spec], Prepared],
    *,
    data: Any,
    verbose: bool | int,
    checks: Checks = "none",
    warn: bool = True,
) -> Run:
    """Trains one of several runs in a folder of its own, or continues it after a kill.

    Args:
        folder: Absolute path of the run folder; a finished run in it is only loaded.
        spec: Valid spec.
        preparer: Function that prepares the data of a spec.
        data: Rows that replace `data.source`, as for `fit`.
        verbose: Whether progress is shown on stderr; 2 shows a line for each epoch where
            True shows a bar.
        checks: Checks of the doctor that run first, see `kfc.fit`.
        warn: Whether their warnings are shown on stderr.

    Returns:
        The finished run.

    Raises:
        KfcError: As `fit` and `resume` do.
    """
    console = progress_console(verbose)
    if resuming.is_run(folder):
        return _load_or_resume(folder, data, None, console, preparer)
    begun = _begin(
        spec,
        console,
        data=data,
        network=None,
        callbacks=None,
        preparer=preparer,
        checks=checks,
    )
    if checks != "none" and warn and not verbose:
        for finding in begun.trainer.plan.prepared.warnings:
            say(progress_console(True), f"warning: {finding.labelled()}")
    with locks.new_locked_folder(folder, begun.contents):
        return begun.train(folder, console, alone=False)


@dataclass(frozen=True)
class _Begun:
    """A compiled training without a folder.

    Args:
        trainer: Trainer of the untrained network.
        beginning: Content of `environment.json`.
        phases: Stopwatch of the run.
        own_weights: Whether the initial weights are not those of the spec's seed.
    """

    trainer: Trainer
    beginning: dict[str, Any]
    phases: Phases
    own_weights: bool

    @property
    def contents(self) -> dict[str, bytes]:
        """The files with which a run folder appears."""
        return {
            "spec.yaml": dump_spec(self.trainer.plan.spec).encode(),
            environment.FILE: environment.environment_text(self.beginning).encode(),
        }

    def train(self, folder: Path, console: Console, *, alone: bool = True) -> Run:
        """Trains to the end in a locked folder that has `contents`, see `RunWriter`."""
        writer = RunWriter(folder, self.beginning, console, self.phases, alone=alone)
        return writer.train(self.trainer, checkpoint_first=self.own_weights)


def _begin(
    valid: Spec,
    console: Console,
    *,
    data: Any,
    network: keras.Model | Run | None,
    callbacks: Sequence[keras.callbacks.Callback] | None,
    preparer: Callable[[Spec], Prepared],
    checks: Checks = "none",
    distributed: bool = False,
) -> _Begun:
    """Prepares and compiles a training, see `fit`."""
    phases, current = Phases(), user_paths.current()
    say_to_terminal(console, f"reading {valid.data.source if data is None else 'data'}")
    plan = make_plan(
        valid,
        data=data,
        callbacks=callbacks,
        preparer=preparer,
        phases=phases,
        distributed=distributed,
    )
    # Weights of the caller, and those that devices share, are not looked at before a step.
    shared = plan.replicas.count > 1
    checks = "data" if checks == "start" and (network is not None or shared) else checks
    plan = examined(plan, checks)
    if any(report.name not in valid.data.columns for report in plan.prepared.reports):
        console.print(report_table(plan.prepared.reports))
    for finding in plan.prepared.warnings:
        say(console, f"warning: {finding.labelled()}")
    trainer = compile_trainer(plan)
    start: Any = network
    if isinstance(network, Run):
        check_meaning(plan.prepared.task, network.task)
        start = network.network
    if start is not None:
        check_architecture(plan.network, start)
        plan.network.set_weights(start.get_weights())
    beginning = running_process() | {
        # With any of these, the spec alone does not repeat the run.
        "given": {
            "data": data is not None,
            "network": None if start is None else weights_sha256(start),
            "callbacks": [type(callback).__name__ for callback in plan.callbacks],
            "checks": checks,
        },
        "replicas": plan.replicas.count,
        "at_once": number_in_lockstep(),
        "spec": environment.plain_spec(plan.spec),
        "data_sha256": plan.prepared.sha256,
        "resumed": [],
        "cwd": str(current),
    }
    return _Begun(trainer, beginning, phases, start is not None)


def resume_run(
    folder: str | Path,
    *,
    data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    verbose: bool | int = True,
) -> Run:
    """Resumes one interrupted run, as `kfc.resume` does.

    Args:
        folder: Run folder.
        data: Rows of the run, if it was given `data=`.
        callbacks: Callbacks of the run, if it was given `callbacks=`: new ones of the same
            classes, in the same order.
        verbose: Whether progress is shown on stderr; 2 shows a line for each epoch where
            True shows a bar.

    Returns:
        The finished run. A run that was finished already is loaded.

    Raises:
        KfcError: As `kfc.resume` does.
    """
    folder, console = user_paths.absolute(folder), progress_console(verbose)
    resuming.check_is_run(folder)
    preparer = functools.partial(prepare, data=data, cache=tables_beside(folder))
    finished = result_file.is_finished(folder)
    if finished:
        place = user_paths.shown_path(folder)
        say(console, f"{place} is finished: there is nothing to resume.")
    run = _load_or_resume(folder, data, callbacks, console, preparer)
    if not finished and not resuming.follows(folder):
        write_page(run, console, data=data)
    return run


def _load_or_resume(
    folder: Path,
    data: Any,
    callbacks: Sequence[keras.callbacks.Callback] | None,
    console: Console,
    preparer: Callable[[Spec], Prepared],
) -> Run:
    """Returns a finished run, or resumes an unfinished one, see `resume`."""
    if not result_file.is_finished(folder):
        if resuming.follows(folder):
            unfinished = resuming.read_unfinished(folder, checkpoints=False)
            return _resume_unfinished(unfinished, data, callbacks, console, preparer)
        with locks.locked(folder):
            # Another process may have finished the run before this one got the lock.
            if not result_file.is_finished(folder):
                unfinished = resuming.read_unfinished(folder)
                return _resume_unfinished(unfinished, data, callbacks, console, preparer)
    return load_run(folder)


def _resume_unfinished(
    unfinished: resuming.Unfinished,
    data: Any,
    callbacks: Sequence[keras.callbacks.Callback] | None,
    console: Console,
    preparer: Callable[[Spec], Prepared],
) -> Run:
    """Trains an unfinished run, whose folder is locked, to its end."""
    phases, folder = Phases(), unfinished.folder

    def prepare_same_rows(spec: Spec) -> Prepared:
        given = as_callback_list(callbacks, spec)
        resuming.check_given(unfinished, in_memory=data is not None, callbacks=given)
        with environment.explaining_relative_paths(folder):
            prepared = preparer(spec)
        resuming.check_data(unfinished, prepared.sha256, len(prepared.train))
        return prepared

    say_to_terminal(console, f"reading {unfinished.spec.data.source or 'data'}")
    plan = make_plan(
        unfinished.spec,
        data=data,
        callbacks=callbacks,
        preparer=prepare_same_rows,
        phases=phases,
        distributed=True,
    )
    plan = examined(plan, unfinished.given.get("checks", "none"))
    trainer = compile_trainer(plan)
    if not plan.replicas.is_chief:
        return follow(trainer, phases)
    return _continue(unfinished, trainer, console, phases)


def _continue(
    unfinished: resuming.Unfinished, trainer: Trainer, console: Console, phases: Phases
) -> Run:
    """Trains a compiled training of an unfinished run, whose folder is locked, to its end."""
    folder, start = unfinished.folder, unfinished.start
    machine = running_process() | {
        "replicas": trainer.plan.replicas.count,
        "at_once": number_in_lockstep(),
    }
    changes = resuming.machine_differences(unfinished, machine)
    for name, finding in start.passed_over if start else ():
        say(console, f"skipped checkpoint {name}: {finding}")
    for line in changes:
        say(console, f"other bits are possible: {line}")
    done = start.facts["progress"] if start else {"epoch": 0, "step": 0}
    entry = {"epoch": done["epoch"], "step": done["step"], "differences": changes}
    resumed = [*unfinished.environment["resumed"], entry]
    beginning = {**unfinished.environment, "resumed": resumed}
    environment.write_environment(folder, beginning)
    # The text of the file may differ although its values are equal.
    atomic.write_file(folder / "spec.yaml", dump_spec(trainer.plan.spec))
    if start:
        store.drop_damaged(folder / "checkpoints", start)
    return RunWriter(folder, beginning, console, phases).train(trainer, start)
