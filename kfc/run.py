"""A spec and a folder -> a finished run, and a folder -> the same run again."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from rich.console import Console

from kfc import files
from kfc import spec as specs
from kfc.data import Prepared, Rows, Scaling, Task, prepare
from kfc.data.checks import check_inputs
from kfc.errors import CheckpointError, DataError, Fault, KfcError, SpecError
from kfc.network import build, check_architecture, num_outputs
from kfc.registry import BLOCKS, CALLBACKS
from kfc.spec import Spec, SpecLike
from kfc.spec.components import Callback, Component
from kfc.training import callbacks as ours
from kfc.training import checkpoint
from kfc.training.engine import Engine, Evaluator
from kfc.training.loop import Loop
from kfc.training.losses import build_loss, build_metrics, default_loss
from kfc.training.optimizers import build_optimizer
from kfc.training.step import TapeModel

_VERSIONS = ("keras-fully-connected", "keras", "tensorflow", "numpy", "scikit-learn")
_PREDICT_BATCH = 1024


class Predictions(NamedTuple):
    """What a network says of some rows.

    Args:
        label: Name of the likeliest class, (rows,); empty for regression.
        probability: Of that class, in [0, 1], (rows,); empty for regression.
        probabilities: Of each class, (rows, classes); empty for regression.
        value: (rows, outputs), in the target's own units; empty for classes.
    """

    label: np.ndarray
    probability: np.ndarray
    probabilities: np.ndarray
    value: np.ndarray


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
        return _final_metrics(_evaluator(self.model, self.spec, self.task), prepared)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and probabilities, or values, for raw rows.

        Args:
            x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).

        Raises:
            DataError: If they are not rows of the kind this network was trained on.
        """
        rows = _inputs(np.asarray(x), self.task)
        outputs = np.asarray(self.model.predict(rows, batch_size=_PREDICT_BATCH, verbose=0))
        none = np.empty(0)
        if not self.task.classification:
            return Predictions(none, none, none, outputs)
        if outputs.shape[1] == 1:  # one logit, that of the second class
            outputs = np.hstack([np.zeros_like(outputs), outputs])
        probabilities = np.asarray(keras.ops.softmax(outputs))
        best = probabilities.argmax(axis=1)
        labels = np.asarray(self.task.labels)[best]
        return Predictions(labels, probabilities.max(axis=1), probabilities, none)


def fit(
    spec: SpecLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    network: keras.Model | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
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
    checked = specs.load(spec, overrides)
    _bind_plugins(checked)
    _check_callbacks(callbacks)
    prepared = prepare(checked, data)
    checked = _resolved(checked, prepared.task)
    built = build(checked, prepared.task)
    if network is not None:
        check_architecture(built, network)
        built.set_weights(network.get_weights())

    model = _compiled(built, checked, prepared)
    folder = files.new_numbered_folder(Path(runs), checked.name)
    files.write(folder / "spec.yaml", specs.dump(checked))
    files.write(folder / "environment.json", _json(_environment()))
    (folder / "checkpoints").mkdir()
    console = Console(stderr=True, quiet=not verbose)
    everyone = [*_own_callbacks(checked, folder, console), *callbacks]

    def commit(progress: checkpoint.Progress) -> None:
        if (folder / "metrics.jsonl").exists():
            files.sync(folder / "metrics.jsonl")
        checkpoint.commit(
            folder / "checkpoints", checkpoint.capture(model, everyone, progress)
        )

    evaluator = _evaluator(built, checked, prepared.task)
    training = checked.training
    engine = Engine(model, prepared.train, training.batch_size)
    held_out = ("val", prepared.validation or prepared.test)
    if prepared.validation is None:
        held_out = ("test", prepared.test)
    loop = Loop(engine, evaluator, training, checked.seed, everyone, held_out, commit)
    began = time.monotonic()
    progress = loop.run(checkpoint.Progress())
    seconds = round(time.monotonic() - began, 3)
    commit(progress)

    if network is not None:
        network.set_weights(built.get_weights())
    files.write_with(folder / "model.keras", built.save)
    run = Run(
        spec=checked,
        model=built,
        history=progress.history,
        metrics=_final_metrics(evaluator, prepared),
        folder=folder,
        task=prepared.task,
        seconds=seconds,
        weights_sha256=_weights_sha256(built),
        data_sha256=prepared.sha256,
    )
    files.write(folder / "result.json", _json(_result(run)))
    return run


def load(folder: str | Path) -> Run:
    """Returns a finished run from its folder, with its trained network.

    The network is rebuilt from the spec and takes its weights from the newest checkpoint
    whose sha256 is right; no code in the folder is run.

    Raises:
        CheckpointError: If the folder holds no finished run, or its weights are damaged.
    """
    folder = Path(folder)
    try:
        result = json.loads((folder / "result.json").read_text("utf-8"))
        task = _task_from(result["task"])
    except FileNotFoundError as error:
        state = "an unfinished run" if (folder / "spec.yaml").exists() else "none"
        raise _no_run(folder, state) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_run(folder, f"a damaged result.json ({error})") from error
    spec = specs.load(folder / "spec.yaml")
    model = build(spec, task)
    checkpoint.restore_network(checkpoint.newest(folder / "checkpoints"), model)
    if _weights_sha256(model) != result["weights_sha256"]:
        raise _no_run(folder, "weights that are not those of result.json")
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
    if classes is not None and (isinstance(classes, bool) or classes < 2):
        raise SpecError(
            Fault("classes", "an integer of at least 2, or None", repr(classes), "Use 10.")
        )
    if not input_shape or any(not isinstance(n, int) or n < 1 for n in input_shape):
        raise SpecError(
            Fault("input_shape", "sizes of at least 1", repr(input_shape), "Use (784,).")
        )
    labels = tuple(str(number) for number in range(classes or 0))
    checked = specs.load(spec)
    _bind_plugins(checked)
    return build(checked, Task(tuple(input_shape), "float32", labels), scaled=False)


def table(predictions: Predictions, task: Task) -> str:
    """Returns predictions as CSV: label, probability and one column per class; or values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if task.classification:
        writer.writerow(["label", "probability", *task.labels])
        for label, best, row in zip(
            predictions.label, predictions.probability, predictions.probabilities, strict=True
        ):
            writer.writerow([label, f"{best:.6f}", *(f"{p:.6f}" for p in row)])
    else:
        names = ["value"] if task.outputs == 1 else [f"value_{i}" for i in range(task.outputs)]
        writer.writerow(names)
        writer.writerows(predictions.value.tolist())
    return text.getvalue()


def _bind_plugins(spec: Spec) -> None:
    """Imports each plug-in that `spec` names and tries its options on its signature."""
    used: list[tuple[str, Component]] = [
        ("network.block", spec.network.block),
        ("training.optimizer", spec.training.optimizer),
        *((f"training.callbacks[{i}]", c) for i, c in enumerate(spec.training.callbacks)),
    ]
    for where, component in used:
        registry = component.registry
        if registry is None or component.name in registry.builtins:
            continue
        if component.name not in registry.names():
            continue  # Keras's own; its options are checked with the spec
        plugin = registry.get(component.name, where)
        given = component.options
        if registry is BLOCKS:
            given |= {"tensor": None, "hidden": None, "name": "", "seed": 0}
        try:
            inspect.signature(plugin).bind(**given)
        except TypeError as error:
            raise SpecError(
                Fault(
                    where,
                    f"options that {component.name!r} takes: {inspect.signature(plugin)}",
                    str(error),
                    "Mend the options.",
                )
            ) from error


def _check_callbacks(callbacks: Sequence[Any]) -> None:
    for number, callback in enumerate(callbacks):
        if not isinstance(callback, keras.callbacks.Callback):
            raise SpecError(
                Fault(
                    f"callbacks[{number}]",
                    "a keras.callbacks.Callback",
                    repr(callback),
                    "Names go into the spec, under training.callbacks.",
                )
            )


def _resolved(spec: Spec, task: Task) -> Spec:
    """Returns `spec` with what only the data could tell: the task and its loss."""
    kind = "classification" if task.classification else "regression"
    loss = spec.training.loss or default_loss(task)
    return spec.model_copy(
        update={
            "data": spec.data.model_copy(update={"task": kind}),
            "training": spec.training.model_copy(update={"loss": loss}),
        }
    )


def _compiled(network: keras.Model, spec: Spec, prepared: Prepared) -> TapeModel:
    training = spec.training
    model = TapeModel(network)
    model.compile(
        optimizer=build_optimizer(
            training.optimizer,
            steps_per_epoch=-(-len(prepared.train) // training.batch_size),
            epochs=training.epochs,
        ),
        loss=build_loss(training.loss, prepared.task),
        metrics=build_metrics(prepared.task, num_outputs(spec, prepared.task)),
        jit_compile=False,
    )
    return model


def _evaluator(network: keras.Model, spec: Spec, task: Task) -> Evaluator:
    model = TapeModel(network)
    model.compile(
        optimizer=None,
        loss=build_loss(spec.training.loss, task),
        metrics=build_metrics(task, num_outputs(spec, task)),
        jit_compile=False,
    )
    return Evaluator(model)


def _final_metrics(evaluator: Evaluator, prepared: Prepared) -> dict[str, float]:
    parts: dict[str, Rows | None] = {"val": prepared.validation, "test": prepared.test}
    return {
        f"{part}_{name}": value
        for part, rows in parts.items()
        if rows is not None
        for name, value in evaluator.evaluate(rows).items()
    }


def _own_callbacks(
    spec: Spec, folder: Path, console: Console
) -> list[keras.callbacks.Callback]:
    training = spec.training
    own = [
        ours.MetricsLog(folder / "metrics.jsonl", training.log_every),
        ours.TensorBoardLog(folder / "tensorboard", training.log_every),
        ours.Terminal(training.log_every, folder / "run.log", console),
        *(_callback(callback, folder) for callback in training.callbacks),
    ]
    if stopping := training.early_stopping:
        own.append(ours.EarlyStopping(**stopping.model_dump()))
    return own


def _callback(callback: Callback, folder: Path) -> keras.callbacks.Callback:
    """Builds a callback that a spec names; the files it writes stay in the run folder."""
    options = {
        key: folder / value if key in callback.PATHS else value
        for key, value in callback.options.items()
    }
    if callback.name in CALLBACKS.names():
        return CALLBACKS.get(callback.name, "training.callbacks")(**options)
    # Keras wants text, and its own names stand in its own module.
    options = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    return getattr(keras.callbacks, callback.name)(**options)


def _inputs(x: np.ndarray, task: Task) -> np.ndarray:
    if x.shape[1:] != task.input_shape and x.ndim >= 2:
        if x[0].size != np.prod(task.input_shape):
            raise DataError(
                Fault(
                    "rows to predict",
                    f"rows of shape {task.input_shape}",
                    f"{x.shape[1:]}",
                    "Give the features this run was trained on.",
                )
            )
        x = x.reshape(-1, *task.input_shape)
    check_inputs(x, "rows to predict")
    if task.input_dtype == "uint8" and x.dtype != np.uint8:
        whole = x.astype(np.uint8)
        if not np.array_equal(whole, x):
            raise DataError(
                Fault(
                    "rows to predict",
                    "raw pixels, whole numbers from 0 to 255",
                    f"{x.dtype} from {x.min():g} to {x.max():g}",
                    "Leave scaling to the model: it is inside.",
                )
            )
        return whole
    return x.astype(task.input_dtype, copy=False)


def _weights_sha256(network: keras.Model) -> str:
    return files.sha256(b"".join(weight.tobytes() for weight in network.get_weights()))


def _environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in _VERSIONS},
        "flags": {
            key: value
            for key, value in sorted(os.environ.items())
            if key in ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_XLA_FLAGS")
        },
        "jit_compile": False,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _result(run: Run) -> dict[str, Any]:
    task = asdict(run.task)
    for name in ("scaling", "target_scaling"):
        task[name] = {key: value.tolist() for key, value in task[name].items()}
    return {
        **run.summary(),
        "folder": run.folder.name,
        "data_sha256": run.data_sha256,
        "task": task,
        "history": run.history,
    }


def _task_from(facts: Mapping[str, Any]) -> Task:
    scalings = {
        name: Scaling(
            np.asarray(facts[name]["shift"], np.float32),
            np.asarray(facts[name]["divisor"], np.float32),
        )
        for name in ("scaling", "target_scaling")
    }
    return Task(
        input_shape=tuple(facts["input_shape"]),
        input_dtype=facts["input_dtype"],
        labels=tuple(facts["labels"]),
        outputs=facts["outputs"],
        **scalings,
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def _no_run(folder: Path, got: str) -> KfcError:
    return CheckpointError(
        Fault(str(folder), "the folder of a finished run", got, "`kfc fit` makes one.")
    )
