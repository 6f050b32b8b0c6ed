"""PyTorch: rows resident, a batch by its row numbers, the fused optimizers."""

from __future__ import annotations

import os

import numpy as np
import torch
from data import Data
from measuring import Measurement, Scores, measure_training
from torch import nn
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures it on the GPU, or with one thread and with all for half the time each."""
    if torch.cuda.is_available():
        return _measure(
            workload, data, seconds, same_work=same_work, device="cuda", settings="GPU"
        )
    measured = []
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        settings = f"{threads} thread{'s' * (threads > 1)}"
        measured.append(
            _measure(
                workload,
                data,
                seconds / 2,
                same_work=same_work,
                device="cpu",
                settings=settings,
            )
        )
    return max(measured, key=lambda measurement: measurement.samples_per_second)


def _measure(
    workload: Workload,
    data: Data,
    seconds: float,
    *,
    same_work: bool,
    device: str,
    settings: str,
) -> Measurement:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in zip(workload.sizes, workload.sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).to(device)
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optimizer = optimizers[workload.optimizer](
        model.parameters(), lr=workload.learning_rate, fused=True
    )
    losses = {"mse": nn.functional.mse_loss, "cross_entropy": nn.functional.cross_entropy}
    loss = losses[workload.loss]
    x, y, classes, test_x, test_y, test_classes = (
        torch.from_numpy(array).to(device)
        for array in (
            data.inputs(),
            _targets(data.targets(workload.loss)),
            data.y.astype(np.int64),
            data.test_inputs(),
            _targets(data.test_targets(workload.loss)),
            data.y_test.astype(np.int64),
        )
    )

    def epoch() -> Scores | None:
        right = torch.zeros((), dtype=torch.int64, device=device)
        for rows in torch.randperm(len(x), device=device).split(workload.batch_size):
            optimizer.zero_grad()
            logits = model(x[rows])
            loss(logits, y[rows]).backward()
            optimizer.step()
            if same_work:
                right += (logits.argmax(1) == classes[rows]).sum()
        if not same_work:
            if device == "cuda":
                torch.cuda.synchronize()
            return None
        with torch.inference_mode():
            logits = model(test_x)
            test_right = (logits.argmax(1) == test_classes).sum()
            return Scores(
                accuracy=float(right) / len(x),
                test_loss=float(loss(logits, test_y)),
                test_accuracy=float(test_right) / len(test_x),
            )

    def weights() -> list:
        # A kernel is (outputs, inputs) here.
        return [p.detach().cpu().numpy().T.copy() for p in model.parameters()]

    return measure_training(epoch, weights, workload, data, seconds=seconds, settings=settings)


def _targets(y: np.ndarray) -> np.ndarray:
    """Returns classes as int64, which the cross-entropy wants; one-hot rows as they are."""
    return y.astype(np.int64) if y.ndim == 1 else y
