"""Predictions of `kfc explain` beside real trainings, over stddev x learning rate x depth."""

import argparse
import itertools
import json
import math
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kfc
from kfc.data.sources.idx import read_idx

HERE = Path(__file__).parent
STDDEVS = (0.01, 0.03, 0.1, 0.3, 1.0)
SGD, ADAM = (0.001, 0.01, 0.1, 1.0, 10.0), (1e-4, 1e-3, 1e-2, 0.1, 1.0)
EPOCHS = 5
NOISE = 1.05  # a plateau ends up to 5 % above its start
MNIST_ROWS = 2000


def cells(*, small: bool, mnist: bool) -> Iterator[dict[str, Any]]:
    """Yields each training: data, depth, units, deviation of the weights, and optimizer."""
    if small:
        for stddev, rate in itertools.product((0.1, 1.0), (0.01, 0.1, 100.0)):
            yield _cell("diabetes", 1, 32, stddev, "sgd", rate)
        return
    names = ["digits", "diabetes"] + ["mnist"] * mnist
    for name in names:
        units = 128 if name == "mnist" else 64
        depths = (1, 2, 3, 4) if name == "digits" else (1, 3)
        stddevs = STDDEVS if name == "digits" else (0.01, 0.1, 0.3, 1.0)
        for depth, stddev in itertools.product(depths, stddevs):
            for optimizer, rates in (("sgd", SGD), ("adam", ADAM)):
                for rate in rates:
                    yield _cell(name, depth, units, stddev, optimizer, rate)


def _cell(
    data: str, depth: int, units: int, stddev: float, optimizer: str, rate: float
) -> dict[str, Any]:
    return {
        "data": data,
        "depth": depth,
        "units": units,
        "stddev": stddev,
        "optimizer": optimizer,
        "learning_rate": rate,
    }


def measure(*, small: bool = False, mnist: bool = False) -> dict[str, Any]:
    """Returns every training with its prediction, and how often predictions are right."""
    rows = [compare(cell) for cell in cells(small=small, mnist=mnist)]
    errors = [row["loss_error"] for row in rows]
    return {
        "trainings": len(rows),
        "diverged": sum(row["diverged"] for row in rows),
        "hit_rate": _hits(rows, "diverged", "predicted_divergence"),
        "hit_rate_without_margin": _hits(rows, "ended_higher", "predicted_higher"),
        "hit_rate_of_stable_rate": _hits(rows, "diverged", "above_stable_rate"),
        "loss_error": {"median": statistics.median(errors), "largest": max(errors)},
        "rows": rows,
    }


def _hits(rows: list[dict[str, Any]], real: str, predicted: str) -> float:
    return round(statistics.mean(row[real] == row[predicted] for row in rows), 4)


def compare(cell: dict[str, Any]) -> dict[str, Any]:
    """Predicts a training, runs it, and returns both."""
    name, data = ("digits", _mnist()) if cell["data"] == "mnist" else (cell["data"], None)
    spec = kfc.Spec.model_validate(
        {
            "data": {"source": f"sklearn:{name}", "scale": "unit"}
            if data is None
            else {"scale": "unit"},
            "network": {
                "hidden": [cell["units"]] * cell["depth"],
                "init": {"name": "random_normal", "stddev": cell["stddev"]},
            },
            "training": {
                "optimizer": {
                    "name": cell["optimizer"],
                    "learning_rate": cell["learning_rate"],
                },
                "epochs": EPOCHS,
            },
            "report": False,
        }
    )
    found = kfc.explain(spec, data=data)
    steps = found.first_steps
    start = first_loss(spec, data)
    losses = trained_losses(spec, data)
    end = losses[-1] if losses else math.inf
    return {
        **cell,
        "loss": start,
        "predicted_loss": found.loss,
        "loss_error": abs(found.loss / start - 1),
        "epoch_losses": losses,
        "predicted_last_loss": steps.last_loss if math.isfinite(steps.last_loss) else None,
        "stable_rate": found.stable_rate,
        "diverged": bool(end > NOISE * start),
        "predicted_divergence": steps.outcome == "diverges",
        "ended_higher": bool(end > start),
        "predicted_higher": bool(steps.last_loss > steps.first_loss),
        "above_stable_rate": bool(cell["learning_rate"] > found.stable_rate),
    }


def epochs() -> list[dict[str, Any]]:
    """Returns predicted and measured seconds of an epoch, on all threads of this machine."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(8000, 200)).astype(np.float32)
    rows = x, generator.integers(0, 10, 8000)
    found = []
    for hidden, batch in (([64], 32), ([256, 128], 32), ([256, 128], 128), ([1024] * 3, 128)):
        network = {"hidden": hidden}
        training = {"batch_size": batch, "epochs": 6}
        data = {"scale": "standard", "validation": 0.0, "test": "none"}
        spec = kfc.Spec.model_validate(
            {"network": network, "training": training, "data": data, "report": False}
        )
        predicted = statistics.median(
            kfc.explain(spec, data=rows).seconds_per_epoch for _ in range(3)
        )
        with tempfile.TemporaryDirectory() as runs:
            run = kfc.fit(spec, data=rows, runs=runs, verbose=False)
            result = json.loads((run.folder / "result.json").read_text("utf-8"))
        measured = result["phases"]["train"] / training["epochs"]
        found.append(
            {
                "hidden": hidden,
                "batch_size": batch,
                "predicted_seconds": round(predicted, 4),
                "measured_seconds": round(measured, 4),
                "ratio": round(predicted / measured, 2),
            }
        )
    return found


def first_loss(spec: kfc.Spec, data: Any) -> float:
    """Returns the loss of the untrained network on the training rows."""
    from kfc.runs import make_plan
    from kfc.training import build_loss

    plan = make_plan(spec, data=data)
    rows = plan.prepared.train
    loss = build_loss(plan.spec.training.loss, plan.prepared.task)
    return float(loss(rows.y, plan.network(rows.x, training=False)))


def trained_losses(spec: kfc.Spec, data: Any) -> list[float]:
    """Returns the loss of each epoch; none where a number became NaN or infinite."""
    with tempfile.TemporaryDirectory() as runs:
        try:
            run = kfc.fit(spec, data=data, runs=runs, verbose=False)
        except kfc.NumbersError:
            return []
    return run.history["loss"]


def rounded(value: Any) -> Any:
    """Returns values with numbers of four digits, for a short file."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    folder = Path(os.environ["KFC_DATASETS"]) / "mnist"
    images, labels = (next(folder.glob(f"train-{part}*")) for part in ("images", "labels"))
    return read_idx(images)[:MNIST_ROWS], read_idx(labels)[:MNIST_ROWS]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="six trainings")
    parser.add_argument("--epochs", action="store_true", help="only the seconds of epochs")
    parser.add_argument("--mnist", action="store_true", help="also with idx:mnist")
    options = parser.parse_args()
    if options.epochs:
        print(json.dumps(epochs(), indent=1))
        raise SystemExit
    measured = measure(small=options.small, mnist=options.mnist)
    if not options.small:
        text = json.dumps(rounded(measured)).replace('{"data"', '\n{"data"')
        (HERE / "measured.json").write_text(text + "\n", "utf-8")
    print(json.dumps({key: v for key, v in measured.items() if key != "rows"}, indent=1))
