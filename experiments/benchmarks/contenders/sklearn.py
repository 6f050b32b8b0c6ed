"""scikit-learn's multi-layer perceptron, an epoch per `partial_fit`."""

from __future__ import annotations

import numpy as np
from data import Data
from measuring import Measurement, measure_training
from sklearn.neural_network import MLPClassifier, MLPRegressor
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures it; the mean squared error is its regressor's, on one-hot targets."""
    kind = MLPRegressor if workload.loss == "mse" else MLPClassifier
    model = kind(
        hidden_layer_sizes=workload.hidden,
        solver=workload.optimizer,
        alpha=0,
        batch_size=workload.batch_size,
        learning_rate_init=workload.learning_rate,
        momentum=0,
        random_state=0,
    )
    x, y = data.inputs(), data.targets(workload.loss)
    classes = {} if workload.loss == "mse" else {"classes": np.arange(10)}
    # Its weights exist only after a first step; a single batch leaves them near the start.
    model.partial_fit(x[: workload.batch_size], y[: workload.batch_size], **classes)

    def weights() -> list:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [weight for pair in pairs for weight in pair]

    return measure_training(
        lambda: model.partial_fit(x, y), weights, workload, data, seconds=seconds
    )
