"""The part of kfc's estimators that classes and numbers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from kfc.errors import DataError, Finding, SpecError
from kfc.estimators import settings as arguments
from kfc.estimators.inputs import Inputs, read_x
from kfc.estimators.kept_fit import KeptFit
from kfc.estimators.settings import Settings
from kfc.estimators.training_rows import (
    LabelledRows,
    as_raw_rows,
    in_one_order,
    one_pair,
    weighted_rows,
)
from kfc.spec import Spec, load_spec
from kfc.system import import_tensorflow

if TYPE_CHECKING:
    import keras

    from kfc.ensembles import Ensemble
    from kfc.reporting import Report
    from kfc.runs import Run

TARGET_NAMES = ("target", "label")
"""Names that a frame's column must not have beside a target of that name."""


class KfcEstimator(BaseEstimator, ABC):
    """Fitting, continuing and keeping, for `kfc.Classifier` and `kfc.Regressor`."""

    _task = ""

    # Attributes that `fit` sets.
    _kept: KeptFit
    _fill: np.ndarray | None
    _losses_before: list[float]

    def fit(self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> Self:
        """Trains a network on all rows but those that choose the best epoch.

        Args:
            X: Inputs, (rows, features): array, sparse matrix, nested lists, or a frame of
                pandas, polars or Arrow with numbers, text, categories, dates and gaps.
            y: Targets, (rows,); for a regression also (rows, outputs).
            sample_weight: Weight of each row, (rows,), at least 0. A row of weight 0 is no
                row. Whole numbers are repetitions, if they make at most ten times as many
                rows; others are factors of the loss, divided by their mean.
            eval_set: Rows `(X, y)` that choose the best epoch instead of a share
                of the rows; also a list with one such pair.

        Returns:
            The estimator.

        Raises:
            SpecError: If an argument of the estimator has a wrong value (a `ValueError`).
            DataError: If the rows must not be trained on (a `ValueError`).
            NumbersError: If a loss or a weight becomes NaN or infinite.
        """
        settings = self._settings()
        again = self.warm_start and hasattr(self, "_kept")
        spec = settings.resolve(_seed(self.random_state, settings))
        inputs = read_x(self, X, reset=not again)
        if again:
            self._check_same_classes(y)
        rows = self._labelled(inputs, y, sample_weight, reset=not again, complete=True)
        import_tensorflow()
        from kfc.estimators import fits

        held_out = None
        if eval_set is not None:
            held_out = self._eval_rows(eval_set)
            spec = load_spec(spec, {"data.validation": "own"})
        else:
            smallest = self._smallest(rows.y)
            spec = arguments.with_validation(spec, settings, len(rows), smallest)
        verbose = bool(self.verbose)
        if again and held_out is None:
            earlier = self._kept.fit
            self._kept = fits.fit_again(spec, earlier, rows, verbose=verbose)
        else:
            spec, rows, held_out = self._as_table(spec, rows, held_out, y)
            raw = as_raw_rows(spec, rows, held_out, self._class_names(), _target_names(y))
            self._kept = fits.fit_new(spec, raw, self.run_folder, verbose=verbose)
        self._record(rows)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, *, first: bool) -> Self:
        """Trains one epoch: the first one, or the next."""
        settings = self._settings()
        if settings.early_stopping:
            got = "partial_fit does not support early_stopping=True"
            remedy = "Set early_stopping to None or False."
            raise SpecError(Finding("early_stopping", "None or False", got, remedy))
        spec = arguments.continued(settings.resolve(_seed(self.random_state, settings)))
        inputs = read_x(self, X, reset=first)
        rows = self._labelled(inputs, y, sample_weight, reset=False, complete=False)
        import_tensorflow()
        from kfc.estimators import fits

        verbose = bool(self.verbose)
        if first:
            spec, rows, _ = self._as_table(spec, rows, None, y)
            raw = as_raw_rows(spec, rows, None, self._class_names(), _target_names(y))
            self._kept = fits.fit_first_epoch(spec, raw, verbose=verbose)
            before: list[float] = []
        else:
            # The seed of the first epoch: with another one, the rows would have another order.
            earlier = self._kept.fit
            spec = load_spec(spec, {"seed": earlier.spec.seed})
            by_fit = earlier.members[0].state is None
            before = self.loss_curve_ if by_fit else self._losses_before
            self._kept = fits.fit_next_epoch(spec, earlier, rows, verbose=verbose)
        self._record(rows, before)
        return self

    # --- rows ---------------------------------------------------------------------------

    def _labelled(
        self, inputs: Inputs, y: Any, sample_weight: Any, *, reset: bool, complete: bool
    ) -> LabelledRows:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        targets = self._read_y(y, reset=reset)
        check_consistent_length(range(len(inputs)), targets)
        if sample_weight is not None:
            numbered = np.empty((len(inputs), 1))
            sample_weight = _check_sample_weight(
                sample_weight, numbered, ensure_non_negative=True
            )
            if not sample_weight.any():
                raise DataError(
                    Finding(
                        "sample_weight",
                        "Sample weights must contain at least one non-zero number",
                        "zeros",
                        "Leave them out to count all rows.",
                    )
                )
        rows = weighted_rows(LabelledRows(inputs, targets), sample_weight)
        if complete:
            self._check_classes(rows.y)
        return in_one_order(rows)

    def _eval_rows(self, eval_set: Any) -> LabelledRows:
        x, y = one_pair(eval_set)
        inputs = read_x(self, x, reset=False)
        targets = self._read_y(y, reset=False)
        check_consistent_length(range(len(inputs)), targets)
        return LabelledRows(inputs, targets)

    def _as_table(
        self, spec: Spec, rows: LabelledRows, held_out: LabelledRows | None, y: Any
    ) -> tuple[Spec, LabelledRows, LabelledRows | None]:
        """Returns rows with gaps or text as a table, with the keys of the spec for it."""
        parts = [part for part in (rows, held_out) if part is not None]
        if not any(part.x.has_gaps or part.x.matrix is None for part in parts):
            return spec, rows, held_out
        parts = [LabelledRows(p.x.as_table(), p.y, p.sample_weight) for p in parts]
        table = parts[0].x
        # Several targets are no column; the reader takes them from beside the table.
        several = rows.y.ndim == 2 and rows.y.shape[1] > 1
        target = None if several else _target_name(y, table.names)
        values: dict[str, Any] = {"data.target": target}
        if table.numeric:
            empty = {name for name in table.names if table.is_empty(name)}
            kinds = {n: "ignore" if n in empty else "number" for n in table.names}
            values["data.columns"] = {**kinds, **spec.model_dump()["data"]["columns"]}
        return load_spec(spec, values), parts[0], parts[1] if held_out is not None else None

    def _check_same_classes(self, y: Any) -> None:
        """Refuses other classes than those of the fit before; not of a regression."""

    def _check_classes(self, y: np.ndarray) -> None:
        """Refuses targets of a single class; does nothing for a regression."""

    def _encoded(self, X: Any) -> np.ndarray:
        """Returns inputs as the networks take them, with gaps filled in."""
        check_is_fitted(self)
        inputs = read_x(self, X, reset=False)
        task = self._kept.fit.task
        from kfc.estimators import fits

        filled = task.table is None and self._fill is not None
        if filled and inputs.has_gaps and inputs.matrix is not None:
            gaps, fill = np.isnan(inputs.matrix), np.asarray(self._fill)
            inputs = Inputs(np.where(gaps, fill, inputs.matrix), None, inputs.names)
        return fits.encoded_inputs(inputs, task, "X")

    def _outputs(self, X: Any) -> np.ndarray:
        """Returns logits or values, (rows, outputs), float64."""
        x = self._encoded(X)
        return self._kept.fit.outputs(x)

    # --- what remains of a fit --------------------------------------------------------------

    def _record(self, rows: LabelledRows | None, before: Sequence[float] = ()) -> None:
        """Sets the attributes of a fitted estimator.

        Args:
            rows: Rows of the fit; None if they are not known.
            before: Losses of the epochs of `fit` that `partial_fit` continues.
        """
        matrix = None if rows is None else rows.x.matrix
        self._fill = None if matrix is None else np.median(matrix, axis=0)
        run = self._kept.fit.members[0].bare
        self._losses_before = list(before)
        self.loss_curve_ = [*before, *run.history["loss"]]
        self.n_iter_ = len(before) + run.epochs
        self.best_loss_ = min(self.loss_curve_)
        name = "val_accuracy" if self._task == "classification" else "val_r2"
        self.validation_scores_ = run.history.get(name)
        scores = self.validation_scores_
        self.best_validation_score_ = None if scores is None else max(scores)

    @property
    def run_(self) -> Run | Ensemble:
        """The finished run, or with several members their ensemble.

        Without `run_folder` it has no folder, and `run_.folder` is `<memory>`; `export`
        writes what a service needs.
        """
        check_is_fitted(self)
        return self._kept.result

    @property
    def model_(self) -> keras.Model:
        """The network as a plain `keras.Model` that takes raw values and returns logits."""
        return self.run_.model

    def export(self, path: str | Path, **options: Any) -> Any:
        """Exports the fitted network, as `kfc.export` exports a run.

        Args:
            path: Folder of the versions of the model.
            **options: Further arguments of `kfc.export`, such as `format="onnx"`.

        Returns:
            The `kfc.Export`.

        Raises:
            KfcError: As `kfc.export` does.
        """
        check_is_fitted(self)
        fit = self._kept.fit
        from kfc.estimators.persistence import written
        from kfc.exporting import export

        with written(fit) as result:
            return export(result, path, **options)

    def report(
        self, path: str | Path = "report.html", *, X: Any = None, y: Any = None
    ) -> Report:
        """Writes a page about the fitted network, as `kfc.report` does; a notebook shows it.

        An estimator keeps no rows. With rows that it was not fitted on, the page shows its
        answers for them: scores, curves, mistakes, importance of columns, layers. Without, it
        has the metrics of the fit, learning curves and the spec.

        Args:
            path: File to write.
            X: Rows to answer for, as `predict` takes them.
            y: Their targets, as `score` takes them.

        Raises:
            DataError: If the rows cannot be read, or if one of X and y is missing.
            DiskError: If the file cannot be written.
        """
        check_is_fitted(self)
        from kfc.data import Rows
        from kfc.estimators.persistence import written
        from kfc.reporting import report, report_on

        if (X is None) != (y is None):
            got, remedy = "one of them", "Pass both, or none."
            raise DataError(Finding("X and y", "rows and their targets", got, remedy))
        with written(self._kept.fit) as result:
            if X is None:
                return report(result, path=path)
            targets = self._read_y(y, reset=False)
            if self._task == "regression":
                targets = targets.reshape(len(targets), -1).astype(np.float32)
            check_consistent_length(X, targets)
            return report_on(result, Rows(self._encoded(X), targets), path)

    @classmethod
    def from_run(cls, run: Run | Ensemble | str | Path) -> Self:
        """Returns a fitted estimator that predicts with a finished run.

        Its arguments are `spec`, with the spec of the run, and `preset=None`. Classes that are
        written as whole numbers are integers.

        Args:
            run: Run or ensemble, or the folder of one.

        Raises:
            CheckpointError: If there is no finished run, or it is damaged.
            SpecError: If the run has another task.
        """
        import_tensorflow()
        from kfc.ensembles import read_fit

        folder = run if isinstance(run, (str, Path)) else run.folder
        fit = read_fit(Path(folder).expanduser().absolute())
        task = fit.task
        if task.classification != (cls._task == "classification"):
            remedy = "Use the other estimator."
            got = "a run on classes" if task.classification else "a run on numbers"
            raise SpecError(Finding("run", f"a run of a {cls._task}", got, remedy))
        result = None if isinstance(run, (str, Path)) else run
        estimator = cls(spec=fit.spec, preset=None)
        names = task.feature_names if task.table is None else tuple(task.table.columns)
        estimator.n_features_in_ = (
            len(names) or int(np.prod(task.input_shape)) if task.table is None else len(names)
        )
        if names:
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        estimator._kept = KeptFit(fit, result)
        estimator._take_targets(task.class_names, task.outputs)
        estimator._record(None)
        return estimator

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_kept")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    # --- of each task -----------------------------------------------------------------------

    @abstractmethod
    def _settings(self) -> Settings:
        """Returns the arguments, of which a spec is made."""

    @abstractmethod
    def _read_y(self, y: Any, *, reset: bool) -> np.ndarray:
        """Returns class numbers or values, and sets what `fit` learns from them if `reset`."""

    @abstractmethod
    def _take_targets(self, class_names: tuple[str, ...], outputs: int) -> None:
        """Sets the attributes that `fit` learns from targets, for a run."""

    def _class_names(self) -> tuple[str, ...] | None:
        return None

    def _smallest(self, y: np.ndarray) -> int | None:
        return None


def _seed(random_state: Any, settings: Settings) -> int | None:
    """Returns the seed of a fit; None for that of the spec.

    Without a random state, and a seed in the spec, NumPy's global generator draws it, as in
    scikit-learn.
    """
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    if random_state is None and settings.names_seed:
        return None
    return int(check_random_state(random_state).randint(2**31 - 1))


def _target_name(y: Any, columns: tuple[str, ...]) -> str:
    """Returns a name for the target's column that no input has."""
    own = getattr(y, "name", None)
    names: Iterator[str] = iter((str(own),) if isinstance(own, str) and own else ())
    for name in (*names, *TARGET_NAMES, "y"):
        if name not in columns:
            return name
    return "_".join((*columns, "target"))[-200:]


def _target_names(y: Any) -> tuple[str, ...]:
    columns = getattr(y, "column_names", getattr(y, "columns", ()))  # Arrow's, or others'
    return tuple(map(str, columns)) if len(columns) > 1 else ()
