"""The folder of a search, finished or not -> its standing; nothing is imported to train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Finding
from kfc.spec import Spec
from kfc.system import safe_open, user_paths
from kfc.tuning.journal import read_events, trial_of
from kfc.tuning.ranking import ranked
from kfc.tuning.trial import Trial, plain


@dataclass(frozen=True)
class Standing:
    """What a search has found so far.

    Args:
        folder: Of the search.
        objective: A metric of the validation rows.
        ranking: The trials that are done, the best first.
        proposed: How many have been proposed; those that are not done run, or will.
        winner: Number of the trial that won; None while the search is not finished.
        sentences: Who won and why; none while the search is not finished.
    """

    folder: Path
    objective: str
    ranking: list[Trial]
    proposed: int
    winner: int | None = None
    sentences: tuple[str, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The winner; of an unfinished search the trial with the best score so far."""
        by_number = {trial.number: trial for trial in self.ranking}
        if self.winner is not None:
            return by_number[self.winner]
        return self.ranking[0] if self.ranking else None

    def summary(self) -> dict[str, Any]:
        """Returns what `--json` prints: plain values only."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "objective": self.objective,
            "trials": [plain(t) for t in sorted(self.ranking, key=lambda t: t.number)],
            "best": plain(self.best) if self.best else None,
            "proposed": self.proposed,
            "finished": self.winner is not None,
            "sentences": list(self.sentences),
        }


def search_folder(spec: Spec, runs: Path) -> Path:
    """Returns where `kfc tune` keeps the search of a spec, unless told otherwise."""
    return runs / f"{spec.name}.search"


def standing(folder: Path) -> Standing:
    """Returns what a search has found so far, also while it runs.

    Raises:
        CheckpointError: If the folder holds no search, or a damaged one.
    """
    folder = user_paths.absolute(folder)
    safe_open.distrust(folder)
    events = read_events(folder / "journal.jsonl")
    if not events:
        raise CheckpointError(
            Finding(str(folder), "the folder of a search", "none", "`kfc tune` makes one.")
        )
    objective = str(events[0]["objective"])
    trials = [trial_of(event) for event in events if event["kind"] == "trial"]
    proposed = sum(event["kind"] == "proposal" for event in events)
    ranking = ranked(trials, objective)
    if events[-1]["kind"] != "verdict":
        return Standing(folder, objective, ranking, proposed)
    winner, sentences = events[-1]["number"], tuple(events[-1]["sentences"])
    return Standing(folder, objective, ranking, proposed, winner, sentences)
