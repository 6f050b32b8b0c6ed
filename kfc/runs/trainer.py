"""Trains the network of a plan in a folder, with checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kfc.runs import environment
from kfc.runs.phases import Phases
from kfc.runs.plan import Plan
from kfc.spec import metrics_of_outputs
from kfc.system import atomic, memory
from kfc.training import (
    Loop,
    OutputMetrics,
    TapeModel,
    build_engine,
    check_finite,
    compile_for_evaluation,
    compile_for_training,
)
from kfc.training.callbacks import (
    EarlyStopping,
    dry_run_callbacks,
    need_single_epochs,
    only_stops,
)
from kfc.training.checkpoints import Checkpoint, Progress, store, training_state
from kfc.training.engine import Evaluator


@dataclass(frozen=True)
class Trainer:
    """Trains the network of a plan; a run and a trial of a search share it.

    Args:
        plan: Plan whose network is trained.
        model: Model that shares the network's layers and makes the training steps.
        evaluator: Evaluator that measures the loss and the metrics of the network.
    """

    plan: Plan
    model: TapeModel
    evaluator: Evaluator

    def train(
        self,
        folder: Path | None,
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        until: int | None = None,
        start: Checkpoint | None = None,
        checkpoint_first: bool = False,
        checkpoint_seconds: float | None = None,
        phases: Phases | None = None,
    ) -> Progress:
        """Trains to the last epoch, and writes checkpoints to `folder / "checkpoints"`.

        Args:
            folder: Run folder; None writes no checkpoints.
            callbacks: All callbacks, in the order in which they are called.
            until: Number of epochs after which the training pauses; None trains to the end.
                A later call continues from the checkpoint of the pause.
            start: Checkpoint of the same training to continue from.
            checkpoint_first: Whether a checkpoint is written before the first step, because
                the initial weights are not those that the spec's seed gives.
            checkpoint_seconds: Seconds between checkpoints; None takes the spec's.
            phases: Stopwatch; it ends the phases `build` and `compile`.

        Returns:
            The number of epochs and steps done; `save_checkpoint` saves the state.

        Raises:
            NumbersError: If a loss or a weight becomes NaN or infinite.
            CheckpointError: If `start` belongs to another training.
            DiskError: If a checkpoint cannot be written.
        """
        phases = phases or Phases()
        spec, prepared, training = self.plan.spec, self.plan.prepared, self.plan.spec.training
        if checkpoint_seconds is not None:
            training = training.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
        output_names = self.output_names()
        watched = prepared.watched
        read = watched is not None and (bool(output_names) or watched[1].on_disk)
        read = read or any(only_stops(callback) for callback in callbacks)
        # Keeping costs memory and time in each call, for nothing if it has one epoch.
        single = bool(training.evaluate_every) or need_single_epochs(callbacks)
        engine = build_engine(
            self.model,
            prepared.train,
            spec,
            prepared.task,
            evaluator=self.evaluator,
            held_out=watched,
            keep_epochs=read and not single,
        )

        def save(progress: Progress) -> None:
            if folder is not None:
                self.save_checkpoint(folder, callbacks, progress)

        loop = Loop(
            engine=engine,
            evaluator=self.evaluator,
            training=training,
            seed=spec.seed,
            callbacks=callbacks,
            held_out=watched,
            save_checkpoint=save,
            checkpoint_bytes=training_state.state_bytes(self.model),
            output_metrics=self._output_metrics() if output_names else None,
        )
        phases.end("build")
        engine.trace()
        memory.give_back()
        phases.end("compile")
        if start is None and folder is not None:
            training_state.discard_logs(callbacks, folder)
        progress = training_state.prepare_callbacks(start, callbacks) if start else Progress()
        return loop.run(progress, until, state=start, checkpoint_first=checkpoint_first)

    def save_checkpoint(
        self,
        folder: Path,
        callbacks: Sequence[keras.callbacks.Callback],
        progress: Progress,
    ) -> None:
        """Saves the state of the training, from which `train` can continue.

        Args:
            folder: Run folder.
            callbacks: All callbacks, whose state is saved too.
            progress: Epochs and steps done.

        Raises:
            DiskError: If the checkpoint cannot be written.
        """
        state = training_state.capture(self.model, callbacks, progress)
        plain = environment.plain_spec(self.plan.spec)
        about = environment.identity(plain, self.plan.prepared.sha256)
        facts = {**state.facts, "about": about}
        store.save(folder / "checkpoints", Checkpoint(state.arrays, facts))

    def end(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Gives a paused network the weights that it would have if training ended now.

        These are the averaged weights or the best epoch's, where the spec asks for either.
        No training may continue from them, so `save_checkpoint` must be called first.

        Args:
            callbacks: Callbacks of the training.
        """
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for callback in callbacks:
            if isinstance(callback, (EarlyStopping, keras.callbacks.EarlyStopping)):
                callback.on_train_end()

    def output_names(self) -> tuple[str, ...]:
        """Returns the names of the metrics that each epoch computes from the outputs."""
        asked = (getattr(callback, "monitor", None) for callback in self.plan.callbacks)
        return metrics_of_outputs(self.plan.spec, map(str, asked))

    def _output_metrics(self, *others: str) -> OutputMetrics:
        names = metrics_of_outputs(self.plan.spec, (*self.output_names(), *others))
        return OutputMetrics(self.evaluator, names, self.plan.prepared.task)

    def measure(self, *parts: str, objective: str = "loss") -> dict[str, float]:
        """Returns the metrics that training records, such as `val_accuracy`.

        Args:
            *parts: Prefixes of the held-out rows to measure: `val`, `test`.
            objective: Further metric to measure, with or without `val_`.

        Raises:
            NumbersError: If a metric is NaN or infinite.
        """
        further = self._output_metrics(objective)
        metrics: dict[str, float] = {}
        for part in parts:
            rows = self.plan.prepared.held_out[part]
            found = {**self.evaluator.evaluate(rows), **further.measure(rows)}
            metrics |= {f"{part}_{name}": value for name, value in found.items()}
        check_finite(metrics, "the final weights")
        return metrics


def compile_trainer(plan: Plan) -> Trainer:
    """Compiles the network of a plan, and tries the callbacks that its spec names.

    Args:
        plan: Plan of the training.

    Raises:
        SpecError: If the loss does not fit the task, or a callback does not accept its
            options.
        PluginError: If a plug-in's optimizer fails.
    """
    spec, prepared = plan.spec, plan.prepared
    model = compile_for_training(
        plan.network,
        spec,
        prepared.task,
        num_rows=len(prepared.train),
        replicas=plan.replicas,
    )
    evaluator = compile_for_evaluation(model, spec, prepared.task)
    dry_run_callbacks(spec, prepared)
    return Trainer(plan, model, evaluator)


def weights_sha256(network: keras.Model) -> str:
    """Returns the SHA-256 of the weights' bytes, in the order of `get_weights()`."""
    return atomic.sha256(b"".join(weight.tobytes() for weight in network.get_weights()))
