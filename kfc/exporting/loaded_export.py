"""A folder that `kfc.export` made -> a model that predicts, in the runtime of its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Task
from kfc.errors import CheckpointError, Finding, KfcError, PluginError, reason
from kfc.exporting import certificate_fields as certificates
from kfc.exporting import requests, serving_signature
from kfc.exporting.formats import Exporter
from kfc.exporting.versions import CERTIFICATE, sha256s, versions
from kfc.registry import EXPORTERS
from kfc.runs import Predictions, from_outputs, raw_rows, result_file
from kfc.system import atomic, safe_open, tensorflow_startup, user_paths

_BATCH = 1024
_SHOWN = 300  # characters of what a foreign file made a runtime say


@dataclass(frozen=True)
class Export:
    """A model that was exported, as `kfc.export` returns it and `load_export` finds it.

    Args:
        path: Folder of this version.
        format: `saved_model`, `onnx`, `litert` or a plug-in's.
        name: Of the model, which is that of its spec.
        task: What it was trained for.
        certificate: What `certificate.json` says.
    """

    path: Path
    format: str
    name: str
    task: Task
    certificate: Mapping[str, Any]

    @property
    def version(self) -> int:
        """The version's number, whatever its folder is called now."""
        return int(self.certificate["version"])

    @property
    def verdict(self) -> str:
        """What the certificate says, as one line."""
        facts = self.certificate
        found = [f"{facts['rows']} test rows:"]
        if self.task.classification:
            number = facts["ties"]
            ties = f" but for {number} tie{'s' if number > 1 else ''}" if number else ""
            found.append(f"labels equal{ties},")
        found.append(f"largest difference {facts['max_difference']:.1e}")
        found.append(f"(limit {facts['limit']:.0e})")
        return " ".join(found)

    def commands(self, *, portable: bool = False) -> tuple[str, str] | None:
        """Returns the lines that serve it with TensorFlow Serving and ask it, where that can.

        Args:
            portable: Whether they are for the folder of all versions, wherever that is.
        """
        if not exporter_of(self.format).serves:
            return None
        return requests.commands(self.path, self.name, portable=portable)

    def predict(self, x: Any) -> Predictions:
        """Returns labels and probabilities, or values, for raw rows.

        Args:
            x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).

        Raises:
            DataError: If they are not rows of the kind this model was trained on.
            SpecError: If what loads its format is not installed.
            CheckpointError: If its runtime cannot load or run it, or if it answers with other
                outputs than an export has.
            NumbersError: If it answers a row with NaN.
        """
        rows = raw_rows(x, self.task)
        exporter = exporter_of(self.format)
        exporter.check_installed(self.format)
        with EXPORTERS.guard(self.format, "predict"), tensorflow_startup.stderr_held_back():
            found = self._answers(exporter, rows)
        outputs = found.pop("logits" if self.task.classification else "value")
        said = from_outputs(outputs if outputs.ndim == 2 else outputs[:, None], self.task)
        # Probabilities are the model's own; a SavedModel says label and probability too.
        return said._replace(**found)

    def _answers(self, exporter: Exporter, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the outputs by name for rows, each of the shape and type it must have."""
        try:
            answer = _runtime(exporter)(str(self.path))
            answers = [
                answer({self.certificate["input"]: rows[first : first + _BATCH]})
                for first in range(0, max(len(rows), 1), _BATCH)
            ]
            found = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
        except KfcError:
            raise
        # A file from elsewhere may make its runtime raise anything.
        except Exception as error:
            if self.format not in EXPORTERS.builtins:
                raise  # for the guard: it is the plug-in's
            got = f"{type(error).__name__}: {error}"[:_SHOWN]
            raise _no_export(
                self.path, f"one that {self.format} cannot run ({got})"
            ) from error
        wanted = serving_signature.output_shapes(self.task, len(rows), serves=exporter.serves)
        got_shapes = {name: values.shape for name, values in found.items()}
        kinds = {name: "U" if name == "label" else "f" for name in wanted}
        if got_shapes != wanted or any(found[n].dtype.kind != kinds[n] for n in wanted):
            got = f"one that answers {', '.join(f'{n} {s}' for n, s in got_shapes.items())}"
            raise _no_export(self.path, got[:_SHOWN])
        return found

    def summary(self) -> dict[str, Any]:
        """Returns what `--json` prints: plain values only."""
        lines = zip(("serve", "ask"), self.commands() or (), strict=False)
        return {
            "path": user_paths.shown_path(self.path),
            "version": self.version,
            "format": self.format,
            "certificate": dict(self.certificate),
            **dict(lines),
        }


def load_export(folder: str | Path) -> Export:
    """Returns an exported model from the folder of a version, or of all of them.

    Args:
        folder: Of one version, or of several, of which the highest is taken.

    Raises:
        CheckpointError: If there is none in it, a file of it was altered, a fact of its
            certificate is missing or of another type, or its model holds an operation that
            exports of kfc's own networks do not.
        SpecError: If its format is unknown, or needs a package that is not installed.
    """
    folder = user_paths.absolute(folder)
    safe_open.distrust(folder)
    try:
        if (found := versions(folder)) and not (folder / CERTIFICATE).exists():
            folder = found[max(found)]
        facts = certificates.read(atomic.read_text(folder / CERTIFICATE))
        now = sha256s(folder)
        task = result_file.task_of(facts["task"])
        name, format, recorded = facts["name"], facts["format"], facts["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {reason(error)}"[:_SHOWN]
        raise _no_export(folder, got) from error
    for file in sorted({*recorded, *now}):
        if recorded.get(file) != now.get(file):
            raise _no_export(folder, f"another {file} than was exported")
    exporter = exporter_of(format)
    exporter.check_installed(format)
    if found_besides := exporter.unlisted(folder):
        raise _no_export(folder, f"one with {_listed(found_besides)}")
    return Export(folder, format, name, task, facts)


def exporter_of(format: str) -> Exporter:
    """Returns the exporter of a format.

    Raises:
        SpecError: If there is none of that name.
        PluginError: If a plug-in gives something else.
    """
    exporter = EXPORTERS.get(format, "--format")
    if not isinstance(exporter, Exporter):
        got = type(exporter).__name__
        where, remedy = f"exporter {format!r}", "Mend the plug-in."
        raise PluginError(Finding(where, "a kfc.exporting.formats.Exporter", got, remedy))
    return exporter


def _runtime(exporter: Exporter) -> Callable[[str], Callable[..., Any]]:
    """Imports `load` of an exporter's runtime."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"kfc_runtime_{exporter.runtime.stem}", exporter.runtime)
    if spec is None or spec.loader is None:
        raise ImportError(f"{exporter.runtime}: expected a Python file.")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    load: Callable[[str], Callable[..., Any]] = module.load
    return load


def _listed(names: list[str]) -> str:
    """Returns the first of some names, which may be foreign and many."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if names[10:] else "")
    return shown[:_SHOWN]


def _no_export(folder: Path, got: str) -> CheckpointError:
    return CheckpointError(
        Finding(
            str(folder), "a model that was exported", got, "`kfc export RUN DIR` makes one."
        )
    )
