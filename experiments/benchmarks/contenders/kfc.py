"""`kfc.fit` as a user calls it, from the second epoch on, with its evaluations."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from data import Data
from measuring import Measurement
from workloads import Workload

import kfc

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures it: trains with more epochs until those after the first last long enough."""
    rows = ((data.x, data.y), (data.x_test, data.y_test))
    epochs, first_epoch_seconds = 4, None
    while True:
        with tempfile.TemporaryDirectory() as runs:
            spec = _spec(workload, epochs, pixels=data.x.dtype.name == "uint8")
            run = kfc.fit(spec, data=rows, runs=runs, verbose=False)
            lines = _epoch_lines(run.folder)
            result = json.loads((run.folder / "result.json").read_text("utf-8"))
            compiling = result["phases"]["compile"]
        if first_epoch_seconds is None:  # the only one that compiles
            first_epoch_seconds = lines[0]["seconds"] + compiling
        measured = lines[-1]["seconds"] - lines[0]["seconds"]
        if measured >= 0.7 * seconds:
            break
        factor = min(seconds / max(measured, 0.001), 100)
        epochs = 1 + math.ceil((epochs - 1) * factor)
    return Measurement(
        samples_per_second=(epochs - 1) * len(data.x) / measured,
        first_epoch_seconds=first_epoch_seconds,
        first_loss=lines[0]["loss"],
        last_loss=lines[-1]["loss"],
        settings=run.spec.training.engine,
    )


def _spec(workload: Workload, epochs: int, *, pixels: bool) -> dict[str, Any]:
    rate = workload.learning_rate
    return {
        "data": {"validation": 0, "pixels": pixels},
        "network": {"hidden": list(workload.hidden), **workload.network},
        "training": {
            "loss": workload.loss,
            "optimizer": {"name": workload.optimizer, "learning_rate": rate},
            "batch_size": workload.batch_size,
            "epochs": epochs,
        },
    }


def _epoch_lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
