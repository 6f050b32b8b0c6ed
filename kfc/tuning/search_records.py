"""Keeps the records of a search, its proposals and trials, in memory and in the journal."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Finding
from kfc.spec import Spec
from kfc.tuning.journal import Journal, event_from, proposal_from_event, trial_from_event
from kfc.tuning.trial import Proposal, Trial

_VERSIONS = (
    *("keras-fully-connected", "keras", "keras-tuner", "numpy", "scikit-learn", "scipy"),
    "tensorflow",
)
_BUDGET = (*("trials", "seconds", "target", "finalists", "repeats", "most_repeats", "margin"),)
"""Keys that may change when a search is continued: finished trials do not depend on them."""


class SearchRecords:
    """Records of a search; each one is on the disk before it is used.

    The journal must belong to the same search: spec, objective, data and versions are
    compared with those in its first event.

    Args:
        folder: Folder of the search.
        spec: Resolved spec of the search.
        objective: Metric of the validation rows.
        data_sha256: SHA-256 of all rows of the source.

    Attributes:
        proposals: Number of a trial -> its proposal; 0 is the baseline.
        trials: Number of a trial -> its result.
        repeats: Number of a finalist and seed -> result of its training on that seed.
        final_runs: Events of the final runs of winners.
        unmeasured: Number of a finalist -> reason why its final run has no finite metrics.
        search_seconds: Seconds that the trials took, over all calls until now.

    Raises:
        CheckpointError: If the folder contains another search, or a damaged one.
    """

    def __init__(self, folder: Path, spec: Spec, objective: str, data_sha256: str) -> None:
        self._journal = Journal(folder / "journal.jsonl")
        events = self._journal.events()

        # The header says on which spec, data and versions the trials depend.
        header = _header(spec, objective, data_sha256)
        if not events:
            self._journal.append(header)
        elif different := list(_differences("", events[0], header)):
            raise CheckpointError(
                *(
                    Finding(
                        f"{folder}, {path}",
                        f"{old!r}, as when this search started",
                        repr(new),
                        "Restore the value, or search in another folder with --folder.",
                    )
                    for path, old, new in different
                )
            )

        # Rebuild the records from the events.
        proposals = map(proposal_from_event, _of_kind(events, "proposal"))
        self.proposals = {proposal.number: proposal for proposal in proposals}
        trials = map(trial_from_event, _of_kind(events, "trial"))
        self.trials = {trial.number: trial for trial in trials}
        repeats = map(trial_from_event, _of_kind(events, "repeat"))
        self.repeats = {(repeat.number, repeat.seed): repeat for repeat in repeats}
        self.final_runs = _of_kind(events, "winner")
        self.unmeasured = {
            event["number"]: event["cause"] for event in _of_kind(events, "unmeasured")
        }
        seconds = [event["searched"] for event in _of_kind(events, "trial")]
        self.search_seconds = max(seconds, default=0.0)
        self._last = events[-1] if events else header

    def add_proposal(self, proposal: Proposal) -> None:
        """Records a proposal, before its trial starts."""
        self._append(event_from("proposal", proposal))
        self.proposals[proposal.number] = proposal

    def add_trial(self, kind: str, trial: Trial, search_seconds: float) -> None:
        """Records a result.

        Args:
            kind: `trial`, or `repeat` for a finalist's training on another seed.
            trial: Result of the training.
            search_seconds: Seconds of searching until now, over all calls.
        """
        self._append({**event_from(kind, trial), "searched": search_seconds})
        if kind == "trial":
            self.trials[trial.number] = trial
        else:
            self.repeats[trial.number, trial.seed] = trial

    def add_final_run(self, facts: dict[str, Any]) -> None:
        """Records the final run of a winner."""
        self._append({"kind": "winner", **facts})

    def add_unmeasured(self, number: int, cause: str) -> None:
        """Records that the final run of a finalist has no finite metrics, and the cause."""
        self._append({"kind": "unmeasured", "number": number, "cause": cause})
        self.unmeasured[number] = cause

    def add_verdict(self, facts: dict[str, Any]) -> None:
        """Records the winner and its explanation, unless that is the last event already."""
        if self._last != {"kind": "verdict", **facts}:
            self._append({"kind": "verdict", **facts})

    def _append(self, event: dict[str, Any]) -> None:
        self._journal.append(event)
        self._last = event

    @property
    def ordered_trials(self) -> list[Trial]:
        """The finished trials, in the order of their numbers."""
        return [self.trials[number] for number in sorted(self.trials)]

    @property
    def searched_trials(self) -> list[Trial]:
        """The finished trials without trial 0, which no oracle has proposed."""
        return [trial for trial in self.ordered_trials if trial.number > 0]

    @property
    def executions(self) -> list[Trial]:
        """All finished trainings: trials by number, then repeats by number and seed."""
        return [*self.ordered_trials, *(self.repeats[key] for key in sorted(self.repeats))]


def _header(spec: Spec, objective: str, data_sha256: str) -> dict[str, Any]:
    """Returns the first event of a journal: everything that trials depend on."""
    budget = set(_BUDGET)
    if spec.search and spec.search.algorithm == "hyperband":
        budget.remove("trials")  # the sizes of the brackets depend on it
    dumped = spec.model_dump(mode="json")
    dumped["search"] = {
        key: value for key, value in dumped["search"].items() if key not in budget
    }
    return {
        "kind": "search",
        "spec": dumped,
        "objective": objective,
        "data_sha256": data_sha256,
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event.get("kind") == kind]


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yields the dotted path, old value and new value of each difference of two dicts."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield path, old, new
        return
    for key in [*old, *(key for key in new if key not in old)]:
        inner = f"{path}.{key}" if path else key
        yield from _differences(inner, old.get(key), new.get(key))
