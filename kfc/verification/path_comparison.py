"""Compares the results of several paths: where they differ, whether by rounding, and why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from kfc.verification.baseline import Baseline, PathResults
from kfc.verification.float64_path import Float64Path
from kfc.verification.known_mistakes import find_mistake
from kfc.verification.problem import State
from kfc.verification.tensor_difference import (
    TOLERANCE,
    TOLERANCE_AT_RELU_ZERO,
    Difference,
    compare_tensors,
    first_bit_difference,
)
from kfc.verification.training_paths import (
    StepResult,
    UnoptimizedGraphPath,
    XlaPath,
)

_LOSS_TOLERANCE = 1e-4
"""Allowed difference of a batch's loss, as a share of it."""

_GROWTH = 1000.0
"""Over several steps, rounding may grow to this many times the effect of a one-ulp change in
the initial weights. Rounding occurs at every step, and is some hundred times larger than an
ulp if a step is large relative to the weights."""

_LARGE_LOSS = 1e30
"""A loss near the limit of float32, 3e38; other values may have exceeded it already."""

_LOST_STATE = (
    "each single step is right, but consecutive steps are not: state such as the optimizer's "
    "is lost between steps"
)


class PathComparison:
    """Compares each path with the graph path, and its single steps with the reference.

    Args:
        baseline: Results of the graph path and of float64.
        all_results: Results of all paths: the graph first and float64, if there, last.
    """

    def __init__(self, baseline: Baseline, all_results: Sequence[PathResults]) -> None:
        self._problem, self._states = baseline.problem, baseline.states
        self._relu_zeros, self._all_results = baseline.relu_zeros, all_results
        self._graph, self._reference = baseline.graph, baseline.float64 or baseline.graph
        self._names = [variable.path for variable in baseline.problem.untrained_model.weights]

        # Single steps do not accumulate rounding: they have a fixed bound.
        self._single = {
            results.path.name: self._single_differences(results) for results in all_results
        }
        # The bound of consecutive steps grows with the effect of the perturbation.
        self._growth = [
            self._to_graph(result, n) for n, result in enumerate(baseline.perturbed)
        ]
        self._consecutive = {
            results.path.name: self._consecutive_differences(results)
            for results in all_results
        }
        # For each path and tensor, the largest difference after any step.
        self._largest = {
            name: [_largest(of_tensor) for of_tensor in zip(*steps, strict=True)]
            for name, steps in self._consecutive.items()
        }

    def path_entry(self, results: PathResults) -> dict[str, Any]:
        """Returns the entry of a path in the certificate."""
        different = first_bit_difference(_weights(results.consecutive), self._graph_weights)
        consecutive = self._largest[results.path.name]
        single = [
            difference for step in self._single[results.path.name] for difference in step
        ]
        return {
            "name": results.path.name,
            "description": results.path.description,
            "first_different_step": None if different is None else different[0],
            "same_bits": [
                other.path.name
                for other in self._all_results
                if other is not results and _same_bits(results.consecutive, other.consecutive)
            ],
            "max_abs": max(d.max_abs for d in consecutive),
            "max_ulps": max(d.max_ulps for d in consecutive),
            "relative": max(d.relative for d in consecutive),
            "step_max_ulps": max(d.max_ulps for d in single),
            "step_relative": max(d.relative for d in single),
        }

    def tensor_entries(self) -> list[dict[str, Any]]:
        """Returns the entries of all tensors in the certificate."""
        by_path = {
            results.path.name: self._largest[results.path.name]
            for results in self._all_results[1:]
        }
        return [
            {
                "name": name,
                "shape": list(self._states[0].weights[number].shape),
                "max_abs": {path: found[number].max_abs for path, found in by_path.items()},
                "max_ulps": {path: found[number].max_ulps for path, found in by_path.items()},
            }
            for number, name in enumerate(self._names)
        ]

    def first_difference(self) -> dict[str, Any] | None:
        """Returns the first difference in bits from the graph path, and its cause.

        The float64 path is left out: its bits always differ.
        """
        # Find the path that differs first.
        different = [
            (place, results)
            for results in self._all_results[1:]
            if not isinstance(results.path, Float64Path)
            and (
                place := first_bit_difference(
                    _weights(results.consecutive), self._graph_weights
                )
            )
        ]
        if not different:
            return None
        (step, tensor), results = min(different, key=lambda pair: pair[0])

        # Measure the difference.
        found, wanted = results.consecutive[step].state, self._graph.consecutive[step].state
        before = self._states[step].weights
        difference = compare_tensors(found.weights, wanted.weights, before)[tensor]
        return {
            "step": step,
            "path": results.path.name,
            "tensor": self._names[tensor],
            "max_abs": difference.max_abs,
            "max_ulps": difference.max_ulps,
            "why": self._why_bits_differ(results),
        }

    @cached_property
    def failures(self) -> dict[str, dict[str, Any]]:
        """First step of each path that exceeds the bound of the path."""
        found: dict[str, dict[str, Any]] = {}
        for results in self._all_results:
            # Compare single steps with the reference.
            failure = (
                None if results is self._reference else self._failure_of_single_steps(results)
            )
            # Compare consecutive steps with the graph, unless its own steps are wrong.
            if not failure and self._graph.path.name not in found:
                failure = self._failure_of_consecutive_steps(results)
            if failure:
                found[results.path.name] = failure
        return found

    def _failure_of_single_steps(self, results: PathResults) -> dict[str, Any] | None:
        for step, differences in enumerate(self._single[results.path.name]):
            found, wanted = results.single[step], self._reference.single[step]
            tensors = self._exceeding(differences)
            if tensors or _losses_differ(found, wanted):
                return _failure(results, step, tensors, *self._cause(found, wanted, step))
        return None

    def _failure_of_consecutive_steps(self, results: PathResults) -> dict[str, Any] | None:
        if results is self._graph or results is self._reference or results.path.keeps_state:
            return None
        for step, differences in enumerate(self._consecutive[results.path.name]):
            if tensors := self._exceeding(differences):
                return _failure(results, step, tensors, "optimizer_state", _LOST_STATE)
        return None

    def _exceeding(self, differences: Sequence[Difference]) -> list[str]:
        """Returns the names of the tensors whose difference exceeds the allowed difference."""
        pairs = zip(self._names, differences, strict=True)
        return [name for name, difference in pairs if not difference.relative <= 1]

    def _cause(self, found: StepResult, wanted: StepResult, step: int) -> tuple[str, str]:
        """Returns code and cause of a wrong step."""
        # The loss is not finite: it is too large for float32, or exp overflows on the way.
        if not np.isfinite(found.loss) and abs(wanted.loss) > _LARGE_LOSS:
            return "range", (
                f"the training diverges: the loss is {found.loss}, and {wanted.loss:.6g} by "
                "the formulas, too large for float32"
            )
        if not np.isfinite(found.loss) and np.isfinite(wanted.loss):
            return "overflow", (
                f"the loss is {found.loss}, and {wanted.loss:.6g} by the formulas: exp "
                "overflows where the largest logit is not subtracted first"
            )

        # A known mistake ends at the same weights.
        before = self._states[step].weights

        def distance(state: State) -> float:
            differences = compare_tensors(found.state.weights, state.weights, before)
            return float(np.max([d.relative for d in differences]))

        exact = self._reference.path
        if isinstance(exact, Float64Path):
            mistake = find_mistake(exact, self._states[: step + 1], step, distance)
            if mistake:
                return mistake.code, mistake.cause

        # No known mistake: say which part is wrong.
        if _losses_differ(found, wanted):
            return "loss", f"the loss is {found.loss:.6g}, not {wanted.loss:.6g}"
        return "update", "the update differs, and by none of the known mistakes"

    def _why_bits_differ(self, results: PathResults) -> str:
        """Returns why a path has other bits than the graph path."""
        if failure := self.failures.get(results.path.name):
            return str(failure["cause"])
        start = self._states[0]
        plain = UnoptimizedGraphPath(self._problem).run(start, 0, len(self._states))
        if _same_bits(results.consecutive, plain):
            return (
                "TensorFlow's graph optimizer rewrites the graph; without it the graph has "
                f"the bits of {results.path.name}"
            )
        if isinstance(results.path, XlaPath) or self._problem.spec.training.engine == "xla":
            return "XLA fuses operations, and rounds once where the graph rounds at each"
        return "rounding: the same operations in another order or other kernels"

    def _consecutive_differences(self, results: PathResults) -> list[list[Difference]]:
        """Returns the differences to the graph's weights after each consecutive step."""
        return [
            [
                difference._replace(
                    relative=difference.relative / max(1.0, _GROWTH * grown.relative)
                )
                for difference, grown in zip(
                    self._to_graph(result, step), self._growth[step], strict=True
                )
            ]
            for step, result in enumerate(results.consecutive)
        ]

    def _to_graph(self, result: StepResult, step: int) -> list[Difference]:
        """Returns the differences to the graph's weights, relative to the movement so far."""
        return compare_tensors(
            result.state.weights,
            self._graph.consecutive[step].state.weights,
            self._states[0].weights,
            tolerance=self._tolerance(0, step),
        )

    def _single_differences(self, results: PathResults) -> list[list[Difference]]:
        """Returns the differences to the reference's weights after each single step."""
        return [
            compare_tensors(
                results.single[step].state.weights,
                self._reference.single[step].state.weights,
                state.weights,
                tolerance=self._tolerance(step, step),
            )
            for step, state in enumerate(self._states)
        ]

    def _tolerance(self, first_step: int, last_step: int) -> float:
        """Returns the tolerance of some steps, both ends included."""
        found = any(self._relu_zeros[first_step : last_step + 1])
        return TOLERANCE_AT_RELU_ZERO if found else TOLERANCE

    @property
    def _graph_weights(self) -> list[list[np.ndarray]]:
        return _weights(self._graph.consecutive)


def _failure(
    results: PathResults, step: int, tensors: Sequence[str], code: str, cause: str
) -> dict[str, Any]:
    return {
        "path": results.path.name,
        "step": step,
        "tensors": list(tensors),
        "code": code,
        "cause": cause,
    }


def _losses_differ(found: StepResult, wanted: StepResult) -> bool:
    allowed = _LOSS_TOLERANCE * max(1.0, abs(wanted.loss))
    return not abs(found.loss - wanted.loss) <= allowed  # NaN differs


def _same_bits(one: Sequence[StepResult], other: Sequence[StepResult]) -> bool:
    return first_bit_difference(_weights(one), _weights(other)) is None


def _weights(results: Sequence[StepResult]) -> list[list[np.ndarray]]:
    return [result.state.weights for result in results]


def _largest(differences: Sequence[Difference]) -> Difference:
    """Returns the largest value of each attribute."""
    return Difference(*map(max, zip(*differences, strict=True)))
