"""Adapts keras-tuner's oracles: kfc uses only the hyperparameters that they propose."""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from kfc.compat import BayesianAccess, HyperbandAccess, OracleAccess, grid_combinations
from kfc.spec import SearchSpec
from kfc.tuning.hyperparameters import hyperparameters, levels_of
from kfc.tuning.space import Hyperparameter

# The local search for the point with the lowest confidence bound (see `_Bayesian`).
_CANDIDATES = 1000  # random points to start with
_SURVIVORS = 5  # points that are kept after each round
_NEIGHBOURS = 50  # random neighbours of each of them in the next round
_DISTANCES = (0.125, 0.0625, 0.03, 0.015, 0.008)  # standard deviation, as a share of the range


class _ProposalOracle(OracleAccess, keras_tuner.Oracle):
    """A keras-tuner oracle of which only `populate_space` is used, the method that proposes.

    The rest of keras-tuner's oracle does not fit: it writes files, prints, has a lock that
    warns, ends after three failures in a row, and takes its seed from the clock.

    Args:
        searched: Hyperparameters of the space.
        search: Settings of the search.
        **options: Arguments of keras-tuner's oracle.
    """

    def __init__(
        self, searched: Sequence[Hyperparameter], search: SearchSpec, **options: Any
    ) -> None:
        self.searched, self.max_num_trials = searched, search.trials
        self.diverged: set[str] = set()  # trials
        super().__init__(
            objective=keras_tuner.Objective("loss", "min"),
            hyperparameters=hyperparameters(searched, grid=search.algorithm == "grid"),
            seed=1,  # until `reseed`; keras-tuner replaces 0 by a random seed
            **options,
        )

    def reseed(self, text: str) -> None:
        digest = hashlib.sha256(text.encode()).digest()
        self.set_seed(int.from_bytes(digest[:4], "big"))

    def begin(self, trial_id: str, point: Mapping[str, Any]) -> None:
        self.start_trial(trial_id, point)

    def end(self, trial_id: str, *, diverged: bool) -> None:
        self.ongoing_trials.pop(trial_id).status = "COMPLETED"
        if diverged:
            self.diverged.add(trial_id)

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the hyperparameters among `values` as Python numbers in their ranges.

        keras-tuner also adds values of its own, such as `tuner/epochs`.
        """
        return {
            h.name: int(values[h.name]) if h.low is None else h.value(values[h.name])
            for h in self.searched
            if h.name in values
        }

    def untried(self) -> Iterator[dict[str, Any]]:
        """Yields the points of the grid that have not been proposed yet."""
        return itertools.filterfalse(self.was_proposed, self._every_point())

    def count_points(self, limit: int) -> int:
        """Returns the number of points in the space, or `limit` if there are more."""
        if self._is_continuous():
            return limit
        return sum(1 for _ in itertools.islice(self._every_point(), limit))

    def _is_continuous(self) -> bool:
        """Returns whether the space has infinitely many points."""
        return any(h.kind == "float" and h.step is None for h in self.searched)

    def _every_point(self) -> Iterator[dict[str, Any]]:
        grid = oracles.GridSearchOracle(
            hyperparameters=hyperparameters(self.searched, grid=True), seed=1
        )
        return grid_combinations(grid)

    def random_values(self) -> dict[str, Any] | None:
        values = super().random_values()  # None after 21 draws of earlier points
        return next(self.untried(), None) if values is None else values


class _Random(_ProposalOracle, oracles.RandomSearchOracle):
    def __init__(
        self, searched: Sequence[Hyperparameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(searched, search)


class _Grid(_ProposalOracle, oracles.GridSearchOracle):
    """keras-tuner's grid search in a fixed order.

    keras-tuner's own order depends on which trial ends first.
    """

    def __init__(
        self, searched: Sequence[Hyperparameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(searched, search)
        self._points = grid_combinations(self)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = next(self._points, None)
        return {"status": "STOPPED" if values is None else "RUNNING", "values": values}


class _Bayesian(_ProposalOracle, BayesianAccess, oracles.BayesianOptimizationOracle):
    """keras-tuner's Bayesian optimization with a faster search for the next point.

    keras-tuner minimises the confidence bound of its Gaussian process by finite differences
    from 50 starting points, which takes seconds. Here random points are improved in a few
    rounds, which takes milliseconds. Before each evaluation a point is moved to the nearest
    values that choices and integers can have (E. Garrido-Merchan and D. Hernandez-Lobato,
    "Dealing with categorical and integer-valued variables in Bayesian optimization with
    Gaussian processes", Neurocomputing 380, 2020, https://arxiv.org/abs/1805.03463).
    """

    trials: dict[str, Any]

    def __init__(
        self, searched: Sequence[Hyperparameter], search: SearchSpec, epochs: int
    ) -> None:
        # keras-tuner's three random points per hyperparameter may use up all trials.
        initial = min(max(3 * len(searched), 3), max(4, search.trials // 4))
        super().__init__(searched, search, num_initial_points=initial, alpha=1e-2)

    def make_regressor(self) -> GaussianProcessRegressor:
        # With few trials, an unbounded length scale may degenerate: to a constant function,
        # or to noise.
        kernel = Matern(nu=2.5, length_scale_bounds=(0.3, 3.0))
        return GaussianProcessRegressor(
            kernel,
            n_restarts_optimizer=2,
            normalize_y=True,
            alpha=self.alpha,
            random_state=self.seed,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        ended = len(self.trials) - len(self.ongoing_trials)
        if ended >= self.num_initial_points:
            self.gpr = self.make_regressor()
            with warnings.catch_warnings():
                # scikit-learn warns about a length scale at its bound.
                warnings.simplefilter("ignore", ConvergenceWarning)
                self.gpr.fit(*self.vectorize_trials())
            for vector in self._best_vectors():
                values = self.point(self.values_of_vector(vector))
                if not self.was_proposed(values):
                    return {"status": "RUNNING", "values": values}
        return self.random_proposal()

    def vectorize_trials(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the points, (trials, hyperparameters), and the losses, (trials,).

        keras-tuner estimates the losses of running trials with the Gaussian process, so it
        is fitted to the ended trials first.
        """
        if self.ongoing_trials:
            all_trials = self.trials
            self.trials = {i: t for i, t in all_trials.items() if t.status == "COMPLETED"}
            self.gpr.fit(*super().vectorize_trials())
            self.trials = all_trials
        return super().vectorize_trials()

    def _best_vectors(self) -> list[list[float]]:
        """Returns the vectors with the lowest bounds that were found, the best first."""
        rng = np.random.default_rng(self.seed)
        size = len(self.searched)
        best = self._lowest(rng.uniform(size=(_CANDIDATES, size)))  # (points, size), in 0..1
        for distance in _DISTANCES:
            near = np.repeat(best, _NEIGHBOURS, axis=0)
            near = np.clip(near + distance * rng.normal(size=near.shape), 0, 1)
            best = self._lowest(np.concatenate([best, near]))
        return best.tolist()

    def _lowest(self, x: np.ndarray) -> np.ndarray:
        """Returns the vectors with the lowest bound mean - beta * deviation.

        Source: N. Srinivas et al., "Gaussian process optimization in the bandit setting",
        ICML 2010, https://arxiv.org/abs/0912.3995.
        """
        x = np.unique(self._move_to_levels(x), axis=0)
        mean, deviation = self.gpr.predict(x, return_std=True)  # (points,) each
        order = np.argsort(mean - self.beta * deviation, kind="stable")
        return x[order[:_SURVIVORS]]

    def _move_to_levels(self, x: np.ndarray) -> np.ndarray:
        """Moves vectors, (points, hyperparameters) in 0..1, to values that trials can have."""
        x = x.copy()
        has_value: dict[tuple[str, Any], np.ndarray] = {}  # (parent, value) -> mask, (points,)
        parents = {searched.parent for searched in self.searched}
        for column, searched in enumerate(self.searched):
            # keras-tuner puts each level in the middle of its share of 0..1.
            if (levels := levels_of(searched)) is not None:
                index = np.minimum((x[:, column] * len(levels)).astype(int), len(levels) - 1)
                x[:, column] = (index + 0.5) / len(levels)
                if searched.name in parents:
                    for i, level in enumerate(levels):
                        has_value[searched.name, level] = index == i
            # An inactive hyperparameter has its default, so that it makes no difference.
            if searched.parent is not None:
                active = [has_value[searched.parent, v] for v in searched.parent_values]
                unused = ~np.logical_or.reduce(active)
                hyperparameter = self.hyperparameters.space[column]
                x[unused, column] = hyperparameter.value_to_prob(hyperparameter.default)
        return x


class Hyperband(_ProposalOracle, HyperbandAccess, oracles.HyperbandOracle):
    """keras-tuner's Hyperband with brackets that end within the number of trials.

    The brackets are repeated until the trials are used up. A diverged trial that keras-tuner
    promotes is not trained further: it takes its place on the next rung without a new trial.
    """

    def __init__(
        self, searched: Sequence[Hyperparameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(
            searched,
            search,
            max_epochs=epochs,
            factor=search.factor,
            hyperband_iterations=None,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns keras-tuner's proposal, after diverged trials took their places."""
        while True:
            response = super().populate_space(trial_id)
            parent = (response.get("values") or {}).get("tuner/trial_id")
            if parent not in self.diverged:
                return response
            # keras-tuner has entered the new trial on the next rung: enter its parent instead.
            rungs = itertools.chain.from_iterable(b["rounds"] for b in self.brackets)
            places = itertools.chain.from_iterable(rungs)
            next(place for place in places if place["id"] == trial_id)["id"] = parent

    def promotable(self) -> set[str]:
        """Returns the trials that the next rung may still continue."""
        found: set[str] = set()
        for bracket in self.brackets:
            for number, (rung, above) in enumerate(itertools.pairwise(bracket["rounds"]), 1):
                ids = [place["id"] for place in rung]
                ended = [i for i in ids if i not in self.ongoing_trials]
                best = sorted(ended, key=lambda i: self.trials[i].score)
                found.update(best[: self.rung_size(bracket["bracket_num"], number)])
                found.update(i for i in ids if i in self.ongoing_trials)
                found.difference_update(place["past_id"] for place in above)
        return found - self.diverged

    def _spare(self) -> int:
        """Returns the number of trials left for new points, after the rungs in progress."""
        reserved = sum(
            self.rung_size(bracket["bracket_num"], number) - len(rung)
            for bracket in self.brackets
            for number, rung in enumerate(bracket["rounds"])
            if number > 0
        )
        return self.max_num_trials - len(self.start_order) - reserved

    def start_bracket(self) -> None:
        """Starts the next bracket that ends within the number of trials."""
        while self.current_bracket > 0 and not self._fits(self.current_bracket):
            self.current_bracket -= 1
        super().start_bracket()

    def _fits(self, bracket: int) -> bool:
        sizes = [self.rung_size(bracket, number) for number in range(bracket + 1)]
        if sum(sizes) > self._spare():
            return False
        if self._is_continuous():
            return True
        return sum(1 for _ in itertools.islice(self.untried(), sizes[0])) == sizes[0]

    def random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        """Returns a new trial on the lowest rung, or a status where none is left."""
        if self._spare() > 0:
            return super().random_trial(trial_id, bracket)
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}


ALGORITHMS: Mapping[str, Any] = {
    "random": _Random,
    "bayesian": _Bayesian,
    "hyperband": Hyperband,
    "grid": _Grid,
}
