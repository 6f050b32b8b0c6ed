"""Proposes trials with keras-tuner's oracles, such that a search can be repeated."""

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
    """Proposes trials, as a function of the seed and of the trials created and ended so far.

    It reads and writes no file and draws no global random number, so the proposals and the
    results in a journal are enough to rebuild it.

    - `random` is random search (J. Bergstra and Y. Bengio, "Random search for
      hyper-parameter optimization", JMLR 13, 2012,
      https://jmlr.org/papers/v13/bergstra12a.html).
    - `bayesian` minimises a confidence bound of a Gaussian process (N. Srinivas et al.,
      "Gaussian process optimization in the bandit setting", ICML 2010,
      https://arxiv.org/abs/0912.3995).
    - `hyperband` trains many trials for a few epochs and continues the best ones (L. Li et
      al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR
      18, 2018, https://jmlr.org/papers/v18/16-558.html).
    - `grid` takes every point in turn.

    Args:
        space: Search space.
        search: Algorithm, its settings and the largest number of trials.
        seed: Seed of the proposals; a grid does not use it.
        epochs: Number of epochs of a trial; with Hyperband, of one on the last rung.
        direction: `max` if larger scores are better, else `min`.
    """

    def __init__(
        self, space: Space, search: SearchSpec, *, seed: int, epochs: int, direction: str
    ) -> None:
        self._space, self._search, self._seed, self._epochs = space, search, seed, epochs
        self._sign = -1.0 if direction == "max" else 1.0
        self._oracle = ALGORITHMS[search.algorithm](space.hyperparameters, search, epochs)
        self._proposals: dict[int, Proposal] = {}
        self._losses: dict[int, float] = {}  # of ended trials; infinite for a diverged one
        self._stopped = False

    @property
    def finished(self) -> bool:
        """Whether no further trial will be proposed."""
        return self._stopped or len(self._proposals) >= self._search.trials

    @property
    def max_num_trials(self) -> int:
        """The number of trials of the spec, or of points if the space has fewer."""
        if isinstance(self._oracle, Hyperband):  # it trains some points more than once
            return self._search.trials
        return self._oracle.count_points(self._search.trials)

    def create_trial(self, recorded: Proposal | None = None) -> Proposal | None:
        """Proposes the next trial.

        Args:
            recorded: Proposal of this trial in the journal, if there is one. A Bayesian
                oracle takes it unchecked, because a new fit takes time; the others must
                propose the same.

        Returns:
            The proposal, or None: either the search is `finished`, or another trial must
            end first.

        Raises:
            CheckpointError: If the oracle does not propose the recorded trial.
        """
        if self.finished:
            return None
        number = len(self._proposals) + 1
        if recorded and self._search.algorithm == "bayesian":
            proposal: Proposal | None = recorded
        else:
            proposal = self._propose(number)
        if proposal is None and not self._stopped and self._oracle.ongoing_trials:
            return None
        if recorded and (proposal is None or _facts(proposal) != _facts(recorded)):
            raise CheckpointError(
                Finding(
                    f"trial {recorded.number} of the journal",
                    "no proposal" if proposal is None else _text(proposal),
                    _text(recorded),
                    "Continue with the package versions and the settings of the spec with "
                    "which the search started, or search in another folder.",
                )
            )
        if proposal is not None:
            self._proposals[number] = proposal
            self._oracle.begin(str(number), proposal.point)
        return proposal

    def end_trial(self, number: int, score: float, *, diverged: bool = False) -> None:
        """Takes the result of a trial into account.

        Args:
            number: Number of a trial that was created and has not ended yet.
            score: Objective of the trial; one that is not finite counts as a divergence.
            diverged: Whether the trial diverged; it is then worse than all that did not.
        """
        diverged = diverged or not math.isfinite(score)
        self._oracle.end(str(number), diverged=diverged)
        self._losses[number] = math.inf if diverged else self._sign * score

    def promotable(self) -> set[int]:
        """Returns the trials that a running trial continues, or a later one may continue."""
        parents = {self._proposals[int(i)].parent for i in self._oracle.ongoing_trials}
        continued = {parent for parent in parents if parent is not None}
        if self.finished or not isinstance(self._oracle, Hyperband):
            return continued
        self._update_scores()
        return continued | {int(i) for i in self._oracle.promotable()}

    def _propose(self, number: int) -> Proposal | None:
        self._update_scores()
        # A seed for each trial: the proposal does not depend on earlier draws.
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

    def _update_scores(self) -> None:
        """Gives keras-tuner's trials the normal quantiles of their ranks as scores."""
        quantiles = _quantiles(list(self._losses.values()))
        for number, quantile in zip(self._losses, quantiles, strict=True):
            self._oracle.trials[str(number)].score = quantile


def _quantiles(losses: Sequence[float]) -> list[float]:
    """Returns the normal quantile of each loss's rank; equal losses share a rank.

    A Gaussian process fits these better than the losses: one very bad loss would hide the
    differences between all others.
    """
    return [float(q) for q in ndtri((rankdata(losses) - 0.5) / max(len(losses), 1))]


def _facts(proposal: Proposal) -> tuple[Any, ...]:
    return proposal.number, dict(proposal.point), proposal.epochs, proposal.parent


def _text(proposal: Proposal) -> str:
    point = ", ".join(f"{name}={value}" for name, value in proposal.point.items())
    after = f" after trial {proposal.parent}" if proposal.parent else ""
    return f"{point} for {proposal.epochs} epochs{after}"
