"""What several paths gave -> where they differ, whether that is rounding, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kfc.verification.causes import explain
from kfc.verification.float64_path import Float64
from kfc.verification.nondifferentiable import Kink
from kfc.verification.setup import Problem, State
from kfc.verification.tensor_difference import (
    KINKED,
    TOLERANCE,
    Difference,
    compare,
    first_other_bits,
)
from kfc.verification.training_paths import Outcome, Unoptimized, Way, Xla

_LOSS = 1e-4
"""Of a batch's loss, that float32 may lose of it."""

_GROWTH = 1000.0
"""Times what the last place of the first weights comes to, that rounding may come to: it is
there at every step, some hundred times larger where a step is large against the weights."""

_LARGE = 1e30
"""A loss near the end of float32, 3e38, in which other numbers may have left it already."""

_CARRIED = (
    "each of its steps is right, but not all in a row: something is not carried from one to "
    "the next"
)


class Taken(NamedTuple):
    """A path, and what it gave: in a row, and step by step from the graph's weights."""

    way: Way | Float64
    free: list[Outcome]
    single: list[Outcome]


class Judge:
    """Compares paths.

    Args:
        problem: What they trained on.
        states: Before each step, by the graph.
        taken: Every path, the graph first, and float64, if it is there, last.
        shaken: The graph's steps from weights that were moved by their last place.
        bent: For each step, the units at relu's kink.
    """

    def __init__(
        self,
        problem: Problem,
        states: Sequence[State],
        taken: Sequence[Taken],
        shaken: Sequence[Outcome],
        bent: Sequence[Sequence[Kink]],
    ) -> None:
        self._problem, self._states, self._taken, self._bent = problem, states, taken, bent
        self._graph, self._judge = taken[0], taken[-1 if bent else 0]
        self._names = [variable.path for variable in problem.model().weights]
        self._single = {one.way.name: self._of_steps(one) for one in taken}
        self._growth = [self._to_graph(outcome, n) for n, outcome in enumerate(shaken)]
        self._free = {one.way.name: self._in_a_row(one) for one in taken}
        self._worst = {
            name: [_largest(of_tensor) for of_tensor in zip(*steps, strict=True)]
            for name, steps in self._free.items()
        }

    def path(self, one: Taken) -> dict[str, Any]:
        """Returns what a certificate says of a path."""
        parted = first_other_bits(_weights(one.free), _weights(self._graph.free))
        free = self._worst[one.way.name]
        single = [difference for step in self._single[one.way.name] for difference in step]
        return {
            "name": one.way.name,
            "what": one.way.what,
            "first_bits": None if parted is None else parted[0],
            "same_bits": [
                other.way.name
                for other in self._taken
                if other is not one
                and first_other_bits(_weights(one.free), _weights(other.free)) is None
            ],
            "max_abs": max(d.max_abs for d in free),
            "max_ulps": max(d.max_ulps for d in free),
            "relative": max(d.relative for d in free),
            "step_max_ulps": max(d.max_ulps for d in single),
            "step_relative": max(d.relative for d in single),
        }

    def tensors(self) -> list[dict[str, Any]]:
        """Returns what a certificate says of each tensor."""
        by_path = {one.way.name: self._worst[one.way.name] for one in self._taken[1:]}
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
        """Returns where the first path parts from the graph, and why; not float64."""
        parted = [
            (place, one)
            for one in self._taken[1:]
            if not isinstance(one.way, Float64)
            and (place := first_other_bits(_weights(one.free), _weights(self._graph.free)))
        ]
        if not parted:
            return None
        (number, tensor), one = min(parted, key=lambda pair: pair[0])
        after, wanted = one.free[number].state, self._graph.free[number].state
        before = self._states[number].weights
        difference = compare(after.weights, wanted.weights, before)[tensor]
        return {
            "step": number,
            "path": one.way.name,
            "tensor": self._names[tensor],
            "max_abs": difference.max_abs,
            "max_ulps": difference.max_ulps,
            "why": self._why(one),
        }

    def fault(self, one: Taken) -> dict[str, Any] | None:
        """Returns the first step of a path that is no rounding of the right one, if any.

        Steps that are right may still be wrong in a row; the graph, if it is right, says so.
        """
        if one is self._judge:
            return None
        if fault := self._wrong_step(one):
            return fault
        if one is self._graph or one.way.remembers or self.fault(self._graph):
            return None
        for number, differences in enumerate(self._free[one.way.name]):
            if off := self._off(differences):
                return _fault(one, number, off, "carried", _CARRIED)
        return None

    def _wrong_step(self, one: Taken) -> dict[str, Any] | None:
        for number, differences in enumerate(self._single[one.way.name]):
            found, wanted = one.single[number], self._judge.single[number]
            off = self._off(differences)
            allowed = _LOSS * max(1.0, abs(wanted.loss))
            if off or not abs(found.loss - wanted.loss) <= allowed:
                return _fault(one, number, off, *self._cause(found, wanted, number))
        return None

    def _off(self, differences: Sequence[Difference]) -> list[str]:
        """Returns the tensors that are further off than rounding may take them."""
        pairs = zip(self._names, differences, strict=True)
        return [name for name, difference in pairs if not difference.relative <= 1]

    def _cause(self, found: Outcome, wanted: Outcome, number: int) -> tuple[str, str]:
        exact = self._judge.way
        if not np.isfinite(found.loss) and abs(wanted.loss) > _LARGE:
            return "range", (
                f"the training diverges: the loss is {found.loss}, and {wanted.loss:.6g} by "
                "the formulas, too large for float32"
            )
        if not np.isfinite(found.loss) and np.isfinite(wanted.loss):
            return "overflow", (
                f"the loss is {found.loss}, and {wanted.loss:.6g} by the formulas: exp "
                "overflows where the largest logit is not taken off first"
            )
        before = self._states[number].weights

        def matches(state: State) -> float:
            differences = compare(found.state.weights, state.weights, before)
            return float(np.max([d.relative for d in differences]))

        if isinstance(exact, Float64):
            known = explain(exact, self._states[: number + 1], number, matches)
            if known:
                return known.code, known.cause
        if abs(found.loss - wanted.loss) > _LOSS * max(1.0, abs(wanted.loss)):
            return "loss", f"the loss is {found.loss:.6g}, not {wanted.loss:.6g}"
        return "update", "the update is none of the faults that are known"

    def _why(self, one: Taken) -> str:
        """Returns why a path without a fault has other bits than the graph."""
        if fault := self.fault(one):
            return str(fault["cause"])
        start = self._states[0]
        plain = Unoptimized(self._problem).run(start, 0, len(self._states))
        if first_other_bits(_weights(one.free), _weights(plain)) is None:
            return (
                "the graph optimizer (Grappler) rewrites the graph; without it the graph has "
                f"the bits of {one.way.name}"
            )
        if isinstance(one.way, Xla) or self._problem.spec.training.engine == "xla":
            return "XLA fuses operations, and rounds once where the graph rounds at each"
        return "rounding: the same operations in another order or other kernels"

    def _in_a_row(self, one: Taken) -> list[list[Difference]]:
        """Returns the differences to the graph's weights after each step."""
        return [
            [
                difference._replace(
                    relative=difference.relative / max(1.0, _GROWTH * grown.relative)
                )
                for difference, grown in zip(
                    self._to_graph(outcome, number), self._growth[number], strict=True
                )
            ]
            for number, outcome in enumerate(one.free)
        ]

    def _to_graph(self, outcome: Outcome, number: int) -> list[Difference]:
        """Returns how far the weights after some steps in a row are from the graph's."""
        return compare(
            outcome.state.weights,
            self._graph.free[number].state.weights,
            self._states[0].weights,
            tolerance=KINKED if any(self._bent[: number + 1]) else TOLERANCE,
        )

    def _of_steps(self, one: Taken) -> list[list[Difference]]:
        """Returns the differences of each step, from the graph's weights, to the right one."""
        return [
            compare(
                one.single[number].state.weights,
                self._judge.single[number].state.weights,
                state.weights,
                tolerance=KINKED if any(self._bent[number : number + 1]) else TOLERANCE,
            )
            for number, state in enumerate(self._states)
        ]


def _largest(differences: Sequence[Difference]) -> Difference:
    """Returns the largest of each number."""
    return Difference(*map(max, zip(*differences, strict=True)))


def _fault(
    one: Taken, number: int, tensors: Sequence[str], code: str, cause: str
) -> dict[str, Any]:
    return {
        "path": one.way.name,
        "step": number,
        "tensors": list(tensors),
        "code": code,
        "cause": cause,
    }


def _weights(outcomes: Sequence[Outcome]) -> list[list[np.ndarray]]:
    return [outcome.state.weights for outcome in outcomes]
