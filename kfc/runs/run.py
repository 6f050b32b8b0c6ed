"""Loads a finished run, which measures its network and predicts with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keras
import numpy as np

from kfc.data import Prepared, Task, prepare, tables_beside
from kfc.errors import DataError, Finding, SpecError
from kfc.network import build, raw_model
from kfc.pages import FILE
from kfc.runs import environment, result_file
from kfc.runs.description import described, described_as_html
from kfc.runs.labelled_data import RowsWithPredictions, decode_targets, encode_labelled
from kfc.runs.measuring import measure_finished, measure_given
from kfc.runs.predictions import Predictions, from_outputs, predict, raw_rows
from kfc.runs.scores import compute_outputs, further_scores
from kfc.runs.trainer import weights_sha256
from kfc.spec import Spec
from kfc.system import tensorflow_startup, user_paths
from kfc.training import compile_for_evaluation
from kfc.training.checkpoints import store, training_state
from kfc.training.engine import Evaluator


class RunRows(dict[str, int]):
    """Number of rows in each part of a run's data; called, it reads the rows of a part.

    Args:
        counts: Part (`train`, `val`, `test`) -> number of rows.
        read: Function that reads the rows of a part.
    """

    def __init__(
        self, counts: Mapping[str, int], read: Callable[[str, Any], RowsWithPredictions]
    ) -> None:
        super().__init__(counts)
        self._read = read

    def __call__(self, part: str = "test", data: Any = None) -> RowsWithPredictions:
        """Returns the rows of a part, with their targets and the network's predictions.

        Args:
            part: `train`, `val` (also `validation`) or `test`.
            data: Rows that the run was given in Python; by default the spec's source.

        Raises:
            SpecError: If the run has no such part.
            DataError: If the data are not the data of the run.
        """
        return self._read(part, data)


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> sorted(run.history)
        ['accuracy', 'loss', 'val_accuracy', 'val_loss']
        >>> run.model.output_shape
        (None, 10)

    Args:
        spec: Resolved spec, with every default written out.
        network: Trained network, a plain `keras.Model` that returns logits (for regression:
            values). It takes raw rows, or the encoded rows of a table.
        history: Metric -> one value per epoch. It includes the values that callbacks add to
            `logs`.
        metrics: Metrics of the final weights on the held-out rows: `test_loss`,
            `test_accuracy`, `val_loss` and more; `kfc.runs.scores.scores` lists the metrics
            that are computed once, at the end.
        baseline: The same metrics of a constant prediction: the most frequent class, or the
            mean.
        folder: Absolute path of the run folder.
        task: Shape of a row, classes and scaling.
        seconds: Duration of the training.
        weights_sha256: SHA-256 of the weights' bytes, in the order of `get_weights()`.
        data_sha256: SHA-256 of all rows of the source.
        num_rows: Number of rows of each part: `train`, `val`, `test`; empty for a trial of a
            search.
        sample_sha256: SHA-256 of `sample.npz`, which holds some test rows and the network's
            outputs for them; None for a trial of a search, which uses no test rows.
        warnings: Findings about the data that did not refuse the training, and about the
            finished training, as `Finding.as_json` returns them. `first_epoch` in the
            evidence is the epoch, from 1, after which one was found.
        passed_warnings: Findings of epochs within the training that did not hold at its end.
        uncertainty: The fitted temperature or half-widths, and what was measured with them,
            see `kfc.runs.uncertainty.uncertainty_facts`; empty where the spec asks for none.
    """

    spec: Spec
    network: keras.Model
    history: dict[str, list[Any]]
    metrics: dict[str, float]
    folder: Path
    task: Task
    seconds: float
    weights_sha256: str
    data_sha256: str
    num_rows: dict[str, int]
    sample_sha256: str | None
    baseline: dict[str, float]
    warnings: list[dict[str, Any]] = field(default_factory=list)
    passed_warnings: list[dict[str, Any]] = field(default_factory=list)
    uncertainty: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def model(self) -> keras.Model:
        """The trained network as a plain `keras.Model` that takes raw values.

        For a table these are its columns by name, text and numbers, (batch,) each; otherwise
        it is `network`.
        """
        return raw_model(self.network, self.task)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return max((len(values) for values in self.history.values()), default=0)

    @property
    def rows(self) -> RunRows:
        """Number of rows in each part; `run.rows("test")` reads the test rows."""
        return RunRows(self.num_rows, self._rows)

    def summary(self) -> dict[str, Any]:
        """Returns the plain values that `--json` prints."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            "epochs": self.epochs,
            "seconds": self.seconds,
            "weights_sha256": self.weights_sha256,
            **({"uncertainty": dict(self.uncertainty)} if self.uncertainty else {}),
        }

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """Returns the metrics of the network on its own held-out rows, or on other rows.

        Without data, or with the data that the run was given in Python, the result equals
        `metrics`, bit for bit. Other labelled rows give the same metrics without a prefix,
        such as `loss` and `accuracy`.

        Args:
            data: Labelled rows, `(x, y)`, as for `kfc.fit`; for a table also the path of a
                file. By default the spec's source.

        Raises:
            DataError: If the rows of the spec's source have changed, or if the rows passed do
                not have the shape and targets of the training rows.
            NumbersError: If a metric is NaN or infinite.

        Warns:
            UnseenValuesWarning: Once for each column of another table with categories that
                the training rows lack.
        """
        tensorflow_startup.check_process()
        if data is None:
            return self._measured(self.prepared(None))
        if self.spec.data.source is None:
            with suppress(DataError):  # other rows may not even split
                prepared = prepare(self.spec, data)
                if prepared.sha256 == self.data_sha256:
                    return self._measured(prepared)
        rows = encode_labelled(data, self.task)
        return measure_given(self.network, self.spec, self.task, rows)

    def _measured(self, prepared: Prepared) -> dict[str, float]:
        return measure_finished(self._evaluator(), prepared, further_scores(self.spec))[0]

    def _evaluator(self) -> Evaluator:
        return compile_for_evaluation(self.network, self.spec, self.task)

    def prepared(self, data: Any) -> Prepared:
        """Returns the data of this run, read again.

        Raises:
            DataError: If the rows are not the rows of the run.
        """
        if data is None and self.spec.data.source is None:
            raise DataError(
                Finding(
                    "data",
                    "the rows that this run was given in Python",
                    "none",
                    f"Call `kfc.load({str(self.folder)!r}).evaluate(data=...)` with them.",
                )
            )
        with environment.explaining_relative_paths(self.folder):
            prepared = prepare(self.spec, data, cache=tables_beside(self.folder))
        if prepared.sha256 != self.data_sha256:
            raise DataError(
                Finding(
                    "data" if data is not None else f"data.source {self.spec.data.source}",
                    f"the rows that this run was trained on (sha256 {self.data_sha256[:12]})",
                    f"other rows (sha256 {prepared.sha256[:12]})",
                    "Restore those rows, or measure the run on other labelled rows: "
                    "`kfc evaluate RUN FILE`, `run.evaluate((x, y))`.",
                )
            )
        return prepared

    def _rows(self, part: str, data: Any) -> RowsWithPredictions:
        parts = {"train": "train", "val": "val", "validation": "val", "test": "test"}
        prefix = parts.get(part) if isinstance(part, str) else None
        if prefix is None or (prefix != "train" and prefix not in self.num_rows):
            raise SpecError(
                Finding(
                    "part",
                    f"a part of this run: {', '.join(self.num_rows) or 'none'}",
                    repr(part),
                    'Call for example run.rows("test").',
                )
            )
        tensorflow_startup.check_process()
        prepared = self.prepared(data)
        rows = prepared.train if prefix == "train" else prepared.held_out[prefix]
        predictions = from_outputs(compute_outputs(self.network, rows.x), self.task)
        return RowsWithPredictions(rows.x[:], decode_targets(rows.y, self.task), predictions)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and probabilities, or values, for raw rows.

        Args:
            x: Raw inputs, (rows, *input_shape) or flattened, (rows, features); for a table a
                frame, a dict of columns or the path of a file, with its columns by name.

        Raises:
            DataError: If the rows do not have the shape or the columns of the training rows,
                or hold NaN.
            NumbersError: If an output is NaN or infinite.

        Warns:
            UnseenValuesWarning: Once for each column of a table with categories that the
                training rows lack.
        """
        return predict(self.network, self.task, x)

    def encode(self, x: Any) -> np.ndarray:
        """Returns the rows of a table as `network` takes them, (rows, features), float32.

        `task.feature_names` names the features in their order. `kfc.export(..., encoded=True)`
        exports a model that takes these rows.

        Args:
            x: Frame, dict of columns or path of a file, as for `predict`.

        Raises:
            DataError: If `predict` refuses the rows, or if the run was trained on arrays.

        Warns:
            UnseenValuesWarning: As for `predict`.
        """
        if self.task.table is None:
            remedy = "Pass the rows to the network as they are; it scales them."
            got = "one on arrays, which are not encoded"
            raise DataError(Finding(str(self.folder), "a run on a table", got, remedy))
        return raw_rows(x, self.task)

    def __repr__(self) -> str:
        return described(f"Run {self.folder.name}", self._facts())

    def _repr_html_(self) -> str:
        # A notebook's server opens files below its folder, by relative addresses.
        page = quote(user_paths.shown_path(self.folder / FILE))
        return described_as_html(f"Run {self.folder.name}", self._facts(), {"report": page})

    def _facts(self) -> dict[str, str]:
        """Returns the most important facts, for at most seven lines."""
        rows = ", ".join(f"{count:,} {part}" for part, count in self.num_rows.items())
        part = "test" if "test_loss" in self.metrics else "val"
        own = ("loss", "accuracy") if self.task.classification else ("loss", "mae", "r2")
        measured = {}
        for name in own:
            if (value := self.metrics.get(f"{part}_{name}")) is not None:
                constant = self.baseline.get(f"{part}_{name}")
                beside = "" if constant is None else f"  (baseline {constant:.4f})"
                measured[f"{part}_{name}"] = f"{value:.4f}{beside}"
        return {
            "data": f"{self.spec.data.source or 'given in Python'}, rows: {rows}",
            "network": f"{self.network.count_params():,} weights, {self.epochs} epochs in "
            f"{self.seconds:.1f} s",
            **measured,
            "folder": str(self.folder),
            **({"report": FILE} if (self.folder / FILE).is_file() else {}),
        }


def load_run(folder: str | Path) -> Run:
    """Loads a finished run from its folder, as `kfc.load` does.

    Args:
        folder: Run folder.

    Returns:
        The run, with its trained network.

    Raises:
        CheckpointError: If the folder holds no finished run, or its weights are damaged.
    """
    folder = user_paths.absolute(folder)
    result, task = result_file.read_result(folder)
    spec = result_file.read_spec(folder)
    # Nothing is trained here, so TensorFlow may run with any number of threads.
    tensorflow_startup.start_tensorflow(spec.training.threads, insist=False)
    model = build(spec, task)
    training_state.restore_network(store.newest(folder / "checkpoints"), model)
    if weights_sha256(model) != result["weights_sha256"]:
        raise result_file.no_run(folder, "weights with another sha256 than result.json has")
    return Run(
        spec=spec,
        network=model,
        history=result["history"],
        metrics=result["metrics"],
        folder=folder,
        task=task,
        seconds=result["seconds"],
        weights_sha256=result["weights_sha256"],
        data_sha256=result["data_sha256"],
        num_rows=result.get("rows", {}),
        baseline=result.get("baseline", {}),
        warnings=result.get("warnings", []),
        passed_warnings=result.get("passed_warnings", []),
        sample_sha256=result.get("sample_sha256"),
        uncertainty=result.get("uncertainty", {}),
    )
