"""The pages `experiments/gradients` and `experiments/numpy_autodiff`, and what they say."""

import doctest
import importlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from kfc import reference

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
EXPECTED = json.loads((EXPERIMENTS / "numpy_autodiff" / "expected.json").read_text("utf-8"))


# --- gradients ----------------------------------------------------------------------------

PAGE = (EXPERIMENTS / "gradients" / "README.md").read_text("utf-8")
HEADINGS = [line.lstrip("# ") for line in PAGE.splitlines() if line.startswith("#")]


@pytest.fixture(scope="module")
def outcomes(experiment):
    page, names = experiment("gradients", "page"), {}
    return {
        heading: page.run(heading, names, runner=doctest.DocTestRunner) for heading in HEADINGS
    }


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_page_on_gradients_gives_what_it_says(outcomes, heading):
    failed, tried = outcomes[heading]
    assert tried > 0
    assert failed == 0


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="install the extra `benchmarks` to draw",
)
def test_the_functions_are_drawn_with_their_slopes(experiment, tmp_path):
    curves = experiment("gradients", "curves")
    for title, values, slopes in curves.curves():
        middles = np.diff(values) / np.diff(curves.X)
        between = np.minimum(slopes[1:], slopes[:-1]), np.maximum(slopes[1:], slopes[:-1])
        assert (middles >= between[0] - 2e-3).all(), title
        assert (middles <= between[1] + 2e-3).all(), title
    curves.draw(tmp_path / "functions.png")
    assert (tmp_path / "functions.png").stat().st_size > 10_000


# --- numpy_autodiff -----------------------------------------------------------------------


def test_each_operation_and_their_chain_have_the_tape_s_gradients(experiment):
    errors = experiment("numpy_autodiff", "checks").check()
    assert {"matmul", "relu", "softmax", "log", "chain"} <= set(errors)
    assert max(errors.values()) <= 1e-12


@pytest.mark.parametrize("stable", [False, True], ids=["epsilon", "stable"])
def test_the_chain_has_its_central_differences_as_gradients(experiment, stable):
    network = experiment("numpy_autodiff", "operations").Network(stable=stable)
    generator = np.random.default_rng(0)
    x, w1, w2 = (generator.normal(size=size) for size in ((5, 4), (4, 3), (3, 2)))
    onehot = np.eye(2)[[0, 1, 1, 0, 1]]
    network.forward(x, onehot, w1, w2)
    by_w1, by_w2 = network.backward()
    for found, function, weight in (
        (by_w1, lambda w: network.forward(x, onehot, w, w2), w1),
        (by_w2, lambda w: network.forward(x, onehot, w1, w), w2),
    ):
        counted = reference.numerical_gradient(function, weight)
        np.testing.assert_allclose(found, counted, rtol=1e-6, atol=1e-7)


def test_epsilon_scales_a_row_s_gradient_by_p_over_p_plus_epsilon(experiment):
    operations = experiment("numpy_autodiff", "operations")
    logits = np.array([[0.0, 40.0], [0.0, 27.631], [0.0, 10.0], [10.0, 0.0]])
    onehot = np.eye(2)[[0, 0, 0, 0]]
    gradients = []
    for ends in ([operations.Softmax(), operations.Log()], [operations.LogSoftmax()]):
        y, gradient = logits, -onehot
        for end in ends:
            y = end.forward(y)
        for end in reversed(ends):
            gradient = end.backward(gradient)
        gradients.append(gradient)
    with_epsilon, stable = gradients
    p = reference.softmax(logits)[:, :1]
    np.testing.assert_allclose(with_epsilon, stable * p / (p + 1e-12), rtol=1e-6)
    np.testing.assert_allclose(stable, reference.softmax(logits) - onehot, rtol=1e-12)
    shares = (with_epsilon / stable)[:, 0]
    np.testing.assert_allclose(shares, [4e-6, 0.5, 1, 1], rtol=0.1)


@pytest.mark.slow
def test_a_slice_of_mnist_trains_in_every_form(experiment, idx_datasets, tmp_path):
    run = experiment("numpy_autodiff", "run")
    measured = run.measure(small=True, runs=tmp_path, folder=idx_datasets / "mnist")
    for form, bounds in EXPECTED["small"].items():
        for name, (low, high) in bounds.items():
            lowest, _, highest = measured[form][name]
            assert low <= lowest <= highest <= high, (form, name)


@pytest.mark.slow
def test_twenty_seeds_of_the_tutorial_s_network_end_as_recorded(
    experiment, idx_datasets, tmp_path
):
    run = experiment("numpy_autodiff", "run")
    measured = run.measure(runs=tmp_path, folder=idx_datasets / "mnist")
    for form, bounds in EXPECTED["full"].items():
        for name, (low, high) in bounds.items():
            lowest, _, highest = measured[form][name]
            assert low <= lowest <= highest <= high, (form, name)
