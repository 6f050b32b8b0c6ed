"""The networks of kfc: a default one, the presets, and the average of five seeds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from folded_tables import Fold, FoldedTable

import kfc

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

_DRAFTED = {
    "network": {"hidden": [256, 128], "dropout": 0.1},
    "training": {
        "batch_size": 128,
        "epochs": 100,
        "early_stopping": {"monitor": "val_loss", "patience": 8},
    },
}

_NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "default": ({}, 1),
    "plain": (_DRAFTED, 1),
    "realmlp_s": ({"preset": "realmlp_s"}, 1),
    "realmlp": ({"preset": "realmlp"}, 1),
    "tabm": ({"preset": "tabm"}, 1),
    "realmlp_s_x5": ({"preset": "realmlp_s"}, 5),
}
"""Keys of the spec, and the number of seeds whose predictions are averaged."""

NETWORKS = tuple(_NETWORKS)
"""Names of the networks: `default` leaves out every key of network and training, `plain` has
two layers with dropout and early stopping, `realmlp_s_x5` is the average of five seeds."""


def train_network(
    name: str, table: FoldedTable, fold: Fold, *, threads: int, seed: int, short: bool
) -> tuple[np.ndarray, list[str]]:
    """Trains a network, or several, and returns predictions for the test rows.

    Args:
        name: One of `NETWORKS`.
        table: Table whose columns say their kinds.
        fold: Training and test rows.
        threads: Threads of TensorFlow; the first call of a process decides.
        seed: Seed of the first network.
        short: Whether two epochs are enough.

    Returns:
        Probabilities, (rows, classes), or values, (rows,); and the names of the classes.
    """
    keys, members = _NETWORKS[name]
    outputs, classes = [], []
    for number in range(members):
        spec = spec_of(table, keys, threads=threads, seed=seed + number, short=short)
        with tempfile.TemporaryDirectory() as runs:
            # Test rows here are not looked at before the end: validation rows choose epochs.
            data = {"train": fold.train, "test": fold.test}
            run = kfc.fit(spec, data=data, runs=runs, verbose=False)
            predicted = run.predict(fold.test.drop_columns([table.target]))
        classes = list(run.task.class_names)
        outputs.append(predicted.probabilities if classes else predicted.value[:, 0])
    return np.mean(outputs, axis=0), classes


def spec_of(
    table: FoldedTable, keys: Mapping[str, Any], *, threads: int | None, seed: int, short: bool
) -> dict[str, Any]:
    """Returns the spec of one training; the types of other columns are inferred.

    Args:
        table: Table whose columns say their kinds.
        keys: Keys of the spec besides those of the data.
        threads: Threads of TensorFlow; None takes one per core.
        seed: Seed of the network.
        short: Whether two epochs are enough.
    """
    facts = table.facts
    training = {**keys.get("training", {}), "threads": threads}
    if short:
        training["epochs"] = 2
    return {
        **keys,
        "name": table.name,
        "seed": seed,
        "data": {
            "target": table.target,
            "task": "classification" if table.classification else "regression",
            "columns": {
                **dict.fromkeys(facts["drop"], "ignore"),
                **dict.fromkeys(facts["category"], "category"),
            },
        },
        "training": training,
    }
