"""Some test rows with what the trained network said of them: kept by a run, asked again later.

Whoever rebuilds, converts or serves the network asks it about the same rows and compares.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
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
_BYTES = 1 << 20  # of inputs, unless one row alone takes more


@dataclass(frozen=True)
class Sample:
    """Raw test rows and the network's outputs.

    Args:
        x: Raw inputs, (rows, *input_shape), in their stored type.
        outputs: Logits, or values of a regression, (rows, outputs), float32.
    """

    x: np.ndarray
    outputs: np.ndarray

    def difference(self, outputs: np.ndarray, *, by_output: bool) -> float:
        """Returns how far other outputs for these rows are off.

            max |outputs - self.outputs| / max |self.outputs|

        Where all outputs are 0 it is the difference itself; NaN where one of them is.

        Args:
            outputs: (n, outputs) for the first n rows; 0 differs from nothing.
            by_output: Whether each output has a scale of its own, as the values of a
                regression have, and the largest of their differences is returned.
        """
        if not len(outputs):
            return 0.0
        wanted = self.outputs[: len(outputs)].astype(np.float64)
        size = np.abs(self.outputs).max(axis=0 if by_output else None)
        return float((np.abs(outputs - wanted) / np.where(size == 0, 1.0, size)).max())


def ask(network: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns what a network says of some rows, float32, computed on the processor.

    An accelerator may multiply with fewer bits, which no export does.

    Args:
        network: Takes raw rows.
        x: Raw inputs, (rows, *input_shape).
    """
    with tf.device("CPU:0"):
        return np.asarray(network(x, training=False), np.float32)


def take(network: keras.Model, x: np.ndarray | DiskArray) -> Sample:
    """Asks a trained network about up to 64 test rows, evenly spaced.

    Args:
        network: Takes raw rows.
        x: All test rows, (rows, *input_shape).
    """
    row_bytes = max(x.nbytes // len(x), 1)
    num_rows = int(np.clip(_BYTES // row_bytes, 1, min(_ROWS, len(x))))
    rows = x[np.linspace(0, len(x) - 1, num_rows).astype(int)]
    return Sample(rows, ask(network, rows))


def write(folder: Path, sample: Sample) -> str:
    """Writes `sample.npz` into a run folder, and returns its sha256."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, x=sample.x, outputs=sample.outputs)
    atomic.write_file(folder / FILE, buffer.getvalue())
    return atomic.sha256(buffer.getvalue())


def read(folder: Path, sha256: str | None) -> Sample:
    """Returns the sample of a run folder.

    Args:
        folder: The run folder.
        sha256: What `write` returned; None where it was never called.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    try:
        data = atomic.read_bytes(folder / FILE)
    except OSError as error:
        none = "none: the run is older than exports, or a trial of a search"
        got = none if sha256 is None else str(error.strerror)
        raise _no_sample(folder, got) from error
    if atomic.sha256(data) != sha256:
        raise _no_sample(folder, "other bytes")
    try:
        arrays = arrays_in(data)
        return Sample(arrays["x"], arrays["outputs"])
    except (KeyError, ValueError) as error:
        raise _no_sample(folder, str(error)) from error


def _no_sample(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(
        Finding(
            str(folder / FILE),
            "the test rows that the run was asked about when it ended",
            got,
            result_file.train_again(folder),
        )
    )
