"""Trains the rows of an estimator, and continues on other rows."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Prepared, RawRows, Rows, SplitRequest, Task, prepare, split
from kfc.ensembles import MemoryFit, fit, fit_all_in_memory, read_fit
from kfc.errors import DataError, Finding, SpecError
from kfc.estimators.inputs import Inputs
from kfc.estimators.kept_fit import KeptFit
from kfc.estimators.training_rows import LabelledRows
from kfc.runs import encoded_rows, raw_rows, typed_rows
from kfc.spec import Spec


def fit_new(spec: Spec, raw: RawRows, run_folder: Any, *, verbose: bool) -> KeptFit:
    """Trains the network of a spec, or its members.

    Args:
        spec: Spec of the estimator.
        raw: Rows.
        run_folder: Folder that gets a numbered run folder; None leaves no folder.
        verbose: Whether epochs are shown on stderr.

    Raises:
        KfcError: As `kfc.fit` does.
    """
    if run_folder is not None:
        result = fit(spec, data=raw, runs=Path(run_folder), verbose=verbose)
        return KeptFit(read_fit(result.folder), result)
    preparer = functools.partial(_prepared, raw)
    return KeptFit(fit_all_in_memory(spec, preparer, verbose=verbose))


def fit_again(spec: Spec, earlier: MemoryFit, rows: LabelledRows, *, verbose: bool) -> KeptFit:
    """Trains an earlier fit's networks from their weights, with its encoding and scaling."""
    _check_same_networks(spec, earlier, "warm_start")
    preparer = functools.partial(_continued, _untouched(earlier.task), rows)
    return KeptFit(fit_all_in_memory(spec, preparer, earlier=earlier, verbose=verbose))


def fit_first_epoch(spec: Spec, raw: RawRows, *, verbose: bool) -> KeptFit:
    """Trains one epoch of a training that has no end."""
    preparer = functools.partial(_prepared_part, raw)
    return KeptFit(fit_all_in_memory(spec, preparer, until=1, verbose=verbose))


def fit_next_epoch(
    spec: Spec, earlier: MemoryFit, rows: LabelledRows, *, verbose: bool
) -> KeptFit:
    """Trains one more epoch, with the optimizer's state of the epochs before if it has any."""
    _check_same_networks(spec, earlier, "partial_fit")
    state = earlier.members[0].state
    until = 1 if state is None else state.facts["progress"]["epoch"] + 1
    preparer = functools.partial(_continued, _untouched(earlier.task), rows)
    options: dict[str, Any] = {"earlier": earlier, "until": until, "verbose": verbose}
    return KeptFit(fit_all_in_memory(spec, preparer, **options))


def _check_same_networks(spec: Spec, earlier: MemoryFit, where: str) -> None:
    """Refuses to continue with the weights of other networks than those of a spec."""
    wanted, got = _networks(earlier.spec), _networks(spec)
    for name, value in wanted.items():
        if got[name] != value:
            remedy = "Set it back, or fit a clone of the estimator."
            expected = f"{name} {value}, as in the fit before"
            raise SpecError(Finding(where, expected, f"{got[name]}", remedy))


def _networks(spec: Spec) -> dict[str, Any]:
    """Returns the values on which the shapes of all weights depend."""
    network, layers = spec.network, spec.network.layers()
    return {
        "training.members": spec.training.members,
        "network.hidden": [layer.units for layer in layers],
        **{
            f"network.{name}": [getattr(layer, name) for layer in layers]
            for name in ("normalization", "use_bias", "parametric_activation")
        },
        "network.block": network.block.name,
        "network.members": network.members,
        "network.input_scale": network.input_scale,
        "network.numeric_embedding": network.numeric_embedding,
    }


def _prepared(raw: RawRows, spec: Spec) -> Prepared:
    return prepare(spec, raw, raw=raw)


def _prepared_part(raw: RawRows, spec: Spec) -> Prepared:
    """Prepares the first rows of a training by parts, which may be all of one class."""
    train, names = raw.source.train, raw.source.class_names
    if names is None or len(train) < 2 or (train.y != train.y[0]).any():
        return _prepared(raw, spec)
    # The encoding and the scaling do not look at the classes, so any two of them do.
    several = replace(train, y=np.arange(len(train)) % 2)
    prepared = _prepared(replace(raw, source=replace(raw.source, train=several)), spec)
    y = train.y.astype(prepared.train.y.dtype)
    return replace(prepared, train=replace(prepared.train, y=y))


def _untouched(task: Task) -> Task:
    """Returns a task without what was fitted after the training."""
    return replace(task, temperature=None, limits=None, intervals=None)


def _continued(task: Task, rows: LabelledRows, spec: Spec) -> Prepared:
    """Prepares other rows for the network of a task."""
    x = encoded_inputs(rows.x, task, "X")
    y = rows.y.astype(np.int32 if task.classification else np.float32)
    y = y if task.classification else y.reshape(len(y), -1)
    weight = rows.sample_weight
    train = Rows(x, y, None if weight is None else weight.astype(np.float32))
    validation, share = None, spec.data.validation
    if isinstance(share, float) and share:
        seed, where = spec.seed_of_rows, "data.validation"
        request = SplitRequest(y, share, seed, task.classification, where)
        first, second = split(request)
        train, validation = train.take(first), train.take(second)
        validation = replace(validation, sample_weight=None)
    return Prepared(train, validation, None, task, sha256="")


def encoded_inputs(inputs: Inputs, task: Task, where: str) -> np.ndarray:
    """Returns inputs as the network of a task takes them.

    Args:
        inputs: Rows of an estimator.
        task: Task of the network.
        where: Name of the rows in messages.

    Raises:
        DataError: If a table has other columns or cells than the training rows.
    """
    if task.table is not None:
        return encoded_rows(typed_rows(inputs.as_table().table, task, where), task, where)
    if inputs.matrix is None:
        remedy = "Turn its columns into numbers, as in training."
        got = "a table with text, categories or dates"
        raise DataError(Finding(where, "numbers, as in training", got, remedy))
    return raw_rows(inputs.matrix, task)
