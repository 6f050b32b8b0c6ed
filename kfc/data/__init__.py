"""A spec (or arrays) -> checked, split rows with class names, and a fitted scaling."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kfc.data.checks import check_rows, check_scaled
from kfc.data.memory import from_memory
from kfc.data.rows import Rows, Source
from kfc.data.scaling import Scaling, fit_scaling
from kfc.data.splits import split
from kfc.errors import DataError, Fault, KfcError, PluginError, SpecError
from kfc.registry import SOURCES
from kfc.spec import Spec

__all__ = ["Prepared", "Rows", "Scaling", "Source", "Task", "prepare", "read_source"]

_TEST_SHARE = 0.2  # of the rows of a source without a test split


@dataclass(frozen=True)
class Task:
    """What one row looks like, and what is asked of it.

    Args:
        input_shape: Shape of one row, such as (28, 28, 1).
        input_dtype: `uint8` or `float32`.
        labels: Names of the classes; empty for regression.
        outputs: Numbers per row of a regression; 1 for classes.
        scaling: Of the inputs.
        target_scaling: Of regression targets, for the loss alone.
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    labels: tuple[str, ...]
    outputs: int = 1
    scaling: Scaling = field(default_factory=lambda: fit_scaling("none", np.zeros((1, 1))))
    target_scaling: Scaling = field(
        default_factory=lambda: fit_scaling("none", np.zeros((1, 1)))
    )

    @property
    def classification(self) -> bool:
        """Whether rows belong to classes, rather than to numbers."""
        return bool(self.labels)


@dataclass(frozen=True)
class Prepared:
    """Everything training needs to know of the data.

    Targets of classes are their numbers 0, 1, ... (int32); other targets float32,
    (rows, outputs). Inputs are uint8 as they came, or float32.
    """

    train: Rows
    validation: Rows | None
    test: Rows
    task: Task
    sha256: str

    @property
    def held_out(self) -> dict[str, Rows]:
        """The rows nothing trains on, by the prefix of their metrics: `val`, `test`."""
        validation = {} if self.validation is None else {"val": self.validation}
        return {**validation, "test": self.test}


def read_source(name: str) -> Source:
    """Reads `kind:argument` with the source that owns `kind`.

    Raises:
        DataError: If the data cannot be read.
        PluginError: If a plug-in's source gives something else than a `Source`.
    """
    kind, _, argument = name.partition(":")
    read = SOURCES.get(kind, "data.source")
    try:
        source = read(argument)
    except KfcError:
        raise
    except Exception as error:
        if kind in SOURCES.builtins:
            raise
        got = f"{type(error).__name__}: {error}"
        fault = Fault(name, "rows", got, "Change data.source, or mend the plug-in.")
        raise PluginError(fault) from error
    if not isinstance(source, Source):
        raise PluginError(
            Fault(f"source {kind!r}", "a kfc.data.Source", type(source).__name__, "Mend it.")
        )
    return source


def prepare(spec: Spec, data: Any = None) -> Prepared:
    """Reads, checks, encodes, splits and measures the data of `spec`.

    The test rows are the source's own, or 20 % of it. The validation rows are a share of
    the rest, or a source of their own. Both splits are shuffled, stratified and seeded,
    and made before any scaling is fitted; rows keep their order within a part.

    Args:
        spec: A checked spec.
        data: Rows in memory instead of `data.source`, see `kfc.data.memory.from_memory`.

    Raises:
        DataError: If the data cannot be read, or must not be trained on.
    """
    source, name = _source(spec, data)
    check_rows(source.train, f"{name}, training rows")
    if source.test is not None:
        check_rows(source.test, f"{name}, test rows")
    sha256 = _sha256(source)
    classification = _is_classification(spec, source)
    encode = _classes(source, name) if classification else None

    train = _encoded(source.train, encode, f"{name}, training rows")
    if source.test is not None:
        test = _encoded(source.test, encode, f"{name}, test rows")
    else:
        train, test = _split(train, spec, _TEST_SHARE, name, classification)
    if spec.data.rows is not None and spec.data.rows < len(train):
        _, train = _split(train, spec, spec.data.rows, "data.rows", classification)

    validation = None
    if isinstance(spec.data.validation, str):
        own = read_source(spec.data.validation).train
        check_rows(own, spec.data.validation)
        validation = _encoded(own, encode, spec.data.validation)
    elif spec.data.validation > 0:
        share = spec.data.validation
        train, validation = _split(train, spec, share, "data.validation", classification)
    for part, rows in (("test rows", test), ("validation rows", validation)):
        if rows is not None and rows.x.shape[1:] != train.x.shape[1:]:
            raise DataError(
                Fault(
                    f"{name}, {part}",
                    f"inputs of shape {train.x.shape[1:]} as in training",
                    f"{rows.x.shape[1:]}",
                    "Give both the same features.",
                )
            )
    scaling = fit_scaling(spec.data.scale, train.x)
    if "unscaled_input" not in spec.accept:
        check_scaled(scaling.rms(train.x), spec.data.scale, f"{name}, training rows")
    target_scale = "none" if classification else spec.data.scale_target
    task = Task(
        input_shape=train.x.shape[1:],
        input_dtype=str(train.x.dtype),
        labels=encode.labels if encode else (),
        outputs=1 if classification else train.y.shape[1],
        scaling=scaling,
        target_scaling=fit_scaling(target_scale, train.y),
    )
    return Prepared(train, validation, test, task, sha256)


@dataclass(frozen=True)
class _Classes:
    """Raw targets -> numbers of classes."""

    values: np.ndarray
    labels: tuple[str, ...]

    def __call__(self, y: np.ndarray, where: str) -> np.ndarray:
        numbers = np.searchsorted(self.values, y).clip(max=len(self.values) - 1)
        unknown = self.values[numbers] != y
        if unknown.any():
            row = int(np.argmax(unknown))
            shown = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
            raise DataError(
                Fault(
                    f"{where}, row {row}",
                    f"one of the {len(self.labels)} labels {shown}",
                    f"{y[row]!s}",
                    "Drop such rows, or add the label to the training rows.",
                )
            )
        return numbers.astype(np.int32)


def _source(spec: Spec, data: Any) -> tuple[Source, str]:
    if data is not None:
        return from_memory(data), "data"
    if spec.data.source is None:
        raise SpecError(
            Fault(
                "data.source",
                "a source, or data= in Python",
                "neither",
                "Add for example source: sklearn:digits.",
            )
        )
    return read_source(spec.data.source), spec.data.source


def _is_classification(spec: Spec, source: Source) -> bool:
    if spec.data.task:
        return spec.data.task == "classification"
    return source.labels is not None or source.train.y.dtype.kind != "f"


def _classes(source: Source, name: str) -> _Classes:
    y = source.train.y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            Fault(
                f"{name}, targets",
                "one label per row",
                f"targets of shape {y.shape}",
                "Turn one-hot rows into labels with y.argmax(axis=1).",
            )
        )
    present = np.unique(y.astype(str) if y.dtype.kind in "OT" else y)
    if len(present) < 2:
        raise DataError(
            Fault(
                f"{name}, targets",
                "at least two classes",
                f"only {present[0]!s}",
                "Check how the labels were read.",
            )
        )
    integers = present.dtype.kind in "iu"
    if integers and present[0] < 0 and len(present) > 2:
        raise DataError(
            Fault(
                f"{name}, targets",
                "labels of at least 0",
                f"{present[0]}",
                "A negative label often marks a missing one: drop those rows.",
            )
        )
    if source.labels is None:
        return _Classes(present, tuple(str(value) for value in present))
    return _Classes(np.arange(len(source.labels)), source.labels)


def _encoded(rows: Rows, encode: _Classes | None, where: str) -> Rows:
    x = rows.x
    if x.dtype != np.uint8:
        x = x.astype(np.float32)
    y = rows.y
    if encode is not None:
        y = y[:, 0] if y.ndim == 2 else y
        y = encode(y.astype(str) if y.dtype.kind in "OT" else y, where)
    elif y.dtype.kind not in "biuf" or y.ndim > 2:
        raise DataError(
            Fault(
                f"{where}, targets",
                "numbers, (rows,) or (rows, outputs), for regression",
                f"{y.dtype} of shape {y.shape}",
                "Set data.task to classification, or pass numbers.",
            )
        )
    else:
        y = y.astype(np.float32).reshape(len(y), -1)
    return Rows(np.ascontiguousarray(x), y)


def _split(
    rows: Rows, spec: Spec, share: float | int, where: str, stratify: bool
) -> tuple[Rows, Rows]:
    first, second = split(rows.y, share=share, seed=spec.seed, stratify=stratify, where=where)
    return rows.take(first), rows.take(second)


def _sha256(source: Source) -> str:
    """Returns a hash of every input and target, to tell changed data by."""
    digest = hashlib.sha256()
    for rows in (source.train, source.test):
        for values in (rows.x, rows.y) if rows is not None else ():
            values = values.astype(str) if values.dtype.kind in "OT" else values
            digest.update(f"{values.shape} {values.dtype}".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
