"""A spec and a folder -> a finished run, and a folder -> the same run again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kfc import files, memory, quiet, record, sample, turns
from kfc import spec as specs
from kfc.architecture import check_architecture
from kfc.data import Task, prepare
from kfc.errors import DataError, Fault
from kfc.network import build
from kfc.plugins import bind_plugins
from kfc.predictions import Predictions, predict
from kfc.resolving import as_callbacks, resolve_data
from kfc.spec import Spec, SpecLike
from kfc.trainer import Trainer, measure, weights_sha256
from kfc.training import checkpoint
from kfc.training.callbacks import build_callbacks
from kfc.training.compiling import compile_for_evaluation


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
        rows: How many rows trained, validated and tested: `train`, `val`, `test`; empty
            for a trial of a search.
        sample_sha256: Of `sample.npz`, test rows with what the network said of them; None
            for a trial of a search, which meets none.
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
    rows: dict[str, int]
    sample_sha256: str | None

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
        evaluator = compile_for_evaluation(self.model, self.spec, prepared.task)
        return measure(evaluator, prepared)

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
        data: Rows instead of `data.source`: `(x, y)` or `(x, y, sample_weight)`; one of
            these and test rows, `((x, y), (x_test, y_test))`; a DataFrame with a column
            `target` or `label`; or a `tf.data.Dataset`. A `numpy.memmap` as x is streamed
            from the disk where it is large for this machine's memory.
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
    callbacks = as_callbacks(callbacks, checked)
    prepared = prepare(checked, data)
    checked = resolve_data(checked, prepared, in_memory=data is not None)
    phases.end("data")
    trainer = Trainer(checked, prepared, callbacks)
    checked, built = trainer.spec, trainer.network
    given = {
        # What a run depends on besides its spec; with any of these, the spec alone does
        # not repeat it.
        "data": data is not None,
        "network": None if network is None else weights_sha256(network),
        "callbacks": [type(callback).__name__ for callback in callbacks],
    }
    if network is not None:
        check_architecture(built, network)
        built.set_weights(network.get_weights())

    folder = turns.new_numbered_folder(Path(runs), checked.name)
    files.write(folder / "spec.yaml", specs.dump(checked))
    record.write_environment(folder, threads=threads, given=given)
    console = Console(stderr=True, quiet=not verbose, highlight=False, markup=False)
    _announce(console, folder, checked, len(prepared.train), built.count_params())
    everyone = [*build_callbacks(checked, folder, console), *callbacks]
    began = time.monotonic()
    try:
        progress = trainer.train(folder, everyone, phases=phases)
        trainer.commit(folder, everyone, progress)
    except (KeyboardInterrupt, SystemExit):
        console.print(f"Interrupted: {folder} stays unfinished.")
        raise
    phases.end("train")
    seconds = round(time.monotonic() - began, 3)

    if network is not None:
        network.set_weights(built.get_weights())
    files.write_with(folder / "model.keras", built.save)
    phases.end("save")
    metrics = trainer.measure()
    sample_sha256 = sample.write(folder, sample.take(built, prepared.test.x))
    phases.end("evaluate")
    run = Run(
        spec=checked,
        model=built,
        history=progress.history,
        metrics=metrics,
        folder=folder,
        task=prepared.task,
        seconds=seconds,
        weights_sha256=weights_sha256(built),
        data_sha256=prepared.sha256,
        rows={"train": len(prepared.train)}
        | {name: len(rows) for name, rows in prepared.held_out.items()},
        sample_sha256=sample_sha256,
    )
    facts = {
        "data_sha256": run.data_sha256,
        "rows": run.rows,
        "sample_sha256": run.sample_sha256,
        "history": run.history,
        "phases": phases.seconds,
        "memory": {"predicted": trainer.memory, "peak": memory.peak()},
    }
    record.write_result(folder, {**run.summary(), "folder": folder.name, **facts}, run.task)
    return run


def _announce(
    console: Console, folder: Path, spec: Spec, num_rows: int, num_weights: int
) -> None:
    """Says what is about to be trained, where and how."""
    streamed = ", streamed from the disk" if spec.data.stream == "always" else ""
    console.print(
        f"{folder}: {num_rows:,} rows{streamed}, {num_weights:,} weights, "
        f"engine {spec.training.engine}",
        soft_wrap=True,
    )


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
    if weights_sha256(model) != result["weights_sha256"]:
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
        rows=result.get("rows", {}),
        sample_sha256=result.get("sample_sha256"),
    )
