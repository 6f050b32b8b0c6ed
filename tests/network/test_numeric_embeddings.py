import subprocess
import sys

import keras
import numpy as np
import pytest

import kfc

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
import tensorflow as tf  # noqa: E402

from kfc.data import Task  # noqa: E402
from kfc.network.building import build  # noqa: E402
from kfc.network.numeric_embeddings import embedding_weights  # noqa: E402
from kfc.network.table_inputs import num_inputs  # noqa: E402
from kfc.preprocessing import NumericScaling  # noqa: E402
from kfc.spec import load_spec  # noqa: E402

TASK = Task((4,), "float32", ("a", "b", "c"))
EMBEDDED = {"network.numeric_embedding": "periodic_linear", "network.hidden": [5]}


def embedded(x, weights):
    """The formula of RealMLP's PBLD, in float64."""
    w, b, v, c = weights  # (f, 16), (f, 16), (f, 16, 3), (f, 3)
    waves = np.cos(2 * np.pi * x[:, :, None] * w + b)  # (rows, f, 16)
    linear = np.einsum("rfk,fko->rfo", waves, v) + c
    return np.concatenate([linear.reshape(len(x), -1), x], axis=1)


def weights_of(network):
    layers = [network.get_layer(f"numeric_embedding_{part}") for part in ("waves", "linear")]
    return [w.astype(np.float64) for layer in layers for w in layer.get_weights()]


def test_numbers_become_waves_and_themselves():
    spec = load_spec({}, EMBEDDED)
    network = build(spec, TASK)
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    tap = keras.Model(network.inputs[0], network.get_layer("hidden_1").input)
    expected = embedded(x.astype(np.float64), weights_of(network))
    np.testing.assert_allclose(tap(x), expected, rtol=1e-5, atol=1e-5)
    assert expected.shape[1] == num_inputs(spec, TASK) == 16


def test_the_initial_weights_are_those_of_the_paper():
    wide, spec = Task((500,), "float32", ("a", "b")), load_spec({}, EMBEDDED)
    w, b, v, c = parts = weights_of(build(spec, wide))
    assert w.std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(w.mean()) < 0.005
    for values, bound in ((b, np.pi), (v, 0.25), (c, 0.25)):
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    counted = 500 * embedding_weights(spec, wide)
    assert sum(part.size for part in parts) == counted


def step(weights, x, y, rate):
    """A step of softmax regression on the embedding, its gradients by hand."""
    w, b, v, c, kernel, bias = weights
    angles = 2 * np.pi * x[:, :, None] * w + b
    features = embedded(x, (w, b, v, c))
    z = features @ kernel + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = (p - np.eye(3)[y]) / len(x)
    d_linear = (dz @ kernel.T)[:, : c.size].reshape(len(x), *c.shape)  # (rows, f, 3)
    d_angles = np.einsum("rfo,fko->rfk", d_linear, v) * -np.sin(angles)
    gradients = [
        np.einsum("rfk,rf->fk", d_angles, 2 * np.pi * x),
        d_angles.sum(axis=0),
        np.einsum("rfk,rfo->fko", np.cos(angles), d_linear),
        d_linear.sum(axis=0),
        features.T @ dz,
        dz.sum(axis=0),
    ]
    return [old - rate * g for old, g in zip(weights, gradients, strict=True)]


@pytest.mark.parametrize("form", ["eager", "graph", "xla"])
def test_a_training_moves_the_embedding_by_its_gradient(form, tmp_path):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(70, 4)).astype(np.float32), rng.integers(0, 3, 70)
    changes = {
        **EMBEDDED,
        "network.hidden": [],
        "data.scale": "none",
        "data.validation": 0,
        "training.engine": form,
        "training.epochs": 2,
        "training.shuffle": False,
        "training.batch_size": 32,
        "training.optimizer": {"name": "sgd", "learning_rate": 0.5},
    }
    run = kfc.fit({}, overrides=changes, data=(rows, rows), runs=tmp_path, verbose=False)
    weights = [w.astype(np.float64) for w in build(run.spec, run.task).get_weights()]
    for _ in range(2):
        for first in range(0, 70, 32):  # the last batch has 6 rows
            batch = slice(first, first + 32)
            weights = step(weights, rows[0][batch].astype(np.float64), rows[1][batch], 0.5)
    for got, want in zip(run.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_a_saved_network_loads_where_kfc_is_not_installed(tmp_path):
    network = build(load_spec({}, EMBEDDED), Task((4,), "float32", ("a", "b")))
    x = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['kfc'] = None; import keras, numpy as np;"
        "model = keras.models.load_model('model.keras');"
        "np.save('y.npy', model(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), network(x))


def test_other_seeds_give_other_waves_and_equal_ones_the_same():
    spec = load_spec({}, EMBEDDED)
    first, again = (weights_of(build(spec, TASK)) for _ in range(2))
    other = weights_of(build(load_spec({}, {**EMBEDDED, "seed": 1}), TASK))
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).all()


def test_scaled_numbers_are_embedded():
    scaling = NumericScaling.from_numbers(np.arange(4), np.full(4, 2.0))
    network = build(
        load_spec({}, EMBEDDED), Task((4,), "float32", ("a", "b"), scaling=scaling)
    )
    x = tf.constant([[0.0, 1.0, 2.0, 5.0]])
    tap = keras.Model(network.inputs[0], network.get_layer("hidden_1").input)
    np.testing.assert_allclose(tap(x)[0, -4:], [0, 0, 0, 1], atol=1e-6)
