"""Formats of an export: each has a function that writes it and a file that loads it."""

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
from kfc.exporting.nan_guard import add_nan_guard
from kfc.network import ColumnProduct, ColumnSums, member_networks, raw_model
from kfc.preprocessing import constant_scaling
from kfc.system import tensorflow_startup

_RUNTIMES = Path(__file__).parent / "runtimes"


@dataclass(frozen=True)
class Exporter:
    """One format of an export.

    Args:
        write: Function that writes a trained network, with its task, into an empty folder.
        runtime: Python file with a function `load(folder)`, which returns a function from
            inputs by name to outputs by name. It runs without kfc and Keras. For a row with
            NaN or infinity all outputs must be NaN, and other rows must not change.
        serves: Whether TensorFlow Serving can serve the format, with its signatures.
        modules: Modules that the format needs besides the dependencies of kfc.
        distributions: Packages to install for these modules.
        tables: Whether the format takes the raw columns of a table, text among them. Its
            `write` gets the network of encoded rows, and `kfc.network.raw_model` adds the
            encoding.
        unlisted: Function of a folder that returns its unknown content, such as an operation
            that writes files, which no export of a built-in network holds. `load_export`
            refuses such a folder before it loads the model. A plug-in without this function
            is itself responsible for the safety of its runtime.
    """

    write: Callable[[keras.Model, Task, Path], None]
    runtime: Path
    serves: bool = False
    tables: bool = False
    modules: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    unlisted: Callable[[Path], list[str]] = field(default=lambda folder: [])

    def check_installed(self, name: str) -> None:
        """Checks that all modules of the format are installed.

        Args:
            name: Name of the format.

        Raises:
            SpecError: If a module is missing.
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

    def check_inputs(self, name: str, task: Task, *, encoded: bool = False) -> None:
        """Checks that the format takes the inputs of a network.

        Args:
            name: Name of the format.
            task: Task of the network.
            encoded: Whether the export takes the encoded rows of a table.

        Raises:
            SpecError: If the format cannot take the columns of a table, or if rows are to be
                encoded that are no table's.
        """
        if encoded:
            if task.table is None:
                got = "one on arrays, which are not encoded"
                finding = Finding("--encoded", "a run on a table", got, "Leave it out.")
                raise SpecError(finding)
        elif task.table is not None and not self.tables:
            raise SpecError(
                Finding(
                    f"--format {name}",
                    "saved_model for a network of a table",
                    "a format that cannot look up the text of a column",
                    "Export it as saved_model, or with --encoded (encoded=True) the network "
                    "of encoded rows, which run.encode(frame) makes.",
                )
            )


def write_saved_model(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes a SavedModel with the signatures of `serving_signature.endpoints`."""
    archive = keras.export.ExportArchive()
    network = add_nan_guard(network, task)
    model = raw_model(network, task)  # the network itself for arrays
    archive.track(model)
    if task.table is None:
        endpoints = serving_signature.endpoints(network, task)
    else:
        endpoint = serving_signature.table_endpoint(model, network, task)
        endpoints = {serving_signature.DEFAULT: endpoint}
    for name, (function, inputs) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=inputs)
    # A served model is not trained, and custom gradients would be further functions in it.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tensorflow_startup.stderr_held_back():
        archive.write_out(str(folder), options, verbose=False)


def write_onnx(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes `model.onnx`, which returns logits and probabilities, or values, of a batch."""
    _convert(conversion_network(network, task), task, folder / "model.onnx", "onnx")
    _replace_unknown_operations(folder / "model.onnx")


def write_litert(network: keras.Model, task: Task, folder: Path) -> None:
    """Writes `model.tflite`, which returns logits and probabilities, or values, of a batch."""
    copy = conversion_network(network, task, ColumnSums)
    _convert(copy, task, folder / "model.tflite", "litert")


SAVED_MODEL = Exporter(
    write_saved_model,
    _RUNTIMES / "saved_model.py",
    serves=True,
    tables=True,
    unlisted=graph_check.unlisted_in_saved_model,
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
def full_disk_as_oserror() -> Iterator[None]:
    """Turns TensorFlow's errors about a full disk, or too large a file, into an OSError."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise OSError(errno.ENOSPC, error.message.rpartition("; ")[2]) from error


def conversion_network(
    network: keras.Model, task: Task, products: type[ColumnProduct] = ColumnProduct
) -> keras.Model:
    """Returns a copy of a network for a converter, with a NaN guard and named outputs.

    Args:
        network: Trained network.
        task: Task of the network.
        products: Layer that replaces an einsum of columns.

    Raises:
        SpecError: If a layer computes in bfloat16, which the runtimes do not support.
    """
    members = member_networks(network)

    def clone_function(layer: keras.Layer) -> keras.Layer:
        # Each member of an ensemble has a scaling of its own, which its layer knows.
        if layer.name == "scaling" and not members:
            return task.scaling.export_layer()
        if isinstance(layer, keras.layers.Normalization):
            return constant_scaling(layer)
        return type(layer).from_config(layer.get_config())

    layers = [layer for each in members or [network] for layer in each.layers]
    other = {layer.compute_dtype for layer in layers} - {"float32"}
    if other:
        raise SpecError(
            Finding(
                "--format",
                "saved_model for a network that computes in bfloat16",
                "a format that computes in float32",
                "Export it as saved_model, or train without training.precision.",
            )
        )
    copy = add_nan_guard(network, task, clone_function, products)
    return keras.Model(copy.input, serving_signature.outputs_by_name(copy.output, task))


def _replace_unknown_operations(file: Path) -> None:
    """Replaces operations that ONNX does not have by `1 - erf(x)` and `exp(x) - 1`.

    tf2onnx copies TensorFlow's Erfc (of `gelu`) and Expm1 (of `celu`) without a conversion.
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
        with (
            full_disk_as_oserror(),
            tensorflow_startup.stderr_held_back(),
            warnings.catch_warnings(),
        ):
            # Keras's patch of tf2onnx uses an attribute of NumPy that is deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            network.export(str(file), format=format, verbose=False, input_signature=inputs)
    except OSError:
        raise  # the network is not the cause
    # A converter may raise any error for an operation that it lacks, such as a plug-in's.
    except Exception as error:
        raise SpecError(
            Finding(
                f"--format {format}",
                "a network whose operations the format has",
                f"{type(error).__name__}: {error}",
                "Export it as saved_model.",
            )
        ) from error
