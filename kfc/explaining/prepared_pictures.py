"""Reads some rows of a prepared set of tensorflow-datasets without TensorFlow.

A prepared set is a folder with `dataset_info.json`, `features.json` and files of TFRecord: for
each row its length, a checksum, a message `tf.train.Example` and another checksum, see
https://www.tensorflow.org/tutorials/load_data/tfrecord. tensorflow-datasets shuffles the rows
when it writes them, so that the first ones are a random sample.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray

_MOST_BYTES = 1 << 24  # of a row; a damaged length would ask for all memory
_PLAIN_NAME = re.compile(r"\w+")
_VARINT, _BYTES = 0, 2  # types of a field of a protobuf message
_INTEGERS = 3  # field of a feature; 1 has bytes and 2 floats


class PreparedPictures(NamedTuple):
    """The first rows of a set of pictures.

    Args:
        x: Pixels, (rows, height, width, channels), uint8.
        y: Numbers of the classes, (rows,).
        classes: Number of classes.
        num_rows: Number of all training rows.
        parts: Names of all parts, such as `train` and `test`.
    """

    x: Array
    y: Array
    classes: int
    num_rows: int
    parts: tuple[str, ...]


def prepared_pictures(name: str, rows: int) -> PreparedPictures | None:
    """Returns the first training rows of a set; None where it is no prepared set of pictures.

    Args:
        name: Name of the set, such as `mnist`.
        rows: Number of rows.
    """
    try:
        return _read(name, rows)
    # A damaged file makes the standard library and Pillow raise a dozen classes of errors.
    except Exception:
        return None


def _read(name: str, rows: int) -> PreparedPictures | None:
    if not _PLAIN_NAME.fullmatch(name):
        return None
    root = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    versions = [path for path in (root / name).iterdir() if (path / "features.json").is_file()]
    folder = max(versions, key=lambda path: [int(part) for part in path.name.split(".")])
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))
    features = json.loads((folder / "features.json").read_text("utf-8"))
    features = features["featuresDict"]["features"]
    image, label = (item["featureKey"] for item in info["supervisedKeys"]["tuple"]["items"])
    kind = features[image]["image"]
    if kind["dtype"] != "uint8" or info["fileFormat"] != "tfrecord":
        return None
    shape = tuple(int(size) for size in kind["shape"]["dimensions"])
    splits = {split["name"]: split for split in info["splits"]}
    file = min(folder.glob(f"{name}-train.tfrecord-*"))
    x, y = [], []
    for _, example in zip(range(rows), _examples(file), strict=False):
        x.append(_pixels(example[image]).reshape(shape))
        y.append(int(example[label]))
    return PreparedPictures(
        np.stack(x),
        np.array(y),
        int(features[label]["classLabel"]["numClasses"]),
        sum(int(length) for length in splits["train"]["shardLengths"]),
        tuple(splits),
    )


def _examples(file: Path) -> Iterator[dict[str, Any]]:
    """Yields the features of each row: bytes, or an integer."""
    with file.open("rb") as stream:
        while head := stream.read(12):  # the length and its checksum
            (length,) = struct.unpack("<Q", head[:8])
            if length > _MOST_BYTES:
                raise ValueError("a row of more than 16 MiB")
            yield _example(stream.read(length))
            stream.read(4)


def _example(message: bytes) -> dict[str, Any]:
    """Returns the first value of each feature of a `tf.train.Example`.

    Numbers are those of the fields in tensorflow/core/example/example.proto and feature.proto.
    protobuf reads the message too, but its import takes longer than all rows here.
    """
    found = {}
    for _, features in _fields(message):
        for _, entry in _fields(features):
            name, feature = (value for _, value in _fields(entry))
            ((kind, values),) = _fields(feature)
            _, first = next(_fields(values))
            if kind == _INTEGERS:
                first = first if isinstance(first, int) else _varint(first, 0)[0]
            found[name.decode()] = first
    return found


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yields number and value of each field of a message: bytes, or an integer.

    See https://protobuf.dev/programming-guides/encoding.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        value: Any
        value, place = _varint(message, place)
        if key & 7 == _BYTES:
            place, first = place + value, place
            value = message[first:place]
        elif key & 7 != _VARINT:
            raise ValueError(f"a field of type {key & 7}")
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Returns an integer, 7 bits in each byte from the lowest ones, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _pixels(content: bytes) -> Array:
    # `Image.open` would import the readers of five formats first.
    from PIL.PngImagePlugin import PngImageFile  # matplotlib brings it

    return np.asarray(PngImageFile(io.BytesIO(content)))
