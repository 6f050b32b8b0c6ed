"""TensorBoard has the metrics and the confusion matrix of a run; MLflow has a callback."""

import importlib.util
import io
import re
import warnings
from pathlib import Path

import pandas as pd
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


def test_the_callback_of_the_guide_logs_to_mlflow(tmp_path, monkeypatch):
    (code,) = re.findall(
        r"```python\n(import keras\n\n\nclass MLflowLog.*?)```",
        GUIDE.read_text("utf-8"),
        re.DOTALL,
    )
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
