"""Trains in a run folder, and writes the result and the progress of the run."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kfc.errors import Finding, NumbersError, one_line
from kfc.findings import run_checks
from kfc.network import raw_model
from kfc.pages import has_page
from kfc.runs import result_file, sample_file, table_sample
from kfc.runs.first_not_finite import with_tensor
from kfc.runs.measuring import measure_finished
from kfc.runs.phases import Phases
from kfc.runs.plan import Plan
from kfc.runs.run import Run
from kfc.runs.run_follower import send_result, send_start
from kfc.runs.scores import further_scores
from kfc.runs.trained_checks import Trained
from kfc.runs.trainer import Trainer, weights_sha256
from kfc.runs.uncertainty import finish
from kfc.runs.watching import TrainingWatch, with_first_epoch
from kfc.system import (
    atomic,
    hint_on_interrupt,
    memory,
    own_seconds,
    user_paths,
)
from kfc.training.callbacks import (
    LAYERS_FILE,
    LayerLog,
    build_callbacks,
    keeps_state,
    read_layers,
    restored_epoch,
)
from kfc.training.checkpoints import Checkpoint, Progress


class RunWriter:
    """Trains in a run folder, and writes the run's files and its progress.

    Args:
        folder: Locked run folder that has its `spec.yaml` and its `environment.json`.
        environment: Content of `environment.json`.
        console: Console that shows the progress.
        phases: Stopwatch of the run.
        alone: Whether the run is none of several, which have one page together.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, Any],
        console: Console,
        phases: Phases,
        *,
        alone: bool = True,
    ) -> None:
        self._folder, self._environment = folder, environment
        self._console, self._phases, self._alone = console, phases, alone

    def train(
        self,
        trainer: Trainer,
        start: Checkpoint | None = None,
        *,
        checkpoint_first: bool = False,
    ) -> Run:
        """Trains to the end and writes the result.

        Args:
            trainer: Trainer of an untrained network.
            start: Checkpoint of this run to continue from.
            checkpoint_first: Whether a checkpoint is written before the first step.

        Returns:
            The finished run.

        Raises:
            NumbersError: If a loss, a weight or a metric becomes NaN or infinite.
            DiskError: If a file cannot be written.
        """
        with hint_on_interrupt(self._say, f"`{self._resume_command()}` continues the run"):
            plan = trainer.plan
            callbacks = build_callbacks(
                *(plan.spec, self._folder, self._console, plan.callbacks),
                self._layer_log(plan, start),
            )
            callbacks += self._watches(plan, callbacks, start)
            self._announce(plan, callbacks, start)
            send_start(trainer, self._folder, start)
            seconds_before = start.facts["progress"]["seconds"] if start else 0.0
            began = own_seconds()
            try:
                progress = trainer.train(
                    self._folder,
                    callbacks,
                    start=start,
                    checkpoint_first=checkpoint_first,
                    phases=self._phases,
                )
            except NumbersError as error:
                raise with_tensor(error, plan, self._folder, self._say) from error
            progress.seconds = seconds_before + own_seconds() - began
            trainer.save_checkpoint(self._folder, callbacks, progress)
            self._phases.end("train")
            for log in (each for each in callbacks if isinstance(each, LayerLog)):
                log.measure_copies()
            self._phases.end("layers")
            run = self._write_result(trainer, callbacks, progress)
            send_result(trainer, run)
            return run

    def _layer_log(self, plan: Plan, start: Checkpoint | None) -> LayerLog | None:
        """Returns the log of the layers, if the run has one since it began."""
        if not plan.spec.report:
            return None
        if start is not None and LayerLog.__name__ not in start.facts["callbacks"]:
            return None  # an earlier version, which had no such log, began the run
        # On several workers it measures nothing: the others do not make its step.
        rows = plan.prepared.train if plan.replicas.count == 1 else None
        copies = self._alone and has_page(plan.spec.report)
        return LayerLog(self._folder / LAYERS_FILE, rows, copies=copies)

    def _watches(
        self,
        plan: Plan,
        callbacks: Sequence[keras.callbacks.Callback],
        start: Checkpoint | None,
    ) -> list[TrainingWatch]:
        """Returns the watch of the training, if the run has had one since it began."""
        if start is not None and TrainingWatch.__name__ not in start.facts["callbacks"]:
            return []  # an earlier version began the run
        return [TrainingWatch(plan.spec, plan.prepared, tuple(callbacks), self._say)]

    def _write_result(
        self,
        trainer: Trainer,
        callbacks: Sequence[keras.callbacks.Callback],
        progress: Progress,
    ) -> Run:
        """Saves and measures a trained network; `result.json` is the last file written."""
        trainer, uncertainty = finish(trainer)
        folder, plan, phases = self._folder, trainer.plan, self._phases
        model = raw_model(plan.network, plan.prepared.task)
        atomic.write_file_with(folder / "model.keras", model.save)
        phases.end("save")
        metrics, baseline = measure_finished(
            trainer.evaluator, plan.prepared, further_scores(plan.spec)
        )
        sample_sha256 = sample_file.write_sample(folder, _sample(plan))
        phases.end("evaluate")
        num_rows = {"train": len(plan.prepared.train)}
        num_rows |= {name: len(rows) for name, rows in plan.prepared.held_out.items()}
        trained = Trained(
            *(plan.spec, progress.history, metrics, baseline, num_rows),
            restored_epoch(callbacks),
            read_layers(folder),
        )
        found, passed = self._warnings(trained, callbacks)
        warnings = plan.prepared.warnings + found
        run = Run(
            spec=plan.spec,
            network=plan.network,
            history=progress.history,
            metrics=metrics,
            baseline=baseline,
            folder=folder,
            task=plan.prepared.task,
            seconds=round(progress.seconds, 3),
            weights_sha256=weights_sha256(plan.network),
            data_sha256=plan.prepared.sha256,
            num_rows=num_rows,
            sample_sha256=sample_sha256,
            warnings=[finding.as_json() for finding in warnings],
            passed_warnings=[finding.as_json() for finding in passed],
            uncertainty=uncertainty,
        )
        stateless = _without_state(callbacks)
        facts = {
            **run.summary(),
            "folder": folder.name,
            "data_sha256": run.data_sha256,
            "rows": run.num_rows,
            "sample_sha256": run.sample_sha256,
            "warnings": run.warnings,
            "passed_warnings": run.passed_warnings,
            "history": run.history,
            "best_epoch": restored_epoch(callbacks),
            "phases": phases.seconds,
            "memory": {"predicted": plan.memory_bytes, "peak": memory.peak_bytes()},
            "resume": "approximate" if stateless else "exact",
            "without_state": stateless,
            "resumed": self._environment["resumed"],
        }
        atomic.write_file(folder / "metrics.csv", history_csv(run.history))
        result_file.write_result(folder, facts, run.task)
        return run

    def _warnings(
        self, trained: Trained, callbacks: Sequence[keras.callbacks.Callback]
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Returns the findings of a finished training, and those that no longer hold.

        A finding that was printed while the network trained is not printed again.
        """
        watches = [each for each in callbacks if isinstance(each, TrainingWatch)]
        seen = {name: each for watch in watches for name, each in watch.found.items()}
        found = run_checks("trained", trained, accept=trained.spec.accept)
        for finding in found:
            if finding.name not in seen:
                self._say(f"warning: {finding.labelled()}")
        passed = seen.keys() - {finding.name for finding in found}
        for name in (name for name in seen if name in passed):
            label, epoch = seen[name].finding.label, seen[name].epoch
            self._say(f"{label}, found after epoch {epoch}, no longer holds")
        return (
            tuple(
                with_first_epoch(each, seen[each.name].epoch) if each.name in seen else each
                for each in found
            ),
            tuple(each.dated for name, each in seen.items() if name in passed),
        )

    def _announce(
        self,
        plan: Plan,
        callbacks: Sequence[keras.callbacks.Callback],
        start: Checkpoint | None,
    ) -> None:
        """Prints the folder, the rows, the network and the starting point of a training."""
        spec, num_rows = plan.spec, len(plan.prepared.train)
        streamed = ", streamed from the disk" if spec.data.stream == "always" else ""
        self._say(
            f"{user_paths.shown_path(self._folder)}: {num_rows:,} rows{streamed}, "
            f"{plan.network.count_params():,} weights, engine {spec.training.engine}"
        )
        if start:
            done = start.facts["progress"]
            steps = spec.training.steps_per_epoch(num_rows)
            within = f" and {done['step']} of {steps} steps" if done["step"] else ""
            epochs = f"{done['epoch']} of {spec.training.epochs} epochs"
            self._say(f"resuming after {epochs}{within}")
        elif self._environment["resumed"]:
            self._say("no checkpoint yet: training from the beginning")
        say_to_terminal(self._console, "compiling")
        for name in _without_state(callbacks):
            self._say(f"a resume will be approximate: {name} has no get_state and set_state")

    def _resume_command(self) -> str:
        """Returns the call that resumes the run: in Python if objects were passed to it."""
        folder, given = user_paths.shown_path(self._folder), self._environment["given"]
        objects = [
            *(["data=..."] if given["data"] else []),
            *(["callbacks=[...]"] if given["callbacks"] else []),
        ]
        if objects:
            return f"kfc.resume({', '.join([repr(folder), *objects])})"
        return f"kfc resume {shlex.quote(folder)}"

    def _say(self, line: str) -> None:
        say(self._console, line)


def history_csv(history: Mapping[str, Sequence[Any]]) -> str:
    """Returns a CSV table with a row for each epoch; a metric that ends early leaves gaps.

    Args:
        history: Metric -> one value per epoch.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    for number, row in enumerate(zip_longest(*history.values(), fillvalue=""), 1):
        writer.writerow([number, *row])
    return text.getvalue()


def _sample(plan: Plan) -> sample_file.Sample:
    """Returns some test rows, and the outputs of a trained network for them.

    Without test rows they are validation rows, or training rows.
    """
    prepared = plan.prepared
    encoding, columns = prepared.task.encoding, prepared.test_columns
    if encoding is None or columns is None:
        return sample_file.take_sample(plan.network, prepared.shown.x)
    return table_sample.take_table_sample(plan.network, encoding, columns)


def _without_state(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Returns the class names of callbacks whose state no checkpoint keeps."""
    return [type(each).__name__ for each in callbacks if not keeps_state(each)]


def say(console: Console, line: str) -> None:
    """Prints a line in which no character steers the terminal, as a folder's name could."""
    console.print(one_line(line), soft_wrap=True)


def say_to_terminal(console: Console, line: str) -> None:
    """Prints a line for a person who waits at a terminal; a log does not get it."""
    if console.is_terminal:
        say(console, line)
