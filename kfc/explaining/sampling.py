"""Rows of a spec's data for a prediction, scaled, in NumPy alone."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kfc.compat import sklearn_rows
from kfc.data import evenly
from kfc.errors import KfcError
from kfc.explaining import philox
from kfc.explaining.embedded_rows import embedded_sample, member_sample
from kfc.explaining.prepared_pictures import PreparedPictures, prepared_pictures
from kfc.network import embedded_one_hots, layer_seed, table_features_float64
from kfc.preprocessing import TargetScaling, fit_scaling
from kfc.spec import NO_TEST, Spec

if TYPE_CHECKING:
    from kfc.data import Prepared

Array = np.ndarray

MOST_ROWS = 2000
"""Rows of a sample; evenly spaced ones of larger data."""

_PICTURES = 256  # rows of tensorflow-datasets, each decoded in 0.16 ms
_SKLEARN_TASKS = {"diabetes": "regression"}  # the others are classifications
_TEST_SHARE = 0.2  # of the rows of a source without test rows, as in `kfc.data`
_VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class RowSample:
    """Scaled rows with the targets of the loss.

    Args:
        x: Inputs of the first layer, (rows, inputs), float64.
        y: Numbers of the classes, (rows,), or scaled targets, (rows, outputs).
        classes: Number of classes; 0 for a regression.
        num_rows: Number of training rows of the spec, predicted.
        row_bytes: Bytes of an encoded row, before it is scaled.
        origin: Description of the rows for the reader.
        embedding_weights: Number of weights of the embeddings of numbers and categories.
    """

    x: Array
    y: Array
    classes: int
    num_rows: int
    row_bytes: int
    origin: str
    embedding_weights: int = 0

    @property
    def targets(self) -> int:
        """Number of classes, or of targets of a regression."""
        return self.classes or self.y.shape[1]

    def spaced(self, rows: int) -> tuple[Array, Array]:
        """Returns at most so many rows and their targets, evenly spaced."""
        places = evenly(len(self.x), rows)
        return self.x[places], self.y[places]


def sample_of(spec: Spec, data: Any = None) -> RowSample | str:
    """Returns rows of a spec's data, or the reason why there are none.

    Data sets inside scikit-learn, and pictures that tensorflow-datasets has prepared, are read
    from their files. All other data are prepared as for a training, without a split, and of
    tables in large files a part.

    Args:
        spec: Valid spec.
        data: Rows in memory instead of `data.source`, as for `kfc.fit`.

    Raises:
        KfcError: If the data cannot be read, or a check refuses them.
    """
    source = spec.data.source
    if data is None and source is None:
        return "the spec has no data.source, and no data= was passed"
    if data is None and source is not None:
        kind, _, name = source.partition(":")
        if kind == "tfds":
            found = prepared_pictures(name, _PICTURES)
            if found is None or not _is_plain(spec):
                return "only prepared pictures of tensorflow-datasets are read here"
            return _of_pictures(spec, found)
        if kind == "sklearn" and spec.data.pixels is None and _is_plain(spec):
            rows = sklearn_rows(name)
            regression = (spec.data.task or _SKLEARN_TASKS.get(name)) == "regression"
            if rows is not None and (regression or name not in _SKLEARN_TASKS):
                return _of_arrays(spec, *rows, regression=regression)
    return _prepared(spec, data)


def _is_plain(spec: Spec) -> bool:
    return spec.data.validation is None or not isinstance(spec.data.validation, str)


def _of_arrays(spec: Spec, x: Array, y: Array, *, regression: bool) -> RowSample:
    """Returns the sample of a data set inside scikit-learn."""
    classes = 0
    scaling = fit_scaling(spec.data.scale or "unit", x.astype(np.float32))
    if regression:
        targets = y.reshape(len(y), -1).astype(np.float32)
        y = TargetScaling.fit(spec.data.scale_target, targets).apply_float64(targets)
    else:
        y = y.astype(np.int64)  # the classes of scikit-learn's sets are 0, 1, ...
        classes = int(y.max()) + 1
    places = evenly(len(x), MOST_ROWS)
    inputs, weights = embedded_sample(
        spec, scaling.apply_float64(x.astype(np.float32)[places])
    )
    return RowSample(
        member_sample(spec, inputs),
        y[places],
        classes,
        _num_training_rows(spec, len(x), own_test=False, own_validation=False),
        4 * x.shape[1],
        f"{len(places):,} rows of {spec.data.source}",
        weights,
    )


def _prepared(spec: Spec, data: Any) -> RowSample | str:
    """Returns the sample of any other data, prepared as for a training without a split."""
    prepared, num_rows, noun = _read(spec, data)
    task, train = prepared.task, prepared.train
    places = evenly(len(train), MOST_ROWS)
    rows = train.take(places).loaded()
    x, embedding_weights = _inputs(spec, task, rows.x)
    y = rows.y if task.classification else task.target_scaling.apply_float64(rows.y)
    return RowSample(
        member_sample(spec, x),
        y,
        len(task.class_names),
        _num_training_rows(
            spec,
            num_rows,
            own_test=prepared.test is not None,
            own_validation=prepared.validation is not None,
        ),
        int(np.prod(train.x.shape[1:])) * np.dtype(task.input_dtype).itemsize,
        f"{len(places):,} of {noun}",
        embedding_weights,
    )


def _read(spec: Spec, data: Any) -> tuple[Prepared, int, str]:
    """Returns prepared rows, the number of all rows, and a description of these.

    Of large files of a table they are a sample. What a check refuses in it, such as a class
    that it has once, may be right in the whole table, which is read then.
    """
    from kfc.data import prepare, rows_of_table
    from kfc.data.tables import sample_files

    changed = {"test": NO_TEST, "validation": 0.0, "fold": None, "rows": None}
    whole = spec.data.model_copy(update=changed)
    spec = spec.model_copy(update={"data": whole, "accept": _ACCEPTED})
    sample = sample_files(str(whole.source), whole.csv) if data is None else None
    if sample is not None:
        resident = whole.model_copy(update={"stream": "never"})
        some = spec.model_copy(update={"data": resident})
        with suppress(KfcError):
            prepared = prepare(some, raw=rows_of_table(some, sample.table))
            count = f"about {sample.num_rows:,} rows"
            return prepared, sample.num_rows, f"{count}, {len(prepared.train):,} of them read"
    prepared = prepare(spec, data)
    return prepared, len(prepared.train), f"{len(prepared.train):,} rows"


def _inputs(spec: Spec, task: Any, x: Array) -> tuple[Array, int]:
    """Returns the inputs of the first hidden layer, and the number of weights that make them.

    The embedding of a category is the row of a matrix, whose numbers are standard normal at
    the start.
    """
    if task.encoding is None:
        return embedded_sample(spec, task.scaling.apply_float64(x))
    features, first = table_features_float64(x, task), task.encoding.num_numbers
    numbers, count = embedded_sample(spec, features[:, :first])
    parts = [numbers, features[:, first:]]
    sizes = [code.embedding_size for code in task.encoding.codes if code.embedding_size]
    for (name, one_hot), size in zip(embedded_one_hots(x, task).items(), sizes, strict=True):
        numbers = philox.normal(one_hot.shape[1] * size, layer_seed(spec.seed, name))
        parts.append(one_hot @ numbers.reshape(-1, size).astype(np.float64))
        count += numbers.size
    return np.concatenate(parts, axis=1), count


def _of_pictures(spec: Spec, found: PreparedPictures) -> RowSample:
    """Returns the sample of a prepared set of pictures."""
    scaling = fit_scaling(spec.data.scale or "unit", found.x)
    inputs, weights = embedded_sample(spec, scaling.apply_float64(found.x))
    return RowSample(
        member_sample(spec, inputs),
        found.y,
        found.classes,
        _num_training_rows(
            spec,
            found.num_rows,
            own_test="test" in found.parts,
            own_validation="validation" in found.parts,
        ),
        int(np.prod(found.x.shape[1:])),
        f"{len(found.y):,} of {found.num_rows:,} rows of {spec.data.source}",
        weights,
    )


_ACCEPTED = ("unscaled_input",)


def _num_training_rows(spec: Spec, count: int, *, own_test: bool, own_validation: bool) -> int:
    """Returns the number of rows that a split leaves for training."""
    if spec.data.fold is not None:
        return count  # one fold less, of a number that a file may give
    if not own_test and spec.data.test is None:
        count -= math.ceil(_TEST_SHARE * count)
    if spec.data.rows is not None:
        count = min(count, spec.data.rows)
    validation = spec.data.validation
    share = _VALIDATION_SHARE if validation is None else validation
    if isinstance(share, float) and not own_validation:
        count -= math.ceil(share * count)
    return count
