import dataclasses
import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest

import kfc

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
from kfc.data import Task  # noqa: E402
from kfc.network.building import build  # noqa: E402
from kfc.network.numeric_embeddings import embedding_weights  # noqa: E402
from kfc.network.table_inputs import num_inputs  # noqa: E402
from kfc.preprocessing import NumberBins  # noqa: E402
from kfc.spec import load_spec  # noqa: E402

EMBEDDED = {"network.numeric_embedding": "piecewise_linear", "network.hidden": [5]}
EDGES = [[-1, 0, 2, 3], [0, 1], [5], [-2, 2, 4]]
TASK = Task(
    (4,), "float32", ("a", "b", "c"), number_bins=NumberBins.from_config({"edges": EDGES})
)


def encoded(x, edges, bins):
    """The definition, in float64: (rows, features) -> (rows, features, bins)."""
    v = np.zeros((*x.shape, bins))
    for f, of_column in enumerate(edges):
        for t, (low, high) in enumerate(itertools.pairwise(of_column)):
            passed = (x[:, f] - low) / (high - low)
            passed = np.maximum(passed, 0) if t else passed
            v[:, f, t] = passed if t == len(of_column) - 2 else np.minimum(passed, 1)
    return v


def embedded(x, v, weights):
    w, c, pieces = weights  # (f, 16), (f, 16), (f, bins, 16)
    return x[:, :, None] * w + c + np.einsum("bfk,fko->bfo", v, pieces)


def embedding_of(network):
    layers = [network.get_layer(f"numeric_embedding_{part}") for part in ("linear", "pieces")]
    return [w.astype(np.float64) for layer in layers for w in layer.get_weights()]


def randomized(network, seed=0):
    rng = np.random.default_rng(seed)
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    return network


def test_a_number_becomes_a_function_that_is_linear_in_each_bin():
    spec = load_spec({}, EMBEDDED)
    network = randomized(build(spec, TASK))
    x = np.random.default_rng(0).normal(0, 3, (70, 4)).astype(np.float32)
    tap = keras.Model(network.inputs[0], network.get_layer("hidden_1").input)
    exact = x.astype(np.float64)
    expected = embedded(exact, encoded(exact, EDGES, 3), embedding_of(network))
    # One number after the other, each with 16 inputs of its own.
    np.testing.assert_allclose(tap(x), expected.reshape(70, 64), rtol=1e-5, atol=1e-4)
    assert num_inputs(spec, TASK) == 64


def test_the_initial_functions_are_straight_lines():
    spec = load_spec({}, EMBEDDED)
    wide = Task((500,), "float32", ("a", "b"))
    bins = NumberBins.from_config({"edges": [[0, 1, 2]] * 500})
    wide = dataclasses.replace(wide, number_bins=bins)
    w, c, pieces = parts = embedding_of(build(spec, wide))
    for values in (w, c):
        assert np.abs(values).max() <= 0.25
        assert values.std() == pytest.approx(0.25 / np.sqrt(3), rel=0.05)
    assert np.corrcoef(w.ravel(), c.ravel())[0, 1] == pytest.approx(0, abs=0.05)
    assert pieces.shape == (500, 2, 16)
    assert not pieces.any()
    assert sum(part.size for part in parts) == 500 * embedding_weights(spec, wide)


def test_equal_seeds_give_equal_weights_and_other_ones_others():
    first, again = (embedding_of(build(load_spec({}, EMBEDDED), TASK)) for _ in range(2))
    other = embedding_of(build(load_spec({}, {**EMBEDDED, "seed": 1}), TASK))
    for one, two, three in zip(first[:2], again[:2], other[:2], strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).all()


def test_options_of_one_embedding_are_refused_for_the_other():
    for name, option in (("piecewise_linear", "frequencies"), ("periodic_linear", "bins")):
        with pytest.raises(kfc.SpecError, match=f"unknown key '{option}'.*Known: "):
            load_spec({}, {"network.numeric_embedding": {"name": name, option: 4}})
    with pytest.raises(kfc.SpecError, match="from 1 to 4096"):
        load_spec({}, {"network.numeric_embedding": {"name": "piecewise_linear", "bins": 0}})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("periodic_linear", {"frequencies": 16, "size": 3, "stddev": 0.1}),
        ("piecewise_linear", {"bins": 48, "size": 16}),
    ],
)
def test_each_embedding_has_defaults_of_its_own(name, options):
    embedding = load_spec({}, {"network.numeric_embedding": name}).network.numeric_embedding
    assert embedding.options == options


def test_a_network_without_rows_has_no_bins():
    with pytest.raises(kfc.SpecError, match="learned from training rows"):
        kfc.build({"network": {"numeric_embedding": "piecewise_linear"}}, input_shape=(4,))


def step(weights, x, v, y, rate):
    """A step of softmax regression on the embedding, its gradients by hand."""
    w, c, pieces, kernel, bias = weights
    features = embedded(x, v, (w, c, pieces)).reshape(len(x), -1)
    z = features @ kernel + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = (p - np.eye(3)[y]) / len(x)
    d_embedded = (dz @ kernel.T).reshape(len(x), *w.shape)
    gradients = [
        np.einsum("bfo,bf->fo", d_embedded, x),
        d_embedded.sum(axis=0),
        np.einsum("bfk,bfo->fko", v, d_embedded),
        features.T @ dz,
        dz.sum(axis=0),
    ]
    return [old - rate * g for old, g in zip(weights, gradients, strict=True)]


def some_rows(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(70, 4)).astype(np.float32)
    x[:, 2], x[:, 3] = 1.5, rng.integers(0, 3, 70)
    return x, rng.integers(0, 3, 70)


@pytest.mark.parametrize("form", ["eager", "graph", "xla"])
def test_a_training_moves_the_embedding_by_its_gradient(form, tmp_path):
    rows = some_rows(1)
    changes = {
        "network.numeric_embedding": {"name": "piecewise_linear", "bins": 6, "size": 4},
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
    x = rows[0].astype(np.float64)
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, 7))) for column in x.T]
    assert [len(each) for each in edges][2:] == [1, 3]
    v = encoded(x, edges, 6)
    for _ in range(2):
        for first in range(0, 70, 32):  # the last batch has 6 rows
            batch = slice(first, first + 32)
            weights = step(weights, x[batch], v[batch], rows[1][batch], 0.5)
    for got, want in zip(run.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
    again = kfc.load(run.folder)
    np.testing.assert_array_equal(
        again.predict(x[:9]).probabilities, run.predict(x[:9]).probabilities
    )
    assert again.task.number_bins.get_config() == run.task.number_bins.get_config()


def test_a_saved_network_loads_where_kfc_is_not_installed(tmp_path):
    network = randomized(build(load_spec({}, EMBEDDED), TASK))
    x = np.random.default_rng(2).normal(0, 3, (5, 4)).astype(np.float32)
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['kfc'] = None; import keras, numpy as np;"
        "model = keras.models.load_model('model.keras');"
        "np.save('y.npy', model(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), network(x))


def test_constant_numbers_alone_have_no_pieces():
    bins = NumberBins.from_config({"edges": [[1], [2], [3], [4]]})
    spec, task = load_spec({}, EMBEDDED), dataclasses.replace(TASK, number_bins=bins)
    network = build(spec, task)
    assert "numeric_embedding_pieces" not in [layer.name for layer in network.layers]
    assert embedding_weights(spec, task) == 32
    assert network.get_layer("hidden_1").input.shape == (None, 64)
