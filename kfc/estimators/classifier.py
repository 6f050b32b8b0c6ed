"""`kfc.Classifier`, scikit-learn's estimator of classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
)
from sklearn.utils.validation import column_or_1d

from kfc.errors import DataError, Finding
from kfc.estimators.inputs import missing_cells
from kfc.estimators.kfc_estimator import KfcEstimator
from kfc.estimators.settings import Settings


class Classifier(ClassifierMixin, KfcEstimator):
    """A dense network that classifies rows, as an estimator of scikit-learn.

    Scaling, the encoding of text, categories and dates, gaps and class names are part of it,
    so it needs no pipeline. A fifth of the rows chooses the best epoch, where that makes at
    least 20 rows. The order of the rows of an array does not matter.

    The default network is RealMLP-TD-S: Holzmueller, Grinsztajn, Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", 2024,
    https://arxiv.org/abs/2407.04491.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = kfc.Classifier(epochs=30, random_state=0).fit(X, y)
        >>> classifier.score(X, y) > 0.9
        True
        >>> classifier.predict_proba(X[:2]).shape
        (2, 3)

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
        class_weight: "balanced", or a factor of the loss for each class. With "balanced" the
            best epoch of a preset is that of the balanced accuracy, with other factors the
            last one.
        members: Number of networks of different seeds, whose probabilities are averaged.
        calibrate: True, or "temperature", divides logits by a temperature that is fitted on
            the validation rows.
        random_state: Seed, or a `numpy.random.RandomState` that draws one. None takes the seed
            that the spec names, and otherwise draws one from NumPy's global generator.
        warm_start: Whether `fit` begins with the weights, the encoding and the scaling of the
            fit before.
        verbose: Whether epochs are shown on stderr, 0 or 1.
        n_jobs: Number of TensorFlow's threads, which the first training of a process fixes;
            None and -1 take every core.
        run_folder: Folder that gets a numbered run folder from each fit; None leaves none.

    Attributes:
        classes_: Classes, sorted.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if all of them are text.
        n_iter_: Number of epochs trained, those of `partial_fit` after `fit` included.
        loss_curve_: Training loss of each epoch.
        best_loss_: Smallest of them.
        validation_scores_: Accuracy of the validation rows after each epoch, if there are any.
        best_validation_score_: Largest of them, or None.
        run_: The finished `kfc.Run`; of several members their `kfc.Ensemble`.
        model_: The network as a plain `keras.Model` of raw values.

    Raises:
        SpecError: In `fit`, if an argument has a wrong value.
    """

    _task = "classification"

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
        class_weight: Any = None,
        members: int = 1,
        calibrate: Any = None,
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
        self.class_weight = class_weight
        self.members = members
        self.calibrate = calibrate
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.run_folder = run_folder

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Trains one epoch on these rows, without validation rows.

        The first call fits the scaling and the encoding. The learning rate is constant.

        Args:
            X: Inputs, as for `fit`.
            y: Classes, (rows,).
            classes: All classes, in the first call.
            sample_weight: Weights, as for `fit`.

        Returns:
            The estimator.

        Raises:
            ValueError: If `classes` is missing in the first call, or `y` has another class.
        """
        first = not self.__sklearn_is_fitted__()
        if classes is not None and len(np.unique(classes)) == 1:
            raise _one_class(classes[0])
        _check_partial_fit_first_call(self, classes)
        return self._partial_fit(X, y, sample_weight, first=first)

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns logits, (rows, classes), or for two classes their difference, (rows,).

        Args:
            X: Inputs, as for `fit`.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each of `classes_`, (rows, classes).

        Args:
            X: Inputs, as for `fit`.
        """
        probabilities: np.ndarray = softmax(self._logits(X), axis=1)
        return probabilities

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Returns the logarithms of `predict_proba`, (rows, classes).

        Args:
            X: Inputs, as for `fit`.
        """
        logarithms: np.ndarray = log_softmax(self._logits(X), axis=1)
        return logarithms

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most likely class of each row, (rows,).

        Args:
            X: Inputs, as for `fit`.

        Raises:
            NotFittedError: If `fit` was not called.
            DataError: If the rows do not have the columns of the training rows.
        """
        best = self._logits(X).argmax(axis=1)
        classes: np.ndarray = self.classes_
        return classes[best]

    def _logits(self, X: Any) -> np.ndarray:
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:  # one logit, of the second of two classes
            return np.hstack([np.zeros_like(outputs), outputs])
        return outputs

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
            "class_weight",
            "members",
            "calibrate",
            "n_jobs",
        )
        return Settings(self._task, **{name: getattr(self, name) for name in names})

    def _read_y(self, y: Any, *, reset: bool) -> np.ndarray:
        """Returns the number of each row's class, and records the classes."""
        y = _one_per_row(y)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError("Input y contains NaN or infinity.")
        check_classification_targets(y)
        classes = np.unique(y)
        if reset:
            self.classes_ = classes
        known = self.classes_
        unknown = np.setdiff1d(classes, known)
        if len(unknown):
            raise ValueError(
                f"`y` has the classes {unknown.tolist()}, which are not in classes_ "
                f"{known.tolist()}"
            )
        return np.searchsorted(known, y).astype(np.int64)

    def _check_same_classes(self, y: Any) -> None:
        classes = np.unique(_one_per_row(y))
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
            )

    def _check_classes(self, y: np.ndarray) -> None:
        present = np.unique(y)
        if len(present) == 1:
            raise _one_class(self.classes_[present[0]])

    def _take_targets(self, class_names: tuple[str, ...], outputs: int) -> None:
        whole = all(name.lstrip("-").isdecimal() for name in class_names)
        self.classes_ = np.array([int(n) if whole else n for n in class_names])

    def _class_names(self) -> tuple[str, ...]:
        return tuple(map(str, self.classes_))

    def _smallest(self, y: np.ndarray) -> int:
        counts = np.bincount(y, minlength=len(self.classes_))
        return int(counts.min())


def _one_per_row(y: Any) -> np.ndarray:
    """Returns one class for each row, (rows,).

    Raises:
        DataError: If there are several, or a text is missing.
    """
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    if len(shape) == 2 and shape[1] > 1:
        remedy = (
            "Wrap it in sklearn.multioutput.MultiOutputClassifier or ClassifierChain, which "
            "fit one for each column of labels; for one-hot rows use y.argmax(axis=1)."
        )
        got = f"an array of shape {shape}"
        raise DataError(Finding("y", "one class per row", got, remedy))
    found: np.ndarray = column_or_1d(_plain(y), warn=True)
    if found.dtype.kind == "O" and (missing := missing_cells(found)).any():
        row = int(missing.argmax())
        got = f"{found[row]}, in {int(missing.sum()):,} of {len(found):,} rows"
        remedy = "Remove the rows without a class."
        raise DataError(Finding(f"y, row {row}", "a class in every row", got, remedy))
    return found


def _plain(y: Any) -> Any:
    """Returns integers and booleans of pandas' nullable types as NumPy's, not as floats."""
    kind = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    complete = kind is not None and kind.kind in "biu" and not y.isna().any()
    return y.to_numpy(kind) if complete else y


def _one_class(name: Any) -> DataError:
    got, remedy = f"only one class, {name}", "Pass rows of every class."
    return DataError(Finding("y", "at least two classes", got, remedy))
