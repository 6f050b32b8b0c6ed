"""Checks the search space of a spec before any trial runs.

Only the spec knows which values are valid. So the spec is loaded at each corner of the space,
and its findings are reported for the dimensions that caused them.
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
_FIXED = {
    "search": "Remove it: the search itself cannot vary.",
    "name": "Remove it: trials are named by their numbers.",
    "seed": "Remove it: search.repeats sets on how many seeds the best trials are repeated.",
    **dict.fromkeys(("data.source", "data.task", "data.validation", "data.rows"), _SAME_ROWS),
    "training.threads": "Set it under training: all trials of a process share its threads.",
}
"""Keys that may not vary between trials -> remedy."""

# Terms of val_loss: trials with other terms could not be compared by it.
_LOSS_TERMS = ("training.loss", "data.scale_target", "network.l1", "network.l2")


def key_in_space(path: str) -> str:
    """Returns the key of a dimension in the spec, as findings name it."""
    return f"search.space.{path}"


def space_of(spec: Spec) -> dict[str, DimensionSpec]:
    """Returns dotted path -> dimension of the search space, in the order of the spec."""
    return dict(spec.search.space) if spec.search else {}


def spec_at(spec: Spec, values: Values) -> Spec:
    """Returns `spec` with other values and without a search part.

    Args:
        spec: Checked spec.
        values: Dotted path -> value. A path inside another one is set after it.

    Raises:
        SpecError: If the spec is invalid with these values.
    """
    outer_first = sorted(values.items(), key=lambda item: len(split_path(item[0])))
    # A copy, because an inner path changes the value of an outer one.
    return load_spec(spec, {**copy.deepcopy(dict(outer_first)), "search": None})


def end_values(dimension: DimensionSpec) -> list[Any]:
    """Returns both ends of a dimension, or all choices.

    If the ends are valid, the values between them are, too. The upper end of a range is the
    last value that its steps reach.
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
    """Returns whether the spec accepts integers at `path` and rejects fractions.

    Args:
        spec: Checked spec with its space.
        path: Dotted path of a dimension.
    """
    dimension = space_of(spec)[path]
    if not isinstance(dimension, RangeSpec) or not isinstance(dimension.low, int):
        return False
    first = {other: end_values(of)[0] for other, of in space_of(spec).items()}

    def refused(value: float) -> bool:
        try:
            spec_at(spec, {**first, path: value})
        except SpecError as error:
            return any(_dimension(finding, [path]) for finding in error.findings)
        return False

    return not refused(dimension.low) and refused(dimension.low + 0.5)


def invalid_dimensions(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the path of each dimension whose key may not vary, with the finding."""
    # Single dimensions.
    space = space_of(spec)
    for path, dimension in space.items():
        yield from ((path, finding) for finding in _fixed_key_findings(spec, path))
        if isinstance(dimension, StackSpec):
            yield from ((path, finding) for finding in _layer_findings(spec, path))
    # Pairs: a dimension inside another one must set a key that the other leaves open.
    for first, second in itertools.combinations(space, 2):
        outer, inner = sorted((first, second), key=lambda path: len(split_path(path)))
        keys, inside = split_path(outer), split_path(inner)
        if inside[: len(keys)] == keys and not _leaves_open(space[outer], inside[len(keys) :]):
            expected = "a key of the spec that no other dimension sets"
            got = f"{first}, which sets it too"
            yield second, Finding(key_in_space(second), expected, got, "Remove one of them.")
    yield from _unknown_paths(spec)


def _fixed_key_findings(spec: Spec, path: str) -> Iterator[Finding]:
    keys = split_path(path)
    fixed = dict(_FIXED)
    if spec.search and spec.search.algorithm == "hyperband":
        fixed["training.epochs"] = (
            "Remove it: hyperband chooses the epochs, up to training.epochs."
        )
    # Keys that all trials share.
    overlapping = [key for key in fixed if _overlap(keys, split_path(key))]
    if overlapping:
        expected = "a key in which trials may differ"
        yield Finding(
            key_in_space(path), expected, repr(overlapping[0]), fixed[overlapping[0]]
        )
    # The name of a component without its options.
    if keys[-1] == "name" and len(keys) > 1:
        owner = path.rpartition(".")[0]
        yield Finding(
            key_in_space(path),
            "a component with its options, because these depend on its name",
            "the name alone",
            f"Write {owner}: {{choice: [...]}}; {owner}.<option> may also be a dimension.",
        )
    # Terms of the loss, if the loss ranks the trials.
    in_the_loss = any(_overlap(keys, split_path(part)) for part in _LOSS_TERMS)
    if _ranked_by_loss(spec) and (in_the_loss or keys[-1] in ("l1", "l2")):
        others = "val_mae or val_r2" if spec.data.task == "regression" else "val_accuracy"
        yield Finding(
            key_in_space(path),
            "trials whose losses can be compared",
            "a term of val_loss",
            f"Set search.objective to {others}.",
        )


def _ranked_by_loss(spec: Spec) -> bool:
    """Returns whether val_loss is known to rank the trials.

    Without an objective it depends on the task, which may be known only from the data.
    """
    objective = spec.search.objective if spec.search else None
    if objective is None and spec.data.task is not None:
        objective = SearchSpec().objective_for(
            classification=spec.data.task == "classification"
        )
    return objective == "val_loss"


def _layer_findings(spec: Spec, path: str) -> Iterator[Finding]:
    if path != "network.hidden":
        remedy = f"{nearest(path, ['network.hidden'])}Elsewhere use low and high, or choice."
        yield Finding(
            key_in_space(path), "depth and width at network.hidden only", repr(path), remedy
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
            key_in_space(path),
            "layers without options of their own, because depth and width replace them",
            ", ".join(options),
            "Set the options of all layers under network, such as "
            f"network.{options[0].rpartition('.')[2]}, or list the layers as a choice.",
        )


def _overlap(one: Keys, other: Keys) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _leaves_open(dimension: DimensionSpec, keys: Keys) -> bool:
    """Returns whether no value of an outer dimension sets the key inside it."""
    return isinstance(dimension, ChoiceSpec) and all(
        isinstance(value, str) or (isinstance(value, Mapping) and keys[0] not in value)
        for value in (dimension.choice if keys else [None])
    )


def _unknown_paths(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the paths that cannot be set.

    Unknown keys at the end of a path are found when the corners are loaded.
    """
    space = space_of(spec)
    first = {path: end_values(space[path])[0] for path in space}
    by_depth = dict(sorted(first.items(), key=lambda item: len(split_path(item[0]))))
    try:
        override(SpecText(spec.model_dump(mode="json")), copy.deepcopy(by_depth))
    except SpecError as error:
        for finding in error.findings:
            malformed = (path for path in space if repr(path) == finding.got)
            path = finding.where if finding.where in space else next(malformed)
            key = key_in_space(path)
            yield path, Finding(key, finding.expected, finding.got, finding.remedy)


def steps_between_integers(spec: Spec) -> Iterator[tuple[str, Finding]]:
    """Yields the path of each range of integers with a fraction as step, with the finding."""
    for path, dimension in space_of(spec).items():
        step = dimension.step if isinstance(dimension, RangeSpec) else None
        if step is not None and step != int(step) and takes_only_integers(spec, path):
            expected = "an integer as step, because the key takes only integers"
            remedy = f"Use for example step: {math.ceil(step)}."
            yield path, Finding(key_in_space(path), expected, f"step: {step:g}", remedy)


def corner_findings(spec: Spec, corners: Sequence[Values]) -> list[Finding]:
    """Returns the findings of the spec at all corners, each finding once.

    A finding that depends on the values of other dimensions names the first corner that has
    it.

    Args:
        spec: Spec with its space.
        corners: Corners of the space, each with a value for every dimension.
    """
    found: dict[Finding, list[Values]] = {}
    for corner in corners:
        try:
            spec_at(spec, corner)
        except SpecError as error:
            for finding in error.findings:
                found.setdefault(finding, []).append(corner)
    return [_in_space(finding, refused, corners) for finding, refused in found.items()]


def _in_space(
    finding: Finding, refused: Sequence[Values], corners: Sequence[Values]
) -> Finding:
    """Returns a finding of the spec as a finding of the dimension that caused it."""
    corner = ", ".join(f"{path}={shown_value(value)}" for path, value in refused[0].items())
    path = _dimension(finding, refused[0])
    if not path:
        expected = f"a valid spec at every corner, so {finding.where} to be {finding.expected}"
        return Finding("search.space", expected, f"{finding.got} at {corner}", finding.remedy)
    with_its_values = [
        other for other in corners if any(other[path] == each[path] for each in refused)
    ]
    got = finding.got if len(with_its_values) == len(refused) else f"{finding.got} at {corner}"
    return Finding(key_in_space(path), finding.expected, got, finding.remedy)


def _dimension(finding: Finding, paths: Iterable[str]) -> str:
    """Returns the innermost path that contains, or is inside, the finding's key, or ""."""
    keys = split_path(finding.where)
    near = [path for path in paths if _overlap(split_path(path), keys)]
    return max(near, key=lambda path: len(split_path(path)), default="")
