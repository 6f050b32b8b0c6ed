import functools

import numpy as np
import pytest

from kfc.data import prepare
from kfc.runs import fit_in_memory, trainer_pool
from kfc.spec import load_spec
from kfc.tuning.trial_runner import Preparer

FIRST = {"network.hidden": [20, 4], "seed": 3}

COSINE = {"name": "cosine", "initial_learning_rate": 0.01}

OTHERS = {
    "widths": {"network.hidden": [7, 33]},
    "widths of the inputs and the outputs": {"network.hidden": [4, 3]},
    "an initializer": {"network.init": {"name": "random_normal", "stddev": 0.2}},
    "a learning rate": {"training.optimizer.learning_rate": 0.03},
    "adam": {"training.optimizer": {"name": "adam"}, "network.hidden": [6, 5]},
    "epochs of a schedule": {
        "training.optimizer": {"name": "adam", "learning_rate": COSINE},
        "training.epochs": 3,
    },
    "xla": {"network.hidden": [9, 8], "training.engine": "xla"},
}


@pytest.fixture
def iris():
    data = {"source": "sklearn:iris", "validation": 0.2, "scale": "standard"}
    return {
        "data": data,
        "training": {"epochs": 2, "batch_size": 32, "optimizer": {"name": "sgd"}},
    }


@pytest.fixture(autouse=True)
def empty_pool(monkeypatch):
    monkeypatch.setattr(trainer_pool, "_trainers", trainer_pool._trainers.copy())
    trainer_pool._trainers.clear()


def fitted(spec, preparer):
    run = fit_in_memory(spec, preparer).bare
    return run.weights_sha256, run.history, run.metrics


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS)
def test_a_trainer_of_the_pool_gives_another_form_the_bits_of_a_new_one(iris, changed):
    optimizer = changed.get("training.optimizer", {"name": "sgd"})
    spec = load_spec(iris, {**FIRST, "training.optimizer": optimizer})
    other, preparer = load_spec(iris, {**FIRST, **changed}), Preparer()
    wanted = fitted(other, preparer)
    trainer_pool._trainers.clear()
    fit_in_memory(spec, preparer)
    assert fitted(other, preparer) == wanted


def test_widths_and_rates_share_a_trainer_and_activations_do_not(iris):
    spec = load_spec(iris, FIRST)
    prepared = prepare(spec)
    key = functools.partial(trainer_pool.pool_key, prepared=prepared)
    of = {name: key(load_spec(spec, changed)) for name, changed in OTHERS.items()}
    assert {of["widths"], of["an initializer"], of["a learning rate"]} == {key(spec)}
    assert key(load_spec(spec, {"network.activation": "tanh"})) != key(spec)
    assert key(load_spec(spec, {"network.hidden": [20]})) != key(spec)
    parametric = [
        {"network.hidden": [n], "network.parametric_activation": True} for n in (2, 3)
    ]
    assert len({key(load_spec(spec, each)) for each in parametric}) == 2


def test_a_trainer_whose_training_diverged_trains_the_next_one_as_a_new_one(iris):
    spec, preparer = load_spec(iris, FIRST), Preparer()
    resolved = load_spec(spec, {"training.epochs": 2})
    wanted = fitted(resolved, preparer)
    lease = trainer_pool.Lease()
    network = lease.network(*_prepared(resolved, preparer))
    for weight in network.weights:
        weight.assign(np.full(weight.shape, np.nan))
    lease.end()
    assert fitted(resolved, preparer) == wanted


def _prepared(spec, preparer):
    from kfc.runs import prepare_data

    return prepare_data(spec, preparer=preparer)
