"""The space of a spec -> the parameters an oracle samples, and the spec of each point."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kfc.errors import Finding, SpecError
from kfc.spec import ChoiceSpec, DimensionSpec, RangeSpec, Spec, StackSpec
from kfc.tuning.default_space import with_space
from kfc.tuning.initial_values import own_values
from kfc.tuning.space_checks import (
    extremes,
    misplaced,
    refused_corners,
    space_of,
    spec_at,
    takes_only_integers,
    uneven_steps,
    where,
)

_MOST_CORNERS = 512
_WIDE = 8  # times the narrowest layer: from there on, widths are drawn by factors


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter, as an oracle sees it.

    Args:
        name: Dotted path of the spec; of a stack `network.hidden.depth`,
            `network.hidden.width_1` and so on.
        kind: Whether its values are fractions, integers or choices.
        low: Lowest value; None for choices.
        high: Highest value; None for choices.
        step: Distance between neighbours, or with `log` their factor; None for a continuum.
        log: Whether each factor is as likely, rather than each difference.
        choices: Plain values, of which an oracle sees the indices 0 to n - 1 only.
        ordered: Whether the choices are numbers that rise.
        parent: Name of the parameter that decides whether this one counts, or None.
        parent_values: Of the parent, with which this one counts.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    ordered: bool = False
    parent: str | None = None
    parent_values: tuple[int, ...] = ()

    def value(self, proposed: Any) -> Any:
        """Returns the value that an oracle's proposal stands for.

        keras-tuner's Bayesian oracle also proposes the number after the highest integer of a
        logarithmic range: it is the highest.
        """
        if self.low is None or self.high is None:
            return copy.deepcopy(self.choices[int(proposed)])
        number = int(proposed) if self.kind == "int" else float(proposed)
        return min(max(number, self.low), self.high)


@dataclass(frozen=True)
class Space:
    """A checked space: its parameters, and the spec of each of its points.

    Args:
        spec: What trials are made from, with its space written out.
        parameters: In the order of that space.
        own: Values of the spec before any trial: dotted path -> value. They may lie outside
            the space. A path that the spec leaves out is missing.
    """

    spec: Spec
    parameters: tuple[Parameter, ...]
    own: Mapping[str, Any]

    @classmethod
    def of(cls, spec: Spec) -> Space:
        """Returns the space of a spec, or the built-in one where it has none.

        Args:
            spec: A checked spec.

        Raises:
            SpecError: With everything that is wrong: paths that are none or may not vary,
                corners that are no valid specs, dimensions that set the same thing, numbers
                without a step in a grid.
        """
        written = with_space(spec)
        found = list(misplaced(written))
        found += uneven_steps(_without(written, found))
        space = cls._unchecked(_without(written, found))
        findings = [finding for _, finding in found]
        findings += space._endless()
        findings += refused_corners(space.spec, list(space.corners()))
        if findings:
            raise SpecError(*dict.fromkeys(findings))
        return dataclasses.replace(space, own=own_values(spec, written))

    @classmethod
    def _unchecked(cls, spec: Spec) -> Space:
        parameters = [
            parameter
            for path, dimension in space_of(spec).items()
            for parameter in _parameters(spec, path, dimension)
        ]
        return cls(spec, tuple(parameters), {})

    def values(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a point sets: dotted path of the spec -> value.

        Args:
            point: Name of each parameter that counts -> value, or index of a choice.
        """
        values: dict[str, Any] = {}
        at = {
            parameter.name: parameter.value(point[parameter.name])
            for parameter in self.parameters
            if parameter.name in point
        }
        for path, dimension in space_of(self.spec).items():
            if isinstance(dimension, StackSpec):
                depth = at[f"{path}.depth"]
                values[path] = [at[f"{path}.width_{i}"] for i in range(1, depth + 1)]
            else:
                values[path] = at[path]
        return values

    def trial_spec(
        self, values: Mapping[str, Any], *, seed: int | None = None, epochs: int | None = None
    ) -> Spec:
        """Returns the spec that a trial trains; it has no search part.

        Args:
            values: Dotted path -> value.
            seed: In place of the spec's.
            epochs: In place of the spec's.

        Raises:
            SpecError: If that is no valid spec.
        """
        changed = {"seed": seed, "training.epochs": epochs}
        return spec_at(
            self.spec, {**values, **{k: v for k, v in changed.items() if v is not None}}
        )

    def corners(self) -> Iterator[dict[str, Any]]:
        """Yields the values at the ends of the space, dotted path -> value.

        The ends of a stack are its shallowest and deepest, all layers narrow or all wide;
        those of a choice are all of its values. Of at most 512 combinations every one comes.
        Of more there come the ends of each dimension with the others at their first value,
        the lowest of all and the highest of all.
        """
        ends = {path: extremes(dimension) for path, dimension in space_of(self.spec).items()}
        if math.prod(len(values) for values in ends.values()) <= _MOST_CORNERS:
            for corner in itertools.product(*ends.values()):
                yield dict(zip(ends, corner, strict=True))
            return
        lowest = {path: values[0] for path, values in ends.items()}
        yield lowest
        yield {path: values[-1] for path, values in ends.items()}
        for path, values in ends.items():
            for value in values[1:]:
                yield {**lowest, path: value}

    def largest(self, *, num_inputs: int = 1024) -> dict[str, Any]:
        """Returns the values with the most weights, and of those with the largest batch.

        They are those of a corner, or the spec's own, which may lie outside the space.

        Args:
            num_inputs: Numbers in one row, which decide between wide and deep.
        """

        def size(values: dict[str, Any]) -> tuple[int, int]:
            spec = self.trial_spec(values)
            widths = [num_inputs, *(layer.units for layer in spec.network.layers()), 1]
            kernels = sum(a * b for a, b in itertools.pairwise(widths))
            return kernels, spec.training.batch_size

        return max([*self.corners(), dict(self.own)], key=size)

    def _endless(self) -> Iterator[Finding]:
        """Yields a finding for each parameter of a grid that has no end of values."""
        if self.spec.search is None or self.spec.search.algorithm != "grid":
            return
        for parameter in self.parameters:
            if parameter.kind == "float" and parameter.step is None:
                yield Finding(
                    where(parameter.name),
                    "a step, since a grid has finitely many points",
                    "none",
                    "Add step, or list the values as a choice.",
                )


def _without(spec: Spec, found: list[tuple[str, Finding]]) -> Spec:
    """Returns `spec` without the dimensions that have findings."""
    if spec.search is None or not found:
        return spec
    faulty = {path for path, _ in found}
    kept = {path: each for path, each in spec.search.space.items() if path not in faulty}
    search = spec.search.model_copy(update={"space": kept})
    return spec.model_copy(update={"search": search})


def _parameters(spec: Spec, path: str, dimension: DimensionSpec) -> Iterator[Parameter]:
    if isinstance(dimension, StackSpec):
        yield from _stack(path, dimension)
    elif isinstance(dimension, RangeSpec):
        yield _number(spec, path, dimension)
    else:
        yield _choice(path, dimension)


def _choice(path: str, dimension: ChoiceSpec) -> Parameter:
    choices = dimension.choice
    ordered = all(type(value) in (int, float) for value in choices) and all(
        low < high for low, high in itertools.pairwise(choices)
    )
    return Parameter(path, "choice", choices=choices, ordered=ordered)


def _number(spec: Spec, path: str, numbers: RangeSpec) -> Parameter:
    low, high, step, log = numbers.low, numbers.high, numbers.step, numbers.log
    if takes_only_integers(spec, path):
        return Parameter(path, "int", int(low), int(high), step and int(step), log)
    return Parameter(path, "float", float(low), float(high), step and float(step), log)


def _stack(path: str, stack: StackSpec) -> Iterator[Parameter]:
    (fewest, most), (narrow, wide) = stack.depth, stack.width
    depth = f"{path}.depth"
    yield Parameter(depth, "int", fewest, most)
    for number in range(1, most + 1):
        yield Parameter(
            f"{path}.width_{number}",
            "int",
            narrow,
            wide,
            log=wide >= _WIDE * narrow,
            parent=depth if number > fewest else None,
            parent_values=tuple(range(number, most + 1)) if number > fewest else (),
        )
