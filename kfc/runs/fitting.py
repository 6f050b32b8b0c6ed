"""A spec, or an interrupted run, -> a finished run."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from kfc.data import prepare
from kfc.errors import one_line
from kfc.network import check_architecture
from kfc.runs import environment, prediction_sample, result_file, resuming
from kfc.runs.plugins import bind_plugins
from kfc.runs.resolution import as_callbacks, resolve_data
from kfc.runs.run import Run, load
from kfc.runs.trainer import Trainer, weights_sha256
from kfc.spec import SpecLike, dump_spec, load_spec
from kfc.system import (
    atomic,
    hint_on_interrupt,
    locks,
    memory,
    progress_console,
    tensorflow_startup,
    user_paths,
)
from kfc.training.callbacks import build_callbacks, keeps_state
from kfc.training.checkpoints import Checkpoint, Progress, store


def fit(
    spec: SpecLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    network: keras.Model | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    runs: str | Path = "runs",
    verbose: bool = True,
) -> Run:
    """Trains a dense network as a spec says.

    Ctrl-C and SIGTERM end it after a checkpoint; `resume` goes on from there, and after
    whatever else has ended it.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows instead of `data.source`: `(x, y)` or `(x, y, sample_weight)`; a DataFrame
            of pandas or polars, or an Arrow table, with a column `target` or `label`; or a
            `tf.data.Dataset` of rows or of batches. A pair of these is training and test
            rows, as in `((x, y), (x_test, y_test))`; a mapping of the names `train`,
            `validation` and `test` brings validation rows too. A `numpy.memmap` as x is
            streamed from the disk where it is large for this machine's memory.
        network: Start from the weights of this network, which stays as it is; its
            architecture must be the spec's.
        callbacks: Ordinary Keras callbacks, called after those that the spec names and
            before kfc's logs.
        runs: Folder in which the numbered run folder is made.
        verbose: Whether to show progress on stderr.

    Returns:
        The finished run.

    Raises:
        SpecError: If the spec is wrong, with every finding.
        DataError: If the data cannot be read or must not be trained on.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        PluginError: If a plug-in fails.
        DiskError: If the run folder cannot be written.
    """
    phases = result_file.Phases()
    place, current = user_paths.absolute(runs), user_paths.current()
    checked = load_spec(spec, overrides)
    threads = tensorflow_startup.start_tensorflow(checked.training.threads)
    phases.end("import")
    bind_plugins(checked)
    callbacks = as_callbacks(callbacks, checked)
    console = progress_console(verbose)
    _say_now(console, f"reading {checked.data.source if data is None else 'data'}")
    prepared = prepare(checked, data)
    checked = resolve_data(checked, prepared, in_memory=data is not None)
    phases.end("data")
    trainer = Trainer(checked, prepared, callbacks)
    if network is not None:
        check_architecture(trainer.network, network)
        trainer.network.set_weights(network.get_weights())
    began = _here(threads) | {
        # What a run depends on besides its spec; with any of these, the spec alone does
        # not repeat it.
        "given": {
            "data": data is not None,
            "network": None if network is None else weights_sha256(network),
            "callbacks": [type(callback).__name__ for callback in callbacks],
        },
        "spec": environment.plain_spec(trainer.spec),
        "data_sha256": prepared.sha256,
        "resumed": [],
        "cwd": str(current),
    }
    contents = {
        "spec.yaml": dump_spec(trainer.spec).encode(),
        environment.FILE: environment.text(began).encode(),
    }
    with locks.new_numbered_folder(place, checked.name, contents) as folder:
        work = _Work(folder, trainer, list(callbacks), began, console, phases)
        return work.finish(checkpoint_first=network is not None)


def resume(
    folder: str | Path,
    *,
    data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    verbose: bool = True,
) -> Run:
    """Goes on with an interrupted run, to the bits it would have without the interruption.

    It goes on from the newest complete checkpoint, or from the beginning before the first one.
    Other versions, processors or flags than it began with are printed and recorded:
    they may change bits. So may callbacks that do not save their state.

    Args:
        folder: The run folder.
        data: The rows, for a run that was given `data=`.
        callbacks: The callbacks, for a run that was given `callbacks=`: new ones of the
            same classes, in the same order.
        verbose: Whether to show progress on stderr.

    Returns:
        The finished run; one that was finished already is loaded.

    Raises:
        CheckpointError: If the folder holds no run, its spec was changed, or what decides
            how it goes on is damaged.
        BusyError: If another process works in it.
        DataError: If the rows are not those with which it began.
        SpecError: If the callbacks are not, or the machine has too little memory.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        PluginError: If a plug-in fails.
        DiskError: If the run folder cannot be written.
    """
    folder, console = user_paths.absolute(folder), progress_console(verbose)
    resuming.check_is_run(folder)
    if not result_file.is_finished(folder):
        with locks.locked(folder):
            if not result_file.is_finished(folder):  # another process had it meanwhile
                return _go_on(resuming.look(folder), data, callbacks, console)
    _say(console, f"{user_paths.shown_path(folder)} is finished: there is nothing to resume.")
    return load(folder)


def _go_on(
    unfinished: resuming.Unfinished,
    data: Any,
    callbacks: Sequence[keras.callbacks.Callback] | None,
    console: Console,
) -> Run:
    phases, spec, folder = result_file.Phases(), unfinished.spec, unfinished.folder
    threads = tensorflow_startup.start_tensorflow(spec.training.threads)
    phases.end("import")
    bind_plugins(spec)
    callbacks = as_callbacks(callbacks, spec)
    resuming.check_given(unfinished, in_memory=data is not None, callbacks=callbacks)
    _say_now(console, f"reading {spec.data.source or 'data'}")
    with environment.where_it_began(folder):
        prepared = prepare(spec, data)
    resuming.check_data(unfinished, prepared.sha256, len(prepared.train))
    phases.end("data")
    trainer = Trainer(spec, prepared, callbacks)
    start = unfinished.start
    changed = resuming.differences(unfinished, _here(threads))
    for name, finding in start.passed_over if start else ():
        _say(console, f"passed over: checkpoint {name}: {finding}")
    for line in changed:
        _say(console, f"other bits are possible: {line}")
    place = start.facts["progress"] if start else {"epoch": 0, "step": 0}
    entry = {"epoch": place["epoch"], "step": place["step"], "differences": changed}
    began = unfinished.environment
    began = {**began, "resumed": [*began["resumed"], entry]}
    environment.write(folder, began)
    atomic.write_file(
        folder / "spec.yaml", dump_spec(spec)
    )  # equal in value, perhaps not in text
    if start:
        store.drop_damaged(folder / "checkpoints", start)
    return _Work(folder, trainer, list(callbacks), began, console, phases).finish(start)


@dataclass
class _Work:
    """What is to be done in a run folder that has its spec and its environment.

    Args:
        folder: Locked.
        trainer: Untrained.
        given: The caller's callbacks.
        environment: As in `environment.json`.
        console: Where progress is shown.
        phases: The stopwatch.
    """

    folder: Path
    trainer: Trainer
    given: list[keras.callbacks.Callback]
    environment: Mapping[str, Any]
    console: Console
    phases: result_file.Phases
    callbacks: list[keras.callbacks.Callback] = field(init=False)

    def finish(
        self, start: Checkpoint | None = None, *, checkpoint_first: bool = False
    ) -> Run:
        """Trains, from `start` on, and writes down what came of it."""
        with hint_on_interrupt(self._say, f"`{self._command_to_go_on()}` goes on"):
            return self._result(self._train(start, checkpoint_first))

    def _command_to_go_on(self) -> str:
        """Returns the call that resumes the run: in Python where it was given objects."""
        folder, given = user_paths.shown_path(self.folder), self.environment["given"]
        again = [
            *(["data=..."] if given["data"] else []),
            *(["callbacks=[...]"] if given["callbacks"] else []),
        ]
        if again:
            return f"kfc.resume({', '.join([repr(folder), *again])})"
        return f"kfc resume {shlex.quote(folder)}"

    def _train(self, start: Checkpoint | None, checkpoint_first: bool) -> Progress:
        folder, trainer = self.folder, self.trainer
        self.callbacks = build_callbacks(trainer.spec, folder, self.console, self.given)
        self._announce(start)
        already = start.facts["progress"]["seconds"] if start else 0.0
        began = time.monotonic()
        progress = trainer.train(
            folder,
            self.callbacks,
            start=start,
            checkpoint_first=checkpoint_first,
            phases=self.phases,
        )
        progress.seconds = already + time.monotonic() - began
        trainer.save_checkpoint(folder, self.callbacks, progress)
        self.phases.end("train")
        return progress

    def _result(self, progress: Progress) -> Run:
        folder, trainer, phases = self.folder, self.trainer, self.phases
        network, prepared = trainer.network, trainer.prepared
        atomic.write_file_with(folder / "model.keras", network.save)
        phases.end("save")
        metrics, baseline = trainer.measure_finished()
        sample_sha256 = prediction_sample.write(
            folder, prediction_sample.take(network, prepared.test.x)
        )
        phases.end("evaluate")
        run = Run(
            spec=trainer.spec,
            model=network,
            history=progress.history,
            metrics=metrics,
            baseline=baseline,
            folder=folder,
            task=prepared.task,
            seconds=round(progress.seconds, 3),
            weights_sha256=weights_sha256(network),
            data_sha256=prepared.sha256,
            num_rows={"train": len(prepared.train)}
            | {name: len(rows) for name, rows in prepared.held_out.items()},
            sample_sha256=sample_sha256,
        )
        result_file.write_result(folder, self._facts(run), run.task)
        return run

    def _facts(self, run: Run) -> dict[str, Any]:
        """Returns what `result.json` says of a run."""
        return {
            **run.summary(),
            "folder": self.folder.name,
            "data_sha256": run.data_sha256,
            "rows": run.num_rows,
            "sample_sha256": run.sample_sha256,
            "history": run.history,
            "phases": self.phases.seconds,
            "memory": {"predicted": self.trainer.memory, "peak": memory.peak_bytes()},
            "resume": "approximate" if self._stateless() else "exact",
            "without_state": self._stateless(),
            "resumed": self.environment["resumed"],
        }

    def _stateless(self) -> list[str]:
        return [type(each).__name__ for each in self.callbacks if not keeps_state(each)]

    def _announce(self, start: Checkpoint | None) -> None:
        """Says what is about to be trained, where and how."""
        spec, rows = self.trainer.spec, len(self.trainer.prepared.train)
        streamed = ", streamed from the disk" if spec.data.stream == "always" else ""
        self._say(
            f"{user_paths.shown_path(self.folder)}: {rows:,} rows{streamed}, "
            f"{self.trainer.network.count_params():,} weights, engine {spec.training.engine}"
        )
        if start:
            place = start.facts["progress"]
            steps = -(-rows // spec.training.batch_size)
            within = f" and {place['step']} of {steps} steps" if place["step"] else ""
            epochs = f"{place['epoch']} of {spec.training.epochs} epochs"
            self._say(f"going on after {epochs}{within}")
        elif self.environment["resumed"]:
            self._say("no checkpoint yet: from the beginning")

        _say_now(self.console, "compiling")
        for name in self._stateless():
            self._say(f"a resume will be approximate: {name} has no get_state and set_state")

    def _say(self, line: str) -> None:
        _say(self.console, line)


def _here(threads: int | None) -> dict[str, Any]:
    """Returns what this process runs on, its devices and Keras's settings included."""
    return environment.machine(threads) | {
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "keras": {"floatx": keras.config.floatx(), "epsilon": keras.config.epsilon()},
    }


def _say(console: Console, line: str) -> None:
    console.print(one_line(line), soft_wrap=True)  # a name of a folder may steer a terminal


def _say_now(console: Console, line: str) -> None:
    """Says what a person at a terminal waits for; a log has no use for it."""
    if console.is_terminal:
        _say(console, line)
