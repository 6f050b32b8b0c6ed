"""An exported SavedModel and one real row -> how to serve it and ask it.

The request is in the form of TensorFlow Serving's REST interface, by rows:
https://www.tensorflow.org/tfx/serving/api_rest. Warm-up requests are described in
https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kfc.data import Task
from kfc.exporting import serving_signature
from kfc.system import user_paths

EXTRA = "assets.extra"
REQUEST = f"{EXTRA}/request.json"
WARMUP = f"{EXTRA}/tf_serving_warmup_requests"


@dataclass(frozen=True)
class Request:
    """One call of a served model.

    Args:
        signature: Name of the function to call.
        instance: One row: nested lists, or a number by column name.
        input_name: Of the whole batch, where `instance` is not by column.
    """

    signature: str
    instance: Any
    input_name: str

    @classmethod
    def of(cls, row: np.ndarray, task: Task, input_name: str) -> Request:
        """Returns the request for one raw row: by columns, where columns have names."""
        if row.dtype == np.float32:
            row = row.astype(str).astype(float)  # 5.1, and not 5.099999904632568
        if not task.feature_names:
            return cls(serving_signature.DEFAULT, row.tolist(), input_name)
        names = serving_signature.column_names(task.feature_names)
        return cls(
            serving_signature.ROWS, dict(zip(names, row.tolist(), strict=True)), input_name
        )

    @property
    def text(self) -> str:
        """The body of the HTTP request, JSON."""
        named = (
            {}
            if self.signature == serving_signature.DEFAULT
            else {"signature_name": self.signature}
        )
        return json.dumps({**named, "instances": [self.instance]}, allow_nan=False) + "\n"

    def inputs(self, dtype: str) -> dict[str, np.ndarray]:
        """Returns what a server makes of the text: inputs by name, a batch of one row."""
        (instance,) = json.loads(self.text)["instances"]
        by_name = instance if isinstance(instance, Mapping) else {self.input_name: instance}
        return {name: np.asarray([value], dtype) for name, value in by_name.items()}


def write_request(folder: Path, request: Request) -> None:
    """Writes `assets.extra/request.json`, the body of an HTTP request for one real row."""
    (folder / EXTRA).mkdir(exist_ok=True)
    (folder / REQUEST).write_text(request.text, "utf-8")


def write_warmup(folder: Path, request: Request, task: Task, name: str) -> bool:
    """Writes the request for TensorFlow Serving to warm itself up with.

    Args:
        folder: Of the SavedModel.
        request: For one real row.
        task: What the network was trained for.
        name: Of the model.

    Returns:
        Whether the package tensorflow-serving-api, which defines the records, is there.
    """
    if importlib.util.find_spec("tensorflow_serving") is None:
        return False
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    call = predict_pb2.PredictRequest()
    call.model_spec.name, call.model_spec.signature_name = name, request.signature
    for key, values in request.inputs(task.input_dtype).items():
        call.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=call)
    )
    (folder / EXTRA).mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        writer.write(log.SerializeToString())
    return True


def commands(path: Path, name: str, *, portable: bool) -> tuple[str, str]:
    """Returns the lines that serve a SavedModel with TensorFlow Serving and ask it.

    Args:
        path: Folder of one version; the one above it is served, newest version first.
        name: Of the model.
        portable: Whether they are for the folder above, wherever that is.
    """
    if portable:
        source, request = 'source="$PWD"', f"{path.name}/{REQUEST}"
    else:
        versions = Path(os.path.abspath(path)).parent  # the path may be `.` or a link
        source = shlex.quote(_csv(f"source={versions}"))
        request = user_paths.shown_path(path / REQUEST)
    return (
        f"docker run --rm -p 8501:8501 --mount type=bind,{source},target=/models/{name} "
        f"-e MODEL_NAME={name} tensorflow/serving",
        f"curl -H 'Content-Type: application/json' -d {shlex.quote(f'@{request}')} "
        f"http://localhost:8501/v1/models/{name}:predict",
    )


def _csv(field: str) -> str:
    """Returns a field of `--mount`, whose fields are those of a line of CSV."""
    return '"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field
