"""The space of a spec -> everything that is wrong with it, before anything runs.

What may stand in a spec only the spec knows: its corners are loaded, and what it refuses
becomes a finding of the dimension that asked for it.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kfc.errors import Finding, SpecError, nearest
from kfc.spec import (
    ChoiceSpec,
    DimensionSpec,
    Keys,
    RangeSpec,
    SearchSpec,
    Spec,
    SpecText,
    StackSpec,
    load_spec,
    override,
    shown_value,
    split_path,
)

Values = Mapping[str, Any]
"""Dotted path of the spec -> value."""

_SAME_ROWS = "Set it under data: only scores on the same rows can be compared."
# What trials have in common -> why it may not vary.
_COMMON = {
    "search": "The search itself does not vary.",
    "name": "Trials have numbers.",
    "seed": "search.repeats says on how many seeds the best are trained again.",
    **dict.fromkeys(("data.source", "data.task", "data.validation", "data.rows"), _SAME_ROWS),
    "training.threads": "Set it under training: trials share a process.",
}
# What val_loss is made of: it would measure each trial with another yardstick.
_OF_THE_LOSS = ("training.loss", "data.scale_target", "network.l1", "network.l2")


def where(path: str) -> str:
    """Returns the place of a dimension in the spec, as findings name it."""
    return f"search.space.{path}"


def space_of(spec: Spec) -> dict[str, DimensionSpec]:
    """Returns the dimensions of a spec by their paths, in the spec's order."""
    return dict(spec.search.space) if spec.search else {}


def spec_at(spec: Spec, values: Values) -> Spec:
    """Returns `spec` with `values` set and without its search.

    Args:
        spec: A checked spec.
        values: Dotted path -> value. A path within another one counts after that one.

    Raises:
        SpecError: If that is no valid spec.
    """
    outer_first = sorted(values.items(), key=lambda item: len(split_path(item[0])))
    # Copied, since an inner path is set within the value of an outer one.
    return load_spec(spec, {**copy.deepcopy(dict(outer_first)), "search": None})


def extremes(dimension: DimensionSpec) -> list[Any]:
    """Returns what may be wrong if anything is: both ends, or every choice.

    The highest value of a range is the last that its steps reach.
    """
    if isinstance(dimension, ChoiceSpec):
        return list(dimension.choice)
    if isinstance(dimension, RangeSpec):
        return [dimension.low, _last(dimension)]
    stacks = itertools.product(dimension.depth, dimension.width)
    return [list(widths) for widths in dict.fromkeys((width,) * n for n, width in stacks)]


def _last(numbers: RangeSpec) -> float:
    low, high, step = numbers.low, numbers.high, numbers.step
    if step is None:
        return high
    if numbers.log:
        last = low * step ** math.floor(math.log(high / low, step) + 1e-9)
    else:
        last = low + step * math.floor((high - low) / step + 1e-9)
    if math.isclose(last, high):
        return high
    return int(last) if isinstance(low, int) and float(step).is_integer() else last


def takes_only_integers(spec: Spec, path: str) -> bool:
    """Asks the spec whether it takes integers at `path`, and nothing between them."""
    dimension = space_of(spec)[path]
    if not isinstance(dimension, RangeSpec) or not isinstance(dimension.low, int):
        return False
    first = {other: extremes(of)[0] for other, of in space_of(spec).items()}

    def refused(value: float) -> bool:
        try:
            spec_at(spec, {**first, path: value})
        except SpecError as error:
            return any(_dimension(finding, [path]) for finding in error.findings)
        return False

    return not refused(dimension.low) and refused(dimension.low + 0.5)


def misplaced(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the path of each dimension that may not be one, with its finding."""
    space = space_of(spec)
    for path, dimension in space.items():
        yield from ((path, finding) for finding in _not_to_vary(spec, path))
        if isinstance(dimension, StackSpec):
            yield from ((path, finding) for finding in _no_stack(spec, path))
    for first, second in itertools.combinations(space, 2):
        outer, inner = sorted((first, second), key=lambda path: len(split_path(path)))
        keys, inside = split_path(outer), split_path(inner)
        if inside[: len(keys)] == keys and not _leaves_open(space[outer], inside[len(keys) :]):
            expected = "a part of the spec that no other dimension sets"
            yield second, Finding(where(second), expected, f"it beside {first}", "Drop one.")
    yield from _not_settable(spec)


def _not_to_vary(spec: Spec, path: str) -> Iterator[Finding]:
    keys = split_path(path)
    common = dict(_COMMON)
    if spec.search and spec.search.algorithm == "hyperband":
        common["training.epochs"] = "hyperband decides it: training.epochs is the most."
    shared = [fixed for fixed in common if _overlap(keys, split_path(fixed))]
    if shared:
        expected = "a key in which trials may differ"
        yield Finding(where(path), expected, repr(shared[0]), common[shared[0]])
    if keys[-1] == "name" and len(keys) > 1:
        owner = path.rpartition(".")[0]
        yield Finding(
            where(path),
            "a component with its options, which differ from name to name",
            "its name alone",
            f"Write {owner}: {{choice: [...]}}; {owner}.<option> may be a dimension too.",
        )
    in_the_loss = any(_overlap(keys, split_path(part)) for part in _OF_THE_LOSS)
    if _ranked_by_loss(spec) and (in_the_loss or keys[-1] in ("l1", "l2")):
        others = "val_mae or val_r2" if spec.data.task == "regression" else "val_accuracy"
        yield Finding(
            where(path),
            "trials whose losses can be compared",
            "a part of what val_loss adds up",
            f"Set search.objective to {others}.",
        )


def _ranked_by_loss(spec: Spec) -> bool:
    """Whether it is known that val_loss ranks the trials; data may still tell the task."""
    objective = spec.search.objective if spec.search else None
    if objective is None and spec.data.task is not None:
        objective = SearchSpec().objective_for(
            classification=spec.data.task == "classification"
        )
    return objective == "val_loss"


def _no_stack(spec: Spec, path: str) -> Iterator[Finding]:
    if path != "network.hidden":
        remedy = f"{nearest(path, ['network.hidden'])}Elsewhere use low and high, or choice."
        yield Finding(
            where(path), "depth and width at network.hidden only", repr(path), remedy
        )
        return
    options = [
        f"network.hidden[{number}].{option}"
        for number, layer in enumerate(spec.network.hidden)
        for option in type(layer).model_fields
        if option != "units" and getattr(layer, option) is not None
    ]
    if options:
        yield Finding(
            where(path),
            "layers without options of their own, since depth and width replace them",
            ", ".join(options),
            "Set what all layers share under network, such as "
            f"network.{options[0].rpartition('.')[2]}, or list the stacks as a choice.",
        )


def _overlap(one: Keys, other: Keys) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _leaves_open(dimension: DimensionSpec, keys: Keys) -> bool:
    """Whether no value of an outer dimension says anything about the key within it."""
    return isinstance(dimension, ChoiceSpec) and all(
        isinstance(value, str) or (isinstance(value, Mapping) and keys[0] not in value)
        for value in (dimension.choice if keys else [None])
    )


def _not_settable(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the paths that lead nowhere; unknown keys are the spec's to find."""
    space = space_of(spec)
    first = {path: extremes(space[path])[0] for path in space}
    by_depth = dict(sorted(first.items(), key=lambda item: len(split_path(item[0]))))
    try:
        override(SpecText(spec.model_dump(mode="json")), copy.deepcopy(by_depth))
    except SpecError as error:
        for finding in error.findings:
            malformed = (path for path in space if repr(path) == finding.got)
            path = finding.where if finding.where in space else next(malformed)
            yield path, Finding(where(path), finding.expected, finding.got, finding.remedy)


def uneven_steps(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the path of each range of integers that steps between them, with its finding."""
    for path, dimension in space_of(spec).items():
        step = dimension.step if isinstance(dimension, RangeSpec) else None
        if step is not None and step != int(step) and takes_only_integers(spec, path):
            expected = "a whole step, since the key takes only integers"
            remedy = f"Use for example step: {math.ceil(step)}."
            yield path, Finding(where(path), expected, f"step: {step:g}", remedy)


def refused_corners(spec: Spec, corners: Sequence[Values]) -> list[Finding]:
    """Returns what the spec refuses, each finding once.

    A finding that comes only with some values of other dimensions shows the first corner
    that has it.

    Args:
        spec: With its space.
        corners: Values of every dimension, each.
    """
    found: dict[Finding, list[Values]] = {}
    for corner in corners:
        try:
            spec_at(spec, corner)
        except SpecError as error:
            for finding in error.findings:
                found.setdefault(finding, []).append(corner)
    return [_of_the_space(finding, refused, corners) for finding, refused in found.items()]


def _of_the_space(
    finding: Finding, refused: Sequence[Values], corners: Sequence[Values]
) -> Finding:
    corner = ", ".join(f"{path}={shown_value(value)}" for path, value in refused[0].items())
    path = _dimension(finding, refused[0])
    if not path:
        expected = (
            f"every corner to be a valid spec, so {finding.where} to be {finding.expected}"
        )
        return Finding("search.space", expected, f"{finding.got} at {corner}", finding.remedy)
    with_its_values = [
        other for other in corners if any(other[path] == each[path] for each in refused)
    ]
    got = finding.got if len(with_its_values) == len(refused) else f"{finding.got} at {corner}"
    return Finding(where(path), finding.expected, got, finding.remedy)


def _dimension(finding: Finding, paths: Iterable[str]) -> str:
    """Returns the innermost path that leads to the finding, or that it leads to, or none."""
    keys = split_path(finding.where)
    near = [path for path in paths if _overlap(split_path(path), keys)]
    return max(near, key=lambda path: len(split_path(path)), default="")
