import numpy as np
import pytest

from kfc.spec import load_spec
from kfc.training.checkpoints.training_state import Progress
from kfc.training.row_order import epoch_order


def train_by_hand(case, epochs, batch):
    """Softmax regression by gradient descent over complete batches, in float64."""
    kernel, bias = (w.astype(np.float64) for w in case.network().get_weights())
    x, y = case.train.x.astype(np.float64), case.train.y
    losses = []
    for epoch in range(epochs):
        order = epoch_order(len(x), seed=case.spec.seed, epoch=epoch, shuffle=True)
        of_epoch = []
        for first in range(0, len(x) // batch * batch, batch):
            rows = order[first : first + batch]
            z = x[rows] @ kernel + bias
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            of_epoch.append(-np.log(p[np.arange(batch), y[rows]]).mean())
            dz = (p - np.eye(3)[y[rows]]) / batch
            kernel, bias = kernel - 0.5 * x[rows].T @ dz, bias - 0.5 * dz.sum(axis=0)
        losses.append(np.mean(of_epoch))
    return kernel, bias, losses


@pytest.mark.parametrize("form", ["eager", "graph", "xla"])
@pytest.mark.parametrize(("batch_size", "batch"), [(32, 32), (100, 70)])
def test_the_short_last_batch_is_left_out_of_each_epoch(problem, form, batch_size, batch):
    case = problem(
        {
            "network.hidden": [],
            "training.optimizer": {"name": "sgd", "learning_rate": 0.5},
            "training.batch_size": batch_size,
            "training.drop_last": True,
            "training.shuffle": True,
            "training.engine": form,
        }
    )
    loop = case.loop()
    history = loop.run(Progress()).history
    kernel, bias, losses = train_by_hand(case, 3, batch)
    for got, want in zip(loop.engine.model.get_weights(), (kernel, bias), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
    assert int(loop.engine.model.optimizer.iterations) == 3 * (70 // batch)


@pytest.mark.parametrize(
    ("drop_last", "rows", "steps"),
    [(False, 70, 3), (True, 70, 2), (True, 20, 1), (True, 0, 0)],
)
def test_the_steps_of_an_epoch_are_counted(drop_last, rows, steps):
    changes = {"training.drop_last": drop_last}
    assert load_spec({}, changes).training.steps_per_epoch(rows) == steps
