"""TensorBoard has the metrics and the confusion matrix of a run; others have a callback."""

import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kfc

GUIDE = Path(__file__).parents[2] / "docs" / "runs.md"


def read(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_tensorboard_has_validation_beside_training(digits_run):
    for part in ("train", "validation"):
        events = read(digits_run.folder / "tensorboard" / part)
        assert {"epoch_loss", "epoch_accuracy"} <= set(events.Tags()["scalars"])


def test_tensorboard_has_the_confusion_matrix_as_an_image(digits_run):
    events = read(digits_run.folder / "tensorboard" / "test")
    assert events.Tags()["images"] == ["confusion_matrix"]
    (image,) = events.Images("confusion_matrix")
    assert image.step == digits_run.epochs
    picture = Image.open(io.BytesIO(image.encoded_image_string))
    assert picture.size == (image.width, image.height)


def test_a_run_has_its_metrics_as_a_table(digits_run):
    table = pd.read_csv(digits_run.folder / "metrics.csv")
    assert list(table["epoch"]) == list(range(1, digits_run.epochs + 1))
    for name, values in digits_run.history.items():
        assert table[name].tolist() == values


def callback_of_the_guide(name):
    (code,) = re.findall(
        rf"```python\n(import keras\n\n\nclass {name}.*?)```",
        GUIDE.read_text("utf-8"),
        re.DOTALL,
    )
    return code


def test_the_callback_of_the_guide_logs_to_mlflow(tmp_path, monkeypatch):
    code = callback_of_the_guide("MLflowLog")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    module = tmp_path / "mlflow_log.py"
    module.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location("mlflow_log", module)
    guide = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guide)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own dependencies
        import mlflow

        mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
        callbacks = [guide.MLflowLog("digits")]
        options = {"overrides": {"training.epochs": 2, "report": False}, "verbose": False}
        run = kfc.fit("digits", callbacks=callbacks, runs=tmp_path, **options)
        client = mlflow.MlflowClient()
        (logged,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
        history = client.get_metric_history(logged.info.run_id, "val_loss")
    assert [each.value for each in history] == run.history["val_loss"]


FIT_WITH_WANDB = """
import json, sys

import kfc

sys.path.append(sys.argv[1])  # last, so that TensorFlow keeps its own dependencies
options = {"overrides": {"training.epochs": 2, "report": False}, "verbose": False}
run = kfc.fit("digits", callbacks=[WandbLog("digits")], **options)
print(json.dumps(run.history["val_loss"]))
"""


@pytest.mark.slow
def test_the_callback_of_the_guide_logs_to_weights_and_biases(tmp_path, packages_apart):
    """Offline, as someone without an account runs it."""
    folder = packages_apart("wandb>=0.31")
    script = tmp_path / "script.py"
    script.write_text(callback_of_the_guide("WandbLog") + FIT_WITH_WANDB, "utf-8")
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    command = [sys.executable, str(script), str(folder)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    losses = json.loads(done.stdout.splitlines()[-1])
    (logged,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content = logged.read_bytes()  # values are written as JSON, between binary headers
    assert len(losses) == 2
    assert all(json.dumps(loss).encode() in content for loss in losses)
