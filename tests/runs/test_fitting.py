import copy
import json
import os
import signal
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import kfc

RATE = "training.optimizer.learning_rate"
SMALL = {
    "training.epochs": 2,
    RATE: 0.01,
    "network.hidden": [16],
}
STOPPED = {
    **SMALL,
    "training.epochs": 60,
    "training.early_stopping": {"patience": 3},
    RATE: 0.03,
}
EAGER = {"training.engine": "eager"}  # a short training takes less time than compiling
ONE_EAGER_EPOCH = {"epochs": 1, "engine": "eager"}
ONE_EPOCH = {  # on the rows of `arrays`, all tests share one compiled graph
    "data": {"scale": "standard"},
    "training": {"epochs": 1, "engine": "graph"},
}


def forms_of_data(x, y):
    import pandas as pd

    frame = pd.DataFrame(x, columns=list("abcde"))
    return {
        "arrays": (x, y),
        "lists": (x.tolist(), y.tolist()),
        "a frame with a target": frame.assign(target=y),
        "a frame and a series": (frame, pd.Series(y)),
        "a dataset of rows": tf.data.Dataset.from_tensor_slices((x, y)),
        "a dataset of batches": tf.data.Dataset.from_tensor_slices((x, y)).batch(50),
    }


@pytest.fixture(scope="module")
def again(run, fit):
    """The run that the saved spec of `run` gives, in the same folder of runs."""
    return fit(run.folder.parent, run.folder / "spec.yaml", {})


def test_run_folders_are_numbered_and_named(run, again):
    assert [run.folder.name, again.folder.name] == ["0001-digits", "0002-digits"]


def test_the_saved_spec_repeats_the_run_to_the_same_bits(run, again):
    assert again.weights_sha256 == run.weights_sha256
    assert again.history == run.history


def test_the_saved_spec_says_what_was_chosen(run):
    spec = kfc.load(run.folder).spec
    assert (spec.training.engine, spec.data.stream) == ("graph", "never")


def test_a_streamed_run_is_repeated_by_its_spec_and_measured_again(tmp_path, fit, arrays):
    folder = tmp_path / "rows"
    folder.mkdir()
    x, y = arrays
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    spec = {"data": {"source": f"npy:{folder}", "stream": "always"}}
    first = fit(tmp_path, spec)
    again = fit(tmp_path, first.folder / "spec.yaml", {})
    assert again.weights_sha256 == first.weights_sha256
    assert kfc.load(first.folder).evaluate() == first.metrics


def test_bfloat16_gives_other_numbers_on_float32_weights(run, tmp_path, fit):
    half = fit(tmp_path, overrides={**SMALL, "training.precision": "bfloat16"})
    assert half.weights_sha256 != run.weights_sha256
    assert half.metrics["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=0.05)
    assert {str(weight.dtype) for weight in half.model.weights} == {"float32"}
    assert kfc.load(half.folder).evaluate() == half.metrics


def test_a_weight_for_a_class_that_is_not_there_makes_no_folder(tmp_path, fit):
    with pytest.raises(kfc.SpecError, match="class_weight"):
        fit(tmp_path, overrides={**SMALL, "training.class_weight": {"eleven": 2.0}})
    assert not list(tmp_path.iterdir())


def test_another_seed_gives_other_weights(run, tmp_path, fit):
    other = fit(tmp_path, overrides={**SMALL, "seed": 1})
    assert other.weights_sha256 != run.weights_sha256


def test_history_has_one_value_per_epoch(run):
    names = {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {name: len(values) for name, values in run.history.items()} == dict.fromkeys(
        names, 2
    )


def test_without_validation_rows_the_test_rows_are_watched(tmp_path, fit):
    run = fit(tmp_path, overrides={**SMALL, "data.validation": 0})
    assert set(run.history) == {"loss", "accuracy", "test_loss", "test_accuracy"}
    assert run.history["test_loss"][-1] == run.metrics["test_loss"]


def test_regression_predicts_in_the_targets_own_units(tmp_path, fit):
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    run = fit(tmp_path, "diabetes", {**EAGER, "training.epochs": 5, RATE: 0.03})
    value = run.predict(x).value
    assert value.shape == (442, 1)
    assert abs(value.mean() - y.mean()) < 15  # targets lie between 25 and 346
    assert run.metrics["test_r2"] > 0.2
    assert set(run.metrics) == {
        f"{p}_{m}" for p in ("val", "test") for m in ("loss", "mae", "r2", "rmse")
    }


def test_two_classes_may_have_one_logit(tmp_path, fit):
    run = fit(tmp_path, "breast_cancer", {**EAGER, "training.epochs": 2, RATE: 0.03})
    assert run.model.output_shape == (None, 1)
    assert run.metrics["test_accuracy"] > 0.9
    predictions = run.predict(np.zeros((2, 30)))
    assert predictions.probabilities.shape == (2, 2)
    assert set(predictions.label) <= {"malignant", "benign"}


def test_a_network_lends_its_weights_and_stays_as_it_is(run, tmp_path, fit):
    spec = kfc.load(run.folder).spec
    network = kfc.build(spec, input_shape=(64,), classes=10)
    before = network.get_weights()
    trained = fit(tmp_path, spec, {}, network=network)
    assert trained.weights_sha256 == run.weights_sha256  # build gives fit's own start
    for weights, same in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)

    answers = trained.predict(np.zeros((1, 64))).probabilities
    further = fit(tmp_path, spec, {}, network=trained.model)
    assert further.history["loss"][0] < trained.history["loss"][-1]
    np.testing.assert_array_equal(trained.predict(np.zeros((1, 64))).probabilities, answers)
    assert kfc.load(trained.folder).weights_sha256 == trained.weights_sha256


@pytest.mark.slow  # test_untouched.py looks at each function by default
def test_what_is_passed_in_stays_as_it_was(tmp_path, unasked, fit, arrays):
    """Arrays, dicts, random states and settings, through every function that takes a run."""
    x, y = arrays
    spec = {"data": {"scale": "standard"}, "training": {"epochs": 1, "engine": "graph"}}
    overrides = {"network": {"hidden": [4]}}
    given = copy.deepcopy((spec, overrides, x, y))

    def settings():
        import random

        return (
            random.getstate(),
            str(np.random.get_state()),
            np.geterr(),
            keras.config.dtype_policy().name,
            keras.backend.floatx(),
            dict(os.environ),
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            tf.config.threading.get_intra_op_parallelism_threads(),
            Path.cwd(),
            warnings.filters[:],
        )

    before = settings()
    run = fit(tmp_path, spec, overrides, data=(x, y))
    compiled, weights = run.model.compiled, run.model.get_weights()
    summary = copy.deepcopy((run.summary(), run.history, run.spec))
    run.evaluate(data=(x, y))
    run.evaluate((x[:50], y[:50]))
    run.predict(x)
    run.rows("test", data=(x, y))
    with unasked():
        kfc.export(run, tmp_path / "models", verbose=False)
    kfc.verify({**spec, **overrides}, steps=2, data=(x, y))
    assert settings() == before
    assert (run.model.compiled, run.model.trainable) == (compiled, True)
    for now, then in zip(run.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    assert (run.summary(), run.history, run.spec) == summary
    assert (spec, overrides) == given[:2]
    np.testing.assert_array_equal(x, given[2])
    np.testing.assert_array_equal(y, given[3])


def test_a_network_of_another_architecture_is_refused_with_the_difference(tmp_path, fit):
    network = kfc.build("digits", input_shape=(64,), classes=10)
    with pytest.raises(kfc.SpecError, match=r"layer 1 \(hidden_1\): expected units 16"):
        fit(tmp_path, network=network)
    assert not list(tmp_path.iterdir())


def test_callbacks_are_ordinary_keras_callbacks(tmp_path, fit):
    class Recorder(keras.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1

        def on_epoch_end(self, epoch, logs=None):
            self.last = logs

    recorder = Recorder()
    run = fit(tmp_path, overrides=SMALL, callbacks=[recorder])
    assert recorder.batches == 82
    assert recorder.last["val_loss"] == run.history["val_loss"][-1]


def test_a_callback_that_is_none_is_refused_before_anything_runs(tmp_path, fit):
    with pytest.raises(kfc.SpecError, match=r"callbacks\[0\]"):
        fit(tmp_path, callbacks=["TerminateOnNaN"])


def test_early_stopping_ends_with_the_best_epochs_weights(tmp_path, fit):
    run = fit(tmp_path, overrides={**STOPPED, "training.engine": "graph"})
    assert run.epochs < 60
    assert run.metrics["val_loss"] == min(run.history["val_loss"])


def test_early_stopping_under_xla_ends_with_the_best_epochs_weights_too(tmp_path, fit):
    spec = {
        "data": {"source": "sklearn:iris", "scale": "standard"},
        "network": {"hidden": []},  # XLA compiles it in half the time
        "training": {
            "engine": "xla",
            "epochs": 40,
            "early_stopping": {"patience": 2},
            "optimizer": {"name": "sgd", "learning_rate": 2.0},
        },
    }
    run = fit(tmp_path, spec, {})
    assert run.epochs < 40
    # Measured within the compiled loop there, and on its own here.
    assert run.metrics["val_loss"] == pytest.approx(min(run.history["val_loss"]), rel=1e-6)


def test_a_monitor_that_this_task_does_not_record_is_refused(tmp_path, fit):
    wrong = {
        "training.early_stopping": {"monitor": "val_accuracy"},
        "training.callbacks": [{"name": "ReduceLROnPlateau", "monitor": "accuracy"}],
    }
    with pytest.raises(kfc.SpecError) as refused:
        fit(tmp_path, "diabetes", wrong)
    assert [finding.where for finding in refused.value.findings] == [
        "training.early_stopping.monitor",
        "training.callbacks[0].monitor",
    ]
    assert not list(tmp_path.iterdir())


def test_numbers_that_explode_end_the_run_without_a_result(tmp_path, fit):
    hot = {"training.optimizer": {"name": "sgd", "learning_rate": 1e9}, "training.loss": "mse"}
    with pytest.raises(kfc.NumbersError, match=r"epoch 1, step \d+"):
        fit(tmp_path, overrides={**SMALL, **hot})
    (folder,) = tmp_path.iterdir()
    assert not (folder / "result.json").exists()
    with pytest.raises(kfc.CheckpointError, match="an unfinished one"):
        kfc.load(folder)


def test_every_form_of_the_same_data_gives_the_same_bits(tmp_path, fit, arrays):
    results = {
        name: fit(tmp_path, ONE_EPOCH, {}, data=data).weights_sha256
        for name, data in forms_of_data(*arrays).items()
    }
    assert len(set(results.values())) == 1, results


def test_a_pair_of_pairs_is_training_and_test_data(tmp_path, fit, arrays):
    x, y = arrays
    spec = {"data": {"scale": "standard", "validation": 0}, "training": ONE_EAGER_EPOCH}
    run = fit(tmp_path, spec, {}, data=((x, y), (x[:7], y[:7])))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(loss(y[:7], run.model(x[:7])))
    assert run.metrics["test_loss"] == pytest.approx(expected, rel=1e-6)
    assert run.evaluate(data=((x, y), (x[:7], y[:7]))) == run.metrics


def test_a_spec_without_a_source_needs_data(tmp_path, fit):
    with pytest.raises(kfc.SpecError, match=r"data.source: expected a source, or data="):
        fit(tmp_path, {}, {})


def test_a_run_on_data_in_memory_needs_that_data_again(tmp_path, fit, arrays):
    x, y = arrays
    spec = {**ONE_EPOCH, "data": {"source": "sklearn:digits", "scale": "standard"}}
    run = fit(tmp_path, spec, {}, data=(x, y), callbacks=keras.callbacks.TerminateOnNaN())
    assert run.spec.data.source is None
    environment = json.loads((run.folder / "environment.json").read_text("utf-8"))
    assert environment["given"] == {
        "data": True,
        "network": None,
        "callbacks": ["TerminateOnNaN"],
        "checks": "data",
    }
    with pytest.raises(kfc.SpecError, match="a source, or data= in Python"):
        fit(tmp_path, run.folder / "spec.yaml", {})
    again = fit(tmp_path, run.folder / "spec.yaml", {}, data=(x, y))
    assert again.weights_sha256 == run.weights_sha256


def test_metrics_that_are_not_finite_are_no_success(tmp_path, fit, arrays):
    x, _ = arrays
    with pytest.raises(kfc.NumbersError, match="expected a finite number"):
        fit(tmp_path, {"training": ONE_EAGER_EPOCH}, {}, data=(x, x[:, 0] * 1e37))


def test_a_network_that_cannot_fit_into_memory_is_refused(tmp_path, fit):
    with pytest.raises(kfc.SpecError, match="Make the layers narrower"):
        fit(tmp_path, overrides={"network.hidden": [2_000_000, 2_000_000]})


def test_two_owners_of_the_learning_rate_are_refused(tmp_path, fit):
    rate = {"name": "cosine", "initial_learning_rate": 0.01}
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    with pytest.raises(kfc.SpecError, match="one owner of the learning rate"):
        fit(
            tmp_path,
            overrides={**SMALL, RATE: rate},
            callbacks=[scheduler],
        )


def test_a_frozen_layer_is_another_architecture(tmp_path, fit):
    network = kfc.build("digits", input_shape=(64,), classes=10)
    network.get_layer("hidden_1").trainable = False
    with pytest.raises(kfc.SpecError, match="trainable True as in the spec"):
        fit(tmp_path, overrides={}, network=network)


def test_regressions_on_other_targets_in_one_process_keep_their_own_units(tmp_path, fit):
    """Compiled steps are shared within a process, but not with another target's scaling."""
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    short = {"training.epochs": 5, RATE: 0.01}
    first, second = (
        fit(tmp_path, "diabetes", short, data=(x, target)) for target in (y, 1000 * y + 50_000)
    )
    # The loss is in standard deviations of the target, so that it hardly sees its units.
    assert second.history["loss"] == pytest.approx(first.history["loss"], rel=1e-3)
    assert second.metrics["test_mae"] == pytest.approx(
        1000 * first.metrics["test_mae"], rel=0.01
    )


def test_a_run_on_named_parts_that_shuffle_themselves_is_evaluated_and_repeated(
    tmp_path, fit, arrays
):
    x, y = arrays
    train = tf.data.Dataset.from_tensor_slices((x[:86], y[:86])).shuffle(86).batch(16)
    data = {"train": train, "validation": (x[86:96], y[86:96]), "test": (x[96:], y[96:])}
    training = {"epochs": 2, "engine": "graph", "early_stopping": {}}
    spec = {**ONE_EPOCH, "training": training}
    run = fit(tmp_path, spec, {}, data=data)
    assert run.rows == {"train": 86, "val": 10, "test": 24}
    assert (run.spec.data.validation, run.spec.data.pixels) == ("own", False)
    assert kfc.load(run.folder).evaluate(data) == run.metrics
    assert fit(tmp_path, run.spec, {}, data=data).weights_sha256 == run.weights_sha256


def test_a_resolved_spec_says_which_inputs_are_pixels(tmp_path, fit, arrays):
    _, y = arrays
    pictures = np.random.default_rng(0).integers(0, 256, (len(y), 3, 3), np.uint8)
    run = fit(tmp_path, {"training": ONE_EAGER_EPOCH}, {}, data=(pictures, y))
    assert run.spec.data.pixels is True
    flat = fit(tmp_path, run.spec, {}, data=(pictures.reshape(len(y), -1), y))
    assert flat.weights_sha256 == run.weights_sha256
    with pytest.raises(
        kfc.DataError, match=r"expected rows of shape \(3, 3\), .* \(3, 3, 3\)"
    ):
        run.predict(np.stack([pictures] * 3, axis=-1))
