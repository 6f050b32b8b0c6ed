"""An ensemble is a model: it averages the probabilities or the values of its runs."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Task
from kfc.ensembles import average_file
from kfc.ensembles.averaging import AverageScore
from kfc.ensembles.plan_file import read_plan
from kfc.errors import CheckpointError, DataError, Finding
from kfc.findings import run_checks
from kfc.network import averaged_network, raw_model
from kfc.preprocessing import JointEncoding, NumericScaling, as_input
from kfc.runs import (
    Predictions,
    Run,
    Sample,
    described,
    described_as_html,
    encode_labelled,
    load_run,
    predict,
    sample_file,
    scores,
    weights_sha256,
    with_fitted,
)
from kfc.spec import Spec
from kfc.system import tensorflow_startup, user_paths


@dataclass(frozen=True, repr=False)
class Ensemble:
    """The average of several finished runs, of the same inputs and the same targets.

    For classes it averages probabilities, not logits; for numbers it averages values. Runs
    with `training.calibrate` are calibrated one by one before they are averaged, and the
    average of a cross-validation or of `training.members` once more, with a temperature of
    its own: an average of calibrated networks is less sure of itself than they are.

    Examples:
        >>> short = {"training.epochs": 1, "training.members": 2}
        >>> ensemble = kfc.fit("digits", overrides=short, verbose=False)
        >>> len(ensemble.runs), sorted(ensemble.metrics)[0]
        (2, 'test_accuracy')
        >>> predictions = ensemble.predict([[0.0] * 64])
        >>> predictions.probabilities.shape
        (1, 10)

    Args:
        runs: Runs to average.
        folder: Absolute path of the ensemble's folder; that of the first run if it has none.
        metrics: Scores of the average on test rows that no run was trained on; empty where
            there are none.
        baseline: The same scores of a constant prediction.
        uncertainty: Temperature or intervals of the average, as `Run.uncertainty` has those of
            one run; empty for `Ensemble.of`, and where the spec asks for none.
    """

    runs: tuple[Run, ...]
    folder: Path
    metrics: dict[str, float] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[Run | str | Path]) -> Ensemble:
        """Returns the ensemble of finished runs, or of their folders.

        It averages the probabilities of each run's calibrated network. It has no temperature
        of its own and no intervals, since no rows are known that no run was trained on.

        Args:
            runs: Two or more runs.

        Raises:
            SpecError: If they have other classes, columns or targets than the first one.
            CheckpointError: If a folder holds no finished run.
        """
        loaded = tuple(each if isinstance(each, Run) else load_run(each) for each in runs)
        run_checks("averaging", loaded)
        return cls(loaded, loaded[0].folder)

    @property
    def spec(self) -> Spec:
        """The resolved spec of the first run."""
        return self.runs[0].spec

    @functools.cached_property
    def task(self) -> Task:
        """Task of `network`; for a table its rows are the encoded rows of all members."""
        first = with_fitted(self.runs[0].task, self.uncertainty)
        if first.table is None:
            return first
        encodings = [
            each.task.encoding for each in self.runs if each.task.encoding is not None
        ]
        joint = JointEncoding.of(encodings)
        return replace(
            first,
            input_shape=(joint.num_features,),
            feature_names=joint.feature_names,
            scaling=NumericScaling(),
            table=replace(first.table, encoding=joint),
        )

    @functools.cached_property
    def network(self) -> keras.Model:
        """The plain network of all members, whose outputs stand for their average.

        For classes the outputs are the logarithms of the averaged probabilities.
        """
        networks = [each.network for each in self.runs]
        return averaged_network(networks, self.task, joint=self.task.table is not None)

    @functools.cached_property
    def model(self) -> keras.Model:
        """The average as a plain `keras.Model` that takes raw values, as `Run.model` does."""
        return raw_model(self.network, self.task)

    @property
    def epochs(self) -> int:
        """Largest number of epochs that a run trained."""
        return max(each.epochs for each in self.runs)

    @property
    def seconds(self) -> float:
        """Duration of the training of all runs, of which each has its share."""
        return round(sum(each.seconds for each in self.runs), 3)

    @functools.cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights' bytes of all runs, in their order."""
        return weights_sha256(self.network)

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows in each part of the first run."""
        return dict(self.runs[0].num_rows)

    @property
    def data_sha256(self) -> str:
        """SHA-256 of all rows of the source of the first run."""
        return self.runs[0].data_sha256

    @property
    def sample_sha256(self) -> str | None:
        """SHA-256 of the sample of the first run."""
        return self.runs[0].sample_sha256

    def sample_of(self, first: Sample) -> Sample:
        """Returns the rows of the first run's sample, with the outputs of the average.

        Args:
            first: Sample of the first run.
        """
        x, encoding = first.x, self.task.encoding
        if encoding is not None:
            reserved = (self.network.name,)
            inputs = encoding.inputs(reserved)
            encoder = keras.Model(inputs, encoding.features(inputs, reserved))
            names = encoding.input_names(reserved)
            signature = encoding.signature_names(reserved)
            columns = {
                names[column]: tf.convert_to_tensor(
                    as_input(first.columns[signature[column]], inputs[names[column]].dtype)
                )
                for column in names
            }
            with tf.device("CPU:0"):
                x = np.asarray(encoder(columns))
            by_name = {signature[name]: columns[names[name]].numpy() for name in names}
            first = replace(first, columns={n: _text(v) for n, v in by_name.items()})
        outputs = sample_file.outputs_on_cpu(self.network, x)
        return replace(first, x=x, outputs=outputs)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and averaged probabilities, or averaged values, for raw rows.

        Args:
            x: Raw inputs as `Run.predict` takes them.

        Raises:
            DataError: If the rows do not have the shape or the columns of the training rows.
            NumbersError: If an output is NaN or infinite.

        Warns:
            UnseenValuesWarning: Once for each column of a table with categories that no
                member has seen in training.
        """
        return predict(self.network, self.task, x)

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """Returns the scores of the average on its own test rows, or on other labelled rows.

        Args:
            data: Labelled rows as `Run.evaluate` takes them; by default the test rows of the
                spec's source, which no member was trained on.

        Raises:
            DataError: If there are no such rows, or they do not fit.
        """
        tensorflow_startup.check_process()
        if data is not None:
            rows = encode_labelled(data, self.task)
            return scores.scores(
                scores.compute_outputs(self.network, rows.x), rows.y, self.task
            )
        average = AverageScore()
        for each in self.runs:
            prepared = each.prepared(None)
            in_fold = each.spec.data.fold is not None
            rows_of_all = prepared.outside if in_fold else prepared.test
            if rows_of_all is None:
                raise DataError(
                    Finding(
                        str(self.folder),
                        "test rows that no member was trained on",
                        "a cross-validation of all rows",
                        "Pass labelled rows: `kfc evaluate FOLDER FILE`. The scores of the "
                        "folds are in cross_validation.json.",
                    )
                )
            average.add(each, rows_of_all)
        return average.scores("test_", self.uncertainty)

    def encode(self, x: Any) -> np.ndarray:
        """Returns the rows of a table as `network` takes them, (rows, features), float32.

        Args:
            x: Frame, dict of columns or path of a file.

        Raises:
            DataError: If the runs were trained on arrays, or the rows do not fit.
        """
        return np.hstack([each.encode(x) for each in self.runs])

    def summary(self) -> dict[str, Any]:
        """Returns the plain values that `--json` prints."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "members": [user_paths.shown_path(each.folder) for each in self.runs],
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            "epochs": self.epochs,
            "seconds": self.seconds,
            "weights_sha256": self.weights_sha256,
            **({"uncertainty": dict(self.uncertainty)} if self.uncertainty else {}),
        }

    def __repr__(self) -> str:
        return described(f"Ensemble {self.folder.name}", self._facts())

    def _repr_html_(self) -> str:
        return described_as_html(f"Ensemble {self.folder.name}", self._facts())

    def _facts(self) -> dict[str, str]:
        measured = {name: f"{value:.4f}" for name, value in list(self.metrics.items())[:3]}
        weights = sum(each.network.count_params() for each in self.runs)
        return {
            "runs": f"{len(self.runs)}, {weights:,} weights in {self.seconds:.1f} s",
            **measured,
            "folder": str(self.folder),
        }


def load_ensemble(folder: Path, trained: Sequence[Run] | None = None) -> Ensemble:
    """Loads a finished ensemble, of folds or of seeds.

    Args:
        folder: Absolute path of its folder.
        trained: Its runs, where this process has them; None loads them from their folders.

    Raises:
        CheckpointError: If a run is missing, unfinished or damaged.
    """
    plan = read_plan(folder)
    if not (folder / average_file.FILE).is_file():
        remedy = f"Run `kfc resume {user_paths.shown_path(folder)}` to continue it."
        finding = Finding(str(folder), "a finished ensemble", "an unfinished one", remedy)
        raise CheckpointError(finding)
    runs = tuple(trained or (load_run(member.folder) for member in plan.members(folder)))
    facts = average_file.read_average(folder)
    measured = facts["metrics"], facts["baseline"], facts.get("uncertainty", {})
    ensemble = Ensemble(runs, folder, *measured)
    found = [each.weights_sha256 for each in runs]
    if found != facts["members"]:
        got = "a run with other weights than the average was measured with"
        remedy = f"Remove {folder / average_file.FILE}, and run `kfc resume` on the folder."
        raise CheckpointError(Finding(str(folder), "the runs of this ensemble", got, remedy))
    return ensemble


def _text(values: np.ndarray) -> np.ndarray:
    """Returns an array without Python's bytes."""
    if values.dtype != object:
        return values
    return np.array([text.decode() for text in values], np.str_)


# --- checks --------------------------------------------------------------------------------


def members_missing(runs: tuple[Run, ...]) -> Finding | None:
    """Finds an ensemble of fewer than two runs."""
    if len(runs) > 1:
        return None
    return Finding(
        "runs", "at least two runs to average", str(len(runs)), "Name more of them."
    )


def members_differ(runs: tuple[Run, ...]) -> Finding | None:
    """Finds a run whose inputs, classes or targets are not those of the first run."""
    wanted = _interface(runs[0].task)
    for each in runs[1:]:
        got = _interface(each.task)
        for noun, value in wanted.items():
            if got[noun] != value:
                return Finding(
                    f"runs, {each.folder.name}",
                    f"the {noun} of {runs[0].folder.name}: {str(value)[:100]}",
                    str(got[noun])[:100],
                    "Average runs on the same columns and the same targets.",
                )
    return None


def _interface(task: Task) -> dict[str, Any]:
    """Returns all that members must share."""
    inputs: Any = (task.input_shape, task.input_dtype)
    if task.table is not None:
        inputs = {name: column.type for name, column in task.table.columns.items()}
    return {
        "classes": task.class_names,
        "columns" if task.table else "inputs": inputs,
        "targets": (task.outputs, task.targets),
    }
