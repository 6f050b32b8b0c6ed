"""Diagnoses a plain Keras model with its data, its loss and its optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from kfc.check_plugins import plugin_findings
from kfc.data import Parts, Rows, check_learned, check_parts, check_rows, evenly
from kfc.data.sources import from_memory
from kfc.diagnosing.diagnosis import Diagnosis, sorted_findings
from kfc.errors import DataError, Finding, SpecError
from kfc.findings import find_check
from kfc.first_steps import (
    LossFacts,
    Subject,
    entry_rms,
    examine_network,
    find_all,
    without_consequences,
)

_RATES = 512  # steps at which a schedule is looked at


@dataclass(frozen=True)
class ModelTraining:
    """Training of a plain Keras model, with the names of Keras's `compile` and `fit`.

    Args:
        loss: Loss; None takes that of the compiled model.
        optimizer: Optimizer; None takes that of the compiled model.
        validation_data: `(x, y)` that are only measured.
        validation_split: Share of the rows, the last ones, that Keras sets aside.
        batch_size: Rows of a step.
        epochs: Passes over the rows; None where the number is unknown.
        shuffle: Whether each epoch has a new order of rows.
    """

    loss: Any = None
    optimizer: Any = None
    validation_data: Any = None
    validation_split: float = 0.0
    batch_size: int = 32
    epochs: int | None = None
    shuffle: bool = True


def diagnose_model(model: keras.Model, data: Any, training: ModelTraining) -> Diagnosis:
    """Diagnoses a plain Keras model, whose weights are not changed.

    Args:
        model: Any Keras model with one input and one output.
        data: Rows, as for `kfc.fit`.
        training: Its loss, its optimizer and its further rows.

    Raises:
        SpecError: If there are no data or no loss, or the model has several inputs or outputs
            or cannot be copied.
        DataError: If the data have another form.
    """
    _check_has_one_of_each(model)
    loss = _loss(model, training)
    train, others = _parts(data, training)
    findings: list[Finding] = []
    measured: dict[str, float] = {}
    for rows, where in ((train, "training rows"), *((r, w) for w, r in others.items())):
        try:
            check_rows(rows, where)
        except DataError as error:
            findings += error.findings
    if not findings and loss.compared == "numbers":
        constant = find_check("target_constant")
        findings += constant.find(train, "training rows", regression=True) if constant else ()
    if not findings:
        parts = _plain_parts(train, others, loss, training)
        findings += [*check_parts(parts), *_learned(parts, train)]
        findings += plugin_findings("parts", (), parts)
        subject = _subject(model, train, loss, training)
        found, measured = examine_network(subject, plain=True)
        if not {"value_not_embedded", "rows_not_computed"} & {each.name for each in found}:
            findings += _unscaled(subject)
        findings = without_consequences(findings + found)
    return Diagnosis(_without_paths(findings), measured, model.name)


def _check_has_one_of_each(model: keras.Model) -> None:
    """Refuses a model of several inputs or outputs; of another class they are unknown."""
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if max(len(inputs), len(outputs)) <= 1:
        return
    names = ", ".join(each.name for each in inputs)
    counts = [
        f"{len(each)} {word}{'s' * (len(each) != 1)}"
        for each, word in ((inputs, "input"), (outputs, "output"))
    ]
    raise SpecError(
        Finding(
            "model",
            "a model with one input and one output",
            f"{counts[0]} ({names}) and {counts[1]}",
            "Diagnose one output at a time: keras.Model(model.input, model.outputs[0]). "
            "Several inputs can be one array that layers inside the model take apart.",
        )
    )


def _loss(model: keras.Model, training: ModelTraining) -> LossFacts:
    loss = training.loss if training.loss is not None else getattr(model, "loss", None)
    if loss is None:
        remedy = "Pass loss='sparse_categorical_crossentropy', or compile the model."
        raise SpecError(Finding("loss", "the loss of the model", "none", remedy))
    try:
        return LossFacts.of(loss)
    except (ValueError, TypeError) as error:
        raise SpecError(Finding("loss", "a loss of Keras", repr(loss), str(error))) from error


def _parts(data: Any, training: ModelTraining) -> tuple[Rows, dict[str, Rows]]:
    """Returns training rows and held-out rows by their name in messages."""
    if data is None:
        raise SpecError(Finding("data", "the rows of the model", "none", "Pass data=(x, y)."))
    if not isinstance(data, Mapping) and training.validation_data is not None:
        data = {"train": data, "validation": training.validation_data}
    source = from_memory(data)
    train = replace(source.train, feature_names=source.feature_names)
    others = {"validation rows": source.validation, "test rows": source.test}
    if training.validation_split:
        kept = int(len(train) * (1 - training.validation_split))
        others["validation rows"] = train.take(np.arange(kept, len(train)))
        train = train.take(np.arange(kept))
    return train, {where: rows for where, rows in others.items() if rows is not None}


def _plain_parts(
    train: Rows, others: Mapping[str, Rows], loss: LossFacts, training: ModelTraining
) -> Parts:
    """Returns the rows with their classes numbered, also of text."""
    y = _labels(train.y)
    if loss.compared not in ("codes", "one_hot", "flags") and not _are_codes(y):
        shuffle = training.shuffle
        return Parts(train, others, shuffle=shuffle, pixels=train.x.dtype == np.uint8)
    every = [y, *(_labels(rows.y) for rows in others.values())]
    names, numbers = np.unique(np.concatenate(every), return_inverse=True)
    ends = np.cumsum([len(each) for each in every])[:-1]
    first, *rest = np.split(numbers.reshape(-1), ends)
    pairs = zip(others.items(), rest, strict=True)
    return Parts(
        replace(train, y=first),
        {where: replace(rows, y=own) for (where, rows), own in pairs},
        tuple(map(str, names)),
        shuffle=training.shuffle,
        pixels=train.x.dtype == np.uint8,
    )


def _learned(parts: Parts, train: Rows) -> list[Finding]:
    """Returns the findings of a forest; the targets of an autoencoder are in its inputs."""
    found = list(check_learned(parts))
    if train.x.shape == train.y.shape and np.array_equal(train.x[:], train.y):
        found = [each for each in found if each.name != "target_in_column"]
    return found


def _labels(y: np.ndarray) -> np.ndarray:
    """Returns one label for each row, also of one-hot rows."""
    rows = y.reshape(len(y), -1)
    return rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0]


def _are_codes(y: np.ndarray) -> bool:
    """Returns whether targets look like classes to a loss of numbers: a few integers."""
    return y.dtype.kind in "biuUSO" and len(np.unique(y.astype(str))) <= len(y) ** 0.5


def _subject(
    model: keras.Model, train: Rows, loss: LossFacts, training: ModelTraining
) -> Subject:
    x, y = np.asarray(train.x[:]), np.asarray(train.y)
    if not model.built:
        model(x[:1])
    optimizer: Any = training.optimizer or getattr(model, "optimizer", None)
    optimizer = keras.optimizers.get(optimizer) if optimizer is not None else None
    rate = _largest_rate(optimizer)
    batches = -(-len(train) // training.batch_size)

    def make() -> Any:
        config = {**optimizer.get_config(), "learning_rate": rate}
        return type(optimizer).from_config(config)

    of_classes = loss.compared in ("codes", "one_hot", "flags")
    return Subject(
        model,
        loss,
        x,
        y,
        make if optimizer is not None else None,
        learning_rate=rate,
        batch_size=training.batch_size,
        steps=batches * (training.epochs or 0),
        mean_rate=_mean_rate(optimizer, batches * (training.epochs or 1)),
        num_classes=len(np.unique(_labels(y))) if of_classes else 0,
        weights=train.sample_weight,
    )


def _largest_rate(optimizer: keras.optimizers.Optimizer | None) -> float:
    """Returns the largest learning rate of an optimizer, also of a schedule."""
    if optimizer is None:
        return 0.0
    schedule = _schedule(optimizer)
    if schedule is None:
        return float(optimizer.get_config()["learning_rate"])
    return max(float(schedule(step)) for step in (0, 1, 10, 100, 1000, 10_000))


def _mean_rate(optimizer: keras.optimizers.Optimizer | None, steps: int) -> float:
    """Returns the mean of the rate over some steps as a share of their largest rate."""
    schedule = None if optimizer is None else _schedule(optimizer)
    if schedule is None:
        return 1.0
    rates = np.array([float(schedule(step)) for step in evenly(steps, _RATES)])
    return float(rates.mean() / rates.max()) if rates.max() > 0 else 0.0


def _schedule(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the schedule of the learning rate, None for a constant one."""
    rate = optimizer.get_config()["learning_rate"]
    if not isinstance(rate, Mapping):
        return None
    return keras.optimizers.schedules.deserialize(dict(rate))


def _unscaled(subject: Subject) -> list[Finding]:
    """Finds inputs of the first layer with weights that are far too large."""
    size = entry_rms(subject)
    if size is None:
        return []
    # The check asks a scaling for the size of its results; here the model has scaled.
    scaling = SimpleNamespace(rms=lambda x: size)
    remedy = "Scale the inputs: divide pixels by 255, or adapt a keras.layers.Normalization."
    found = find_all("scaling", (), scaling, subject.some[0], "training rows", "none")
    return [replace(each, remedy=remedy) for each in found]


def _without_paths(findings: list[Finding]) -> tuple[Finding, ...]:
    """Returns findings without changes of a spec, which a plain model does not have."""
    return sorted_findings([replace(each, cure={}) for each in findings])
