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
            message = stream.read(length)
            stream.read(4)
            yield dict(_features(message))


def _features(message: bytes) -> Iterator[tuple[str, Any]]:
    """Yields the name and the value of each feature of a `tf.train.Example`."""
    for _, features in _fields(message):
        for _, entry in _fields(features):
            (_, name), (_, feature) = _fields(entry)
            for kind, values in _fields(feature):
                value: Any = next(_fields(values))[1]  # of a list with one value
                if kind == 3 and isinstance(value, bytes):  # integers, packed
                    value = _integer(value, 0)[0]
                yield name.decode(), value


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yields the number and the value of each field of a protocol buffer message."""
    place = 0
    while place < len(message):
        key, place = _integer(message, place)
        number, place = _integer(message, place)
        if key & 7 == 0:
            yield key >> 3, number
        elif key & 7 == 2:  # bytes, whose length came first
            yield key >> 3, message[place : place + number]
            place += number
        else:
            raise ValueError("a field of another type")


def _integer(message: bytes, place: int) -> tuple[int, int]:
    """Returns an integer of a variable number of bytes, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _pixels(content: bytes) -> Array:
    from PIL import Image  # matplotlib brings it

    return np.asarray(Image.open(io.BytesIO(content)))
