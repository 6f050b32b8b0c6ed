"""A finished run -> a new version of a model, checked before it counts."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kfc.data import Task
from kfc.errors import CheckpointError, Finding, SpecError, one_line
from kfc.exporting import certificate, model_card, requests, serving_signature
from kfc.exporting.formats import Exporter, full_disk
from kfc.exporting.loaded_export import Export, exporter_of
from kfc.exporting.versions import (
    CERTIFICATE,
    LARGEST,
    format_of,
    keep_number,
    next_version,
    sha256s,
    versions,
)
from kfc.registry import EXPORTERS
from kfc.runs import Run, Sample, environment, result_file, run, sample_file
from kfc.spec import Spec
from kfc.system import (
    atomic,
    locks,
    progress_console,
    safe_open,
    tensorflow_startup,
    user_paths,
)

LABELS, CARD = "assets/labels.txt", "card.md"
_NOT_VERSIONS = ("result.json", "checkpoints", CERTIFICATE)


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
            hold this network, if the version, or one of another format, is there already,
            or if `path` is the folder of a run.
        CheckpointError: If the folder holds no finished run, or one that was altered.
        NumbersError: If what was exported says something else than the run.
        PluginError: If a plug-in's format fails.
        DiskError: If it cannot be written.
    """
    tensorflow_startup.check_process()
    exporter = exporter_of(format)
    exporter.check_installed(format)
    if version is not None:
        _check_version(version)
    path = user_paths.absolute(path)
    safe_open.distrust(path)
    _check_path(path, exporter)
    console = progress_console(verbose)
    if not isinstance(finished, Run):
        finished = run.load(finished)
    rows = _checked_sample(finished)

    with atomic.disk_errors(path), full_disk(), locks.in_turn(path):
        number = version or next_version(path)
        _check_version(number)
        _check_place(path, number, format)
        target = path / str(number)
        with atomic.new_folder(target) as partial:
            exported = _fill(partial, finished, rows, target, format, console)
            keep_number(path, number)  # before it is there, so that no other one gets it
        return exported


def _fill(
    folder: Path, finished: Run, rows: Sample, target: Path, format: str, console: Console
) -> Export:
    """Writes everything into the folder that becomes `target`, once it has answered."""
    task, exporter = finished.task, exporter_of(format)
    console.print(f"{user_paths.shown_path(target)}: writing {format}", soft_wrap=True)
    with EXPORTERS.guard(format, "export"), atomic.disk_errors(target), full_disk():
        exporter.write(finished.model, task, folder)
    request, warm = _add_serving(folder, exporter, finished, rows)
    _add_labels(folder, task)
    console.print(
        f"{user_paths.shown_path(target)}: asking it in a fresh process", soft_wrap=True
    )
    parity = certificate.compare(
        folder,
        exporter,
        rows,
        task,
        input_name=finished.model.inputs[0].name,
        request=request,
        limit=_limit(finished.spec),
    )
    # A plug-in's block may compute with an operation that no network of kfc's has.
    unlisted = exporter.unlisted(folder)
    if unlisted:
        console.print(
            f"{user_paths.shown_path(target)}: holds {', '.join(unlisted)}, of a plug-in. "
            "Services load it; `kfc predict` takes the run instead.",
            soft_wrap=True,
        )
    facts = _facts(finished, format, int(target.name), parity)
    facts |= {"warmup": warm, "unlisted": unlisted}
    exported = Export(target, format, finished.spec.name, task, facts)
    (folder / CARD).write_text(model_card.text(finished, exported), "utf-8")
    facts = result_file.with_sha256(facts | {"files": sha256s(folder)})
    (folder / CERTIFICATE).write_text(result_file.as_json(facts), "utf-8")
    return replace(exported, certificate=facts)


def _check_version(version: Any) -> None:
    whole = isinstance(version, int) and not isinstance(version, bool)
    if not whole or not 1 <= version <= LARGEST:
        raise SpecError(
            Finding(
                "--version",
                "a whole number from 1 to 2**63 - 1",
                f"{version!r:.40}",
                "Name another, or leave it out for the next free one.",
            )
        )


def _check_path(path: Path, exporter: Exporter) -> None:
    with atomic.disk_errors(path):
        taken = [name for name in _NOT_VERSIONS if (path / name).exists()]
    if taken:
        raise SpecError(
            Finding(
                str(path),
                "a folder for the versions of a model",
                f"one with a {taken[0]}, of a run or a version",
                "Name another, such as models.",
            )
        )
    if exporter.serves and set(str(path)) & set("[\\"):
        raise SpecError(
            Finding(
                str(path),
                "a folder without [ and \\ in its path, which TensorFlow takes for a pattern",
                "one with it",
                "Name another, and move it afterwards if need be.",
            )
        )


def _check_place(path: Path, number: int, format: str) -> None:
    found = versions(path)
    target = found.get(number, path / str(number))
    if target.exists():
        raise SpecError(
            Finding("--version", "a new one", f"{target}, which exists", "Name another.")
        )
    # A server takes the highest version, whatever it is.
    others = {format_of(folder) for folder in found.values()} - {format, ""}
    if others:
        raise SpecError(
            Finding(
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
    rows = sample_file.read_sample(finished.folder, finished.sample_sha256)
    now = sample_file.outputs_on_cpu(finished.model, rows.x)
    by_output = not finished.task.classification
    limit = _limit(finished.spec)
    if (
        now.shape != rows.outputs.shape
        or not rows.difference(now, by_output=by_output) <= limit
    ):
        raise _altered(finished, "a network that answers otherwise than at the run's end")
    return rows


def _altered(finished: Run, got: str) -> CheckpointError:
    remedy = result_file.train_again(finished.folder)
    return CheckpointError(Finding(str(finished.folder), "the run as it ended", got, remedy))


def _limit(spec: Spec) -> float:
    bfloat16 = spec.training.precision == "bfloat16"
    return certificate.LIMIT_BFLOAT16 if bfloat16 else certificate.LIMIT


def _add_serving(
    folder: Path, exporter: Exporter, finished: Run, rows: Sample
) -> tuple[requests.Request | None, bool]:
    if not exporter.serves:
        return None, False
    task = finished.task
    request = requests.Request.of(rows.x[0], task, finished.model.inputs[0].name)
    requests.write_request(folder, request)
    return request, requests.write_warmup(folder, request, task, finished.spec.name)


def _add_labels(folder: Path, task: Task) -> None:
    if task.classification:
        (folder / LABELS).parent.mkdir(exist_ok=True)
        lines = "".join(f"{one_line(label)}\n" for label in task.class_names)
        (folder / LABELS).write_text(lines, "utf-8")


def _facts(
    finished: Run, format: str, version: int, parity: certificate.Parity
) -> dict[str, Any]:
    exporter, task = exporter_of(format), finished.task
    facts = asdict(parity)
    ties = facts.pop("ties")
    if task.classification:
        facts |= {"labels_equal": not ties, "ties": ties}
    if exporter.serves and task.feature_names:
        names = serving_signature.column_names(task.feature_names)
        facts["columns"] = dict(zip(task.feature_names, names, strict=True))
    return {
        "name": finished.spec.name,
        "version": version,
        "format": format,
        "input": finished.model.inputs[0].name,
        **facts,
        "sample_sha256": finished.sample_sha256,
        "weights_sha256": finished.weights_sha256,
        "data_sha256": finished.data_sha256,
        "versions": environment.versions_of((*environment.VERSIONS, *exporter.distributions)),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "task": result_file.task_facts(task),
    }
