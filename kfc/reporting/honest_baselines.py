"""Scores simple models on the rows of a run: a constant and a linear model."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from kfc.data import Prepared, Task, evenly
from kfc.runs import scores

_CELLS = 30_000_000
"""Most cells, rows times inputs times outputs, that a linear model learns from: seconds."""
_ITERATIONS = 200
_BATCH = 4096  # rows: more would be copied twice, and those on a disk read at once


@dataclass(frozen=True)
class LinearModel:
    """A linear model on the inputs of a run.

    Args:
        name: Class of scikit-learn.
        rows: Number of training rows that it learned from.
        metrics: Scores for each held-out part, such as `test`.
    """

    name: str
    rows: int
    metrics: dict[str, dict[str, float]]


def linear_model(
    prepared: Prepared, task: Task, further: Collection[str] = ()
) -> LinearModel | None:
    """Fits a linear model on training rows, and scores it on the held-out rows.

    Classes are learned by `LogisticRegression`, values by `Ridge`, both with scikit-learn's
    defaults. Inputs are encoded rows, standardized, with categories one-hot; 8-bit pixels are
    divided by 255. Of many rows, evenly spaced ones are learned from.

    Args:
        prepared: Data of the run.
        task: Task of the run.
        further: Names of further metrics.

    Returns:
        The model's scores; None where the training rows have a single class.
    """
    train = prepared.train
    width = int(np.prod(task.input_shape)) + sum(
        code.size for code in (task.encoding.codes if task.encoding else ())
    )
    outputs = max(len(task.class_names), task.outputs)
    chosen = evenly(len(train), max(200, _CELLS // max(1, width * outputs)))
    y = train.y[chosen]
    if task.classification and len(np.unique(y)) < 2:
        return None
    weight = None if train.sample_weight is None else train.sample_weight[chosen]
    model, name = _pipeline(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough for a baseline
        model.fit(_flat(train.x[chosen]), y, fit__sample_weight=weight)
    found = {}
    for part, rows in prepared.held_out.items():
        found_outputs = [
            _outputs(model, _flat(rows.x[first : first + _BATCH]), task)
            for first in range(0, len(rows), _BATCH)
        ]
        found[part] = scores.scores(np.concatenate(found_outputs), rows.y, task, further)
    return LinearModel(name, len(chosen), found)


def _pipeline(task: Task) -> tuple[Any, str]:
    linear: Any = (
        LogisticRegression(max_iter=_ITERATIONS, tol=1e-3) if task.classification else Ridge()
    )
    # Pixels keep their common scale: those of the border, almost always 0, say little.
    pixels = task.input_dtype == "uint8"
    inputs: Any = FunctionTransformer(_of_255) if pixels else StandardScaler()
    encoding = task.encoding
    if encoding is not None:
        first = encoding.num_numbers + encoding.num_flags
        categories = make_pipeline(OneHotEncoder(handle_unknown="ignore"))
        # Lists: scikit-learn leaves out an empty list, and fails on an empty slice.
        inputs = ColumnTransformer(
            [
                ("numbers", StandardScaler(), [*range(encoding.num_numbers)]),
                ("flags", "passthrough", [*range(encoding.num_numbers, first)]),
                ("categories", categories, [*range(first, encoding.num_features)]),
            ]
        )
    return Pipeline([("inputs", inputs), ("fit", linear)]), type(linear).__name__


def _of_255(x: np.ndarray) -> np.ndarray:
    return x / np.float32(255)


def _flat(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32).reshape(len(x), -1)


def _outputs(model: Any, x: np.ndarray, task: Task) -> np.ndarray:
    """Returns outputs as a network's: logarithms of probabilities, or values."""
    if not task.classification:
        return np.asarray(model.predict(x), np.float64).reshape(len(x), task.outputs)
    tiny = np.finfo(np.float64).tiny
    found = np.full((len(x), len(task.class_names)), np.log(tiny))
    found[:, model.classes_] = np.log(np.maximum(model.predict_proba(x), tiny))
    return found
