"""Small healthy networks that the tests of the doctor change."""

import keras
import numpy as np
import pytest

from kfc.first_steps import LossFacts, Subject


@pytest.fixture(scope="session")
def planted(experiment):
    """The planted faults of `experiments/doctor`."""
    return experiment("doctor", "planted")


@pytest.fixture
def rows():
    """300 rows of four numbers, and three classes that depend on them."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 4)).astype("float32")
    return x, (x @ generator.normal(size=(4, 3))).argmax(axis=1)


@pytest.fixture
def model():
    """A plain Keras model of four inputs and three logits."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture
def logits_loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def subject(model, rows, logits_loss):
    """The model with its loss, SGD of rate 0.1 and its rows."""
    return Subject(
        model,
        LossFacts.of(logits_loss),
        *rows,
        lambda: keras.optimizers.SGD(0.1),
        learning_rate=0.1,
        num_classes=3,
    )
