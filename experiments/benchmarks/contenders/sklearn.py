"""scikit-learn's multi-layer perceptron, an epoch per `partial_fit`.

Its training counts no right classes; the same work is then to predict the test rows.
"""

from __future__ import annotations

import numpy as np
from data import Data
from measuring import Measurement, Scores, loss_of, measure_training
from sklearn.neural_network import MLPClassifier, MLPRegressor
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
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
    test_x, test_y = data.test_inputs(), data.test_targets(workload.loss)
    classes = {} if workload.loss == "mse" else {"classes": np.arange(10)}
    # Its weights exist only after a first step; a single batch leaves them near the start.
    model.partial_fit(x[: workload.batch_size], y[: workload.batch_size], **classes)

    def weights() -> list:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [weight for pair in pairs for weight in pair]

    def epoch() -> Scores | None:
        model.partial_fit(x, y)
        if not same_work:
            return None
        outputs = model.predict_proba(test_x) if classes else model.predict(test_x)
        # The logarithm of probabilities is the logits, up to a constant of the row.
        logits = np.log(np.maximum(outputs, 1e-30)) if classes else outputs
        return Scores(
            accuracy=None,
            test_loss=loss_of(logits, test_y, workload.loss),
            test_accuracy=float(np.mean(outputs.argmax(axis=1) == data.y_test)),
        )

    return measure_training(epoch, weights, workload, data, seconds=seconds)
