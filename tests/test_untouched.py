"""What is handed to kfc, and what the process shares, stays as it was."""

import copy
import os
import random
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import kfc

SPEC = {
    "name": "mine",
    "network": {"hidden": [6], "dropout": 0.2},
    "training": {"epochs": 2, "engine": "graph", "batch_size": 32},
}


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5)).astype(np.float32)
    return x, (x.sum(axis=1) > 0).astype(np.int32), rng.random(120).astype(np.float32)


def state_of(network):
    """What a use of a network could change in it."""
    return {
        "weights": [weight.tobytes() for weight in network.get_weights()],
        "compiled": (network.compiled, getattr(network, "optimizer", None)),
        "trainable": [layer.trainable for layer in network.layers],
        "dtypes": [layer.dtype_policy.name for layer in network.layers],
        "stop_training": getattr(network, "stop_training", False),
        "variables": [v.numpy().tobytes() for v in network.non_trainable_variables],
    }


def state_of_process():
    """What a library should not change under its caller."""
    return {
        "numpy": repr(np.random.get_state()),
        "python": random.getstate(),
        "tensorflow": tf.random.get_global_generator().state.numpy().tolist(),
        "np.seterr": np.geterr(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "keras": (keras.config.floatx(), keras.config.dtype_policy().name),
        "eager": tf.config.functions_run_eagerly(),
        "options": tf.config.optimizer.get_experimental_options(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kfc.fit(SPEC, data=rows(), runs=tmp_path_factory.mktemp("runs"), verbose=False)


USES = {
    "fit": lambda run, folder: kfc.fit(
        run.spec, data=rows(), network=run.model, runs=folder, verbose=False
    ),
    "evaluate": lambda run, folder: run.evaluate(rows()),
    "evaluate on other rows": lambda run, folder: run.evaluate(
        tuple(p[:40] for p in rows()[:2])
    ),
    "predict": lambda run, folder: run.predict(rows()[0]),
    "rows": lambda run, folder: run.rows("test", rows()),
    "summary": lambda run, folder: run.summary()["metrics"].clear(),
    "export": lambda run, folder: kfc.export(run, folder / "served"),
    "resume": lambda run, folder: kfc.resume(run.folder, data=rows(), verbose=False),
    "load": lambda run, folder: kfc.load(run.folder),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_finished_run_and_the_process_stay_as_they_were(run, use, tmp_path, unasked):
    def state():
        facts = copy.deepcopy((run.metrics, run.baseline, run.history))
        return state_of(run.model), facts, run.spec.model_dump(), state_of_process()

    before = state()
    with unasked():
        use(run, tmp_path)
    for now, then in zip(state(), before, strict=True):
        assert now == then


def test_what_is_untrusted_for_a_training_stays_as_it_was(tmp_path):
    spec, overrides = copy.deepcopy(SPEC), {"network.hidden": [7]}
    data, callbacks = rows(), [keras.callbacks.TerminateOnNaN()]
    network = kfc.build(spec, input_shape=(5,), classes=2)
    given = copy.deepcopy((spec, overrides)), [part.tobytes() for part in data], [*callbacks]
    for part in data:
        part.flags.writeable = False
    before = state_of(network), state_of_process()
    kfc.fit(
        spec, data=data, network=network, callbacks=callbacks, runs=tmp_path, verbose=False
    )
    kfc.fit(spec, overrides=overrides, data=data, runs=tmp_path, verbose=False)
    assert (state_of(network), state_of_process()) == before
    assert ((spec, overrides), [part.tobytes() for part in data], callbacks) == given


def test_a_run_stays_as_it_was_when_its_rows_are_changed_afterwards(run, tmp_path):
    data = rows()
    again = kfc.fit(SPEC, data=data, runs=tmp_path, verbose=False)
    metrics = dict(again.metrics)
    for part in data:
        part[:] = 0
    assert again.weights_sha256 == run.weights_sha256
    assert again.evaluate(rows()) == metrics
