"""Other libraries' models on the rows of a fold, with their own defaults.

Columns are prepared in the usual way of each model. Categories are text, or codes of the
training rows' values. A missing number is left to boosted trees; for networks the median
replaces it, beside an indicator. A date is the number of its day. scikit-learn's network
learns standardized targets; pytabkit's models standardize them by themselves.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from folded_tables import Fold, FoldedTable
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_MOST_CODES = 255  # of a column, in HistGradientBoosting


@dataclass(frozen=True)
class Frames:
    """A fold as frames of pandas: numbers, and categories of the training rows' values.

    Args:
        train: Inputs of the training rows.
        test: Inputs of the test rows; a category that the training rows lack is missing.
        target: Targets of the training rows: names of classes, or numbers.
        numbers: Names of the columns of numbers, dates among them.
        categories: Names of the columns of categories.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    target: np.ndarray
    numbers: list[str]
    categories: list[str]


def frames(table: FoldedTable, fold: Fold) -> Frames:
    """Returns the columns of a fold that are not left out, with their types."""
    facts = table.facts
    train, test = fold.train.to_pandas(), fold.test.to_pandas()
    columns: dict[str, tuple[pd.Series, pd.Series]] = {}
    for name in facts["numeric"]:
        columns[name] = (pd.to_numeric(train[name]), pd.to_numeric(test[name]))
    for name in facts["date"]:
        columns[name] = (_days(train[name]), _days(test[name]))
    for name in facts["category"]:
        kind = pd.CategoricalDtype(sorted(train[name].dropna().astype(str).unique()))
        columns[name] = (_text(train[name]).astype(kind), _text(test[name]).astype(kind))
    target = train[table.target]
    return Frames(
        pd.DataFrame({name: pair[0] for name, pair in columns.items()}),
        pd.DataFrame({name: pair[1] for name, pair in columns.items()}),
        np.asarray(target.astype(str) if table.classification else target.astype(float)),
        [*facts["numeric"], *facts["date"]],
        list(facts["category"]),
    )


def _text(column: pd.Series) -> pd.Series:
    return column.astype(str).where(column.notna(), None)


def _days(column: pd.Series) -> pd.Series:
    """Returns days since 1970 as numbers, NaN where a date is missing."""
    return (pd.to_datetime(column) - pd.Timestamp(0)) / pd.Timedelta(days=1)


def _filled(given: Frames) -> Frames:
    """Returns frames without gaps in numbers, which have an indicator instead."""
    parts = []
    for part in (given.train, given.test):
        part = part.copy()
        for name in given.numbers:
            if given.train[name].isna().any():
                part[f"{name} missing"] = part[name].isna().astype(float)
            part[name] = part[name].fillna(given.train[name].median())
        parts.append(part)
    numbers = [name for name in parts[0].columns if name not in given.categories]
    return Frames(*parts, given.target, numbers, given.categories)


# --- scikit-learn -------------------------------------------------------------------------


def _sk_mlp(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
    prepare = make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
            ),
            given.numbers,
        ),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), given.categories),
    )
    if classes:
        return make_pipeline(prepare, MLPClassifier(random_state=seed)), given
    network = make_pipeline(prepare, MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(network, transformer=StandardScaler()), given


def _hgb(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
    many = [name for name in given.categories if given.train[name].nunique() > _MOST_CODES]
    train, test = given.train.copy(), given.test.copy()
    for name in many:
        for part in (train, test):
            part[name] = part[name].cat.codes.astype(float).replace(-1.0, np.nan)
    coded = Frames(train, test, given.target, given.numbers, given.categories)
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return kind(random_state=seed), coded


# --- boosted trees of other libraries -----------------------------------------------------


def _lightgbm(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
    import lightgbm

    kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    return kind(n_jobs=threads, random_state=seed, verbose=-1), _plain_names(given)


def _plain_names(given: Frames) -> Frames:
    """Returns frames with columns named by numbers, since LightGBM refuses some characters."""
    plain = {name: f"c{index}" for index, name in enumerate(given.train.columns)}
    return Frames(
        given.train.rename(columns=plain),
        given.test.rename(columns=plain),
        given.target,
        [plain[name] for name in given.numbers],
        [plain[name] for name in given.categories],
    )


def _xgboost(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
    import xgboost

    kind = _XgbOfNames if classes else xgboost.XGBRegressor
    model = kind(n_jobs=threads, random_state=seed, enable_categorical=True)
    return model, _plain_names(given)


class _XgbOfNames:
    """XGBoost's classifier, which takes classes as numbers alone."""

    def __init__(self, **options: Any) -> None:
        import xgboost

        self._model = xgboost.XGBClassifier(**options)

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> _XgbOfNames:
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._model.fit(x, codes)
        return self

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        return self._model.predict_proba(x)


def _catboost(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
    import catboost

    texts = [part.copy() for part in (given.train, given.test)]
    for part in texts:
        for name in given.categories:
            part[name] = part[name].astype(object).where(part[name].notna(), "missing")
    kind = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
    model = kind(
        thread_count=threads,
        random_seed=seed,
        cat_features=given.categories,
        verbose=False,
        allow_writing_files=False,
    )
    return model, Frames(*texts, given.target, given.numbers, given.categories)


# --- torch --------------------------------------------------------------------------------


def _of_pytabkit(name: str, **options: Any) -> Callable[..., tuple[Any, Frames]]:
    """Returns a builder of one of pytabkit's models, which splits off 20 % for validation."""

    def build(classes: bool, threads: int, seed: int, given: Frames) -> tuple[Any, Frames]:
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Classifier' if classes else 'Regressor'}")
        model = kind(
            device="cpu", n_threads=threads, random_state=seed, verbosity=0, **options
        )
        return model, _filled(given)

    return build


@dataclass(frozen=True)
class _Contender:
    """A model of another library.

    Args:
        module: Name of the library's module.
        build: Callable that returns an estimator and the frames that it takes.
    """

    module: str
    build: Callable[..., tuple[Any, Frames]]


_CONTENDERS = {
    "sk_mlp": _Contender("sklearn", _sk_mlp),
    "hgb": _Contender("sklearn", _hgb),
    "lightgbm": _Contender("lightgbm", _lightgbm),
    "catboost": _Contender("catboost", _catboost),
    "xgboost": _Contender("xgboost", _xgboost),
    "td_s": _Contender("pytabkit", _of_pytabkit("RealMLP_TD_S")),
    "td": _Contender("pytabkit", _of_pytabkit("RealMLP_TD")),
    "tabm_d": _Contender("pytabkit", _of_pytabkit("TabM_D")),
    "tabm_mini_pwl_k8": _Contender(
        "pytabkit",
        _of_pytabkit(
            "TabM_D", arch_type="tabm-mini", num_emb_type="pwl", tabm_k=8, n_blocks=2
        ),
    ),
}

CONTENDERS = tuple(_CONTENDERS)
"""Names of the models; `baselines.csv` has the same names for those that it has."""


def installed_contenders() -> list[str]:
    """Returns the names of the models whose libraries are installed."""
    return [
        name
        for name, contender in _CONTENDERS.items()
        if importlib.util.find_spec(contender.module)
    ]


def library_of(name: str) -> str:
    """Returns the name of the module of a contender's library."""
    return _CONTENDERS[name].module


def train_contender(
    name: str,
    table: FoldedTable,
    fold: Fold,
    *,
    threads: int,
    seed: int,
    epochs: int | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Trains a contender, and returns predictions for the test rows.

    Args:
        name: One of `CONTENDERS`.
        table: Table whose columns say their kinds.
        fold: Training and test rows.
        threads: Threads of the model.
        seed: Seed of its random numbers.
        epochs: Number of epochs of a model of pytabkit; None leaves its default.

    Returns:
        Probabilities, (rows, classes), or values, (rows,); and the names of the classes.
    """
    given = frames(table, fold)
    model, taken = _CONTENDERS[name].build(table.classification, threads, seed, given)
    if epochs is not None:
        model.set_params(n_epochs=epochs)
    model.fit(taken.train, taken.target)
    if table.classification:
        return np.asarray(model.predict_proba(taken.test)), list(map(str, model.classes_))
    return np.asarray(model.predict(taken.test)).ravel(), []
