"""Everything that the page of one run is made of: its files, its rows and its answers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kfc.data import Prepared, Rows
from kfc.errors import CheckpointError, KfcError
from kfc.runs import (
    Predictions,
    Run,
    environment,
    from_outputs,
    measure_given,
    result_file,
    scores,
)

_SIDE = 8
"""Pixels of the shortest side of a flat picture."""

_PARTS = {"val": "validation rows", "test": "test rows", "fold": "held-out rows"}


@dataclass(frozen=True)
class Answers:
    """Held-out rows and the answers of a run.

    Args:
        part: `val`, `test`, or `fold` for the held-out rows of all folds.
        x: Encoded inputs, (rows, ...).
        y: Class numbers, (rows,), or target values, (rows, outputs).
        outputs: Outputs of the network, (rows, outputs).
        predictions: Labels and probabilities, or values.
    """

    part: str
    x: Any
    y: np.ndarray
    outputs: np.ndarray
    predictions: Predictions

    @property
    def noun(self) -> str:
        """Name of the rows in a sentence, such as `test rows`."""
        return _PARTS[self.part]

    @property
    def predicted(self) -> np.ndarray:
        """Numbers of the predicted classes, (rows,)."""
        return np.asarray(self.predictions.probabilities.argmax(axis=1))

    @property
    def losses(self) -> np.ndarray:
        """Error of each row, (rows,): minus the log-probability of its class, or its distance.

        The distance of several targets is the mean of their absolute errors, each in units of
        the target's standard deviation.
        """
        if self.predictions.probabilities.size:
            of_class = self.predictions.probabilities[np.arange(len(self.y)), self.y]
            return np.asarray(-np.log(np.maximum(of_class, np.finfo(np.float32).tiny)))
        distance = np.abs(self.predictions.value.astype(np.float64) - self.y)
        if distance.shape[1] == 1:
            return np.asarray(distance[:, 0])
        return np.asarray((distance / np.maximum(self.y.std(axis=0), 1e-30)).mean(axis=1))


@dataclass(frozen=True)
class RunFacts:
    """A finished run with its files and, where they are to be had, its rows.

    Args:
        run: The run.
        result: Content of `result.json`.
        environment: Content of `environment.json`; empty where it is damaged.
        prepared: Data of the run; None where they are not to be had.
        no_rows: Reason why there are no rows, for a reader; empty where there are.
        given: Encoded rows to answer for, in place of those of the run; None for its own.
    """

    run: Run
    result: Mapping[str, Any]
    environment: Mapping[str, Any]
    prepared: Prepared | None
    no_rows: str = ""
    given: Rows | None = None

    @classmethod
    def of(cls, run: Run, prepared: Prepared | None = None, data: Any = None) -> RunFacts:
        """Reads the files of a run, and its rows unless they are passed.

        Args:
            run: Finished run.
            prepared: Data of the run, if they are in memory.
            data: Rows that the run was given in Python.

        Raises:
            DataError: If `data` are not the rows of the run.
        """
        result, _ = result_file.read_result(run.folder)
        try:
            found = environment.read_environment(run.folder)
        except CheckpointError:
            found = {}
        reason = ""
        if prepared is None:
            try:
                prepared = run.prepared(data)
            except KfcError as error:
                if data is not None:
                    raise
                finding = error.findings[0]
                reason = f"expected {finding.expected}, got {finding.got}"
        return cls(run, result, found, prepared, reason)

    def for_rows(self, rows: Rows) -> RunFacts:
        """Returns the facts with answers and metrics for other rows, as for test rows.

        Args:
            rows: Encoded inputs and targets, as the network takes them.
        """
        measured = measure_given(self.run.network, self.run.spec, self.run.task, rows)
        metrics = {f"test_{name}": value for name, value in measured.items()}
        run = replace(
            self.run,
            metrics={**self.run.metrics, **metrics},
            num_rows={**self.run.num_rows, "test": len(rows)},
        )
        return replace(self, run=run, prepared=None, given=rows)

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.run.folder.name

    @functools.cached_property
    def answers(self) -> dict[str, Answers]:
        """The answers for each held-out part, `val` and `test`."""
        if self.given is not None:
            return {"test": self._answer("test", self.given)}
        if self.prepared is None:
            return {}
        return {
            part: self._answer(part, rows) for part, rows in self.prepared.held_out.items()
        }

    def _answer(self, part: str, rows: Rows) -> Answers:
        outputs = scores.compute_outputs(self.run.network, rows.x)
        return Answers(part, rows.x, rows.y, outputs, from_outputs(outputs, self.run.task))

    @property
    def final(self) -> Answers | None:
        """The answers for the test rows."""
        return self.answers.get("test")

    @property
    def watched(self) -> Answers | None:
        """The answers for the validation rows, else for the test rows."""
        return self.answers.get("val") or self.final

    @property
    def picture(self) -> tuple[int, int, int] | None:
        """Height, width and channels of a row that is a picture; None for other rows.

        Flat rows are drawn as pictures if they fill a square and are scaled as pixels are.
        """
        task = self.run.task
        shape = task.input_shape
        if len(shape) == 3 and shape[2] in (1, 3):
            return shape[0], shape[1], shape[2]
        if len(shape) == 2 and min(shape) > 1:
            return shape[0], shape[1], 1
        side = round(float(np.sqrt(shape[0])))
        if task.table or task.feature_names or len(shape) > 1 or side * side != shape[0]:
            return None
        pixels = task.input_dtype == "uint8" or self.run.spec.data.scale in (
            "unit",
            "centered",
        )
        return (side, side, 1) if pixels and side >= _SIDE else None
