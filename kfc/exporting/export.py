"""A finished run -> a new version of a model, checked before it counts."""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kfc import files, record, run, sample
from kfc.data import Task
from kfc.errors import CheckpointError, Fault, SpecError, one_line
from kfc.exporting import card, certificate, serving
from kfc.exporting.exported import (
    CERTIFICATE,
    Export,
    exporter_of,
    format_of,
    sha256s,
    versions,
)
from kfc.exporting.exporters import Exporter
from kfc.registry import EXPORTERS
from kfc.run import Run
from kfc.sample import Sample
from kfc.spec import Spec

LABELS, CARD = "assets/labels.txt", "card.md"


def export(
    finished: Run | str | Path,
    path: str | Path,
    *,
    version: int | None = None,
    format: str = "saved_model",
    verbose: bool = True,
) -> Export:
    """Exports a run as a new version of a model, with raw values in and labels out.

    What is written is loaded by a fresh process in which neither kfc nor Keras can be
    imported, asked about the test rows that the run keeps, and compared with what the run
    itself said of them. Only then the version appears, all at once; otherwise nothing is
    left behind.

    Args:
        finished: A run, or its folder.
        path: Folder of the model's versions, in TensorFlow Serving's layout: `path/1`, ...
        version: Number of this version, at least 1; by default the next free one.
        format: `saved_model`, `onnx`, `litert` or a plug-in's.
        verbose: Whether to say on stderr what is done.

    Returns:
        The export, checked.

    Raises:
        SpecError: If the format is unknown, needs a package that is not installed or cannot
            hold this network, or if the version, or one of another format, is there already.
        CheckpointError: If the folder holds no finished run, or one that was altered.
        NumbersError: If what was exported says something else than the run.
        PluginError: If a plug-in's format fails.
        DiskError: If it cannot be written.
    """
    exporter = exporter_of(format)
    exporter.check_installed(format)
    if version is not None and (isinstance(version, bool) or version < 1):
        raise SpecError(Fault("--version", "a whole number of at least 1", str(version), ""))
    console = Console(stderr=True, quiet=not verbose, highlight=False, markup=False)
    if not isinstance(finished, Run):
        finished = run.load(finished)
    rows = _checked_sample(finished)

    path = Path(path)
    with files.in_turn(path):
        target = path / str(version or max(versions(path), default=0) + 1)
        _check_place(path, target, format)
        with files.new_folder(target) as partial:
            console.print(f"{target}: writing {format}", soft_wrap=True)
            with EXPORTERS.guard(format, "export"):
                exporter.write(finished.model, finished.task, partial)
            request, warm = _add_serving(partial, exporter, finished, rows)
            _add_labels(partial, finished.task)
            console.print(f"{target}: asking it in a fresh process", soft_wrap=True)
            parity = certificate.compare(
                partial,
                exporter,
                rows,
                finished.task,
                input_name=finished.model.inputs[0].name,
                request=request,
                limit=_limit(finished.spec),
            )
            facts = _facts(finished, format, parity, warm)
            exported = Export(target, format, finished.spec.name, finished.task, facts)
            (partial / CARD).write_text(card.text(finished, exported), "utf-8")
            facts["files"] = sha256s(partial)
            (partial / CERTIFICATE).write_text(record.as_json(facts), "utf-8")
    return exported


def _check_place(path: Path, target: Path, format: str) -> None:
    if target.exists():
        raise SpecError(
            Fault("--version", "a new one", f"{target}, which exists", "Name another.")
        )
    # A server takes the highest version, whatever it is.
    others = {format_of(path / str(number)) for number in versions(path)} - {format, ""}
    if others:
        raise SpecError(
            Fault(
                str(path),
                f"versions that are all {format}",
                f"some that are {' and '.join(sorted(others))}",
                "Name another folder for this format.",
            )
        )


def _checked_sample(finished: Run) -> Sample:
    """Returns the run's sample, if its network still says the same of it.

    Raises:
        CheckpointError: If it does not, or there is none.
    """
    if run.weights_sha256(finished.model) != finished.weights_sha256:
        raise _altered(finished, "weights that are not those the run ended with")
    rows = sample.read(finished.folder, finished.sample_sha256)
    now = np.asarray(finished.model(rows.x, training=False), np.float32)
    if now.shape != rows.outputs.shape or not rows.difference(now) <= _limit(finished.spec):
        raise _altered(finished, "a network that answers otherwise than at the run's end")
    return rows


def _altered(finished: Run, got: str) -> CheckpointError:
    where = str(finished.folder)
    return CheckpointError(
        Fault(where, "the run as it ended", got, "Train again with `kfc fit RUN/spec.yaml`.")
    )


def _limit(spec: Spec) -> float:
    bfloat16 = spec.training.precision == "bfloat16"
    return certificate.LIMIT_BFLOAT16 if bfloat16 else certificate.LIMIT


def _add_serving(
    folder: Path, exporter: Exporter, finished: Run, rows: Sample
) -> tuple[serving.Request | None, bool]:
    if not exporter.serves:
        return None, False
    task = finished.task
    request = serving.Request.of(rows.x[0], task, finished.model.inputs[0].name)
    serving.write_request(folder, request)
    return request, serving.write_warmup(folder, request, task, finished.spec.name)


def _add_labels(folder: Path, task: Task) -> None:
    if task.classification:
        (folder / LABELS).parent.mkdir(exist_ok=True)
        lines = "".join(f"{one_line(label)}\n" for label in task.labels)
        (folder / LABELS).write_text(lines, "utf-8")


def _facts(
    finished: Run, format: str, parity: certificate.Parity, warm: bool
) -> dict[str, Any]:
    distributions = (*record.VERSIONS, *exporter_of(format).distributions)
    return {
        "name": finished.spec.name,
        "format": format,
        "input": finished.model.inputs[0].name,
        **asdict(parity),
        "labels_equal": True,  # or there would be no certificate
        "sample_sha256": finished.sample_sha256,
        "weights_sha256": finished.weights_sha256,
        "data_sha256": finished.data_sha256,
        "warmup": warm,
        "versions": {name: version_of(name) for name in distributions},
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "task": record.task_facts(finished.task),
    }
