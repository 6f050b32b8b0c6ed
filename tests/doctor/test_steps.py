"""Steps of the doctor are Keras's own, and leave the copy as it was."""

import dataclasses

import keras
import numpy as np
import pytest

from kfc.findings import find_check
from kfc.first_steps import LossFacts, Start, Steps, Subject


def subject(l2=0.0):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L2(l2))
    model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    loss = LossFacts.of(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)
    return Subject(
        model,
        loss,
        x,
        y,
        lambda: keras.optimizers.SGD(0.1),
        learning_rate=0.1,
        num_classes=3,
    )


def test_forty_steps_are_those_of_keras(monkeypatch):
    case = subject()
    steps = Steps(Start(case))
    size, generator = case.batch_size, np.random.default_rng(0)
    stock = keras.models.clone_model(case.network)
    stock.set_weights(case.network.get_weights())
    stock.compile(keras.optimizers.SGD(0.1), case.loss.loss, jit_compile=False)
    for _ in range(40):
        rows = generator.choice(64, size, replace=False)
        stock.train_on_batch(case.x[rows], case.y[rows])
    expected = float(case.loss.mean(case.y, stock(case.x)))
    np.testing.assert_allclose(steps.loss_after, expected, rtol=1e-5)


def test_the_copy_keeps_its_weights_and_penalties():
    case = subject(l2=0.5)
    steps = Steps(Start(case))
    before = [weight.copy() for weight in case.copy.get_weights()]
    penalty = steps.start.penalty
    assert steps.loss_by_heart < 0.1 < steps.guess_by_heart  # learned without penalties
    for now, then in zip(case.copy.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert float(sum(case.copy.losses)) == penalty > 0


@pytest.mark.parametrize(("rate", "found"), [(1e-9, True), (0.1, False)])
def test_a_start_of_many_layers_is_named_where_the_steps_do_not_undo_it(rate, found):
    keras.utils.set_random_seed(0)
    start = keras.initializers.RandomNormal(stddev=0.8)
    layers = [keras.layers.Dense(16, "relu", kernel_initializer=start) for _ in range(6)]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
    case = dataclasses.replace(
        subject(), network=model, make_optimizer=lambda: keras.optimizers.Adam(rate)
    )
    steps = Steps(Start(case))
    assert steps.start.loss > steps.start.guess_loss + 6
    assert (steps.loss_after > steps.start.guess_loss) == found
    assert bool(find_check("signal_grows").find(steps)) == found
    assert find_check("start_loss_high").find(steps.start) == ()
