"""Keeps some test rows and the network's outputs for them in `sample.npz`.

An export or a rebuilt network must give the same outputs for these rows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kfc.data.sources import arrays_in
from kfc.errors import CheckpointError, Finding
from kfc.runs import result_file
from kfc.system import DiskArray, atomic

FILE = "sample.npz"
_ROWS = 64
_COLUMN = "columns/"  # before the name of a column's input
_BYTES = 1 << 20  # inputs take at most 1 MiB, unless a single row is larger


@dataclass(frozen=True)
class Sample:
    """Raw test rows and the network's outputs.

    Args:
        x: Inputs of the network, (rows, *input_shape), in their stored type; the encoded rows
            of a table.
        outputs: Logits, or values of a regression, (rows, outputs), float32.
        columns: Raw columns of a table, (rows,) each, by their names in the signature of a
            SavedModel; empty for arrays.
    """

    x: np.ndarray
    outputs: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def difference(self, outputs: np.ndarray, *, by_output: bool) -> float:
        """Returns the relative difference of other outputs for the same rows.

            max |outputs - self.outputs| / max |self.outputs|

        If all outputs of the sample are 0, the difference is absolute. It is NaN if an
        output is NaN.

        Args:
            outputs: Outputs for the first n rows, (n, outputs). No rows differ by 0.
            by_output: Whether each output is divided by its own maximum, as the targets of a
                regression need; the largest difference is returned.
        """
        if not len(outputs):
            return 0.0
        wanted = self.outputs[: len(outputs)].astype(np.float64)
        size = np.abs(self.outputs).max(axis=0 if by_output else None)
        return float((np.abs(outputs - wanted) / np.where(size == 0, 1.0, size)).max())


def outputs_on_cpu(network: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of a network for some rows, float32, computed on the CPU.

    A GPU may multiply with fewer bits than an export does.

    Args:
        network: Network that takes raw rows.
        x: Raw inputs, (rows, *input_shape).
    """
    with tf.device("CPU:0"):
        return np.asarray(network(x, training=False), np.float32)


def take_sample(network: keras.Model, x: np.ndarray | DiskArray) -> Sample:
    """Returns up to 64 test rows, evenly spaced, and a trained network's outputs for them.

    Args:
        network: Trained network that takes raw rows.
        x: All test rows, (rows, *input_shape).
    """
    rows = rows_of_sample(x)
    return Sample(rows, outputs_on_cpu(network, rows))


def rows_of_sample(x: np.ndarray | DiskArray) -> np.ndarray:
    """Returns up to 64 rows, evenly spaced, of which a run keeps a sample.

    Args:
        x: All rows, (rows, *input_shape).
    """
    row_bytes = max(x.nbytes // len(x), 1)
    num_rows = int(np.clip(_BYTES // row_bytes, 1, min(_ROWS, len(x))))
    rows: np.ndarray = x[np.linspace(0, len(x) - 1, num_rows).astype(int)]
    return rows


def write_sample(folder: Path, sample: Sample) -> str:
    """Writes `sample.npz` into a run folder, and returns the sha256 of the file."""
    buffer = io.BytesIO()
    columns = {f"{_COLUMN}{name}": values for name, values in sample.columns.items()}
    np.savez(buffer, allow_pickle=False, x=sample.x, outputs=sample.outputs, **columns)
    atomic.write_file(folder / FILE, buffer.getvalue())
    return atomic.sha256(buffer.getvalue())


def read_sample(folder: Path, sha256: str | None) -> Sample:
    """Reads the `sample.npz` of a run folder.

    Args:
        folder: Run folder.
        sha256: SHA-256 that `write_sample` returned; None if the run has no sample.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        data = atomic.read_bytes(folder / FILE)
    except OSError as error:
        none = "none: the run is a trial of a search, or an early version of kfc trained it"
        got = none if sha256 is None else str(error.strerror)
        raise _no_sample(folder, got) from error
    if atomic.sha256(data) != sha256:
        raise _no_sample(folder, "a file with another sha256")
    try:
        arrays = arrays_in(data)
        columns = {
            name.removeprefix(_COLUMN): values
            for name, values in arrays.items()
            if name.startswith(_COLUMN)
        }
        return Sample(arrays["x"], arrays["outputs"], columns)
    except (KeyError, ValueError) as error:
        raise _no_sample(folder, str(error)) from error


def _no_sample(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(
        Finding(
            str(folder / FILE),
            "test rows and the network's outputs for them, as the run saved them",
            got,
            result_file.train_again(folder),
        )
    )
