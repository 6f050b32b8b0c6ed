"""What was told so far -> what to try next: keras-tuner's oracles, made repeatable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scipy.special import ndtri
from scipy.stats import rankdata

from kfc.errors import CheckpointError, Finding
from kfc.spec import SearchSpec
from kfc.tuning.algorithms import ALGORITHMS, Hyperband
from kfc.tuning.space import Space
from kfc.tuning.trial import Proposal


class Oracle:
    """Proposes trials, as a function of the seed and of what was asked and told before.

    Nothing is read or written and no global random number is drawn, so a journal of
    proposals and results is all that it takes to build an oracle again.

    `random` is random search (Bergstra and Bengio, "Random search for hyper-parameter
    optimization", JMLR 13, 2012). `bayesian` minimises a confidence bound of a Gaussian
    process (Srinivas et al., "Gaussian process optimization in the bandit setting", ICML
    2010). `hyperband` trains many trials for a few epochs and goes on with the best (Li et
    al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR
    18, 2018). `grid` takes every point in turn.

    Args:
        space: What to search.
        search: The algorithm and its settings, with the number of trials at most.
        seed: Other seeds, other proposals; a grid has none.
        epochs: Of a trial; of hyperband's last rung.
        direction: `min` or `max`: which way the score becomes better.
    """

    def __init__(
        self, space: Space, search: SearchSpec, *, seed: int, epochs: int, direction: str
    ) -> None:
        self._space, self._search, self._seed, self._epochs = space, search, seed, epochs
        self._sign = -1.0 if direction == "max" else 1.0
        self._oracle = ALGORITHMS[search.algorithm](space.parameters, search, epochs)
        self._asked: dict[int, Proposal] = {}
        self._losses: dict[int, float] = {}  # of those told; infinite for a diverged one
        self._stopped = False

    @property
    def finished(self) -> bool:
        """Whether no trial is proposed any more, whatever is told."""
        return self._stopped or len(self._asked) >= self._search.trials

    @property
    def most_trials(self) -> int:
        """The number of trials, or of points where the space has fewer."""
        if isinstance(self._oracle, Hyperband):  # it trains some points more than once
            return self._search.trials
        return self._oracle.count_points(self._search.trials)

    def ask(self, known: Proposal | None = None) -> Proposal | None:
        """Returns the next trial, or None: `finished`, or another must be told first.

        Args:
            known: What a journal says was proposed at this place. A Bayesian oracle takes
                its word, since fitting again takes time; the others must agree.

        Raises:
            CheckpointError: If the oracle proposes something else.
        """
        if self.finished:
            return None
        number = len(self._asked) + 1
        if known and self._search.algorithm == "bayesian":
            proposal: Proposal | None = known
        else:
            proposal = self._next(number)
        if proposal is None and not self._stopped and self._oracle.ongoing_trials:
            return None
        if known and (proposal is None or _facts(proposal) != _facts(known)):
            raise CheckpointError(
                Finding(
                    f"trial {known.number} of the journal",
                    "no proposal" if proposal is None else _shown(proposal),
                    _shown(known),
                    "Go on with the versions and the settings that the search began with, "
                    "or search in another folder.",
                )
            )
        if proposal is not None:
            self._asked[number] = proposal
            self._oracle.begin(str(number), proposal.point)
        return proposal

    def tell(self, number: int, score: float, *, diverged: bool = False) -> None:
        """Takes the result of a trial.

        Args:
            number: Of a trial that was asked and not told yet.
            score: The objective; a trial whose score is not finite diverged.
            diverged: Whether it is worse than every trial that did not.
        """
        lost = diverged or not math.isfinite(score)
        self._oracle.end(str(number), lost=lost)
        self._losses[number] = math.inf if lost else self._sign * score

    def promotable(self) -> set[int]:
        """Returns the trials whose training a later one may continue, or one does by now."""
        parents = {self._asked[int(i)].parent for i in self._oracle.ongoing_trials}
        continued = {parent for parent in parents if parent is not None}
        if self.finished or not isinstance(self._oracle, Hyperband):
            return continued
        self._teach()
        return continued | {int(i) for i in self._oracle.promotable()}

    def _next(self, number: int) -> Proposal | None:
        self._teach()
        self._oracle.reseed(f"{self._seed}/{number}")
        response = self._oracle.populate_space(str(number))
        if response["status"] != "RUNNING":
            self._stopped = response["status"] == "STOPPED"
            return None
        values = response["values"]
        point = self._oracle.point(values)
        parent = values.get("tuner/trial_id")
        return Proposal(
            number=number,
            point=point,
            values=self._space.values(point),
            epochs=values.get("tuner/epochs", self._epochs),
            parent=None if parent is None else int(parent),
        )

    def _teach(self) -> None:
        quantiles = _quantiles(list(self._losses.values()))
        for number, quantile in zip(self._losses, quantiles, strict=True):
            self._oracle.trials[str(number)].score = quantile


def _quantiles(losses: Sequence[float]) -> list[float]:
    """Returns the normal quantile of each loss's rank; equal losses share one.

    However bad a loss is, it flattens no difference between others.
    """
    return [float(q) for q in ndtri((rankdata(losses) - 0.5) / max(len(losses), 1))]


def _facts(proposal: Proposal) -> tuple[Any, ...]:
    return proposal.number, dict(proposal.point), proposal.epochs, proposal.parent


def _shown(proposal: Proposal) -> str:
    point = ", ".join(f"{name}={value}" for name, value in proposal.point.items())
    after = f" after trial {proposal.parent}" if proposal.parent else ""
    return f"{point} for {proposal.epochs} epochs{after}"
