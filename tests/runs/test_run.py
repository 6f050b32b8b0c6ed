import copy
import json
import os
import signal
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kfc
from kfc.runs import result_file

SMALL = {
    "training.epochs": 2,
    "training.optimizer.learning_rate": 0.01,
    "network.hidden": [16],
}
STOPPED = {
    **SMALL,
    "training.epochs": 60,
    "training.early_stopping": {"patience": 3},
    "training.optimizer.learning_rate": 0.03,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("runs"))


def fit(runs, spec="digits", overrides=SMALL, **options):
    return kfc.fit(spec, overrides=overrides, runs=runs, verbose=False, **options)


def logged(run):
    text = (run.folder / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_folder_holds_every_record(run):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        *("spec.yaml", "environment.json", "metrics.jsonl", "checkpoints", "model.keras"),
        *("result.json", "tensorboard", "run.log", "sample.npz", ".lock"),
    }


def test_run_folders_are_numbered_and_named(tmp_path):
    folders = [fit(tmp_path).folder.name for _ in range(2)]
    assert folders == ["0001-digits", "0002-digits"]


def test_the_saved_spec_repeats_the_run_to_the_same_bits(run, tmp_path):
    again = fit(tmp_path, run.folder / "spec.yaml", {})
    assert again.weights_sha256 == run.weights_sha256
    assert again.history == run.history


def test_the_saved_spec_says_what_was_chosen(run):
    spec = kfc.load(run.folder).spec
    assert (spec.training.engine, spec.data.stream) == ("graph", "never")


def test_a_run_begins_by_saying_what_it_trains_and_how(tmp_path, capsys):
    run = kfc.fit("digits", overrides=SMALL, runs=tmp_path)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f"{run.folder}: 1,293 rows, 1,210 weights, engine graph"


def test_a_streamed_run_is_repeated_by_its_spec_and_measured_again(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    x, y = arrays()
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    spec = {"data": {"source": f"npy:{folder}", "stream": "always"}}
    first = fit(tmp_path, spec)
    again = fit(tmp_path, first.folder / "spec.yaml", {})
    assert again.weights_sha256 == first.weights_sha256
    assert kfc.load(first.folder).evaluate() == first.metrics


def test_bfloat16_gives_other_numbers_on_float32_weights(run, tmp_path):
    half = fit(tmp_path, overrides={**SMALL, "training.precision": "bfloat16"})
    assert half.weights_sha256 != run.weights_sha256
    assert half.metrics["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=0.05)
    assert {str(weight.dtype) for weight in half.model.weights} == {"float32"}
    assert kfc.load(half.folder).evaluate() == half.metrics


def test_a_weight_for_a_class_that_is_not_there_makes_no_folder(tmp_path):
    with pytest.raises(kfc.SpecError, match="class_weight"):
        fit(tmp_path, overrides={**SMALL, "training.class_weight": {"eleven": 2.0}})
    assert not list(tmp_path.iterdir())


def test_another_seed_gives_other_weights(run, tmp_path):
    other = fit(tmp_path, overrides={**SMALL, "seed": 1})
    assert other.weights_sha256 != run.weights_sha256


def test_history_has_one_value_per_epoch(run):
    names = {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {name: len(values) for name, values in run.history.items()} == dict.fromkeys(
        names, 2
    )


def test_without_validation_rows_the_test_rows_are_watched(tmp_path):
    run = fit(tmp_path, overrides={**SMALL, "data.validation": 0})
    assert set(run.history) == {"loss", "accuracy", "test_loss", "test_accuracy"}
    assert run.history["test_loss"][-1] == run.metrics["test_loss"]


def test_load_gives_the_same_run_back(run):
    loaded = kfc.load(run.folder)
    x = np.zeros((3, 64), np.float32)
    np.testing.assert_array_equal(
        loaded.model.predict(x, verbose=0), run.model.predict(x, verbose=0)
    )
    for name in (
        "spec",
        "history",
        "metrics",
        "seconds",
        "weights_sha256",
        "epochs",
        "folder",
    ):
        assert getattr(loaded, name) == getattr(run, name)


def test_evaluate_repeats_the_recorded_numbers_exactly(run):
    assert kfc.load(run.folder).evaluate() == run.metrics


def test_evaluate_refuses_a_source_that_has_other_rows_now(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    spec = {"data": {"source": f"npz:{tmp_path / 'rows.npz'}"}, "training": {"epochs": 1}}
    run = fit(tmp_path, spec, {})
    np.savez(tmp_path / "rows.npz", x=x[1:], y=y[1:])
    with pytest.raises(kfc.DataError, match="the rows that this run was trained on"):
        run.evaluate()


def test_the_saved_model_loads_in_keras_alone(run):
    model = keras.models.load_model(run.folder / "model.keras")
    x = np.random.default_rng(0).random((5, 64)).astype("float32") * 16
    np.testing.assert_array_equal(model.predict(x, verbose=0), run.model.predict(x, verbose=0))


def test_metrics_jsonl_has_a_line_per_epoch_and_per_log_step(tmp_path):
    # 1,293 training rows in batches of 32: 41 steps per epoch.
    run = fit(tmp_path, overrides={**SMALL, "training.log_every": 20})
    lines = logged(run)
    assert [line["step"] for line in lines] == [20, 40, 41, 60, 80, 82]
    assert ["batch_loss" in line for line in lines] == [True, True, False] * 2
    assert [line["loss"] for line in lines if line["step"] in (41, 82)] == run.history["loss"]


def test_evaluate_every_adds_evaluations_within_an_epoch(tmp_path):
    run = fit(tmp_path, overrides={**SMALL, "training.evaluate_every": 30})
    lines = logged(run)
    assert [line["step"] for line in lines if "val_loss" in line] == [30, 41, 60, 82]


def test_logging_and_evaluating_within_epochs_changes_no_bit(run, tmp_path):
    often = {"training.log_every": 7, "training.evaluate_every": 5}
    assert fit(tmp_path, overrides={**SMALL, **often}).weights_sha256 == run.weights_sha256


def test_predictions_name_the_class_and_its_probability(run):
    import sklearn.datasets

    x, y = sklearn.datasets.load_digits(return_X_y=True)
    predictions = run.predict(x)
    assert (predictions.label == y.astype(str)).mean() > 0.8
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    best = predictions.probabilities[np.arange(len(x)), predictions.label.astype(int)]
    np.testing.assert_array_equal(best, predictions.probability)


def test_predict_refuses_rows_of_another_width(run):
    with pytest.raises(kfc.DataError, match="rows of shape"):
        run.predict(np.zeros((2, 63)))


def test_predict_refuses_a_nan_naming_its_cell(run):
    x = np.zeros((2, 64))
    x[1, 5] = np.nan
    with pytest.raises(kfc.DataError, match=r"row 1, column \[?5"):
        run.predict(x)


def test_regression_predicts_in_the_targets_own_units(tmp_path):
    import sklearn.datasets

    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    run = fit(tmp_path, "diabetes", {"training.epochs": 60})
    value = run.predict(x).value
    assert value.shape == (442, 1)
    assert abs(value.mean() - y.mean()) < 15  # targets lie between 25 and 346
    assert run.metrics["test_r2"] > 0.2
    assert set(run.metrics) == {
        f"{p}_{m}" for p in ("val", "test") for m in ("loss", "mae", "r2", "rmse")
    }


def test_two_classes_may_have_one_logit(tmp_path):
    run = fit(tmp_path, "breast_cancer", {"training.epochs": 30})
    assert run.model.output_shape == (None, 1)
    assert run.metrics["test_accuracy"] > 0.9
    predictions = run.predict(np.zeros((2, 30)))
    assert predictions.probabilities.shape == (2, 2)
    assert set(predictions.label) <= {"malignant", "benign"}


def test_a_network_lends_its_weights_and_stays_as_it_is(run, tmp_path):
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
def test_what_is_passed_in_stays_as_it_was(tmp_path, unasked):
    """Arrays, dicts, random states and settings, through every function that takes a run."""
    x, y = arrays()
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


def test_a_run_does_not_change_with_the_arrays_it_was_given(tmp_path):
    x, y = arrays()
    spec = {"data": {"scale": "none"}, "training": {"epochs": 1, "engine": "graph"}}
    run = fit(tmp_path, spec, {}, data=(x, y))
    rows = run.rows("test", data=(x, y))
    kept = rows.x.copy()
    answers = run.predict(x[:5]).probabilities
    x[:] = 0
    np.testing.assert_array_equal(rows.x, kept)
    assert not np.array_equal(run.predict(x[:5]).probabilities, answers)  # other rows now


def test_a_network_of_another_architecture_is_refused_with_the_difference(tmp_path):
    network = kfc.build("digits", input_shape=(64,), classes=10)
    with pytest.raises(kfc.SpecError, match=r"layer 1 \(hidden_1\): expected units 16"):
        fit(tmp_path, network=network)
    assert not list(tmp_path.iterdir())


def test_callbacks_are_ordinary_keras_callbacks(tmp_path):
    class Recorder(keras.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1

        def on_epoch_end(self, epoch, logs=None):
            self.last = logs

    recorder = Recorder()
    run = fit(tmp_path, callbacks=[recorder])
    assert recorder.batches == 2 * 41
    assert recorder.last["val_loss"] == run.history["val_loss"][-1]


def test_a_callback_that_is_none_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(kfc.SpecError, match=r"callbacks\[0\]"):
        fit(tmp_path, callbacks=["TerminateOnNaN"])


def test_early_stopping_ends_with_the_best_epochs_weights(tmp_path):
    run = fit(tmp_path, overrides={**STOPPED, "training.engine": "graph"})
    assert run.epochs < 60
    assert run.metrics["val_loss"] == min(run.history["val_loss"])


def test_early_stopping_under_xla_ends_with_the_best_epochs_weights_too(tmp_path):
    run = fit(tmp_path, overrides={**STOPPED, "training.engine": "xla"})
    assert run.epochs < 60
    # Measured within the compiled loop there, and on its own here.
    assert run.metrics["val_loss"] == pytest.approx(min(run.history["val_loss"]), rel=1e-6)


def test_a_monitor_that_this_task_does_not_record_is_refused(tmp_path):
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


def test_numbers_that_explode_end_the_run_without_a_result(tmp_path):
    hot = {"training.optimizer": {"name": "sgd", "learning_rate": 1e9}, "training.loss": "mse"}
    with pytest.raises(kfc.NumbersError, match=r"epoch 1, step \d+"):
        fit(tmp_path, overrides={**SMALL, **hot})
    (folder,) = tmp_path.iterdir()
    assert not (folder / "result.json").exists()
    with pytest.raises(kfc.CheckpointError, match="an unfinished one"):
        kfc.load(folder)


def test_damaged_weights_are_not_loaded(run, tmp_path):
    import shutil

    copy = shutil.copytree(run.folder, tmp_path / "copy")
    for state in copy.glob("checkpoints/*/state.npz"):
        data = bytearray(state.read_bytes())
        data[len(data) // 2] ^= 1
        state.write_bytes(data)
    with pytest.raises(kfc.CheckpointError, match="the sha256 of state"):
        kfc.load(copy)


def arrays():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 5)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype(int)


def forms_of_data():
    import pandas as pd
    import tensorflow as tf

    x, y = arrays()
    frame = pd.DataFrame(x, columns=list("abcde"))
    return {
        "arrays": (x, y),
        "lists": (x.tolist(), y.tolist()),
        "a frame with a target": frame.assign(target=y),
        "a frame and a series": (frame, pd.Series(y)),
        "a dataset of rows": tf.data.Dataset.from_tensor_slices((x, y)),
        "a dataset of batches": tf.data.Dataset.from_tensor_slices((x, y)).batch(50),
    }


def test_every_form_of_the_same_data_gives_the_same_bits(tmp_path):
    spec = {"data": {"scale": "standard"}, "training": {"epochs": 2}}
    results = {
        name: fit(tmp_path, spec, {}, data=data).weights_sha256
        for name, data in forms_of_data().items()
    }
    assert len(set(results.values())) == 1, results


def test_a_pair_of_pairs_is_training_and_test_data(tmp_path):
    x, y = arrays()
    spec = {"data": {"scale": "none", "validation": 0}, "training": {"epochs": 1}}
    run = fit(tmp_path, spec, {}, data=((x, y), (x[:7], y[:7])))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(loss(y[:7], run.model(x[:7])))
    assert run.metrics["test_loss"] == pytest.approx(expected, rel=1e-6)
    assert run.evaluate(data=((x, y), (x[:7], y[:7]))) == run.metrics


def test_a_spec_without_a_source_needs_data(tmp_path):
    with pytest.raises(kfc.SpecError, match=r"data.source: expected a source, or data="):
        fit(tmp_path, {}, {})


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shape": (784,), "classes": 1},
        {"input_shape": (784,), "classes": True},
        {"input_shape": (), "classes": 10},
        {"input_shape": (0,), "classes": 10},
        {"input_shape": 784, "classes": 10},
        {"input_shape": (True,), "classes": 10},
        {"input_shape": (784,), "classes": "10"},
    ],
    ids=["one class", "a bool", "no shape", "no features", "a number", "a true size", "text"],
)
def test_build_refuses(arguments):
    with pytest.raises(kfc.SpecError):
        kfc.build("mnist", **arguments)


def test_build_gives_the_tutorials_network():
    model = kfc.build("mnist", input_shape=(784,), classes=10)
    assert model.count_params() == 235_146
    assert [layer.name for layer in model.layers[1:]] == ["hidden_1", "hidden_2", "logits"]


def test_a_run_on_data_in_memory_needs_that_data_again(tmp_path):
    x, y = arrays()
    spec = {"data": {"source": "sklearn:digits"}, "training": {"epochs": 1}}
    run = fit(tmp_path, spec, {}, data=(x, y), callbacks=keras.callbacks.TerminateOnNaN())
    assert run.spec.data.source is None
    environment = json.loads((run.folder / "environment.json").read_text("utf-8"))
    assert environment["given"] == {
        "data": True,
        "network": None,
        "callbacks": ["TerminateOnNaN"],
    }
    with pytest.raises(kfc.SpecError, match="a source, or data= in Python"):
        fit(tmp_path, run.folder / "spec.yaml", {})
    again = fit(tmp_path, run.folder / "spec.yaml", {}, data=(x, y))
    assert again.weights_sha256 == run.weights_sha256


def test_columns_in_another_order_are_refused(tmp_path):
    import pandas as pd

    x, y = arrays()
    frame = pd.DataFrame(x, columns=list("abcde"))
    trained = fit(tmp_path, {"training": {"epochs": 1}}, {}, data=(frame, y))
    run = kfc.load(trained.folder)
    assert len(run.predict(frame).label) == len(frame)
    with pytest.raises(kfc.DataError, match="the columns a, b, c, d, e, in this order"):
        run.predict(frame[list("edcba")])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 64)), "at least one row"),
        (np.zeros(64), r"Use x\[None\] for one row"),
        ([[1.0], [1.0, 2.0]], "rows of the same shape"),
        ("rows.npy", "an array or a DataFrame"),
        (None, "an array or a DataFrame"),
    ],
    ids=["no rows", "one row", "ragged lists", "a path", "nothing"],
)
def test_what_is_no_table_of_rows_is_not_predicted(run, x, message):
    with pytest.raises(kfc.DataError, match=message):
        run.predict(x)


@pytest.mark.parametrize("key", ["history", "weights_sha256", "metrics", "seconds", "task"])
def test_a_result_without_a_key_is_refused(run, tmp_path, key):
    import shutil

    copy = shutil.copytree(run.folder, tmp_path / "copy")
    result = json.loads((copy / "result.json").read_text("utf-8"))
    del result[key], result["sha256"]
    (copy / "result.json").write_text(json.dumps(result_file.with_sha256(result)))
    with pytest.raises(kfc.CheckpointError, match=rf"result.json \({key}: Field required\)"):
        kfc.load(copy)


def test_metrics_that_are_not_finite_are_no_success(tmp_path):
    x, _ = arrays()
    with pytest.raises(kfc.NumbersError, match="expected a finite number"):
        fit(tmp_path, {"training": {"epochs": 1}}, {}, data=(x, x[:, 0] * 1e37))


def test_a_network_that_cannot_fit_into_memory_is_refused(tmp_path):
    with pytest.raises(kfc.SpecError, match="Make the layers narrower"):
        fit(tmp_path, overrides={"network.hidden": [2_000_000, 2_000_000]})


def test_two_owners_of_the_learning_rate_are_refused(tmp_path):
    rate = {"name": "cosine", "initial_learning_rate": 0.01}
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    with pytest.raises(kfc.SpecError, match="one owner of the learning rate"):
        fit(
            tmp_path,
            overrides={**SMALL, "training.optimizer.learning_rate": rate},
            callbacks=[scheduler],
        )


def test_keras_settings_that_change_the_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "floatx", lambda: "float64")
    with pytest.raises(kfc.SpecError, match="expected float32, got 'float64'"):
        kfc.build("digits", input_shape=(64,), classes=10)


def test_a_frozen_layer_is_another_architecture(tmp_path):
    network = kfc.build("digits", input_shape=(64,), classes=10)
    network.get_layer("hidden_1").trainable = False
    with pytest.raises(kfc.SpecError, match="trainable True as in the spec"):
        fit(tmp_path, overrides={}, network=network)


def test_an_interrupt_names_the_unfinished_folder(tmp_path, capsys):
    class Impatient(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    Idle = type("Impatient", (keras.callbacks.Callback,), {})

    with pytest.raises(KeyboardInterrupt):
        kfc.fit("digits", overrides=SMALL, runs=tmp_path, callbacks=Impatient())
    printed = "".join(capsys.readouterr().err.split())
    assert "0001-digits',callbacks=[...])`continuestherun." in printed
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    run = kfc.resume(folder, callbacks=[Idle()], verbose=False)
    assert run.epochs == SMALL["training.epochs"]


def test_regressions_on_other_targets_in_one_process_keep_their_own_units(tmp_path):
    """Compiled steps are shared within a process, but not with another target's scaling."""
    x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    y = x.sum(axis=1).astype(np.float64)
    small = {"training.epochs": 5, "network.hidden": [16]}
    first, second = (
        kfc.fit({}, data=(x, target), overrides=small, runs=tmp_path, verbose=False)
        for target in (y, 1000 * y + 50_000)
    )
    # The loss is in standard deviations of the target, so that it hardly sees its units.
    assert second.history["loss"] == pytest.approx(first.history["loss"], rel=1e-3)
    assert second.metrics["test_mae"] == pytest.approx(
        1000 * first.metrics["test_mae"], rel=0.01
    )


def test_a_run_on_rows_from_python_asks_for_them(tmp_path):
    x, y = arrays()
    run = fit(tmp_path, {"training": {"epochs": 1}}, {}, data=(x, y))
    with pytest.raises(kfc.DataError, match=r"given in Python, got none.*evaluate\(data="):
        kfc.load(run.folder).evaluate()
    with pytest.raises(kfc.DataError, match=r"given in Python, got none.*verify\(.*data="):
        kfc.verify(run.folder)


def test_a_run_evaluated_elsewhere_says_where_its_paths_began(tmp_path, monkeypatch):
    x, y = arrays()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    np.savez("rows.npz", x=x, y=y)
    run = fit("runs", {"data": {"source": "npz:rows.npz"}, "training": {"epochs": 1}}, {})
    monkeypatch.chdir(tmp_path)
    assert run.folder.is_absolute()
    assert run.summary()["folder"] == "there/runs/0001-run"
    with pytest.raises(kfc.DataError, match=f"The run began in {tmp_path / 'there'}: call"):
        run.evaluate()
    with pytest.raises(kfc.DataError, match="The run began in"):
        kfc.verify(run.folder)
    monkeypatch.chdir(tmp_path / "there")
    assert run.evaluate() == run.metrics


def test_a_run_on_named_parts_that_shuffle_themselves_is_evaluated_and_repeated(tmp_path):
    x, y = arrays()
    train = tf.data.Dataset.from_tensor_slices((x[:80], y[:80])).shuffle(80).batch(16)
    data = {"train": train, "validation": (x[80:90], y[80:90]), "test": (x[90:], y[90:])}
    spec = {"training": {"epochs": 2, "engine": "graph", "early_stopping": {}}}
    run = fit(tmp_path, spec, {}, data=data)
    assert run.rows == {"train": 80, "val": 10, "test": len(x) - 90}
    assert (run.spec.data.validation, run.spec.data.pixels) == ("own", False)
    assert kfc.load(run.folder).evaluate(data) == run.metrics
    assert fit(tmp_path, run.spec, {}, data=data).weights_sha256 == run.weights_sha256


def test_a_resolved_spec_says_which_inputs_are_pixels(tmp_path):
    _, y = arrays()
    pictures = np.random.default_rng(0).integers(0, 256, (len(y), 3, 3), np.uint8)
    spec = {"training": {"epochs": 1, "engine": "graph"}}
    run = fit(tmp_path, spec, {}, data=(pictures, y))
    assert run.spec.data.pixels is True
    flat = fit(tmp_path, run.spec, {}, data=(pictures.reshape(len(y), -1), y))
    assert flat.weights_sha256 == run.weights_sha256
    with pytest.raises(
        kfc.DataError, match=r"expected rows of shape \(3, 3\), .* \(3, 3, 3\)"
    ):
        run.predict(np.stack([pictures] * 3, axis=-1))
