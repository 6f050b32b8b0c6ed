"""keras-tuner's oracles, of which only what they propose is used."""

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
from kfc.tuning.space import Parameter

_CANDIDATES = 1000  # random points, of which the best are improved
_SURVIVORS = 5  # points that each round improves
_NEIGHBOURS = 50  # of each of them, in a round
_REACHES = (0.125, 0.0625, 0.03, 0.015, 0.008)  # of the rounds, as a share of the range


class _Driven(OracleAccess, keras_tuner.Oracle):
    """An oracle of which only `populate_space` is used.

    What keras-tuner does around it is in the way: files, output, a lock that warns, an end
    after three failures in a row, and a clock for a seed.
    """

    def __init__(
        self, parameters: Sequence[Parameter], search: SearchSpec, **options: Any
    ) -> None:
        self.parameters, self.limit = parameters, search.trials
        self.lost: set[str] = set()  # trials that diverged
        super().__init__(
            objective=keras_tuner.Objective("loss", "min"),
            hyperparameters=hyperparameters(parameters, grid=search.algorithm == "grid"),
            seed=1,  # until `reseed`; 0 would draw one
            **options,
        )

    def reseed(self, text: str) -> None:
        digest = hashlib.sha256(text.encode()).digest()
        self.set_seed(int.from_bytes(digest[:4], "big"))

    def begin(self, trial_id: str, point: Mapping[str, Any]) -> None:
        self.start_trial(trial_id, point)

    def end(self, trial_id: str, *, lost: bool) -> None:
        self.ongoing_trials.pop(trial_id).status = "COMPLETED"
        if lost:
            self.lost.add(trial_id)

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters among `values`, within their ranges, as Python's numbers."""
        return {
            p.name: int(values[p.name]) if p.low is None else p.value(values[p.name])
            for p in self.parameters
            if p.name in values
        }

    def untried(self) -> Iterator[dict[str, Any]]:
        """Yields points that were not proposed yet, all of them if they can be counted."""
        return itertools.filterfalse(self.was_proposed, self._every_point())

    def count_points(self, most: int) -> int:
        """Returns the number of points, of which at most `most` are counted."""
        if any(p.kind == "float" and p.step is None for p in self.parameters):
            return most  # points never run out
        return sum(1 for _ in itertools.islice(self._every_point(), most))

    def _every_point(self) -> Iterator[dict[str, Any]]:
        grid = oracles.GridSearchOracle(
            hyperparameters=hyperparameters(self.parameters, grid=True), seed=1
        )
        return grid_combinations(grid)

    def random_values(self) -> dict[str, Any] | None:
        values = super().random_values()  # None after 21 draws of what was proposed before
        return next(self.untried(), None) if values is None else values


class _Random(_Driven, oracles.RandomSearchOracle):
    def __init__(
        self, parameters: Sequence[Parameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(parameters, search)


class _Grid(_Driven, oracles.GridSearchOracle):
    """keras-tuner's grid, whose own order depends on which trial ends first."""

    def __init__(
        self, parameters: Sequence[Parameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(parameters, search)
        self._points = grid_combinations(self)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = next(self._points, None)
        return {"status": "STOPPED" if values is None else "RUNNING", "values": values}


class _Bayesian(_Driven, BayesianAccess, oracles.BayesianOptimizationOracle):
    """keras-tuner's Gaussian process and bound, minimised over points that exist.

    keras-tuner minimises from 50 starts by finite differences, in seconds. Here random
    points are improved in rounds, in milliseconds, after moving them to the values that
    choices and integers can have (Garrido-Merchan and Hernandez-Lobato, "Dealing with
    categorical and integer-valued variables in Bayesian optimization with Gaussian
    processes", Neurocomputing 380, 2020).
    """

    trials: dict[str, Any]

    def __init__(
        self, parameters: Sequence[Parameter], search: SearchSpec, epochs: int
    ) -> None:
        # keras-tuner's three per parameter may be all the trials that there are.
        initial = min(max(3 * len(parameters), 3), max(4, search.trials // 4))
        super().__init__(parameters, search, num_initial_points=initial, alpha=1e-2)

    def make_regressor(self) -> GaussianProcessRegressor:
        # Of a few ranks, a free length scale may say that nothing is known, or everything.
        kernel = Matern(nu=2.5, length_scale_bounds=(0.3, 3.0))
        return GaussianProcessRegressor(
            kernel,
            n_restarts_optimizer=2,
            normalize_y=True,
            alpha=self.alpha,
            random_state=self.seed,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        told = len(self.trials) - len(self.ongoing_trials)
        if told >= self.num_initial_points:
            self.gpr = self.make_regressor()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # at a bound
                self.gpr.fit(*self.vectorize_trials())
            for vector in self._best_vectors():
                values = self.point(self.values_of_vector(vector))
                if not self.was_proposed(values):
                    return {"status": "RUNNING", "values": values}
        return self.random_proposal()

    def vectorize_trials(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns points and losses; a fit to what was told estimates the others' losses."""
        if self.ongoing_trials:
            every = self.trials
            self.trials = {i: t for i, t in every.items() if t.status == "COMPLETED"}
            self.gpr.fit(*super().vectorize_trials())
            self.trials = every
        return super().vectorize_trials()

    def _best_vectors(self) -> list[list[float]]:
        rng = np.random.default_rng(self.seed)
        size = len(self.parameters)
        best = self._lowest(rng.uniform(size=(_CANDIDATES, size)))
        for reach in _REACHES:
            near = np.repeat(best, _NEIGHBOURS, axis=0)
            near = np.clip(near + reach * rng.normal(size=near.shape), 0, 1)
            best = self._lowest(np.concatenate([best, near]))
        return best.tolist()

    def _lowest(self, x: np.ndarray) -> np.ndarray:
        x = np.unique(self._existing(x), axis=0)
        mean, deviation = self.gpr.predict(x, return_std=True)
        order = np.argsort(mean - self.beta * deviation, kind="stable")
        return x[order[:_SURVIVORS]]

    def _existing(self, x: np.ndarray) -> np.ndarray:
        """Moves vectors, (points, parameters) in 0..1, to where trials can be."""
        x = x.copy()
        counts: dict[tuple[str, Any], np.ndarray] = {}  # (parent, its value) -> points with it
        parents = {parameter.parent for parameter in self.parameters}
        for column, parameter in enumerate(self.parameters):
            if (levels := levels_of(parameter)) is not None:
                index = np.minimum((x[:, column] * len(levels)).astype(int), len(levels) - 1)
                x[:, column] = (index + 0.5) / len(levels)
                if parameter.name in parents:
                    for i, level in enumerate(levels):
                        counts[parameter.name, level] = index == i
            if parameter.parent is not None:
                allowed = [counts[parameter.parent, v] for v in parameter.parent_values]
                unused = ~np.logical_or.reduce(allowed)
                hyperparameter = self.hyperparameters.space[column]
                x[unused, column] = hyperparameter.value_to_prob(hyperparameter.default)
        return x


class Hyperband(_Driven, HyperbandAccess, oracles.HyperbandOracle):
    """keras-tuner's Hyperband, in brackets that end within the number of trials.

    Sweep follows sweep until the trials are used up. A trial that diverged is not trained
    on: it takes its place on the next rung as it is, which costs no trial.
    """

    def __init__(
        self, parameters: Sequence[Parameter], search: SearchSpec, epochs: int
    ) -> None:
        super().__init__(
            parameters,
            search,
            max_epochs=epochs,
            factor=search.factor,
            hyperband_iterations=None,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns keras-tuner's answer, with the diverged moved up."""
        while True:
            response = super().populate_space(trial_id)
            parent = (response.get("values") or {}).get("tuner/trial_id")
            if parent not in self.lost:
                return response
            rungs = itertools.chain.from_iterable(b["rounds"] for b in self.brackets)
            places = itertools.chain.from_iterable(rungs)
            next(place for place in places if place["id"] == trial_id)["id"] = parent

    def promotable(self) -> set[str]:
        """Returns the trials that may still be continued on the next rung."""
        found: set[str] = set()
        for bracket in self.brackets:
            for number, (rung, above) in enumerate(itertools.pairwise(bracket["rounds"]), 1):
                ids = [place["id"] for place in rung]
                told = [i for i in ids if i not in self.ongoing_trials]
                best = sorted(told, key=lambda i: self.trials[i].score)
                found.update(best[: self.rung_size(bracket["bracket_num"], number)])
                found.update(i for i in ids if i in self.ongoing_trials)
                found.difference_update(place["past_id"] for place in above)
        return found - self.lost

    def _spare(self) -> int:
        """Returns how many trials are left for new points: rungs in progress come first."""
        promised = sum(
            self.rung_size(bracket["bracket_num"], number) - len(rung)
            for bracket in self.brackets
            for number, rung in enumerate(bracket["rounds"])
            if number > 0
        )
        return self.limit - len(self.start_order) - promised

    def start_bracket(self) -> None:
        """Starts the next bracket that ends within the number of trials."""
        while self.current_bracket > 0 and not self._fits(self.current_bracket):
            self.current_bracket -= 1
        super().start_bracket()

    def _fits(self, bracket: int) -> bool:
        sizes = [self.rung_size(bracket, number) for number in range(bracket + 1)]
        if sum(sizes) > self._spare():
            return False
        if any(p.kind == "float" and p.step is None for p in self.parameters):
            return True  # points never run out
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
