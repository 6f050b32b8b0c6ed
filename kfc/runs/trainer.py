"""A resolved spec and prepared rows -> a network, trained in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from kfc.data import Prepared, Rows, Task, weighted
from kfc.network import build
from kfc.runs import environment, result_file
from kfc.runs.resolution import resolve_engine
from kfc.runs.scores import baseline_scores, outputs_of, scores
from kfc.spec import Spec
from kfc.system import atomic
from kfc.training import (
    Loop,
    check_finite,
    check_monitored,
    compile_for_evaluation,
    compile_for_training,
)
from kfc.training.callbacks import EarlyStopping, dry_run_callbacks
from kfc.training.checkpoints import Checkpoint, Progress, store, training_state
from kfc.training.engine import Engine, Evaluator, check_memory, graph_key


class Trainer:
    """Trains the network of a spec on prepared rows.

    Args:
        spec: A spec that knows its task; `spec` is the one with its engine chosen.
        prepared: Its data.
        callbacks: The caller's, which have a say in that choice.

    Attributes:
        spec: What repeats this training.
        network: Untrained, until `train` has run.
        memory: Bytes that the training will take, predicted.

    Raises:
        SpecError: If the spec does not fit its data or the memory of this machine, or a
            callback does not work with its options.
        DataError: If a monitored metric has no value on its rows.
        PluginError: If a plug-in fails.
    """

    def __init__(
        self,
        spec: Spec,
        prepared: Prepared,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        train = weighted(prepared.train, spec, prepared.task)
        self.prepared = prepared = replace(prepared, train=train)
        check_monitored(spec, prepared)
        self.memory = check_memory(spec, prepared)
        self.network = build(spec, prepared.task)
        self.spec = spec = resolve_engine(spec, self.network, len(train), callbacks)
        self._model = compile_for_training(
            self.network, spec, prepared.task, num_rows=len(train)
        )
        self._evaluator = compile_for_evaluation(self._model, spec, prepared.task)
        dry_run_callbacks(spec, prepared)

    def train(
        self,
        folder: Path,
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        until: int | None = None,
        start: Checkpoint | None = None,
        checkpoint_first: bool = False,
        checkpoint_seconds: float | None = None,
        phases: result_file.Phases | None = None,
    ) -> Progress:
        """Trains to the end, with checkpoints in `folder / "checkpoints"` on the way.

        Args:
            folder: Of the run.
            callbacks: All of them, in the order they are called.
            until: Pause after so many epochs; `start` goes on from there.
            start: Go on from this state of the same training.
            checkpoint_first: Whether to begin with a checkpoint, because the initial weights
                are not those that the spec's seed makes.
            checkpoint_seconds: Seconds between checkpoints instead of the spec's.
            phases: Told when building and compiling are over.

        Returns:
            How far it came; `save_checkpoint` saves the state.

        Raises:
            NumbersError: If a loss or a weight becomes NaN or infinite.
            CheckpointError: If `start` is of another training.
            DiskError: If a checkpoint cannot be written.
        """
        phases = phases or result_file.Phases()
        spec, prepared, training = self.spec, self.prepared, self.spec.training
        if checkpoint_seconds is not None:
            training = training.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
        engine = Engine(
            self._model,
            prepared.train,
            training.batch_size,
            form=training.engine,
            evaluator=self._evaluator,
            held_out=prepared.watched,
            graph_key=graph_key(spec, prepared.task, num_rows=len(prepared.train)),
        )
        loop = Loop(
            engine=engine,
            evaluator=self._evaluator,
            training=training,
            seed=spec.seed,
            callbacks=callbacks,
            held_out=prepared.watched,
            save_checkpoint=lambda progress: self.save_checkpoint(folder, callbacks, progress),
            checkpoint_bytes=training_state.state_bytes(self._model),
        )
        phases.end("build")
        engine.trace()
        phases.end("compile")
        if start is None:
            training_state.discard_logs(callbacks, folder)
        progress = training_state.prepare_callbacks(start, callbacks) if start else Progress()
        return loop.run(progress, until, state=start, checkpoint_first=checkpoint_first)

    def save_checkpoint(
        self,
        folder: Path,
        callbacks: Sequence[keras.callbacks.Callback],
        progress: Progress,
    ) -> None:
        """Saves the state of the training, from which `train` can go on.

        Raises:
            DiskError: If it cannot be written.
        """
        state = training_state.capture(self._model, callbacks, progress)
        about = environment.identity(self.spec, self.prepared.sha256)
        facts = {**state.facts, "about": about}
        store.save(folder / "checkpoints", Checkpoint(state.arrays, facts))

    def end(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Gives a paused network the weights with which its training would end here.

        These are the averages, or the best epoch's, where the spec asks for either. Nothing
        goes on from them: `save_checkpoint` comes before.

        Args:
            callbacks: Those it was trained with.
        """
        self._model.optimizer.finalize_variable_values(self._model.trainable_variables)
        for callback in callbacks:
            if isinstance(callback, (EarlyStopping, keras.callbacks.EarlyStopping)):
                callback.on_train_end()

    def measure_finished(self) -> tuple[dict[str, float], dict[str, float]]:
        """Returns the metrics of the finished network, and of a baseline."""
        return measure_finished(self.network, self._evaluator, self.prepared)

    def measure(self, *parts: str) -> dict[str, float]:
        """Returns the recorded metrics of the network's weights, such as `val_accuracy`.

        Args:
            *parts: Prefixes of `Prepared.held_out`: `val`, `test`.

        Raises:
            NumbersError: If one is NaN or infinite.
        """
        metrics = {
            f"{part}_{name}": value
            for part in parts
            for name, value in self._evaluator.evaluate(self.prepared.held_out[part]).items()
        }
        check_finite(metrics, "the final weights")
        return metrics


def measure_rows(
    network: keras.Model, evaluator: Evaluator, rows: Rows, task: Task
) -> dict[str, float]:
    """Returns the metrics that training records, and then those of `kfc.runs.scores.scores`.

    Args:
        network: Trained network that takes raw rows.
        evaluator: Measures the loss and the metrics that training records.
        rows: Encoded rows with targets.
        task: Task that the network was trained for.
    """
    recorded = evaluator.evaluate(rows)
    # Where both have a metric it is the recorded one, which the history has too.
    return recorded | scores(outputs_of(network, rows.x), rows.y, task) | recorded


def measure_finished(
    network: keras.Model, evaluator: Evaluator, prepared: Prepared
) -> tuple[dict[str, float], dict[str, float]]:
    """Measures a finished network on all held-out rows, beside a baseline.

    Args:
        network: Trained network that takes raw rows.
        evaluator: Measures the loss and the metrics that training records.
        prepared: Rows of the run.

    Returns:
        Metrics with the prefixes of `Prepared.held_out`, such as `test_accuracy`: those of
        training, and those of `kfc.runs.scores.scores`; and the same metrics of a constant
        prediction, which looks at no input.

    Raises:
        NumbersError: If one is NaN or infinite.
    """
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    for part, rows in prepared.held_out.items():
        found = measure_rows(network, evaluator, rows, prepared.task)
        metrics |= {f"{part}_{name}": value for name, value in found.items()}
        constant = baseline_scores(prepared.train, rows, prepared.task)
        baseline |= {f"{part}_{name}": value for name, value in constant.items()}
    check_finite(metrics, "the final weights")
    return metrics, baseline


def weights_sha256(network: keras.Model) -> str:
    """Returns the SHA-256 of the weights' bytes, in `get_weights()` order."""
    return atomic.sha256(b"".join(weight.tobytes() for weight in network.get_weights()))
