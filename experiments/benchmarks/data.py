"""The rows that every contender trains on, kept as .npz for processes without TensorFlow."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from workloads import Workload

_TEST_SHARE = 6  # MNIST has six training rows for each test row; its subsets keep that


@dataclass(frozen=True)
class Data:
    """Training and test rows: inputs as they are stored, (rows, inputs), and classes."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def inputs(self) -> np.ndarray:
        """Returns the training inputs in [0, 1], float32."""
        return self._scaled(self.x)

    def targets(self, loss: str) -> np.ndarray:
        """Returns classes, int32, or one-hot rows, float32, for the mean squared error."""
        return _encoded(self.y, loss)

    def test_inputs(self) -> np.ndarray:
        """Returns the test inputs, divided by what the training inputs are divided by."""
        return self._scaled(self.x_test)

    def test_targets(self, loss: str) -> np.ndarray:
        """Returns the targets of the test rows, in the form of `targets`."""
        return _encoded(self.y_test, loss)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32) / np.float32(self.x.max())


def _encoded(y: np.ndarray, loss: str) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[y] if loss == "mse" else y.astype(np.int32)


def read(folder: Path, workload: Workload, rows: int | None = None) -> Data:
    """Returns a workload's rows, at most `rows` of them, from its file."""
    with np.load(folder / f"{workload.data}.npz") as arrays:
        data = Data(**arrays)
    limit = min(n for n in (rows, workload.rows, len(data.x)) if n)
    if limit == len(data.x):
        return data
    test = limit // _TEST_SHARE
    return Data(data.x[:limit], data.y[:limit], data.x_test[:test], data.y_test[:test])


def write_mnist(folder: Path, source: str) -> None:
    """Writes MNIST from a kfc source such as `tfds:mnist`."""
    from kfc.data import read_source
    from kfc.system.tensorflow_startup import import_tensorflow

    import_tensorflow()
    mnist = read_source(source)
    np.savez(
        folder / "mnist.npz",
        x=mnist.train.x.reshape(-1, 784),
        y=mnist.train.y,
        x_test=mnist.test.x.reshape(-1, 784),
        y_test=mnist.test.y,
    )


def write_digits(folder: Path) -> None:
    """Writes scikit-learn's digits: 1,437 training rows, 360 test rows."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    np.savez(folder / "digits.npz", x=x, y=y, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mnist", help="write it too, from tfds:mnist or idx:FOLDER")
    arguments = parser.parse_args()
    write_digits(arguments.folder)
    if arguments.mnist:
        write_mnist(arguments.folder, arguments.mnist)
