"""`kfc.Regressor`, scikit-learn's estimator of numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from kfc.errors import Finding, SpecError
from kfc.estimators.base import KfcEstimator
from kfc.estimators.settings import Settings


class Regressor(RegressorMixin, KfcEstimator):
    """A dense network that predicts numbers, as an estimator of scikit-learn."""

    _task = "regression"

    def __init__(
        self,
        spec: Any = None,
        *,
        preset: str | None = "realmlp_s",
        hidden: Any = None,
        activation: Any = None,
        learning_rate: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        early_stopping: Any = None,
        members: int = 1,
        interval_coverage: float | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        n_jobs: int | None = None,
        run_folder: Any = None,
    ) -> None:
        self.spec = spec
        self.preset = preset
        self.hidden = hidden
        self.activation = activation
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.members = members
        self.interval_coverage = interval_coverage
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.run_folder = run_folder

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains one epoch on these rows, without validation rows.

        The first call fits the scalings and the encoding. The learning rate is constant.

        Args:
            X: Inputs, as for `fit`.
            y: Numbers, (rows,) or (rows, outputs).
            sample_weight: Weights, as for `fit`.

        Returns:
            The estimator.
        """
        return self._partial_fit(X, y, sample_weight, first=not hasattr(self, "_kept"))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted numbers, (rows,), or (rows, outputs) for several."""
        values = self._shaped(self._outputs(X))
        single = getattr(X, "dtype", None) == np.float32  # as scikit-learn's MLPRegressor
        return values.astype(np.float32) if single else values

    def predict_interval(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the bounds between which the targets are, each of the shape of `predict`.

        Args:
            X: Inputs, as for `fit`.

        Raises:
            SpecError: If the estimator was fitted without `interval_coverage`.
        """
        outputs = self._outputs(X)
        intervals = self._kept.fit.task.intervals
        if intervals is None:
            remedy = "Fit with interval_coverage=0.9."
            raise SpecError(
                Finding("interval_coverage", "a share of rows, at fit", "None", remedy)
            )
        half_widths = np.asarray(intervals.half_widths)
        return self._shaped(outputs - half_widths), self._shaped(outputs + half_widths)

    def _shaped(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if self._one_target else outputs

    def _settings(self) -> Settings:
        names = (
            "spec",
            "preset",
            "hidden",
            "activation",
            "learning_rate",
            "epochs",
            "batch_size",
            "early_stopping",
            "members",
            "interval_coverage",
            "n_jobs",
        )
        return Settings(self._task, **{name: getattr(self, name) for name in names})

    def _read_y(self, y: Any, *, reset: bool) -> np.ndarray:
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        if reset or not hasattr(self, "_one_target"):
            self._one_target = y.ndim == 1
        return y.astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
