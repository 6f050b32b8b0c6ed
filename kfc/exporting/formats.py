"""The formats of an export: what writes each, and what loads it on the other side."""

from __future__ import annotations

import errno
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import keras
import tensorflow as tf

from kfc.data import Task
from kfc.errors import Finding, SpecError
from kfc.exporting import converter_operations, graph_check, serving_signature
from kfc.exporting.nan_guard import guarded
from kfc.system import tensorflow_startup

_RUNTIMES = Path(__file__).parent / "runtimes"


@dataclass(frozen=True)
class Exporter:
    """One format.

    Args:
        write: Writes a trained network, with its task, into an empty folder.
        runtime: A Python file with `load(folder)`, which returns a function of inputs by
            name that returns outputs by name; it runs where kfc and Keras are missing. A row
            with NaN or infinity must be answered with NaN alone, and other rows as ever.
        serves: Whether TensorFlow Serving serves it, so that functions have signatures.
        modules: Modules it needs besides those kfc needs.
        distributions: What to install for them.
        unlisted: A function of a folder that returns what in it no export of kfc's own
            networks holds, such as an operation that writes files; `load_export` refuses
            the folder before it is loaded. A plug-in that lists nothing vouches for its
            runtime.
    """

    write: Callable[[keras.Model, Task, Path], None]
    runtime: Path
    serves: bool = False
    modules: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    unlisted: Callable[[Path], list[str]] = field(default=lambda folder: [])

    def check_installed(self, name: str) -> None:
        """Checks that all its modules are there.

        Args:
            name: Of the format.

        Raises:
            SpecError: If one is missing.
        """
        missing = [m for m in self.modules if importlib.util.find_spec(m) is None]
        if missing:
            raise SpecError(
                Finding(
                    f"--format {name}",
                    f"the packages {', '.join(self.distributions)}",
                    f"no {' and no '.join(missing)}",
                    f"python -m pip install {' '.join(self.distributions)}",
                )
            )


def write_saved_model(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes a SavedModel with the signatures of `kfc.exporting.serving_signature`."""
    archive = keras.export.ExportArchive()
    network = guarded(network, task)
    archive.track(network)
    for name, (function, inputs) in serving_signature.endpoints(network, task).items():
        archive.add_endpoint(name, function, input_signature=inputs)
    # Nobody trains what is served, and gradients of Keras's own would be further functions.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tensorflow_startup.stderr_held_back():
        archive.write_out(str(folder), options, verbose=False)


def write_onnx(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes `model.onnx`: a batch -> logits and probabilities, or values."""
    _convert(named(network, task), task, folder / "model.onnx", "onnx")
    _replace_unknown_operations(folder / "model.onnx")


def write_litert(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes `model.tflite`: a batch -> logits and probabilities, or values."""
    _convert(named(network, task), task, folder / "model.tflite", "litert")


SAVED_MODEL = Exporter(
    write_saved_model,
    _RUNTIMES / "saved_model.py",
    serves=True,
    unlisted=graph_check.unlisted,
)
ONNX = Exporter(
    write_onnx,
    _RUNTIMES / "onnx.py",
    modules=("onnx", "onnxruntime", "tf2onnx"),
    distributions=("onnx", "onnxruntime", "tf2onnx"),
    unlisted=converter_operations.unlisted_in_onnx,
)
LITERT = Exporter(
    write_litert,
    _RUNTIMES / "litert.py",
    modules=("ai_edge_litert",),
    distributions=("ai-edge-litert",),
    unlisted=converter_operations.unlisted_in_litert,
)


@contextmanager
def full_disk() -> Iterator[None]:
    """Turns what TensorFlow makes of a full disk, or too large a file, into an OSError."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise OSError(errno.ENOSPC, error.message.rpartition("; ")[2]) from error


def named(network: keras.Model, task: Task) -> keras.Model:
    """Returns the network, guarded against NaN, with outputs that have names.

    Keras's `Normalization` holds its numbers in tensors that a conversion to ONNX turns
    into inputs of the model, so they become constants of a layer of ours.

    Raises:
        SpecError: If some of it computes in bfloat16, which the runtimes cannot.
    """

    def copied(layer: keras.Layer) -> keras.Layer:
        if layer.name == "scaling":
            return task.scaling.export_layer()
        return type(layer).from_config(layer.get_config())

    other = {layer.compute_dtype for layer in network.layers} - {"float32"}
    if other:
        raise SpecError(
            Finding(
                "--format",
                "saved_model for a network that computes in bfloat16",
                "a format that computes in float32",
                "Export it as saved_model, or train without training.precision.",
            )
        )
    same = guarded(network, task, copied)
    return keras.Model(same.input, serving_signature.outputs_by_name(same.output, task))


def _replace_unknown_operations(file: Path) -> None:
    """Writes `1 - erf(x)` and `exp(x) - 1` in place of operations that ONNX does not have.

    tf2onnx passes TensorFlow's Erfc (of `gelu`) and Expm1 (of `celu`) on as they are.
    """
    import onnx

    model = onnx.load(file)
    replacements = {"Erfc": ("Erf", -1.0, 1.0), "Expm1": ("Exp", 1.0, -1.0)}
    nodes = []
    for node in model.graph.node:
        if node.op_type not in replacements:
            nodes.append(node)
            continue
        known, factor, term = replacements[node.op_type]
        (source,), (target,) = node.input, node.output
        names = {part: f"{target}/{part}" for part in ("known", "factor", "product", "term")}
        nodes += [
            onnx.helper.make_node(known, [source], [names["known"]]),
            onnx.helper.make_node("Constant", [], [names["factor"]], value_float=factor),
            onnx.helper.make_node(
                "Mul", [names["known"], names["factor"]], [names["product"]]
            ),
            onnx.helper.make_node("Constant", [], [names["term"]], value_float=term),
            onnx.helper.make_node("Add", [names["product"], names["term"]], [target]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _convert(network: keras.Model, task: Task, file: Path, format: str) -> None:
    (batch,) = network.inputs
    inputs = [tf.TensorSpec((None, *task.input_shape), task.input_dtype, name=batch.name)]
    try:
        with full_disk(), tensorflow_startup.stderr_held_back(), warnings.catch_warnings():
            # Keras's patch of tf2onnx asks NumPy for an attribute that it warns about.
            warnings.simplefilter("ignore", FutureWarning)
            network.export(str(file), format=format, verbose=False, input_signature=inputs)
    except OSError:
        raise  # no finding of the network's
    # Whatever else a converter raises: it met an operation, of a plug-in's say, that it lacks.
    except Exception as error:
        raise SpecError(
            Finding(
                f"--format {format}",
                "a network whose operations it has",
                f"{type(error).__name__}: {error}",
                "Export it as saved_model.",
            )
        ) from error
