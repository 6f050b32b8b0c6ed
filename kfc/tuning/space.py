"""Defines the search space: the hyperparameters of a spec, and the spec of each point."""

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
from kfc.tuning.baseline_point import baseline_values
from kfc.tuning.default_space import with_space
from kfc.tuning.space_checks import (
    corner_findings,
    end_values,
    invalid_dimensions,
    key_in_space,
    space_of,
    spec_at,
    steps_between_integers,
    takes_only_integers,
)

_MAX_CORNERS = 512
_LOG_WIDTH_RATIO = 8  # widths are sampled logarithmically from this ratio of the ends on


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter, as an oracle samples it.

    Args:
        name: Dotted path of the spec. The depth and the widths of hidden layers are
            `network.hidden.depth`, `network.hidden.width_1` and so on.
        kind: Kind of the values: fractions, integers or choices.
        low: Smallest value; None for choices.
        high: Largest value; None for choices.
        step: Distance between neighbouring values, or their ratio if `log`; None for any
            value of the range.
        log: Whether values are sampled on a logarithmic scale.
        choices: Values to choose from; an oracle sees only their indices 0 to n - 1.
        ordered: Whether the choices are numbers in rising order.
        parent: Name of the hyperparameter that decides whether this one is active, or None.
        parent_values: Values of the parent with which this one is active.
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
        """Returns the value of the spec for the value that an oracle proposes.

        keras-tuner's Bayesian oracle may exceed the largest integer of a logarithmic range
        by 1, so numbers are limited to their range.

        Args:
            proposed: Number, or index of a choice.
        """
        if self.low is None or self.high is None:
            return copy.deepcopy(self.choices[int(proposed)])
        number = int(proposed) if self.kind == "int" else float(proposed)
        return min(max(number, self.low), self.high)


@dataclass(frozen=True)
class Space:
    """A checked search space.

    Args:
        spec: Spec of the search, with its space written out.
        hyperparameters: Hyperparameters, in the order of the space.
        baseline: Dotted path -> value of the spec itself, which trial 0 trains. A value may
            be outside the space. A path that the spec leaves out is missing.
    """

    spec: Spec
    hyperparameters: tuple[Hyperparameter, ...]
    baseline: Mapping[str, Any]

    @classmethod
    def of(cls, spec: Spec) -> Space:
        """Returns the space of a spec, or the built-in one if it has none.

        Args:
            spec: Checked spec.

        Raises:
            SpecError: If the space is wrong, with all findings: paths that do not exist or
                may not vary, corners that are no valid specs, dimensions that set the same
                key, fractions without a step in a grid.
        """
        written = with_space(spec)
        # Later checks need dimensions without findings, so these are left out.
        found = list(invalid_dimensions(written))
        found += steps_between_integers(_without(written, found))
        space = cls._unchecked(_without(written, found))
        findings = [finding for _, finding in found]
        findings += space._infinite_dimensions()
        findings += corner_findings(space.spec, list(space.corners()))
        if findings:
            raise SpecError(*dict.fromkeys(findings))
        return dataclasses.replace(space, baseline=baseline_values(spec, written))

    @classmethod
    def _unchecked(cls, spec: Spec) -> Space:
        hyperparameters = [
            hyperparameter
            for path, dimension in space_of(spec).items()
            for hyperparameter in _hyperparameters(spec, path, dimension)
        ]
        return cls(spec, tuple(hyperparameters), {})

    def values(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Returns dotted path of the spec -> value at a point of the space.

        Args:
            point: Name of each active hyperparameter -> value, or index of a choice.
        """
        values: dict[str, Any] = {}
        at = {
            hyperparameter.name: hyperparameter.value(point[hyperparameter.name])
            for hyperparameter in self.hyperparameters
            if hyperparameter.name in point
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
        """Returns the spec of a trial, without a search part.

        Args:
            values: Dotted path -> value.
            seed: Seed that replaces the spec's; None keeps it.
            epochs: Number of epochs that replaces the spec's; None keeps it.

        Raises:
            SpecError: If the spec is invalid with these values.
        """
        changed = {"seed": seed, "training.epochs": epochs}
        return spec_at(
            self.spec, {**values, **{k: v for k, v in changed.items() if v is not None}}
        )

    def corners(self) -> Iterator[dict[str, Any]]:
        """Yields the corners of the space, each as dotted path -> value.

        The ends of hidden layers are the shallowest and the deepest network, with all
        layers narrow or all wide. The ends of a choice are all of its values. Up to 512
        combinations of the ends are all yielded. If there are more, only these are: all
        dimensions at their first end, all at their last, and each single dimension at each
        of its ends with the others at their first.
        """
        ends = {path: end_values(dimension) for path, dimension in space_of(self.spec).items()}
        if math.prod(len(values) for values in ends.values()) <= _MAX_CORNERS:
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
        """Returns the values with the most weights; among equals, with the largest batch.

        The largest network is at a corner, or it is the baseline, which may be outside the
        space.

        Args:
            num_inputs: Number of inputs of the network, on which it depends whether a wide
                or a deep network has more weights.
        """

        def size(values: dict[str, Any]) -> tuple[int, int]:
            spec = self.trial_spec(values)
            widths = [num_inputs, *(layer.units for layer in spec.network.layers()), 1]
            kernels = sum(a * b for a, b in itertools.pairwise(widths))
            return kernels, spec.training.batch_size

        return max([*self.corners(), dict(self.baseline)], key=size)

    def _infinite_dimensions(self) -> Iterator[Finding]:
        """Yields a finding for each hyperparameter of a grid with infinitely many values."""
        if self.spec.search is None or self.spec.search.algorithm != "grid":
            return
        for hyperparameter in self.hyperparameters:
            if hyperparameter.kind == "float" and hyperparameter.step is None:
                yield Finding(
                    key_in_space(hyperparameter.name),
                    "a step, since a grid has finitely many points",
                    "none",
                    "Add step, or list the values as a choice.",
                )


def _without(spec: Spec, found: list[tuple[str, Finding]]) -> Spec:
    """Returns `spec` without the dimensions that have findings."""
    if spec.search is None or not found:
        return spec
    invalid = {path for path, _ in found}
    kept = {path: each for path, each in spec.search.space.items() if path not in invalid}
    search = spec.search.model_copy(update={"space": kept})
    return spec.model_copy(update={"search": search})


def _hyperparameters(
    spec: Spec, path: str, dimension: DimensionSpec
) -> Iterator[Hyperparameter]:
    if isinstance(dimension, StackSpec):
        yield from _layers(path, dimension)
    elif isinstance(dimension, RangeSpec):
        yield _number(spec, path, dimension)
    else:
        yield _choice(path, dimension)


def _choice(path: str, dimension: ChoiceSpec) -> Hyperparameter:
    choices = dimension.choice
    ordered = all(type(value) in (int, float) for value in choices) and all(
        low < high for low, high in itertools.pairwise(choices)
    )
    return Hyperparameter(path, "choice", choices=choices, ordered=ordered)


def _number(spec: Spec, path: str, numbers: RangeSpec) -> Hyperparameter:
    low, high, step, log = numbers.low, numbers.high, numbers.step, numbers.log
    if takes_only_integers(spec, path):
        return Hyperparameter(path, "int", int(low), int(high), step and int(step), log)
    return Hyperparameter(path, "float", float(low), float(high), step and float(step), log)


def _layers(path: str, stack: StackSpec) -> Iterator[Hyperparameter]:
    (fewest, most), (narrow, wide) = stack.depth, stack.width
    depth = f"{path}.depth"
    yield Hyperparameter(depth, "int", fewest, most)
    for number in range(1, most + 1):
        yield Hyperparameter(
            f"{path}.width_{number}",
            "int",
            narrow,
            wide,
            log=wide >= _LOG_WIDTH_RATIO * narrow,
            parent=depth if number > fewest else None,
            parent_values=tuple(range(number, most + 1)) if number > fewest else (),
        )
