"""Reads the status of a search from its folder, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Finding
from kfc.spec import Spec
from kfc.system import safe_open, user_paths
from kfc.tuning.comparison import Finalist
from kfc.tuning.journal import read_events, trial_from_event
from kfc.tuning.ranking import ranked
from kfc.tuning.trial import Trial, objective_direction, trial_summary


@dataclass(frozen=True)
class SearchStatus:
    """Results of a search until now, which may still be running.

    Args:
        folder: Folder of the search.
        objective: Metric of the validation rows.
        ranking: Finished trials, the best first.
        proposed: Number of proposed trials, finished or not.
        winner: Number of the winning trial; None while the search is not finished.
        sentences: Explanation of the winner; empty while the search is not finished.
        repeats: Trainings of the finalists on fresh seeds.
        metrics: Metrics of the winner's final run; empty while the search is not finished.
    """

    folder: Path
    objective: str
    ranking: list[Trial]
    proposed: int
    winner: int | None = None
    sentences: tuple[str, ...] = ()
    repeats: tuple[Trial, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def finalists(self) -> list[Finalist]:
        """The finalists with their repeats until now: the winner, then by their means."""
        numbers = {trial.number: trial for trial in self.ranking}
        found = [
            Finalist(numbers[number], tuple(r for r in self.repeats if r.number == number))
            for number in dict.fromkeys(repeat.number for repeat in self.repeats)
            if number in numbers
        ]
        sign = 1 if objective_direction(self.objective) == "max" else -1
        return sorted(
            found, key=lambda each: (each.trial.number != self.winner, -sign * each.mean)
        )

    @property
    def best(self) -> Trial | None:
        """The winner; of an unfinished search the trial with the best score so far."""
        by_number = {trial.number: trial for trial in self.ranking}
        if self.winner is not None:
            return by_number[self.winner]
        return self.ranking[0] if self.ranking else None

    def summary(self) -> dict[str, Any]:
        """Returns the status as `kfc tune --show --json` prints it, in plain values."""
        trials = sorted(self.ranking, key=lambda trial: trial.number)
        return {
            "folder": user_paths.shown_path(self.folder),
            "objective": self.objective,
            "trials": [trial_summary(trial) for trial in trials],
            "best": trial_summary(self.best) if self.best else None,
            "proposed": self.proposed,
            "finished": self.winner is not None,
            "sentences": list(self.sentences),
        }


def search_folder(spec: Spec, runs: Path) -> Path:
    """Returns the default folder for the search of a spec.

    Args:
        spec: Checked spec.
        runs: Folder of the runs.
    """
    return runs / f"{spec.name}.search"


def read_status(folder: Path) -> SearchStatus:
    """Reads the status of a search, also while another process works on it.

    Args:
        folder: Folder of the search.

    Raises:
        CheckpointError: If the folder contains no search, or its journal is damaged.
    """
    folder = user_paths.absolute(folder)
    safe_open.distrust(folder)
    events = read_events(folder / "journal.jsonl")
    if not events:
        raise CheckpointError(
            Finding(str(folder), "the folder of a search", "none", "`kfc tune` makes one.")
        )
    objective = str(events[0]["objective"])
    trials = [trial_from_event(event) for event in events if event["kind"] == "trial"]
    proposed = sum(event["kind"] == "proposal" for event in events)
    ranking = ranked(trials, objective)
    # A finished search that is continued with more trials has events after its verdict.
    repeats = tuple(trial_from_event(each) for each in events if each["kind"] == "repeat")
    if events[-1]["kind"] != "verdict":
        return SearchStatus(folder, objective, ranking, proposed, repeats=repeats)
    winner, sentences = events[-1]["number"], tuple(events[-1]["sentences"])
    final = [each for each in events if each["kind"] == "winner" and each["number"] == winner]
    metrics = dict(final[-1]["metrics"]) if final else {}
    return SearchStatus(
        folder, objective, ranking, proposed, winner, sentences, repeats, metrics
    )
