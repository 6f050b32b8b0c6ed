"""An exported SavedModel -> answers like those of TensorFlow Serving's REST interface.

    KFC_MODEL=DIR bentoml serve service:Model

takes the `curl` line that `kfc export` prints; it needs TensorFlow, and neither kfc nor Keras.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument

FOLDER = Path(os.environ["KFC_MODEL"])  # of one version, or of several: the highest is taken
if not (FOLDER / "saved_model.pb").exists():
    FOLDER /= str(max(int(path.name) for path in FOLDER.iterdir() if path.name.isdecimal()))
NAME = json.loads((FOLDER / "certificate.json").read_text("utf-8"))["name"]


@bentoml.service(workers=1, http={"host": "127.0.0.1", "port": 8501})
class Model:
    """The signatures of one SavedModel."""

    def __init__(self) -> None:
        sys.modules["keras"] = None  # TensorFlow would import it, and nothing here needs it
        import tensorflow as tf

        self.signatures = tf.saved_model.load(FOLDER).signatures
        gc.collect()
        gc.freeze()  # or every large request makes Python look through all of TensorFlow

    @bentoml.api(route=f"/v1/models/{NAME}:predict")
    def predict(self, instances: list[Any], signature_name: str = "serving_default") -> dict:
        """Answers rows: values, or values by name where a signature takes several."""
        if signature_name not in self.signatures:
            raise InvalidArgument(f"expected one of {', '.join(self.signatures)}")
        function = self.signatures[signature_name]
        inputs = batch(instances, function.structured_input_signature[1])
        answers = {name: plain(value.numpy()) for name, value in function(**inputs).items()}
        if len(answers) == 1:
            return {"predictions": next(iter(answers.values()))}
        rows = zip(*answers.values(), strict=True)
        return {"predictions": [dict(zip(answers, row, strict=True)) for row in rows]}


def batch(instances: list[Any], specs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns inputs by name, or refuses rows that are not what a signature takes."""
    if len(specs) == 1:
        (name,) = specs
        instances = [row if isinstance(row, dict) else {name: row} for row in instances]
    if not all(isinstance(row, dict) and row.keys() == specs.keys() for row in instances):
        raise InvalidArgument(f"expected rows with a value for each of {', '.join(specs)}")
    return {name: array([row[name] for row in instances], specs[name]) for name in specs}


MISSING = {"float64": float("nan"), "string": ""}
"""Type of a table's column -> what `null` stands for; the other types have no such value."""
KINDS = {"string": "U", "bool": "b"}
"""Type of a spec -> kinds of NumPy arrays that it takes; the other types take numbers."""


def array(values: list[Any], spec: Any) -> np.ndarray:
    """Returns values in the shape and type of a spec, none of them changed by it."""
    kind = spec.dtype.name
    if spec.shape.rank == 1 and kind in MISSING:
        values = [MISSING[kind] if value is None else value for value in values]
    if kind == "string" and not all(isinstance(value, str) for value in values):
        raise InvalidArgument(f"{spec.name}: expected text")
    try:
        given = np.asarray(values)
        taken = given.astype(spec.dtype.as_numpy_dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"{spec.name}: {error}") from error
    fits = given.dtype.kind in KINDS.get(kind, "iuf") and spec.shape.is_compatible_with(
        taken.shape
    )
    if not fits or (spec.dtype.is_integer and not np.array_equal(given, taken)):
        expected, got = f"{spec.dtype.name} {spec.shape}", f"{given.dtype} {given.shape}"
        raise InvalidArgument(f"{spec.name}: expected {expected}, got {got}")
    return taken


def plain(values: np.ndarray) -> list[Any]:
    """Returns what JSON can hold: numbers, and text for bytes."""
    return (np.char.decode(values.astype(bytes)) if values.dtype == "O" else values).tolist()


def read_as_json(app: Any) -> Any:
    """Returns an application that takes any body for JSON, for `curl -d` calls it a form."""

    async def answer(scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [header for header in scope["headers"] if header[0] != b"content-type"]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    return answer


Model.add_asgi_middleware(read_as_json)
