"""`kfc.Regressor`, scikit-learn's estimator of numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from kfc.errors import DataError, Finding, SpecError
from kfc.estimators.kfc_estimator import KfcEstimator
from kfc.estimators.settings import Settings


class Regressor(RegressorMixin, KfcEstimator):
    """A dense network that predicts numbers, as an estimator of scikit-learn.

    Scaling of inputs and targets, the encoding of text, categories and dates, and gaps are
    part of it, so it needs no pipeline. A fifth of the rows chooses the best epoch, where that
    makes at least 20 rows. The order of the rows of an array does not matter.

    The default network is RealMLP-TD-S: Holzmueller, Grinsztajn, Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", 2024,
    https://arxiv.org/abs/2407.04491.

    Examples:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> regressor = kfc.Regressor(epochs=30, interval_coverage=0.9, random_state=0)
        >>> regressor = regressor.fit(X, y)
        >>> lower, upper = regressor.predict_interval(X)
        >>> bool((lower < regressor.predict(X)).all() and (lower < upper).all())
        True

    Args:
        spec: Values of further keys: a dict, a file, the name of a built-in spec or a
            `kfc.Spec`. Its source and its test rows are not used; the arguments win over it.
        preset: Name of the values for keys that neither the spec nor the arguments have;
            None takes kfc's plain defaults.
        hidden: Number of units of a hidden layer, or a list with one number for each.
        activation: Activation of every hidden layer.
        learning_rate: Learning rate; the initial one, where the preset or the spec has a
            schedule. A dict is another schedule.
        epochs: Number of passes over the training rows.
        batch_size: Number of rows per step.
        early_stopping: True, or a number of epochs of patience, or the keys of
            `training.early_stopping`; False takes the last epoch and holds out no rows.
            None leaves it to the preset, whose best epoch is that of the validation rows.
        members: Number of networks of different seeds, whose values are averaged.
        interval_coverage: Share of rows, in (0, 1), whose target shall be between the bounds
            of `predict_interval`; half of the validation rows are for them.
        random_state: Seed, or a `numpy.random.RandomState` that draws one. None takes the seed
            that the spec names, and otherwise draws one from NumPy's global generator.
        warm_start: Whether `fit` begins with the weights, the encoding and the scaling of the
            fit before.
        verbose: Whether epochs are shown on stderr, 0 or 1.
        n_jobs: Number of TensorFlow's threads, which the first training of a process fixes;
            None and -1 take every core.
        run_folder: Folder that gets a numbered run folder from each fit; None leaves none.

    Attributes:
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if all of them are text.
        n_iter_: Number of epochs trained, those of `partial_fit` after `fit` included.
        loss_curve_: Training loss of each epoch.
        best_loss_: Smallest of them.
        validation_scores_: R2 of the validation rows after each epoch, if there are any.
        best_validation_score_: Largest of them, or None.
        run_: The finished `kfc.Run`; of several members their `kfc.Ensemble`.
        model_: The network as a plain `keras.Model` of raw values.

    Raises:
        SpecError: In `fit`, if an argument has a wrong value.
    """

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
        return self._partial_fit(X, y, sample_weight, first=not self.__sklearn_is_fitted__())

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted numbers, (rows,), or (rows, outputs) for several.

        Args:
            X: Inputs, as for `fit`.

        Raises:
            NotFittedError: If `fit` was not called.
            DataError: If the rows do not have the columns of the training rows.
        """
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
        try:
            y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        except ValueError:
            texts = (
                each for each in np.asarray(y, dtype=object).flat if isinstance(each, str)
            )
            if (text := next(texts, None)) is None:
                raise
            got, remedy = f"text such as {text!r}", "Use kfc.Classifier for classes."
            raise DataError(Finding("y", "numbers", got, remedy)) from None
        if reset or not hasattr(self, "_one_target"):
            self._one_target = y.ndim == 1
        return y.astype(np.float64)

    def _take_targets(self, class_names: tuple[str, ...], outputs: int) -> None:
        self._one_target = outputs == 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
