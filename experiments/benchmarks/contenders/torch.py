"""PyTorch: rows resident, a batch by its row numbers, the fused optimizers."""

from __future__ import annotations

import os

import torch
from data import Data
from measuring import Measurement, measure_training
from torch import nn
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures it on the GPU, or with one thread and with all for half the time each."""
    if torch.cuda.is_available():
        return _measure(workload, data, seconds, device="cuda", settings="GPU")
    measured = []
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        settings = f"{threads} thread{'s' * (threads > 1)}"
        measured.append(_measure(workload, data, seconds / 2, device="cpu", settings=settings))
    return max(measured, key=lambda measurement: measurement.samples_per_second)


def _measure(
    workload: Workload, data: Data, seconds: float, *, device: str, settings: str
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
    loss = {"mse": nn.functional.mse_loss, "cross_entropy": nn.functional.cross_entropy}
    x = torch.from_numpy(data.inputs()).to(device)
    y = torch.from_numpy(data.targets(workload.loss)).to(device)
    y = y.long() if workload.loss == "cross_entropy" else y

    def epoch() -> None:
        for rows in torch.randperm(len(x), device=device).split(workload.batch_size):
            optimizer.zero_grad()
            loss[workload.loss](model(x[rows]), y[rows]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    def weights() -> list:
        # A kernel is (outputs, inputs) here.
        return [p.detach().cpu().numpy().T.copy() for p in model.parameters()]

    return measure_training(epoch, weights, workload, data, seconds=seconds, settings=settings)
