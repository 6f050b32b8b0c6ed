"""Export of a finished run as a new version of a model, checked before it appears."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kfc.data import Task
from kfc.ensembles import Ensemble, load
from kfc.errors import CheckpointError, Finding, SpecError, one_line
from kfc.exporting import certificate, model_card, requests, serving_signature
from kfc.exporting.formats import Exporter, full_disk_as_oserror
from kfc.exporting.loaded_export import Export, installed_exporter
from kfc.exporting.table_requests import TableRequest
from kfc.exporting.versions import (
    CERTIFICATE,
    LARGEST,
    file_sha256s,
    format_of,
    next_version,
    record_version,
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

CLASS_NAMES, CARD = "assets/labels.txt", "card.md"
_NOT_VERSIONS = ("result.json", "checkpoints", CERTIFICATE)


def export(
    finished: Run | Ensemble | str | Path,
    path: str | Path,
    *,
    version: int | None = None,
    format: str = "saved_model",
    encoded: bool = False,
    verbose: bool = True,
) -> Export:
    """Exports a run as a new version of a model that takes raw values and returns labels.

    A fresh process that can import neither kfc nor Keras loads the exported model and calls it
    on the test rows that the run has stored. Its outputs are compared with the run's own. Only
    then the version appears, complete; otherwise no file is left.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> kfc.export(run, "models/digits", verbose=False).path.name
        '1'

    Args:
        finished: A run, an ensemble, or its folder.
        path: Folder of the model's versions, in TensorFlow Serving's layout: `path/1`, ...
        version: Number of this version, at least 1; by default the next free one.
        format: Name of the format: `saved_model`, `onnx`, `litert` or a plug-in's.
        encoded: Whether the model of a table takes encoded rows, as `Run.encode` returns
            them, instead of raw columns. Every format can, also one without text.
        verbose: Whether to report each step on stderr.

    Returns:
        The export, which has passed the comparison.

    Raises:
        SpecError: If the format is unknown, needs a package that is not installed or cannot
            hold this network; if the version exists, or a version of another format; or if
            `path` is the folder of a run.
        CheckpointError: If the folder holds no finished run, or one that was altered.
        NumbersError: If the outputs of the exported model differ from the run's.
        PluginError: If a plug-in's format fails.
        DiskError: If a file cannot be written.
    """
    tensorflow_startup.check_process()
    exporter = installed_exporter(format)
    if version is not None:
        _check_version(version)
    path = user_paths.absolute(path)
    safe_open.distrust(path)
    _check_path(path, exporter)
    console = progress_console(verbose)
    if not isinstance(finished, (Run, Ensemble)):
        finished = load(finished)
    exporter.check_inputs(format, finished.task, encoded=encoded)
    sample = _sample_of(finished)
    if encoded:
        sample = replace(sample, columns={})
    task = finished.task.core if encoded else finished.task

    with atomic.disk_errors(path), full_disk_as_oserror(), locks.in_turn(path):
        number = version or next_version(path)
        _check_version(number)
        _check_free(path, number, format)
        target = path / str(number)
        with atomic.new_folder(target) as partial:
            fields = _write_version(
                partial, target, finished, task, sample, exporter, format, console
            )
            record_version(path, number)  # before it appears, so that no other one gets it
    return Export(target, format, exporter, finished.spec.name, finished.task, fields)


def _write_version(
    folder: Path,
    target: Path,
    finished: Run | Ensemble,
    task: Task,
    sample: Sample,
    exporter: Exporter,
    format: str,
    console: Console,
) -> dict[str, Any]:
    """Writes all files of a version, compares it with the run, and returns its certificate.

    Args:
        folder: Empty folder to write into, which becomes `target`.
        target: Folder of the version.
        finished: The run.
        task: Task of the exported model.
        sample: Test rows of the run, and its outputs.
        exporter: Format of the export.
        format: Name of the format.
        console: Console for progress.
    """
    place = user_paths.shown_path(target)

    console.print(f"{place}: writing {format}", soft_wrap=True)
    guard = EXPORTERS.guard(format, "export")
    with guard, atomic.disk_errors(target), full_disk_as_oserror():
        exporter.write(finished.network, task, folder)
    request, has_warmup = _write_requests(folder, exporter, finished, task, sample)
    _write_class_names(folder, task)

    console.print(f"{place}: asking it in a fresh process", soft_wrap=True)
    parity = certificate.compare_with_run(
        folder,
        exporter,
        sample,
        task,
        input_name=finished.network.inputs[0].name,
        request=request,
        limit=_limit(finished.spec),
    )
    # A plug-in's block may compute with an operation that no built-in network has.
    unlisted = exporter.unlisted(folder)
    if unlisted:
        console.print(
            f"{place}: holds {', '.join(unlisted)}, of a plug-in. Services load it; "
            "`kfc predict` takes the run instead.",
            soft_wrap=True,
        )

    # The certificate comes last, since it has the hashes of all other files.
    fields = {
        "name": finished.spec.name,
        "version": int(target.name),
        "format": format,
        **_fields(finished, exporter, parity, task),
        "warmup": has_warmup,
        "unlisted": unlisted,
    }
    commands = None
    if exporter.serves:
        commands = requests.serving_commands(target, finished.spec.name, portable=True)
    card = model_card.card_text(finished, fields, commands, request)
    (folder / CARD).write_text(card, "utf-8")
    fields = result_file.with_sha256(fields | {"files": file_sha256s(folder)})
    (folder / CERTIFICATE).write_text(result_file.as_json(fields), "utf-8")
    return fields


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
                "Name another, and move it afterwards if you need to.",
            )
        )


def _check_free(path: Path, number: int, format: str) -> None:
    found = versions(path)
    target = found.get(number, path / str(number))
    if target.exists():
        raise SpecError(
            Finding("--version", "a new one", f"{target}, which exists", "Name another.")
        )
    # A server loads the highest version, of any format.
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


def _sample_of(finished: Run | Ensemble) -> Sample:
    """Returns the sample of a run; of an ensemble the average's, after a check of each run."""
    if isinstance(finished, Run):
        return _checked_sample(finished)
    samples = [_checked_sample(each) for each in finished.runs]
    return finished.sample_of(samples[0])


def _checked_sample(finished: Run) -> Sample:
    """Returns the run's sample, after a check that its network still gives the same outputs.

    Raises:
        CheckpointError: If the outputs differ, or if the run has no sample.
    """
    if run.weights_sha256(finished.network) != finished.weights_sha256:
        raise _altered(finished, "weights that are not those the run ended with")
    sample = sample_file.read_sample(finished.folder, finished.sample_sha256)
    now = sample_file.outputs_on_cpu(finished.network, sample.x)
    by_output = not finished.task.classification
    limit = _limit(finished.spec)
    if (
        now.shape != sample.outputs.shape
        or not sample.difference(now, by_output=by_output) <= limit
    ):
        raise _altered(finished, "a network that answers otherwise than at the run's end")
    return sample


def _altered(finished: Run, got: str) -> CheckpointError:
    remedy = result_file.train_again(finished.folder)
    return CheckpointError(Finding(str(finished.folder), "the run as it ended", got, remedy))


def _limit(spec: Spec) -> float:
    bfloat16 = spec.training.precision == "bfloat16"
    return certificate.LIMIT_BFLOAT16 if bfloat16 else certificate.LIMIT


def _write_class_names(folder: Path, task: Task) -> None:
    if task.classification:
        (folder / CLASS_NAMES).parent.mkdir(exist_ok=True)
        lines = "".join(f"{one_line(name)}\n" for name in task.class_names)
        (folder / CLASS_NAMES).write_text(lines, "utf-8")


def _write_requests(
    folder: Path, exporter: Exporter, finished: Run | Ensemble, task: Task, sample: Sample
) -> tuple[requests.AnyRequest | None, bool]:
    """Writes a request for TensorFlow Serving, and returns it and whether it can warm up."""
    if not exporter.serves:
        return None, False
    request: requests.AnyRequest
    if task.table is None:
        request = requests.Request.of(sample.x[0], task, finished.network.inputs[0].name)
    else:
        request = TableRequest.of(sample)
    requests.write_request(folder, request)
    return request, requests.write_warmup(folder, request, task, finished.spec.name)


def _fields(
    finished: Run | Ensemble, exporter: Exporter, parity: certificate.Parity, task: Task
) -> dict[str, Any]:
    """Returns the fields of a certificate that do not depend on the version."""
    compared = asdict(parity)
    ties = compared.pop("ties")
    if task.classification:
        compared |= {"labels_equal": not ties, "ties": ties}
    if task.table is not None:
        compared["input_names"] = serving_signature.column_names(finished.network, task)
    elif exporter.serves and task.feature_names:
        names = serving_signature.input_names(task.feature_names)
        compared["input_names"] = dict(zip(task.feature_names, names, strict=True))
    return {
        # A table has no input for a batch, but those of `input_names`.
        "input": "" if task.table else finished.network.inputs[0].name,
        "encoded": task.table is not finished.task.table,
        **compared,
        "sample_sha256": finished.sample_sha256,
        "weights_sha256": finished.weights_sha256,
        "data_sha256": finished.data_sha256,
        "versions": environment.versions_of((*environment.VERSIONS, *exporter.distributions)),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "task": result_file.task_facts(finished.task),
    }
