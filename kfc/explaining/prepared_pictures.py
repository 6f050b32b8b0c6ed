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

_EXAMPLE = """
name: "example.proto" syntax: "proto3"
message_type { name: "BytesList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".Int64List" oneof_index: 0 } }
message_type { name: "Features"
  nested_type { name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: ".Feature" } }
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: ".Features.FeatureEntry" } }
message_type { name: "Example"
  field { name: "features" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".Features" } }
"""
"""The messages of tensorflow/core/example/example.proto."""


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
    example = _example_class()
    with file.open("rb") as stream:
        while head := stream.read(12):  # the length and its checksum
            (length,) = struct.unpack("<Q", head[:8])
            if length > _MOST_BYTES:
                raise ValueError("a row of more than 16 MiB")
            row = example.FromString(stream.read(length))
            stream.read(4)
            yield {name: _value(feature) for name, feature in row.features.feature.items()}


def _value(feature: Any) -> Any:
    return getattr(feature, feature.WhichOneof("kind")).value[0]


def _example_class() -> Any:
    """Returns the class of `tf.train.Example`, whose own module would import TensorFlow."""
    from google.protobuf import (  # TensorFlow brings it
        descriptor_pb2,
        descriptor_pool,
        message_factory,
        text_format,
    )

    file = text_format.Parse(_EXAMPLE, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()  # TensorFlow's own messages are in the default one
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Example"))


def _pixels(content: bytes) -> Array:
    # `Image.open` would import the readers of five formats first.
    from PIL.PngImagePlugin import PngImageFile  # matplotlib brings it

    return np.asarray(PngImageFile(io.BytesIO(content)))
