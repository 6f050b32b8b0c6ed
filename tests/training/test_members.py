"""Members train by a loss of each, and are measured by the average of their answers."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

import kfc
from kfc.data import Task
from kfc.errors import SpecError
from kfc.network.members import without_average
from kfc.preprocessing import TargetScaling, fit_scaling
from kfc.spec import LossSpec
from kfc.system import DiskArray
from kfc.training.checkpoints.training_state import Progress
from kfc.training.losses import build_loss
from kfc.training.metrics import build_metrics
from kfc.training.row_order import epoch_order

CLASSES = Task((4,), "float32", ("a", "b", "c"))
BINARY = Task((4,), "float32", ("a", "b"))
NUMBERS = Task((4,), "float32", (), 2)
TASKS = {"classes": CLASSES, "one logit": BINARY, "numbers": NUMBERS}
RATE = 0.2
SPEC = {
    "network.hidden": [7, 5],
    "network.activation": "tanh",
    "network.members": 3,
    "network.bias_init": "fan_in_uniform",
    "network.output_bias_init": "fan_in_uniform",
    "training.optimizer": {"name": "sgd", "learning_rate": RATE},
}


def overrides_of(kind, **changes):
    loss = {"training.loss": "binary_cross_entropy"} if kind == "one logit" else {}
    return {**SPEC, **loss, **changes}


def case_of(problem, kind, **changes):
    """The problem of `kind`, whose inputs and targets are scaled."""
    case = problem(overrides_of(kind, **changes), TASKS[kind])
    scaled = {"scaling": fit_scaling("standard", case.train.x)}
    if kind == "numbers":
        scaled["target_scaling"] = TargetScaling.fit("standard", case.train.y)
    case.task = replace(case.task, **scaled)
    return case


# --- the training by hand -----------------------------------------------------------------


def by_member(x):
    """Rows of each member, (batch, members, inputs): the same ones, or its own."""
    return x[:, None] if x.ndim == 2 else x


def forward(weights, x):
    scale, w1, b1, w2, b2, w3, b3 = weights
    x1 = by_member(x) * scale  # (batch, members, inputs)
    x2 = np.tanh(x1 @ w1 + b1)
    x3 = np.tanh(x2 @ w2 + b2)
    return x1, x2, x3, np.einsum("bki,kic->bkc", x3, w3) + b3


def loss_and_gradient(kind, y, target):
    """The mean over rows and members of each member's own loss, of outputs (b, k, c)."""
    if target.ndim == (2 if kind == "numbers" else 1):
        target = np.repeat(target[:, None], y.shape[1], axis=1)  # (batch, members, ...)
    if kind == "numbers":
        error = y - target
        return (error**2).mean(), 2 * error / error.size
    rows = y.shape[0] * y.shape[1]
    if kind == "one logit":
        t = target[:, :, None]
        return (np.logaddexp(0, y) - t * y).mean(), (expit(y) - t) / rows
    p, t = softmax(y, axis=2), np.eye(3)[target]
    return -(np.log(p) * t).sum() / rows, (p - t) / rows


def step(kind, weights, x, target):
    _, w1, _, w2, _, w3, _ = weights
    x1, x2, x3, y = forward(weights, x)
    loss, g = loss_and_gradient(kind, y, target)
    g2 = np.einsum("bkc,kic->bki", g, w3) * (1 - x3**2)
    g1 = (g2 @ w2.T) * (1 - x2**2)
    gradients = [
        (by_member(x) * (g1 @ w1.T)).sum(0),
        np.einsum("bki,bkj->ij", x1, g1),
        g1.sum((0, 1)),
        np.einsum("bki,bkj->ij", x2, g2),
        g2.sum((0, 1)),
        np.einsum("bki,bkc->kic", x3, g),
        g.sum(0),
    ]
    moved = [w - RATE * d for w, d in zip(weights, gradients, strict=True)]
    return loss, y, moved


def average(kind, y):
    """Probabilities of the classes, or values."""
    if kind == "numbers":
        return y.mean(axis=1)
    if kind == "classes":
        return softmax(y, axis=2).mean(axis=1)
    second = expit(y).mean(axis=1)
    return np.hstack([1 - second, second])


def own_loss(kind, answer, target):
    if kind == "numbers":
        return ((answer - target) ** 2).mean()
    return -np.log(answer[np.arange(len(target)), target]).mean()


def measured(kind, answer, target, unit):
    if kind == "numbers":
        return {"mae": np.abs((answer - target) * unit).mean()}
    return {"accuracy": (answer.argmax(axis=1) == target).mean()}


def scaled_rows(case, rows):
    x, y = case.task.scaling.apply_float64(rows.x), rows.y
    return x, y if case.task.classification else case.task.target_scaling.apply_float64(y)


def train_by_hand(case, kind):
    weights = [np.asarray(w, np.float64) for w in case.network().get_weights()]
    (x, target), held_out = scaled_rows(case, case.train), scaled_rows(case, case.held_out)
    unit = case.task.target_scaling.unit if kind == "numbers" else 1.0
    history = {}
    for _ in range(case.spec.training.epochs):
        losses, answers, sizes = [], [], []
        for begin in range(0, len(x), 32):  # of 32, 32 and 6 rows
            batch = slice(begin, begin + 32)
            loss, y, weights = step(kind, weights, x[batch], target[batch])
            losses.append(loss)
            answers.append(average(kind, y))
            sizes.append(len(y))
        logs = {
            "loss": np.average(losses, weights=sizes),
            **measured(kind, np.concatenate(answers), target, unit),
        }
        answer = average(kind, forward(weights, held_out[0])[-1])
        logs["val_loss"] = own_loss(kind, answer, held_out[1])
        found = measured(kind, answer, held_out[1], unit)
        logs |= {f"val_{name}": value for name, value in found.items()}
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
    return history, weights


@pytest.mark.parametrize("kind", TASKS)
def test_every_form_trains_members_as_the_formulas_do(problem, kind):
    expected, weights = train_by_hand(case_of(problem, kind), kind)
    for form in ("eager", "graph", "xla"):
        loop = case_of(problem, kind, **{"training.engine": form}).loop()
        history = loop.run(Progress()).history
        for name, values in expected.items():
            np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
        for one, other in zip(loop.engine.model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=form)


OWN = {"training.share_batches": False, "training.shuffle": True}


def train_by_hand_with_own_rows(case, kind):
    """Losses of each epoch, and the weights: in a step, each member sees rows of its own."""
    weights = [np.asarray(w, np.float64) for w in case.network().get_weights()]
    x, target = scaled_rows(case, case.train)
    history = []
    for epoch in range(case.spec.training.epochs):
        orders = epoch_order(
            len(x), seed=case.spec.seed, epoch=epoch, shuffle=True, num_orders=3
        )
        losses, sizes = [], []
        for begin in range(0, len(x), 32):  # of 32, 32 and 6 rows of each member
            rows = orders[:, begin : begin + 32].T  # (batch, members)
            loss, _, weights = step(kind, weights, x[rows], target[rows])
            losses.append(loss)
            sizes.append(len(rows))
        history.append(np.average(losses, weights=sizes))
    return history, weights


@pytest.mark.parametrize(
    "kind", ["classes", pytest.param("one logit", marks=pytest.mark.slow), "numbers"]
)
def test_every_form_trains_members_on_rows_of_their_own_as_the_formulas_do(problem, kind):
    losses, weights = train_by_hand_with_own_rows(case_of(problem, kind, **OWN), kind)
    for form in ("eager", "graph", "xla"):
        case = case_of(problem, kind, **OWN, **{"training.engine": form})
        loop = case.loop()
        history = loop.run(Progress()).history
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-4, err_msg=form)
        for one, other in zip(loop.engine.model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=form)
        # Held-out rows are those of all members, whose average is measured.
        x, target = scaled_rows(case, case.held_out)
        answer = average(kind, forward(weights, x)[-1])
        expected = own_loss(kind, answer, target)
        np.testing.assert_allclose(history["val_loss"][-1], expected, rtol=1e-4)


def test_members_on_rows_of_their_own_are_resumed_to_the_same_bits(problem, same_weights):
    changes = {**OWN, "network.dropout": 0.2, "training.epochs": 4}
    whole = case_of(problem, "classes", **changes).loop()
    expected = whole.run(Progress()).history
    half = case_of(problem, "classes", **{**changes, "training.epochs": 2}).loop()
    progress = half.run(Progress())
    rest = case_of(problem, "classes", **changes).loop()
    rest.engine.model.set_weights(half.engine.model.get_weights())
    for one, other in zip(
        rest.engine.model.optimizer.variables,
        half.engine.model.optimizer.variables,
        strict=True,
    ):
        one.assign(other)
    progress.stopped = False
    assert rest.run(progress).history == expected
    same_weights(rest.engine.model, whole.engine.model)


def test_members_on_rows_of_their_own_train_from_the_disk_as_in_memory(problem):
    changes = {**OWN, "network.dropout": 0.2}
    case = case_of(problem, "classes", **changes)
    case.train = replace(case.train, x=DiskArray(case.train.x))
    streamed, resident = case.loop(), case_of(problem, "classes", **changes).loop()
    histories = [loop.run(Progress()).history for loop in (streamed, resident)]
    # One window has all rows here, so that the orders are the same.
    assert histories[0]["loss"] == histories[1]["loss"]


def test_keras_s_own_fit_of_a_model_made_by_hand_gives_the_same_weights(problem):
    case = case_of(problem, "classes", **{"training.optimizer": "adam"})
    loop = case.loop()
    x = inputs = keras.Input((4,))
    x = case.task.scaling.graph(x)
    x = keras.layers.EinsumDense("bd,kd->bkd", output_shape=(3, 4))(x)
    for units in (7, 5):
        x = keras.layers.Dense(units, activation="tanh")(x)
    y = keras.layers.EinsumDense("bki,kic->bkc", output_shape=(3, 3), bias_axes="kc")(x)
    model = keras.Model(inputs, y)
    model.set_weights(case.network().get_weights())
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        case.model().optimizer,
        lambda y_true, y_pred: sum(losses(y_true, y_pred[:, k]) for k in range(3)) / 3,
        jit_compile=False,
    )
    model.fit(case.train.x, case.train.y, **case.fit_options)
    loop.run(Progress())
    for one, other in zip(model.get_weights(), loop.engine.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_dropout_masks_members_alike_in_every_form(problem):
    ends = []
    for form in ("eager", "graph", "xla"):
        changes = {"network.dropout": 0.4, "training.engine": form}
        loop = case_of(problem, "classes", **changes).loop()
        loop.run(Progress())
        ends.append(loop.engine.model.get_weights())
    for end in ends[1:]:
        for one, other in zip(end, ends[0], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_networks_of_other_widths_share_one_graph_and_train_as_alone(problem):
    for width in (6, 9, 3):  # as wide as there are members
        case = case_of(problem, "classes", **{"network.hidden": [width, 8]})
        shared, own = case.loop(), case.loop(shared=False)
        histories = [loop.run(Progress()).history for loop in (shared, own)]
        for name, values in histories[0].items():
            np.testing.assert_allclose(values, histories[1][name], rtol=1e-5, err_msg=name)


# --- losses and metrics -------------------------------------------------------------------


def test_sample_weights_count_in_the_loss_of_each_member():
    rng = np.random.default_rng(0)
    y, weight = rng.integers(0, 3, 20), rng.random(20).astype(np.float32)
    outputs = rng.normal(size=(20, 4, 3)).astype(np.float32)
    loss = build_loss(None, CLASSES, members=4)(y, outputs, sample_weight=weight)
    one = build_loss(None, CLASSES)
    expected = np.mean([one(y, outputs[:, k], sample_weight=weight) for k in range(4)])
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_metric_of_members_is_that_of_their_average():
    outputs = np.array([[[2.0, 0.0], [0.0, 0.5], [0.0, 0.5]]], np.float32)
    (metric,) = build_metrics(BINARY, 2, members=3)
    metric.update_state([0], outputs)  # two of three members are wrong
    assert metric.result() == 1
    metric.reset_state()
    metric.update_state([1], outputs)
    assert metric.result() == 0


@pytest.mark.parametrize("name", ["mse", "dice", "tversky", "categorical_hinge"])
def test_a_loss_that_averaged_probabilities_do_not_fit_is_refused(name):
    with pytest.raises(SpecError, match="members average"):
        build_loss(LossSpec.model_validate({"name": name}), CLASSES, members=2)


# --- runs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    spec = {
        "data": {"source": "sklearn:digits", "rows": 200},
        "network": {"hidden": [8], "members": 3},
        "training": {
            "epochs": 2,
            "metrics": ["log_loss"],
            "early_stopping": {"monitor": "val_accuracy"},
        },
    }
    return kfc.fit(spec, runs=tmp_path_factory.mktemp("runs"), verbose=False)


def test_a_run_is_measured_by_the_answers_of_its_network(run):
    rows = run.rows("val")
    p, y = rows.predictions.probabilities, rows.y.astype(int)
    expected = -np.log(p[np.arange(len(y)), y]).mean()
    assert run.metrics["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert run.metrics["val_log_loss"] == pytest.approx(expected, rel=1e-5)
    assert run.metrics["val_accuracy"] == pytest.approx((p.argmax(axis=1) == y).mean())
    assert run.history["val_log_loss"][-1] == pytest.approx(
        run.history["val_loss"][-1], rel=1e-5
    )
    of_members = softmax(without_average(run.network)(rows.x), axis=2)
    np.testing.assert_allclose(of_members.mean(axis=1), p, rtol=1e-4, atol=1e-6)
    assert run.model.output_shape == (None, 10)
    assert run.evaluate() == run.metrics
    assert kfc.load(run.folder).evaluate() == run.metrics
