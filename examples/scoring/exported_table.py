"""Answers of an export of a table, by TensorFlow and pyarrow alone, without kfc."""

import functools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf


class ExportedTable:
    """A version that `kfc export` wrote, such as the folder `models/1`, ready to answer.

    `fields` are the names and types of its answers, which are those of `kfc predict --output`.
    """

    def __init__(self, folder):
        about = json.loads(Path(folder, "certificate.json").read_text("utf-8"))
        self.columns = about["input_names"]  # name of a column -> name of its input
        self.model = tf.saved_model.load(str(folder))
        self.signature = self.model.signatures["serving_default"]
        outputs, classes = self.signature.structured_outputs, about["task"]["class_names"]
        if "label" in outputs:
            names = ["label", "probability", *(f"probability_{each}" for each in classes)]
        else:
            ends = [f"_{i}" for i in range(about["task"]["outputs"])]
            kinds = [each for each in ("value", "lower", "upper") if each in outputs]
            names = [kind + end for kind in kinds for end in (ends if ends[1:] else [""])]
        self.fields = {n: pa.string() if n == "label" else pa.float32() for n in names}

    def __call__(self, rows):
        """Returns the answers for a pyarrow Table of raw columns, as a dict of arrays."""
        specs = self.signature.structured_input_signature[1]
        inputs = {
            name: tensor(column, rows[column], specs[name].dtype)
            for column, name in self.columns.items()
        }
        found = {name: each.numpy() for name, each in self.signature(**inputs).items()}
        if "label" in found:
            labels = [label.decode() for label in found["label"]]
            found = [labels, found["probability"], *found["probabilities"].T]
        else:
            values = [found[name] for name in ("value", "lower", "upper") if name in found]
            found = [column for each in values for column in each.reshape(len(rows), -1).T]
        return {
            name: pa.array(values, kind)
            for (name, kind), values in zip(self.fields.items(), found, strict=True)
        }


def tensor(name, values, dtype):
    """Returns a column as an input: a missing number is NaN, a missing text is empty."""
    if dtype == tf.string:
        if pa.types.is_timestamp(values.type):
            values = pc.strftime(values, "%Y-%m-%dT%H:%M:%S")
        return tf.constant(values.cast(pa.string()).fill_null("").to_pylist(), tf.string)
    if dtype.is_floating:
        return tf.constant(values.cast(pa.float64()).fill_null(np.nan).to_numpy(), dtype)
    if values.null_count:
        raise ValueError(f"column {name!r}: expected a value in each row, as in training")
    return tf.constant(values.cast(pa.from_numpy_dtype(dtype.as_numpy_dtype)).to_numpy())


@functools.cache
def load(folder):
    """Loads an export, once in each process."""
    return ExportedTable(folder)
