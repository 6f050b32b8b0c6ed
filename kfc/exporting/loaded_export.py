"""Exported models, loaded again to predict in the runtime of their format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Task
from kfc.errors import CheckpointError, Finding, KfcError, PluginError, reason
from kfc.exporting import certificate_fields, requests, serving_signature
from kfc.exporting.formats import Exporter
from kfc.exporting.versions import CERTIFICATE, file_sha256s, versions
from kfc.registry import EXPORTERS
from kfc.runs import (
    Predictions,
    encoded_rows,
    from_outputs,
    raw_columns,
    raw_rows,
    result_file,
    typed_rows,
)
from kfc.system import atomic, safe_open, tensorflow_startup, user_paths

_BATCH = 1024  # rows
_BOUNDS = {"lower", "upper"}
_SHOWN = 300  # characters of a message that a file from elsewhere caused


@dataclass(frozen=True)
class Export:
    """An exported model, returned by `kfc.export`.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> exported = kfc.export(run, "models/digits", verbose=False)
        >>> exported.version, exported.format
        (1, 'saved_model')
        >>> exported.predict([[0.0] * 64]).probabilities.shape
        (1, 10)

    Args:
        path: Folder of this version.
        format: Name of the format: `saved_model`, `onnx`, `litert` or a plug-in's.
        exporter: The format itself.
        name: Name of the model, which is the name of its spec.
        task: Task of the network.
        certificate: Fields of `certificate.json`.
    """

    path: Path
    format: str
    exporter: Exporter
    name: str
    task: Task
    certificate: Mapping[str, Any]

    @property
    def version(self) -> int:
        """Number of the version; its folder may have been renamed since the export."""
        return int(self.certificate["version"])

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights of the run."""
        return str(self.certificate["weights_sha256"])

    @property
    def encoded(self) -> bool:
        """Whether the model of a table takes encoded rows; `predict` encodes them."""
        return bool(self.certificate.get("encoded", False))

    @property
    def verdict(self) -> str:
        """Result of the comparison with the run, as one line."""
        return certificate_fields.verdict(self.certificate)

    def commands(self) -> tuple[str, str] | None:
        """Returns the commands that serve the model and send a request, or None.

        Only TensorFlow Serving, which serves a SavedModel, has such commands.
        """
        if not self.exporter.serves:
            return None
        return requests.serving_commands(self.path, self.name, portable=False)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and probabilities, or values, for raw rows.

        Args:
            x: Raw inputs, (rows, *input_shape) or flattened, (rows, features); for a table a
                frame, a dict of columns or the path of a file.

        Raises:
            DataError: If `x` are not rows as in training.
            SpecError: If a package that loads the format is not installed.
            CheckpointError: If the runtime cannot load or run the model, or if the outputs
                have other names, shapes or types than an export has.
            NumbersError: If an output is NaN.
        """
        if self.task.table is None or self.encoded:
            inputs = {self.certificate["input"]: raw_rows(x, self.task)}
        else:
            typed = typed_rows(x, self.task)
            encoded_rows(typed, self.task)  # refuses the rows that a run refuses
            names = self.certificate["input_names"]
            inputs = raw_columns(self.task.table.encoding, typed, names)
        self.exporter.check_installed(self.format)
        with EXPORTERS.guard(self.format, "predict"), tensorflow_startup.stderr_held_back():
            found = self._outputs(inputs)
        outputs = found.pop("logits" if self.task.classification else "value")
        implied = from_outputs(outputs if outputs.ndim == 2 else outputs[:, None], self.task)
        # The probabilities and the bounds are the model's own, as the labels of a SavedModel.
        bounds = {
            name: found.pop(name).reshape(implied.value.shape) for name in _BOUNDS & {*found}
        }
        return implied._replace(**found, **bounds)

    def _outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name, with names, shapes and types checked."""
        num_rows = len(next(iter(inputs.values())))
        try:
            predict = _import_runtime(self.exporter)(str(self.path))
            batches = [
                predict({name: x[first : first + _BATCH] for name, x in inputs.items()})
                for first in range(0, max(num_rows, 1), _BATCH)
            ]
            found = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
        except KfcError:
            raise
        # A file from elsewhere may make its runtime raise any error.
        except Exception as error:
            if self.format not in EXPORTERS.builtins:
                raise  # for the guard, which names the plug-in
            got = f"{type(error).__name__}: {error}"[:_SHOWN]
            raise _no_export(
                self.path, f"one that {self.format} cannot run ({got})"
            ) from error
        serves = self.exporter.serves
        wanted = serving_signature.output_shapes(self.task, num_rows, serves=serves)
        got_shapes = {name: values.shape for name, values in found.items()}
        kinds = {name: "U" if name == "label" else "f" for name in wanted}
        if got_shapes != wanted or any(found[n].dtype.kind != kinds[n] for n in wanted):
            got = f"one that answers {', '.join(f'{n} {s}' for n, s in got_shapes.items())}"
            raise _no_export(self.path, got[:_SHOWN])
        return found

    def summary(self) -> dict[str, Any]:
        """Returns the object that `--json` prints, of plain values."""
        lines = zip(("serve", "ask"), self.commands() or (), strict=False)
        return {
            "path": user_paths.shown_path(self.path),
            "version": self.version,
            "format": self.format,
            "certificate": dict(self.certificate),
            **dict(lines),
        }


def load_export(folder: str | Path) -> Export:
    """Returns an exported model from the folder of one version, or of all versions.

    Args:
        folder: Folder of one version, or of several, whose highest is loaded.

    Raises:
        CheckpointError: If the folder has no export, if a file was altered, if a field of the
            certificate is missing or has another type, or if the model holds an operation
            that exports of built-in networks do not hold.
        SpecError: If the format is unknown, or needs a package that is not installed.
    """
    folder = user_paths.absolute(folder)
    safe_open.distrust(folder)
    try:
        if (found := versions(folder)) and not (folder / CERTIFICATE).exists():
            folder = found[max(found)]
        fields = certificate_fields.parse_certificate(atomic.read_text(folder / CERTIFICATE))
        now = file_sha256s(folder)
        task = result_file.task_of(fields["task"])
        name, format, recorded = fields["name"], fields["format"], fields["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {reason(error)}"[:_SHOWN]
        raise _no_export(folder, got) from error
    for file in sorted({*recorded, *now}):
        if recorded.get(file) != now.get(file):
            raise _no_export(folder, f"another {file} than was exported")
    exporter = installed_exporter(format)
    if unlisted := exporter.unlisted(folder):
        raise _no_export(folder, f"one with {_listed(unlisted)}")
    return Export(folder, format, exporter, name, task, fields)


def installed_exporter(format: str) -> Exporter:
    """Returns the exporter of a format, with all packages that it needs installed.

    Raises:
        SpecError: If no format has this name, or if a package is not installed.
        PluginError: If a plug-in offers an object that is not an exporter.
    """
    exporter = EXPORTERS.get(format, "--format")
    if not isinstance(exporter, Exporter):
        got = type(exporter).__name__
        where, remedy = f"exporter {format!r}", "Fix the plug-in."
        raise PluginError(Finding(where, "a kfc.exporting.formats.Exporter", got, remedy))
    exporter.check_installed(format)
    return exporter


def _import_runtime(exporter: Exporter) -> Callable[[str], Callable[..., Any]]:
    """Imports the function `load` of an exporter's runtime."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"kfc_runtime_{exporter.runtime.stem}", exporter.runtime)
    if spec is None or spec.loader is None:
        raise ImportError(f"{exporter.runtime}: expected a Python file.")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    load: Callable[[str], Callable[..., Any]] = module.load
    return load


def _listed(names: list[str]) -> str:
    """Returns the first names of a list that may be long, and come from elsewhere."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if names[10:] else "")
    return shown[:_SHOWN]


def _no_export(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(
        Finding(
            str(folder), "a model that was exported", got, "`kfc export RUN DIR` makes one."
        )
    )
