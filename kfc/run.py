"""A folder -> its finished run, to be evaluated and asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kfc import environment, quiet, record, user_paths
from kfc import spec as specs
from kfc.data import Task, prepare
from kfc.errors import DataError, Fault
from kfc.network import build
from kfc.predictions import Predictions, predict
from kfc.spec import Spec
from kfc.trainer import measure, weights_sha256
from kfc.training import checkpoint, commits
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
        folder: Absolute path of the run folder.
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
            "folder": user_paths.shown(self.folder),
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
        quiet.check_process()
        if data is None and self.spec.data.source is None:
            raise DataError(
                Fault(
                    "data",
                    "the rows that this run was given in Python",
                    "none",
                    f"Call `kfc.load({str(self.folder)!r}).evaluate(data=...)` with them.",
                )
            )
        with environment.where_it_began(self.folder):
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


def load(folder: str | Path) -> Run:
    """Returns a finished run from its folder, with its trained network.

    The network is rebuilt from the spec and takes its weights from the newest checkpoint
    whose sha256 is right; no code in the folder is run.

    Raises:
        CheckpointError: If the folder holds no finished run, or its weights are damaged.
    """
    folder = user_paths.absolute(folder)
    result, task = record.read_result(folder)
    spec = specs.load(folder / "spec.yaml")
    quiet.start_tensorflow(spec.training.threads, insist=False)  # it need not train
    model = build(spec, task)
    checkpoint.restore_network(commits.newest(folder / "checkpoints"), model)
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
