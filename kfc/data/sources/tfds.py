"""Reads data sets of tensorflow-datasets.

The `supervised_keys` of a set name the features that are the input, the target and perhaps the
weight. A dense network needs an input that is one array of numbers with a fixed shape, or
features of one number each, and one target.
"""

from __future__ import annotations

import math
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kfc.compat import forbid_cloud_lookup
from kfc.data.rows import Rows, Source
from kfc.errors import DataError, Finding, nearest
from kfc.system import memory

_NAME = re.compile(r"\w[\w./*+-]*")
_REACH_SECONDS = 4.0  # tensorflow-datasets itself tries for 205 s
_DECODED_AT_ONCE = 1024  # rows; the default of tensorflow-datasets takes twice as long
_ROWS_AT_ONCE = 4096
_OTHERWISE = "Choose another set, or save its rows with numpy.savez and use npz:FILE."
_PREPARE_AGAIN = "Remove the folder of the set, so that it is prepared again."


def tfds(name: str) -> Source:
    """Reads a set of tensorflow-datasets with an input, a target and perhaps weights.

    Prepared data is read from `TFDS_DATA_DIR` (or `~/tensorflow_datasets`); other data is
    downloaded there first, and its checksums are verified. The splits `train`, `test` and
    `validation` are read; only training rows keep weights. A dict of numbers as input
    becomes columns.

    Raises:
        DataError: If there is no such set, if it is neither prepared nor reachable, if it
            cannot be read, or if its rows are not inputs of one shape with one target each.
    """
    import tensorflow_datasets

    _check_files(name)
    builder, where = _builder(tensorflow_datasets, name), f"tfds:{name}"
    if not builder.is_prepared():
        _check_reachable(name, builder.url_infos or ())
        _prepare(tensorflow_datasets, builder, name)
    columns = _columns_of(builder.info, where)
    splits = [
        split for split in ("train", "test", "validation") if split in builder.info.splits
    ]
    if "train" not in splits:
        got = f"the splits {', '.join(builder.info.splits) or 'none'}"
        raise DataError(Finding(where, "a set with a split train", got, _OTHERWISE))
    rows = {}
    for split in splits:
        dataset = _dataset(tensorflow_datasets, builder, split)
        rows[split] = _rows(
            dataset, columns, builder.info.splits[split], f"{where}, {split} rows"
        )
    held_out = {split: Rows(each.x, each.y) for split, each in rows.items()}
    return Source(
        rows["train"],
        held_out.get("test"),
        columns.class_names,
        columns.feature_names,
        held_out.get("validation"),
    )


class _Feature(NamedTuple):
    """A feature of a set.

    Args:
        path: Names from the outermost feature to this one.
        connector: Feature object of tensorflow-datasets.
    """

    path: tuple[str, ...]
    connector: Any

    def __str__(self) -> str:
        kind = " ".join(repr(self.connector).split())
        return f"the feature {'/'.join(self.path)!r}, {kind}"

    @property
    def shape(self) -> tuple[int | None, ...] | None:
        """The shape of the feature in a row; None if it is no dense tensor."""
        spec = self.connector.get_tensor_spec()
        dense = type(spec).__name__ == "TensorSpec" and spec.shape.rank is not None
        return tuple(spec.shape) if dense else None

    @property
    def dtype(self) -> np.dtype:
        """The type of a dense feature; text is of type object."""
        return np.dtype(self.connector.get_tensor_info().np_dtype)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes of a feature that holds labels."""
        names = getattr(self.connector, "names", None)
        return None if names is None else tuple(map(str, names))

    @property
    def is_numeric(self) -> bool:
        """Whether the feature is an array of numbers, and not of labels."""
        is_label = getattr(self.connector, "num_classes", None) is not None
        return self.shape is not None and self.dtype.kind in "biuf" and not is_label

    def of(self, row: Mapping[str, Any]) -> Any:
        """Returns the tensor of this feature in a row with all features."""
        value: Any = row
        for name in self.path:
            value = value[name]
        return value


class _Columns(NamedTuple):
    """The features of a set that are read.

    Args:
        inputs: Feature of the input, or features of one number each, which become columns.
        target: Feature of the target.
        sample_weight: Feature of the weight, in a list that is empty without one.
    """

    inputs: list[_Feature]
    target: _Feature
    sample_weight: list[_Feature]

    @property
    def all(self) -> list[_Feature]:
        """All features that are read: inputs, target, weight."""
        return [*self.inputs, self.target, *self.sample_weight]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns; empty if the input is one array."""
        if any(feature.shape != () for feature in self.inputs):
            return ()
        names = tuple(feature.path[-1] for feature in self.inputs)
        paths = tuple("/".join(feature.path) for feature in self.inputs)
        return names if len({*names}) == len(names) else paths

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, if the set has them."""
        return self.target.names


def _columns_of(info: Any, where: str) -> _Columns:
    """Returns the features to read.

    Raises:
        DataError: If they are not for a dense network.
    """
    keys = info.supervised_keys

    def refused(expected: str, got: str) -> DataError:
        return DataError(Finding(where, expected, got, _OTHERWISE))

    if not isinstance(keys, tuple) or len(keys) not in (2, 3):
        got = f"supervised_keys {keys!r} and the features {', '.join(info.features)}"
        raise refused("a set that says which features are its input and its target", got)
    try:
        inputs, *rest = (list(_features(key, info.features)) for key in keys)
    except KeyError as error:
        raise refused("supervised_keys that are features", f"the key {error}") from error
    for noun, found in zip(("target", "weight"), rest, strict=False):
        if len(found) != 1:
            got = f"the {len(found)} features {', '.join('/'.join(f.path) for f in found)}"
            raise refused(f"one {noun} per row", got)
    target, *weight = (found[0] for found in rest)
    for feature in inputs:
        if len(inputs) > 1 and feature.shape != ():
            raise refused("one array, or features that are one number each", str(feature))
        if not feature.is_numeric:
            raise refused("an input of numbers", str(feature))
    if problem := _target_problem(target, weight):
        raise refused(*problem)
    return _Columns(inputs, target, weight)


def _target_problem(target: _Feature, weight: list[_Feature]) -> tuple[str, str] | None:
    """Returns (expected, got) for a target or a weight of a wrong form, or None."""
    shape = target.shape
    several = shape is not None and len(shape) == 1 and None not in shape and not target.names
    if shape != () and not (several and target.is_numeric):
        return "one label, one number or a vector of numbers as target", str(target)
    if target.names is not None and len(target.names) < 2:
        return "at least two classes", f"only {', '.join(map(repr, target.names))}"
    if weight and not (weight[0].shape == () and weight[0].is_numeric):
        return "one number as weight", str(weight[0])
    return None


def _features(key: Any, features: Any, path: tuple[str, ...] = ()) -> Iterator[_Feature]:
    """Yields the features that a key of `supervised_keys` names.

    The keys of a dict are sorted, because its order changes from process to process.
    """
    if isinstance(key, Mapping):
        key = tuple(key[name] for name in sorted(key))
    if isinstance(key, tuple):
        for each in key:
            yield from _features(each, features, path)
        return
    names = (key,) if key in features else tuple(key.split("/"))
    found = features
    for name in names:
        found = found[name]
    if type(found).__name__ == "FeaturesDict":
        yield from _features(tuple(sorted(found)), found, (*path, *names))
    else:
        yield _Feature((*path, *names), found)


def _dataset(library: Any, builder: Any, split: str) -> Any:
    """Returns the rows of a split, each a dict of all features, as a `tf.data.Dataset`."""
    reading = library.ReadConfig(
        try_autocache=False, num_parallel_calls_for_decode=_DECODED_AT_ONCE
    )
    return builder.as_dataset(split=split, read_config=reading)


def _rows(dataset: Any, columns: _Columns, split: Any, where: str) -> Rows:
    """Reads a split into memory.

    Raises:
        DataError: If the split has no rows or rows of different shapes, if it cannot be read,
            or if it is larger than memory.
    """
    count = split.num_examples
    if not count:
        expected = "at least one row"
        raise DataError(Finding(where, expected, "an empty split", _OTHERWISE))
    dataset = dataset.map(lambda row: tuple(feature.of(row) for feature in columns.all))
    shapes = [feature.shape or () for feature in columns.all]
    size = sum(
        math.prod(n or 1 for n in shape) * feature.dtype.itemsize
        for shape, feature in zip(shapes, columns.all, strict=True)
    )
    if count * size > (limit := memory.limit_bytes()):
        got = f"{count:,} rows of {size:,} bytes or more, with {limit:,} bytes of memory"
        raise DataError(Finding(where, "a split that fits in memory", got, _OTHERWISE))
    try:
        if any(None in shape for shape in shapes):
            parts = _stacked(dataset, where)
        else:
            parts = _in_chunks(dataset, count)
    except DataError:
        raise
    # Damaged records make TensorFlow raise a dozen classes of errors.
    except Exception as error:
        first = re.sub(r"\{\{.*?\}\}\s*", "", (str(error).splitlines() or [""])[0])
        got = f"{type(error).__name__}: {first}"
        expected = "records that can be read"
        raise DataError(Finding(where, expected, got, _PREPARE_AGAIN)) from error
    return _as_rows(parts, columns, where)


def _in_chunks(dataset: Any, count: int) -> tuple[np.ndarray, ...]:
    """Reads rows of one shape into whole arrays, (rows, ...) each."""
    # One batch of all rows would be in memory twice: as its rows, and as the batch.
    wholes: tuple[np.ndarray, ...] = ()
    begin = 0
    for parts in dataset.batch(_ROWS_AT_ONCE).as_numpy_iterator():
        shapes = [(count, *part.shape[1:]) for part in parts]
        wholes = wholes or tuple(map(np.empty, shapes, (part.dtype for part in parts)))
        end = begin + len(parts[0])
        for whole, part in zip(wholes, parts, strict=True):
            whole[begin:end] = part
        begin = end
    return tuple(whole[:begin] for whole in wholes)


def _stacked(dataset: Any, where: str) -> tuple[np.ndarray, ...]:
    """Reads rows whose shapes are unknown before, and returns their parts, (rows, ...) each.

    Raises:
        DataError: If two rows differ in shape, or the rows are larger than memory.
    """
    rows: list[tuple[Any, ...]] = []
    size, limit = 0, memory.limit_bytes()
    for row in dataset.as_numpy_iterator():
        rows.append(row)
        first, here = ([np.shape(part) for part in each] for each in (rows[0], row))
        if first != here:
            one, other = next(
                pair for pair in zip(first, here, strict=True) if len({*pair}) > 1
            )
            got = f"{one} in row 0 and {other} in row {len(rows) - 1}"
            remedy = "Resize or cut the rows to one shape, and pass them as data= in Python."
            raise DataError(Finding(where, "rows of the same shape", got, remedy))
        size += sum(np.asarray(part).nbytes for part in row)
        if size > limit:
            got = f"more than the {limit:,} bytes of memory"
            raise DataError(Finding(where, "a split that fits in memory", got, _OTHERWISE))
    return tuple(np.stack(part) for part in zip(*rows, strict=True))


def _as_rows(parts: Sequence[np.ndarray], columns: _Columns, where: str) -> Rows:
    inputs = parts[: len(columns.inputs)]
    y, *weight = parts[len(columns.inputs) :]
    x = np.stack(inputs, axis=1) if columns.feature_names else inputs[0]
    if columns.class_names and (y < 0).all():
        got = f"{y[0]} in each of the {len(y):,} rows, which marks rows without a label"
        remedy = (
            "Pass the rows that have labels as data= in Python, for example "
            "tensorflow_datasets.load(NAME, split='train', as_supervised=True)."
        )
        raise DataError(Finding(where, "labels", got, remedy))
    return Rows(x, y, weight[0] if weight else None)


def _builder(library: Any, name: str) -> Any:
    forbid_cloud_lookup(library)
    try:
        # A colon would name another hub, such as `huggingface:...`, which is asked first; an
        # equals sign would set an argument, such as the folder to read.
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        return library.builder(name)
    except (library.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise DataError(
            Finding(
                "data.source",
                "a tensorflow-datasets set",
                repr(f"tfds:{name}"),
                nearest(name, library.list_builders(with_community_datasets=False))
                or "https://www.tensorflow.org/datasets/catalog lists all sets.",
            )
        ) from error
    # A damaged or missing description raises a dozen classes of errors.
    except Exception as error:
        got = f"{type(error).__name__}: {' '.join(str(error).split())}"
        expected = "a set whose description can be read"
        raise DataError(Finding(f"tfds:{name}", expected, got, _PREPARE_AGAIN)) from error


def _check_files(name: str) -> None:
    """Refuses a prepared set that contains a pipe, where TensorFlow would wait endlessly."""
    root = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    if not _NAME.fullmatch(name):
        return
    for path in (root / name.partition("/")[0].partition(":")[0]).rglob("*"):
        if path.exists() and not path.is_file() and not path.is_dir():
            got, remedy = "a device or a pipe", "Put the file back."
            raise DataError(Finding(str(path), "a file of a prepared set", got, remedy))


def _check_reachable(name: str, urls: Iterable[str]) -> None:
    """Refuses within seconds if there is no network; tensorflow-datasets waits for minutes."""
    answers: list[bool] = []

    def ask(url: str) -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_REACH_SECONDS).close()
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # the network works; the download reports the error
        except (OSError, ValueError):
            answers.append(False)

    url = next(iter(urls), "https://storage.googleapis.com")
    # A thread, because the look-up of a host name has no timeout of its own.
    asking = threading.Thread(target=ask, args=(url,), daemon=True)
    asking.start()
    asking.join(_REACH_SECONDS)
    if not any(answers):
        raise _unprepared(name, f"no answer from {url.split('/')[2]}")


def _prepare(library: Any, builder: Any, name: str) -> None:
    config = library.download.DownloadConfig(verify_ssl=True)
    try:
        builder.download_and_prepare(download_config=config)
    # Network, checksum, disk and missing packages: all failures have the same remedies.
    except Exception as error:
        raise _unprepared(name, f"{type(error).__name__}: {error}") from error


def _unprepared(name: str, got: str) -> DataError:
    here = os.environ.get("TFDS_DATA_DIR", "not set")
    return DataError(
        Finding(
            f"tfds:{name}",
            "prepared data, or a network to download it",
            got,
            f"Set TFDS_DATA_DIR (now: {here}) to the folder of the prepared set, use "
            "idx:FOLDER with files in the format of MNIST, or connect to a network.",
        )
    )
