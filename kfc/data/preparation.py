"""A spec (or arrays) -> checked, split rows with class names, and a fitted scaling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kfc.data.checks import check_rows, check_scaled, check_targets_differ
from kfc.data.encoding import are_pixels, encoded, encoded_like
from kfc.data.precision import TARGET_STEPS, check_precision, check_scaled_finite
from kfc.data.rows import Rows, Source
from kfc.data.sources import from_memory
from kfc.data.splits import split
from kfc.data.targets import Classes, as_text, read_classes
from kfc.data.task import Task
from kfc.errors import DataError, Finding, PluginError, SpecError
from kfc.preprocessing import NumericScaling, TargetScaling
from kfc.registry import SOURCES
from kfc.spec import OWN, Spec, shown_value
from kfc.system import Mapped, chunks, memory

_TEST_SHARE = 0.2  # of the rows of a source without a test split
_VALIDATION_SHARE = 0.1  # of the training rows, unless the data or the spec say otherwise
_RESIDENT_SHARE = 0.25
"""Of the memory that resident inputs may take: TensorFlow holds a copy of its own, and a
split of them is one too."""


@dataclass(frozen=True)
class Prepared:
    """Everything training needs to know of the data.

    Targets of classes are their numbers 0, 1, ... (int32); other targets float32,
    (rows, outputs). Inputs are uint8 as they came, or float32. Only training rows have
    weights (float32), where the source has: what is held out is measured without.

    Args:
        train: Rows to train on.
        validation: Rows that are measured during training, or None.
        test: Rows that are measured after training.
        task: Shape of a row, classes and scaling.
        sha256: Hash of all rows of the source.
        resolved: Keys of the spec's `data` that only the data could tell, with their values.
    """

    train: Rows
    validation: Rows | None
    test: Rows
    task: Task
    sha256: str
    resolved: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held_out(self) -> dict[str, Rows]:
        """The rows nothing trains on, by the prefix of their metrics: `val`, `test`."""
        validation = {} if self.validation is None else {"val": self.validation}
        return {**validation, "test": self.test}

    @property
    def watched(self) -> tuple[str, Rows]:
        """The rows measured during training: validation, else test, with their prefix."""
        return next(iter(self.held_out.items()))


def read_source(name: str) -> Source:
    """Reads `kind:argument` with the source that owns `kind`.

    Raises:
        DataError: If the data cannot be read.
        PluginError: If a plug-in's source gives something else than a `Source`.
    """
    kind, _, argument = name.partition(":")
    read = SOURCES.get(kind, "data.source")
    with SOURCES.guard(kind, name):
        source = read(argument)
    for expected, got in _not_of_source(source):
        remedy = "Mend it; kfc.testing.check_source tries it."
        raise PluginError(Finding(f"source {kind!r}", expected, got, remedy))
    return source


def _not_of_source(source: Any) -> Iterator[tuple[str, str]]:
    """Yields what was expected of a source's answer, and what it is instead."""
    if not isinstance(source, Source):
        yield "a kfc.data.Source", type(source).__name__
        return
    for rows in (source.train, source.test, source.validation):
        parts = rows.parts if isinstance(rows, Rows) else (rows,)
        none = rows is None and rows is not source.train
        if not none and not all(isinstance(p, (np.ndarray, Mapped)) for p in parts):
            got = ", ".join(type(part).__name__ for part in parts)
            yield "kfc.data.Rows of NumPy arrays", got
    for what, names in (("labels", source.class_names), ("columns", source.feature_names)):
        if names is None and what == "labels":
            continue
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            yield f"{what} as a tuple of text", shown_value(names)
        elif len(set(names)) < len(names):
            yield f"{what} that differ", shown_value(names)
    if source.class_names is not None and len(source.class_names) < 2:
        yield "at least two labels", shown_value(source.class_names)


def prepare(
    spec: Spec, data: Any = None, *, read: Callable[[str], Source] = read_source
) -> Prepared:
    """Reads, checks, encodes, splits and measures the data of `spec`.

    The test rows are the source's own, or 20 % of it. The validation rows are the source's
    own, those of another source, or a share of the rest. Splits are shuffled, stratified and
    seeded, and made before any scaling is fitted; rows keep their order within a part.

    Args:
        spec: A checked spec.
        data: Rows in memory instead of `data.source`,
            see `kfc.data.sources.in_memory.from_memory`.
        read: Reads a source by name; one that remembers reads it once for many specs.

    Raises:
        DataError: If the data cannot be read, or must not be trained on.
    """
    source, name, share = _gathered(spec, data, read)
    other = share if ":" in str(share) else name
    places = (f"{name}, training rows", f"{name}, test rows", f"{other}, validation rows")
    parts = (source.train, source.test, source.validation)
    _check_parts(parts, places, source.feature_names)
    check_precision(source.train.x, places[0], "x", source.feature_names)
    sha256 = _sha256(*parts)
    classes = read_classes(source, name, task=spec.data.task)

    pixels = spec.data.pixels
    if pixels is None:
        divided = spec.data.scale in ("unit", "centered")
        pixels = are_pixels(source.train.x, places[0], divided=divided)
    train = encoded(source.train, classes, places[0], pixels=pixels)
    if classes is None:
        where = f"{places[0]}, targets"
        check_precision(source.train.y, where, "y", steps=TARGET_STEPS)
        check_targets_differ(train.y, places[0])
    test, validation = (
        encoded_like(train, rows, classes, where, cast=spec.data.pixels is True)
        for rows, where in zip(parts[1:], places[1:], strict=True)
    )
    if test is None:
        train, test = _split(train, spec, _TEST_SHARE, f"{name}, test rows", classes)
    if spec.data.rows is not None and spec.data.rows < len(train):
        _, train = _split(train, spec, spec.data.rows, "data.rows", classes)
    if isinstance(share, float) and share > 0:
        train, validation = _split(train, spec, share, "data.validation", classes)
    task = _task(spec, train, classes, source, places[0])
    _check_scaled(task, parts, places)
    test = Rows(test.x, test.y)
    if validation is not None:
        validation = Rows(validation.x, validation.y)
    resolved = {
        "task": "classification" if classes else "regression",
        "pixels": pixels,
        "validation": share,
        "stream": "always" if isinstance(train.x, Mapped) else "never",
    }
    return Prepared(train, validation, test, task, sha256, resolved)


def _gathered(
    spec: Spec, data: Any, read: Callable[[str], Source]
) -> tuple[Source, str, float | str]:
    """Returns all rows, what to call them, and what `data.validation` comes to."""
    source, name = _source(spec, data, read)
    share = _validation(spec, source, name)
    if ":" in str(share):
        source = replace(source, validation=_of_other_source(source, str(share), read))
    if _streams(spec, source):
        return replace(source, train=_mapped(source.train)), name, share
    source = replace(
        source,
        train=_loaded(source.train),
        test=_loaded(source.test),
        validation=_loaded(source.validation),
    )
    return source, name, share


def _validation(spec: Spec, source: Source, name: str) -> float | str:
    """Returns what `data.validation` comes to: a share, a source, or `own` rows.

    Raises:
        DataError: If the spec asks for `own` rows that are not there, or for others beside
            those that are.
    """
    said = spec.data.validation
    if source.validation is None:
        if said == OWN:
            expected = "validation rows of their own in the data"
            got = f"{OWN}, while {name} has none"
            remedy = "Pass data={'train': ..., 'validation': ...}, or set a share such as 0.1."
            raise DataError(Finding("data.validation", expected, got, remedy))
        return _VALIDATION_SHARE if said is None else said
    if said not in (None, OWN):
        expected = "one place from which validation rows come"
        got = f"{shown_value(said)}, while {name} has validation rows of its own"
        remedy = f"Leave data.validation out or set it to {OWN}; or drop those rows."
        raise DataError(Finding("data.validation", expected, got, remedy))
    return OWN


def _of_other_source(source: Source, name: str, read: Callable[[str], Source]) -> Rows:
    """Returns the validation rows of another source, whose names must be the same.

    Raises:
        DataError: If inputs or classes are called otherwise, or come in another order.
    """
    other = read(name)
    if other.train.x.shape[1:] != source.train.x.shape[1:]:
        return other.train  # which is refused for its shape
    for what, wanted, got in (
        ("columns", source.feature_names, other.feature_names),
        ("classes", source.class_names, other.class_names),
    ):
        if wanted and got and wanted != got:
            expected = f"the {what} {', '.join(wanted[:10])}, in this order, as in training"
            remedy = "Choose a source with the same names."
            where = f"{name}, validation rows"
            raise DataError(Finding(where, expected, ", ".join(got[:10]), remedy))
    return other.train


def _check_scaled(task: Task, parts: Sequence[Rows | None], places: Sequence[str]) -> None:
    for rows, where in zip(parts, places, strict=True):
        if rows is not None:
            check_scaled_finite(task.scaling, rows.x, where, task.feature_names)


def _streams(spec: Spec, source: Source) -> bool:
    """Returns whether training rows are read from the disk as they are needed."""
    if spec.data.stream != "auto":
        return spec.data.stream == "always"
    x = source.train.x
    return isinstance(x, Mapped) and x.nbytes > _RESIDENT_SHARE * memory.limit_bytes()


def _mapped(rows: Rows) -> Rows:
    # What is masked, or no rows at all, stays what it is for the checks to refuse.
    if isinstance(rows.x, (Mapped, np.ma.MaskedArray)) or rows.x.ndim == 0:
        return rows
    return replace(rows, x=Mapped(rows.x))


def _loaded(rows: Rows | None) -> Any:
    if rows is None or not isinstance(rows.x, Mapped):
        return rows
    return replace(rows, x=rows.x[:])


def _check_parts(
    parts: Sequence[Rows | None], places: Sequence[str], feature_names: tuple[str, ...]
) -> None:
    """Runs the checks over every part; only the first, the training rows, has weights."""
    for number, (rows, where) in enumerate(zip(parts, places, strict=True)):
        if rows is None:
            continue
        check_rows(replace(rows, feature_names=feature_names), where)
        if number and rows.sample_weight is not None:
            raise DataError(
                Finding(
                    where,
                    "rows without weights: all of them count the same in an evaluation",
                    "weights",
                    "Pass ((x, y, sample_weight), (x_test, y_test)).",
                )
            )


def _task(
    spec: Spec, train: Rows, classes: Classes | None, source: Source, where: str
) -> Task:
    """Measures the training rows, and nothing else."""
    scaling = NumericScaling.fit(spec.data.scale, train.x)
    scale_target = "none" if classes else spec.data.scale_target
    if "unscaled_input" not in spec.accept:
        check_scaled(scaling.rms(train.x), spec.data.scale, where)
    return Task(
        input_shape=train.x.shape[1:],
        input_dtype=str(train.x.dtype),
        class_names=classes.class_names if classes else (),
        outputs=1 if classes else train.y.shape[1],
        scaling=scaling,
        target_scaling=TargetScaling.fit(scale_target, train.y),
        feature_names=source.feature_names,
        targets=() if classes else source.targets,
    )


def _source(spec: Spec, data: Any, read: Callable[[str], Source]) -> tuple[Source, str]:
    if data is not None:
        return data if isinstance(data, Source) else from_memory(data), "data"
    if spec.data.source is None:
        raise SpecError(
            Finding(
                "data.source",
                "a source, or data= in Python",
                "neither",
                "Add for example source: sklearn:digits.",
            )
        )
    return read(spec.data.source), spec.data.source


def _split(
    rows: Rows, spec: Spec, share: float | int, where: str, classes: Classes | None
) -> tuple[Rows, Rows]:
    first, second = split(
        rows.y, share=share, seed=spec.seed, stratify=classes is not None, where=where
    )
    return rows.take(first), rows.take(second)


def _sha256(*parts: Rows | None) -> str:
    """Returns a hash of every input, target and weight, to tell changed data by."""
    digest = hashlib.sha256()
    for rows in parts:
        for values in rows.parts if rows is not None else ():
            values = values if isinstance(values, Mapped) else as_text(values)
            digest.update(f"{values.shape} {values.dtype}".encode())
            for _, part in chunks(values):
                digest.update(np.ascontiguousarray(part).view(np.uint8).data)
    return digest.hexdigest()
