"""What several tests share: an experiment's script, and where the real data sets are."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def _folder(variable: str, how: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: {how}")
    return Path(value)


@pytest.fixture(scope="session")
def experiment() -> Callable[[str], ModuleType]:
    """Imports the script of an experiment, by the name of its folder."""

    def imported(name: str) -> ModuleType:
        path = Path(__file__).parent.parent / "experiments" / name / "run.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported


@pytest.fixture(scope="session")
def prepared_tfds() -> Path:
    """A folder of prepared tensorflow-datasets, with mnist and fashion_mnist in it."""
    return _folder(
        "TFDS_DATA_DIR",
        'set it to a folder and run `python -c "import tensorflow_datasets as t; '
        "t.load('mnist'); t.load('fashion_mnist')\"` once, with a network",
    )


@pytest.fixture(scope="session")
def idx_datasets() -> Path:
    """A folder with the folders mnist and fashion-mnist of IDX files in it."""
    return _folder(
        "KFC_DATASETS",
        "set it to a folder with MNIST's four IDX files in its folder mnist "
        "(Debian's dataset-fashion-mnist installs fashion-mnist)",
    )
