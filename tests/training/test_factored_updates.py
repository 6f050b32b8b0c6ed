import numpy as np
import pytest

from kfc.training.checkpoints.training_state import Progress

RATE, B1, B2, EPSILON, DECAY = 0.05, 0.9, 0.95, 1e-8, 0.3
ADAM = {"name": "adam", "beta_2": B2, "epsilon": EPSILON}
FACTORS = {"rate_factors": {"kernel": "fan_in", "bias": 0.1}}
DECAYS = {"decay_factors": {"kernel": 2, "bias": 0}}
FORMS = ("eager", "graph", "xla")


def forward_backward(weights, x, y):
    """Tanh layer and softmax, by hand."""
    w1, b1, w2, b2 = weights
    h = np.tanh(x @ w1 + b1)
    z = h @ w2 + b2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = (p - np.eye(p.shape[1])[y]) / len(y)
    dh = dz @ w2.T * (1 - h**2)
    return [x.T @ dh, dh.sum(axis=0), h.T @ dz, dz.sum(axis=0)]


def train_by_hand(case, rate, decay):
    """Adam with factors and decoupled decay in float64, from RECIPES' formulas."""
    weights = [w.astype(np.float64) for w in case.network().get_weights()]
    means = [np.zeros_like(w) for w in weights]
    squares = [np.zeros_like(w) for w in weights]
    x, y = case.train.x.astype(np.float64), case.train.y
    factors = [1 / np.sqrt(4), 0.1, 1 / np.sqrt(6), 0.1]
    decays = [2, 0, 2, 0]
    step, steps = 0, 3 * case.spec.training.epochs
    for _ in range(case.spec.training.epochs):
        for first in range(0, 70, 32):  # the last batch has 6 rows
            rows = slice(first, first + 32)
            lr, wd = rate(step / steps), decay(step / steps)
            gradients = forward_backward(weights, x[rows], y[rows])
            step += 1
            for i, g in enumerate(gradients):
                weights[i] = weights[i] * (1 - lr * wd * decays[i])
                means[i] = B1 * means[i] + (1 - B1) * g
                squares[i] = B2 * squares[i] + (1 - B2) * g**2
                m, v = means[i] / (1 - B1**step), squares[i] / (1 - B2**step)
                weights[i] = weights[i] - lr * factors[i] * m / (np.sqrt(v) + EPSILON)
    return weights


@pytest.mark.parametrize("form", FORMS)
def test_factors_multiply_the_rate_and_the_decay(problem, form):
    optimizer = {**ADAM, "learning_rate": RATE, "weight_decay": DECAY, **FACTORS, **DECAYS}
    case = problem({"training.optimizer": optimizer, "training.engine": form})
    loop = case.loop()
    loop.run(Progress())
    expected = train_by_hand(case, lambda t: RATE, lambda t: DECAY)
    for got, want in zip(loop.engine.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def flat_cosine(t):
    return 1 if t <= 0.5 else 0.5 * (1 + np.cos(np.pi * (2 * t - 1)))


def coslog(t, waves=4):
    return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**waves - 1) * t)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("decay", "share"),
    [
        ({"name": "flat_cosine"}, flat_cosine),
        ({"name": "coslog"}, coslog),
        pytest.param(
            {"name": "coslog", "cycles": 2}, lambda t: coslog(t, 2), marks=pytest.mark.slow
        ),
    ],
    ids=["flat cosine", "coslog", "coslog, 2 waves"],
)
def test_schedules_of_rate_and_decay_follow_the_step(problem, form, decay, share):
    optimizer = {
        **ADAM,
        "learning_rate": {"name": "coslog", "initial_learning_rate": RATE},
        "weight_decay": {**decay, "initial_weight_decay": DECAY},
        **FACTORS,
        **DECAYS,
    }
    case = problem({"training.optimizer": optimizer, "training.engine": form})
    loop = case.loop()
    loop.run(Progress())
    expected = train_by_hand(
        case,
        lambda t: RATE * coslog(t),
        lambda t: DECAY * share(t),
    )
    for got, want in zip(loop.engine.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_factors_of_one_give_the_bits_of_the_plain_optimizer(problem):
    weights = []
    for factors in ({}, {"rate_factors": {}}):
        loop = problem({"training.optimizer": {"name": "adam", **factors}}).loop()
        loop.run(Progress())
        weights.append(loop.engine.model.get_weights())
    for plain, factored in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, factored)


def test_networks_of_other_widths_share_a_graph_with_fan_in(problem):
    optimizer = {**ADAM, **FACTORS}
    for units in (6, 12):
        found = []
        for shared in (True, False):
            changes = {"training.optimizer": optimizer, "network.hidden": [units]}
            loop = problem(changes).loop(shared=shared)
            loop.run(Progress())
            found.append(loop.engine.model.get_weights())
        for with_others, alone in zip(*found, strict=True):
            np.testing.assert_allclose(with_others, alone, rtol=1e-6, atol=1e-8)


def test_a_decay_with_a_schedule_needs_no_factors(problem):
    decay = {"name": "flat_cosine", "initial_weight_decay": DECAY}
    sgd = {"name": "sgd", "learning_rate": 0.1, "weight_decay": decay}
    case = problem({"training.optimizer": sgd, "training.epochs": 1})
    loop = case.loop()
    loop.run(Progress())
    weights = [w.astype(np.float64) for w in case.network().get_weights()]
    for step, first in enumerate(range(0, 70, 32)):
        rows = slice(first, first + 32)
        gradients = forward_backward(weights, case.train.x[rows], case.train.y[rows])
        t = step / 3
        wd = DECAY * flat_cosine(t)
        weights = [
            w * (1 - 0.1 * wd) - 0.1 * g for w, g in zip(weights, gradients, strict=True)
        ]
    for got, want in zip(loop.engine.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
