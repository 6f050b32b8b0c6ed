import json

import keras
import pytest

import kfc

SMALL = {
    "training.epochs": 2,
    "training.optimizer.learning_rate": 0.01,
    "network.hidden": [16],
}


def logged(run):
    text = (run.folder / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_folder_holds_every_record(run):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        *(
            "spec.yaml",
            "environment.json",
            "metrics.jsonl",
            "metrics.csv",
            "checkpoints",
            "model.keras",
        ),
        *("result.json", "tensorboard", "run.log", "sample.npz", ".lock"),
    }


def test_a_run_begins_by_saying_what_it_trains_and_how(tmp_path, capsys):
    run = kfc.fit("digits", overrides=SMALL, runs=tmp_path)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f"{run.folder}: 1,293 rows, 1,210 weights, engine graph"


def test_metrics_jsonl_has_a_line_per_epoch_and_per_log_step(tmp_path, fit):
    # 1,293 training rows in batches of 32: 41 steps per epoch.
    run = fit(tmp_path, overrides={**SMALL, "training.log_every": 20})
    lines = logged(run)
    assert [line["step"] for line in lines] == [20, 40, 41, 60, 80, 82]
    assert ["batch_loss" in line for line in lines] == [True, True, False] * 2
    assert [line["loss"] for line in lines if line["step"] in (41, 82)] == run.history["loss"]


def test_evaluate_every_adds_evaluations_within_an_epoch(tmp_path, fit):
    run = fit(tmp_path, overrides={**SMALL, "training.evaluate_every": 30})
    lines = logged(run)
    assert [line["step"] for line in lines if "val_loss" in line] == [30, 41, 60, 82]


def test_logging_and_evaluating_within_epochs_changes_no_bit(run, tmp_path, fit):
    often = {"training.log_every": 7, "training.evaluate_every": 5}
    assert fit(tmp_path, overrides={**SMALL, **often}).weights_sha256 == run.weights_sha256


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
