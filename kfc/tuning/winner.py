"""Trains the winner of a search as an ordinary run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, DataError, Finding, NumbersError, SpecError
from kfc.runs import fitting, run
from kfc.system import atomic, safe_open
from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import Verdict
from kfc.tuning.search_records import SearchRecords
from kfc.tuning.space import Space
from kfc.tuning.trial import Trial


@dataclass(frozen=True)
class Winner:
    """Winner of a search, after its final run.

    Args:
        finalist: Finalist that won.
        final_run: Record of its final run: folder, metrics and SHA-256 of the weights.
        remarks: Sentences about better finalists whose final runs could not be measured.
    """

    finalist: Finalist
    final_run: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def train_winner(
    verdict: Verdict,
    space: Space,
    folder: Path,
    records: SearchRecords,
    source: Any,
) -> Winner:
    """Trains the winner as an ordinary run, which alone is measured on the test rows.

    If a metric of that run is NaN or infinite, such as its test loss, the run cannot be
    measured. This is recorded, and the next finalist wins. A second run is then measured on
    the test rows, but they do not influence the choice: the order of the finalists was
    decided on validation rows, and a finalist is skipped only if it has no test metric, not
    if the metric is bad.

    Args:
        verdict: Order of the finalists.
        space: Space of the search.
        folder: Folder of the search.
        records: Records of the search.
        source: Rows given as `data=`; None for the source of the spec.

    Raises:
        NumbersError: If no finalist's final run can be measured.
    """
    causes: list[str] = []
    remarks: list[str] = []
    for finalist in verdict.order:
        number = finalist.trial.number
        if number not in records.unmeasured:
            try:
                facts = _final_run(finalist.trial, space, folder, records, source)
            except NumbersError as error:
                cause = "; ".join(f"{f.where}: {f.got}" for f in error.findings)
                records.add_unmeasured(number, cause)
            else:
                return Winner(finalist, facts, remarks)
        causes.append(f"trial {number} ({records.unmeasured[number]})")
        remarks.append(
            f"The final run of {causes[-1]} could not be measured: the next finalist takes "
            "its place."
        )
    raise NumbersError(
        Finding(
            f"{folder}, the winner's final run",
            "a finalist with finite metrics",
            "; ".join(causes),
            "The trials and their scores are kept. Check the test rows, or continue the "
            "search with more search.finalists.",
        )
    )


def _final_run(
    trial: Trial, space: Space, folder: Path, records: SearchRecords, source: Any
) -> dict[str, Any]:
    """Trains the winner's final run unless the journal has it; returns its record."""
    for event in records.final_runs:
        result = folder / event["folder"] / "result.json"
        if event["number"] == trial.number and result.exists():
            return event
    winner = _resumed_run(trial, folder / "winner", source) or fitting.fit_run(
        space.trial_spec(trial.values, seed=space.spec.seed),
        data=source,
        runs=folder / "winner",
        verbose=False,
    )
    facts = {
        "number": trial.number,
        "folder": str(winner.folder.relative_to(folder)),
        "metrics": winner.metrics,
        "weights_sha256": winner.weights_sha256,
    }
    records.add_final_run(facts)
    return facts


def _resumed_run(trial: Trial, folder: Path, source: Any) -> run.Run | None:
    """Resumes the final run of a killed process; removes folders that cannot be used."""
    with atomic.disk_errors(folder):
        names = safe_open.names_in(folder)
    for name in names:
        if not name[0].isdigit():
            continue
        try:
            resumed = fitting.resume_run(folder / name, data=source, verbose=False)
        except (CheckpointError, DataError, NumbersError, SpecError):
            # It is damaged, or the run of another finalist that could not be measured.
            atomic.remove_folder(folder / name)
            continue
        if resumed.weights_sha256 == trial.weights_sha256:
            return resumed
    return None
