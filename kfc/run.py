"""A spec and a folder -> a finished run, and a folder -> the same run again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from kfc import files, memory, quiet, record
from kfc import spec as specs
from kfc.architecture import check_architecture
from kfc.data import Prepared, Task, prepare
from kfc.errors import DataError, Fault, SpecError
from kfc.network import build
from kfc.plugins import bind_plugins
from kfc.predictions import Predictions, predict
from kfc.spec import Spec, SpecLike
from kfc.training import checkpoint
from kfc.training.callbacks import build_callbacks
from kfc.training.choosing import choose_engine, structure
from kfc.training.compiling import compile_for_evaluation, compile_for_training
from kfc.training.engine import Engine
from kfc.training.footprint import check_memory
from kfc.training.loop import Loop, check_finite
from kfc.training.losses import default_loss
from kfc.training.step import TapeModel
from kfc.training.weighting import weighted


@dataclass(frozen=True)
class Run:
    """A finished training.

    Args:
        spec: The resolved spec, every default written out.
        model: The trained network, a plain `keras.Model` that takes raw rows and returns
            logits (for regression: values).
        history: Metric -> one value per epoch.
        metrics: Numbers of the final weights: `test_loss`, `test_accuracy`, `val_loss`, ...
        folder: Where all of it is kept.
        task: Shape of a row, classes and scaling.
        seconds: Duration of the training.
        weights_sha256: Of the weights' bytes in `get_weights()` order.
        data_sha256: Of all rows of the source.
    """

    spec: Spec
    model: keras.Model
    history: dict[str, list[float]]
    metrics: dict[str, float]
    folder: Path
    task: Task
    seconds: float
    weights_sha256: str
    data_sha256: str

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return max((len(values) for values in self.history.values()), default=0)

    def summary(self) -> dict[str, Any]:
        """Returns what `--json` prints: plain values only."""
        return {
            "folder": str(self.folder),
            "metrics": self.metrics,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "weights_sha256": self.weights_sha256,
        }

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """Returns the numbers of `metrics` again, from the data itself.

        Args:
            data: The rows, for a run that was given `data=`; otherwise the spec's source.

        Raises:
            DataError: If the data is not what the run was trained on.
        """
        prepared = prepare(self.spec, data)
        if prepared.sha256 != self.data_sha256:
            raise DataError(
                Fault(
                    "data" if data is not None else f"data.source {self.spec.data.source}",
                    f"the rows of this run (sha256 {self.data_sha256[:12]})",
                    f"other rows (sha256 {prepared.sha256[:12]})",
                    "Get those rows back, or train again.",
                )
            )
        return _final_metrics(self.model, self.spec, prepared)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and probabilities, or values, for raw rows.

        Args:
            x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).

        Raises:
            DataError: If they are not rows of the kind this network was trained on.
        """
        return predict(self.model, self.task, x)


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

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows in memory instead of `data.source`: `(x, y)`; `((x, y), (x_test,
            y_test))`; a DataFrame with a column `target` or `label`; or a
            `tf.data.Dataset`.
        network: Start from the weights of this network, which ends up trained; its
            architecture must be the spec's.
        callbacks: Ordinary Keras callbacks, called after kfc's own.
        runs: Folder in which the numbered run folder is made.
        verbose: Whether to show progress on stderr.

    Returns:
        The finished run.

    Raises:
        SpecError: If the spec is wrong, with every fault.
        DataError: If the data cannot be read or must not be trained on.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        PluginError: If a plug-in fails.
        DiskError: If the run folder cannot be written.
    """
    phases = record.Phases()
    checked = specs.load(spec, overrides)
    threads = quiet.start_tensorflow(checked.training.threads)
    phases.end("import")
    bind_plugins(checked)
    callbacks = _checked_callbacks(callbacks, checked)
    prepared = prepare(checked, data)
    phases.end("data")
    checked = _resolved(checked, prepared, in_memory=data is not None)
    predicted = check_memory(checked, prepared)
    built = build(checked, prepared.task)
    checked = _with_engine(checked, built, prepared, callbacks)
    if network is not None:
        check_architecture(built, network)
        built.set_weights(network.get_weights())
    model = compile_for_training(built, checked, prepared.task, num_rows=len(prepared.train))

    folder = files.new_numbered_folder(Path(runs), checked.name)
    files.write(folder / "spec.yaml", specs.dump(checked))
    record.write_environment(
        folder,
        threads=threads,
        # What a run depends on besides its spec; with any of these, the spec alone does
        # not repeat it.
        given={
            "data": data is not None,
            "network": None if network is None else _weights_sha256(network),
            "callbacks": [type(callback).__name__ for callback in callbacks],
        },
    )
    console = Console(stderr=True, quiet=not verbose)
    everyone = [*build_callbacks(checked, folder, console), *callbacks]
    began = time.monotonic()
    try:
        progress = _train(model, built, checked, prepared, everyone, folder, phases)
    except (KeyboardInterrupt, SystemExit):
        console.print(
            f"Interrupted: {folder} stays unfinished.", markup=False, highlight=False
        )
        raise
    seconds = round(time.monotonic() - began, 3)

    if network is not None:
        network.set_weights(built.get_weights())
    files.write_with(folder / "model.keras", built.save)
    phases.end("save")
    run = Run(
        spec=checked,
        model=built,
        history=progress.history,
        metrics=_final_metrics(built, checked, prepared),
        folder=folder,
        task=prepared.task,
        seconds=seconds,
        weights_sha256=_weights_sha256(built),
        data_sha256=prepared.sha256,
    )
    phases.end("evaluate")
    facts = {
        "data_sha256": run.data_sha256,
        "history": run.history,
        "phases": phases.seconds,
        "memory": {"predicted": predicted, "peak": memory.peak()},
    }
    record.write_result(folder, {**run.summary(), "folder": folder.name, **facts}, run.task)
    return run


def _train(
    model: TapeModel,
    network: keras.Model,
    spec: Spec,
    prepared: Prepared,
    callbacks: Sequence[keras.callbacks.Callback],
    folder: Path,
    phases: record.Phases,
) -> checkpoint.Progress:
    """Runs the loop, with a commit now and then and one of the final state."""

    def commit(progress: checkpoint.Progress) -> None:
        if (folder / "metrics.jsonl").exists():  # not yet in the first epoch
            files.sync(folder / "metrics.jsonl")
        state = checkpoint.capture(model, callbacks, progress)
        checkpoint.commit(folder / "checkpoints", state)

    evaluator = compile_for_evaluation(network, spec, prepared.task)
    engine = Engine(
        model,
        weighted(prepared.train, spec, prepared.task),
        spec.training.batch_size,
        form=spec.training.engine,
        evaluator=evaluator,
        held_out=prepared.watched,
        structure=structure(spec, prepared.task, num_rows=len(prepared.train)),
    )
    loop = Loop(
        engine=engine,
        evaluator=evaluator,
        training=spec.training,
        seed=spec.seed,
        callbacks=callbacks,
        held_out=prepared.watched,
        commit=commit,
    )
    phases.end("build")
    engine.compile()
    phases.end("compile")
    progress = loop.run(checkpoint.Progress())
    commit(progress)
    phases.end("train")
    return progress


def load(folder: str | Path) -> Run:
    """Returns a finished run from its folder, with its trained network.

    The network is rebuilt from the spec and takes its weights from the newest checkpoint
    whose sha256 is right; no code in the folder is run.

    Raises:
        CheckpointError: If the folder holds no finished run, or its weights are damaged.
    """
    folder = Path(folder)
    result, task = record.read_result(folder)
    spec = specs.load(folder / "spec.yaml")
    quiet.start_tensorflow(spec.training.threads, insist=False)  # it need not train
    model = build(spec, task)
    checkpoint.restore_network(checkpoint.newest(folder / "checkpoints"), model)
    if _weights_sha256(model) != result["weights_sha256"]:
        raise record.no_run(folder, "weights that are not those of result.json")
    return Run(
        spec=spec,
        model=model,
        history=result["history"],
        metrics=result["metrics"],
        folder=folder,
        task=task,
        seconds=result["seconds"],
        weights_sha256=result["weights_sha256"],
        data_sha256=result["data_sha256"],
    )


def build_untrained(
    spec: SpecLike, *, input_shape: Sequence[int], classes: int | None = None
) -> keras.Model:
    """Builds the network of a spec without data, so without a scaling layer.

    Its weights are those that `fit` starts from.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        input_shape: Shape of one row, such as (784,).
        classes: Number of classes, of at least 2; None for a regression of one number.

    Returns:
        A plain `keras.Model`, (batch, *input_shape) -> logits.

    Raises:
        SpecError: If the spec, the shape or the number of classes is wrong.
    """
    if classes is not None and not _is_count(classes, 2):
        raise SpecError(
            Fault("classes", "an integer of at least 2, or None", repr(classes), "Use 10.")
        )
    sizes = input_shape if isinstance(input_shape, (tuple, list)) else (None,)
    if not sizes or not all(_is_count(size, 1) for size in sizes):
        raise SpecError(
            Fault("input_shape", "sizes of at least 1", repr(input_shape), "Use (784,).")
        )
    labels = tuple(str(number) for number in range(int(classes or 0)))
    checked = specs.load(spec)
    quiet.start_tensorflow(checked.training.threads, insist=False)
    bind_plugins(checked)
    return build(checked, Task(tuple(map(int, sizes)), "float32", labels), scaled=False)


def _is_count(value: Any, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and value >= least


def _checked_callbacks(callbacks: Any, spec: Spec) -> list[keras.callbacks.Callback]:
    """Returns the caller's callbacks as a list; none and a single one are fine."""
    if callbacks is None or isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [] if callbacks is None else [callbacks]
    if not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    schedulers = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    for number, callback in enumerate(callbacks):
        where = f"callbacks[{number}]"
        if not isinstance(callback, keras.callbacks.Callback):
            remedy = "Names go into the spec, under training.callbacks."
            fault = Fault(where, "a keras.callbacks.Callback", repr(callback), remedy)
            raise SpecError(fault)
        if isinstance(callback, schedulers) and spec.training.optimizer.schedule():
            got = f"{type(callback).__name__} beside a schedule in the spec"
            raise SpecError(
                Fault(where, "one owner of the learning rate", got, "Drop one of them.")
            )
    return list(callbacks)


def _resolved(spec: Spec, prepared: Prepared, *, in_memory: bool) -> Spec:
    """Returns `spec` with what only the data could tell: the task and its loss.

    It is checked once more, since only now it is known which metrics are recorded.
    """
    kind = "classification" if prepared.task.classification else "regression"
    known = {"task": kind, **({"source": None} if in_memory else {})}
    loss = spec.training.loss or default_loss(prepared.task)
    return specs.load(
        spec.model_copy(
            update={
                "data": spec.data.model_copy(update=known),
                "training": spec.training.model_copy(update={"loss": loss}),
            }
        )
    )


def _with_engine(
    spec: Spec,
    network: keras.Model,
    prepared: Prepared,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Spec:
    """Returns `spec` with the engine that will train it."""
    engine = choose_engine(
        spec,
        num_rows=len(prepared.train),
        num_weights=network.count_params(),
        callbacks=callbacks,
    )
    training = spec.training.model_copy(update={"engine": engine})
    return spec.model_copy(update={"training": training})


def _final_metrics(network: keras.Model, spec: Spec, prepared: Prepared) -> dict[str, float]:
    evaluator = compile_for_evaluation(network, spec, prepared.task)
    metrics = {
        f"{part}_{name}": value
        for part, rows in prepared.held_out.items()
        for name, value in evaluator.evaluate(rows).items()
    }
    check_finite(metrics, "the final weights")
    return metrics


def _weights_sha256(network: keras.Model) -> str:
    return files.sha256(b"".join(weight.tobytes() for weight in network.get_weights()))
