"""Requests for a SavedModel in TensorFlow Serving, and the commands that send one.

A request lists rows, in the form of TensorFlow Serving's REST interface:
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
from kfc.exporting.table_requests import TableRequest
from kfc.system import user_paths

EXTRA = "assets.extra"
REQUEST = f"{EXTRA}/request.json"
WARMUP = f"{EXTRA}/tf_serving_warmup_requests"


@dataclass(frozen=True)
class Request:
    """One call of a served model.

    Args:
        signature: Name of the signature to call.
        instance: One row: nested lists, or a number for each input name.
        input_name: Name of the input for a batch, if `instance` is a list.
    """

    signature: str
    instance: Any
    input_name: str

    @classmethod
    def of(cls, row: np.ndarray, task: Task, input_name: str) -> Request:
        """Returns the request for one raw row: by feature, if the features have names."""
        if row.dtype == np.float32:
            row = row.astype(str).astype(float)  # 5.1, and not 5.099999904632568
        if not task.feature_names:
            return cls(serving_signature.DEFAULT, row.tolist(), input_name)
        names = serving_signature.input_names(task.feature_names)
        return cls(
            serving_signature.ROWS, dict(zip(names, row.tolist(), strict=True)), input_name
        )

    @property
    def num_rows(self) -> int:
        """Number of rows, the first ones of the sample."""
        return 1

    @property
    def body(self) -> str:
        """The body of the HTTP request, JSON."""
        named = (
            {}
            if self.signature == serving_signature.DEFAULT
            else {"signature_name": self.signature}
        )
        return json.dumps({**named, "instances": [self.instance]}, allow_nan=False) + "\n"

    def inputs(self, dtype: str) -> dict[str, np.ndarray]:
        """Returns the inputs by name, a batch of one row, as a server parses the body."""
        (instance,) = json.loads(self.body)["instances"]
        by_name = instance if isinstance(instance, Mapping) else {self.input_name: instance}
        return {name: np.asarray([value], dtype) for name, value in by_name.items()}


AnyRequest = Request | TableRequest


def write_request(folder: Path, request: AnyRequest) -> None:
    """Writes `assets.extra/request.json`, the body of an HTTP request for one real row."""
    (folder / EXTRA).mkdir(exist_ok=True)
    (folder / REQUEST).write_text(request.body, "utf-8")


def write_warmup(folder: Path, request: AnyRequest, task: Task, name: str) -> bool:
    """Writes the file of requests with which TensorFlow Serving warms up a SavedModel.

    Args:
        folder: Folder of the SavedModel.
        request: Request for one real row.
        task: Task of the network.
        name: Name of the model.

    Returns:
        Whether the file was written: the package tensorflow-serving-api, which defines the
        records, may not be installed.
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


def serving_commands(path: Path, name: str, *, portable: bool) -> tuple[str, str]:
    """Returns the commands that serve a SavedModel with TensorFlow Serving and send a request.

    Args:
        path: Folder of one version. Its parent folder is served, newest version first.
        name: Name of the model.
        portable: Whether the commands are for a shell in the parent folder, so that they
            remain right after a move.
    """
    if portable:
        source, request = 'source="$PWD"', f"{path.name}/{REQUEST}"
    else:
        versions = Path(os.path.abspath(path)).parent  # the path may be `.` or a link
        source = shlex.quote(_csv_field(f"source={versions}"))
        request = user_paths.shown_path(path / REQUEST)
    return (
        f"docker run --rm -p 8501:8501 --mount type=bind,{source},target=/models/{name} "
        f"-e MODEL_NAME={name} tensorflow/serving",
        f"curl -H 'Content-Type: application/json' -d {shlex.quote(f'@{request}')} "
        f"http://localhost:8501/v1/models/{name}:predict",
    )


def _csv_field(field: str) -> str:
    """Returns a field of `--mount`, whose value is one line of CSV."""
    return '"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field
