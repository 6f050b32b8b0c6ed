"""The journal of a search -> what is known of it, and back; it must be this very search."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Finding
from kfc.spec import Spec
from kfc.tuning.journal import Journal, event_of, proposal_of, trial_of
from kfc.tuning.trial import Proposal, Trial

_VERSIONS = (
    *("keras-fully-connected", "keras", "keras-tuner", "numpy", "scikit-learn", "scipy"),
    "tensorflow",
)
_BUDGET = (*("trials", "seconds", "target", "finalists", "repeats", "most_repeats", "margin"),)
"""What may change from one call to the next: trials that ran stay what they are."""


class Ledger:
    """Everything a search has come to know, each piece on the disk before it is used.

    Args:
        folder: Of the search.
        spec: Its resolved spec.
        objective: A metric of the validation rows.
        data_sha256: Of all rows of the source.

    Attributes:
        proposals: Number -> what a trial was to train; 0 is the spec as it stands.
        trials: Number -> what came of it.
        repeats: Number and seed -> what came of a finalist's training on that seed.
        winners: The winner's own runs, as events.
        unmeasured: Number -> why a winner's own run has no numbers to report.
        searched: Seconds that the trials took, over all calls until now.

    Raises:
        CheckpointError: If the folder holds another search, or a damaged one.
    """

    def __init__(self, folder: Path, spec: Spec, objective: str, data_sha256: str) -> None:
        self._journal = Journal(folder / "journal.jsonl")
        events = self._journal.events()
        header = _header(spec, objective, data_sha256)
        if not events:
            self._journal.append(header)
        elif different := list(_differences("", events[0], header)):
            raise CheckpointError(
                *(
                    Finding(
                        f"{folder}, {path}",
                        f"{old!r}, as this search began",
                        repr(new),
                        "Put it back, or search in another folder with --folder.",
                    )
                    for path, old, new in different
                )
            )
        self.proposals = {p.number: p for p in map(proposal_of, _of_kind(events, "proposal"))}
        self.trials = {t.number: t for t in map(trial_of, _of_kind(events, "trial"))}
        self.repeats = {
            (t.number, t.seed): t for t in map(trial_of, _of_kind(events, "repeat"))
        }
        self.winners = _of_kind(events, "winner")
        self.unmeasured = {
            event["number"]: event["cause"] for event in _of_kind(events, "unmeasured")
        }
        self._last = events[-1] if events else header
        spent = [event["searched"] for event in _of_kind(events, "trial")]
        self.searched = max(spent, default=0.0)

    def propose(self, proposal: Proposal) -> None:
        """Records what a trial is to train."""
        self._append(event_of("proposal", proposal))
        self.proposals[proposal.number] = proposal

    def finish(self, kind: str, trial: Trial, searched: float) -> None:
        """Records what came of a `trial`, or of a `repeat`, and the seconds until then."""
        self._append({**event_of(kind, trial), "searched": searched})
        if kind == "trial":
            self.trials[trial.number] = trial
        else:
            self.repeats[trial.number, trial.seed] = trial

    def win(self, facts: dict[str, Any]) -> None:
        """Records the winner's own run."""
        self._append({"kind": "winner", **facts})

    def conclude(self, facts: dict[str, Any]) -> None:
        """Records who won and why, unless that is the last thing the journal says."""
        if self._last != {"kind": "verdict", **facts}:
            self._append({"kind": "verdict", **facts})

    def _append(self, event: dict[str, Any]) -> None:
        self._journal.append(event)
        self._last = event

    def pass_over(self, number: int, cause: str) -> None:
        """Records that a winner's own run has no numbers to report, and why."""
        self._append({"kind": "unmeasured", "number": number, "cause": cause})
        self.unmeasured[number] = cause

    @property
    def ordered(self) -> list[Trial]:
        """The trials that are done, in the order of their numbers."""
        return [self.trials[number] for number in sorted(self.trials)]

    @property
    def searched_trials(self) -> list[Trial]:
        """The trials that are done, without trial 0, which no oracle has proposed."""
        return [trial for trial in self.ordered if trial.number > 0]

    @property
    def executions(self) -> list[Trial]:
        """Every training in the order of numbers and seeds: trials, then repeats."""
        return [*self.ordered, *(self.repeats[key] for key in sorted(self.repeats))]


def _header(spec: Spec, objective: str, data_sha256: str) -> dict[str, Any]:
    """Returns the first event of a journal: all that trials depend on."""
    budget = set(_BUDGET)
    if spec.search and spec.search.algorithm == "hyperband":
        budget.remove("trials")  # its brackets are those that end with them
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
    """Yields where two nested values differ: a dotted path, the old value and the new."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield path, old, new
        return
    for key in [*old, *(key for key in new if key not in old)]:
        inner = f"{path}.{key}" if path else key
        yield from _differences(inner, old.get(key), new.get(key))
