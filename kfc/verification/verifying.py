"""A spec -> a certificate that every path to its weights makes the same steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Prepared, prepare, weighted
from kfc.errors import DataError, Finding, SpecError
from kfc.network import build
from kfc.runs import bind_plugins, environment, resolve_data, resolve_engine, result_file
from kfc.spec import Spec, SpecLike, load_spec
from kfc.system import atomic, safe_open, tensorflow_startup, user_paths
from kfc.training.engine import is_stateless
from kfc.verification.float64_path import Float64, beyond
from kfc.verification.judgement import Judge, Taken
from kfc.verification.nondifferentiable import kinks
from kfc.verification.setup import Problem, State, read
from kfc.verification.tensor_difference import TOLERANCE
from kfc.verification.training_paths import Eager, Fit, Fused, Graph, Outcome, Own, Way, Xla

FILE = "verification.json"


@dataclass(frozen=True)
class Certificate:
    """The result of a verification; the attributes are also the keys of `verification.json`.

    Args:
        passed: Whether every path makes every step within its bound.
        spec: Its name.
        steps: How many were compared; the weights before each are those of the graph.
        rows: Training rows, which the steps visit about twice.
        bound: Share of the weights' movement that a path may be off by, after one step and
            after all, see `kfc.verification.tensor_difference.compare`. From a step on that
            has a unit at relu's kink, a hundred times as much is allowed. Over several steps,
            rounding may also grow to a thousand times the effect of a one-ulp change in the
            initial weights.
        paths: For each its `name`, `what` it is, the `first_bits` (the step, from 0, after
            which its weights are not the graph's to the bit, or None), its `same_bits` (the
            paths with the same bits throughout), and the largest difference to the graph's
            weights after any step, `max_abs`, `max_ulps` (of the tensor's largest element)
            and `relative`, as a share of what is allowed; the worst of single steps,
            `step_max_ulps` and `step_relative`, to float64 where there is one, else to the
            graph.
        tensors: For each its `name`, `shape`, and `max_abs` and `max_ulps` by path.
        first_difference: The first step after which two paths differ: `step`, `path`,
            `tensor`, `max_abs`, `max_ulps`, and `why`; None where none do.
        faults: What is wrong: `path`, `step`, `tensors`, `code`, `cause`.
        kinks: Units of relu that rounding may put on either side of 0, see
            `kfc.verification.nondifferentiable.Kink`.
        beyond: What the formulas in float64 do not reach; empty where they were compared.
        versions: Of what computed.
    """

    passed: bool
    spec: str
    steps: int
    rows: int
    bound: float
    paths: list[dict[str, Any]]
    tensors: list[dict[str, Any]]
    first_difference: dict[str, Any] | None
    faults: list[dict[str, Any]]
    kinks: list[dict[str, Any]]
    beyond: str
    versions: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Returns what `--json` prints: plain values only, `"inf"` and `"nan"` as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def verify(
    spec: SpecLike,
    *,
    steps: int = 12,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    step: Callable[..., Any] | None = None,
) -> Certificate:
    """Makes some steps of a training by every path, from the same weights and batches.

    The paths: the formulas in float64 (`kfc.reference`), a hand-written tape loop,
    `train_step` in a graph and compiled by XLA, Keras's own `fit`, and kfc's engine. Each
    runs all steps in a row, and each step from the graph's own weights, so that rounding
    does not add up where steps are compared. Both are bounded: the one finds a step that is
    wrong, the other what is not carried from a step to the next.

    Args:
        spec: A built-in spec's name, a file, a dict, a `kfc.Spec`, or the folder of a run,
            which the certificate then joins as `verification.json`.
        steps: How many, of at least 2: two epochs of so many rows, each with a short last
            batch.
        overrides: Dotted path -> value.
        data: Rows instead of `data.source`, as for `kfc.fit`.
        step: A step of your own to be verified: a function of a `keras.Model`, whose
            `optimizer` is the spec's, and of a batch, `(model, x, y)`, that updates the
            model's weights and returns the batch's loss. It is called for each step in
            turn, so it may keep numbers of its own; in a row it is then not bounded.

    Returns:
        The certificate.

    Raises:
        SpecError: If the spec is wrong.
        DataError: If the data cannot be read or must not be trained on.
    """
    if isinstance(steps, bool) or steps < 2:
        raise SpecError(Finding("--steps", "a whole number of at least 2", str(steps), ""))
    folder = _run_folder(spec)
    checked = load_spec(spec if folder is None else result_file.read_spec(folder), overrides)
    tensorflow_startup.start_tensorflow(checked.training.threads)
    bind_plugins(checked)
    prepared = _prepared(checked, data, folder)
    checked = resolve_data(checked, prepared, in_memory=data is not None)
    problem = _problem(checked, prepared, steps)
    own = [Own(problem, step)] if step else []
    certificate = certified(problem, [*ways(problem), *own])
    if folder is not None:
        atomic.write_file(folder / FILE, result_file.as_json(certificate.summary()))
    return certificate


def _prepared(spec: Spec, data: Any, folder: Path | None) -> Prepared:
    """Returns the data of a spec, or of the run in `folder`, with refusals that fit a run."""
    if folder is None:
        return prepare(spec, data)
    if data is None and spec.data.source is None:
        raise DataError(
            Finding(
                "data",
                "the rows that this run was given in Python",
                "none",
                f"Call `kfc.verify({str(folder)!r}, data=...)` with them.",
            )
        )
    with environment.where_it_began(folder):
        return prepare(spec, data)


def _run_folder(spec: SpecLike) -> Path | None:
    """Returns the folder of a run, if that is what was given."""
    if isinstance(spec, (str, Path)) and (user_paths.absolute(spec) / "result.json").is_file():
        folder = user_paths.absolute(spec)
        safe_open.hand_over(folder)
        return folder
    return None


def _problem(spec: Spec, prepared: Prepared, steps: int) -> Problem:
    train = weighted(prepared.train, spec, prepared.task)
    spec = resolve_engine(spec, build(spec, prepared.task), len(train), ())
    return Problem.of(spec, train, prepared.task, steps)


def ways(problem: Problem) -> list[Way]:
    """Returns every path of kfc's and Keras's besides the graph."""
    kinds: list[Callable[[Problem], Way]] = [
        Eager,
        Fit,
        *([Xla] if is_stateless(problem.spec) else []),
        Fused,
    ]
    return [kind(problem) for kind in kinds]


def certified(problem: Problem, others: Sequence[Way]) -> Certificate:
    """Compares paths with each other, and with float64 where the formulas reach.

    Args:
        problem: What they train on.
        others: The paths besides the graph.
    """
    graph = Graph(problem)
    start = read(graph.model)
    trajectory = _until_not_finite(graph.run(start, 0, problem.steps))
    states = [start, *(outcome.state for outcome in trajectory[:-1])]
    reach = beyond(problem)
    exact = None if reach else Float64(problem)
    taken = [Taken(graph, trajectory, trajectory)]
    everyone: list[Way | Float64] = [*others, *([exact] if exact else [])]
    taken += [_taken(way, states) for way in everyone]
    bent = (
        [kinks(exact, state, number) for number, state in enumerate(states)] if exact else []
    )
    shaken = graph.run(start.shaken(), 0, len(states))
    judge = Judge(problem, states, taken, shaken, bent)
    faults = [fault for one in taken if (fault := judge.fault(one))]
    return Certificate(
        passed=not faults,
        spec=problem.spec.name,
        steps=len(states),
        rows=len(problem.rows),
        bound=TOLERANCE,
        paths=[judge.path(one) for one in taken],
        tensors=judge.tensors(),
        first_difference=judge.first_difference(),
        faults=faults,
        kinks=[kink._asdict() for of_step in bent for kink in of_step],
        beyond=reach,
        versions=environment.versions_of(environment.VERSIONS),
    )


def _taken(way: Way | Float64, states: Sequence[State]) -> Taken:
    """Makes all steps in a row, and each from its state, where that is not the same step."""

    def single(number: int) -> Outcome:
        return way.run(states[number], number, number + 1)[0]

    if way.remembers:  # what it keeps belongs to the steps from the states, in their order
        alone = [single(number) for number in range(len(states))]
        return Taken(way, way.run(states[0], 0, len(states)), alone)
    free = way.run(states[0], 0, len(states))
    before = [states[0], *(outcome.state for outcome in free)]
    alone = [
        free[number] if before[number].same_bits(state) else single(number)
        for number, state in enumerate(states[:-1])
    ]
    # The engine's last outcome in a row is that of one call for all steps.
    return Taken(way, free, [*alone, single(len(states) - 1)])


def _until_not_finite(outcomes: list[Outcome]) -> list[Outcome]:
    """Returns outcomes up to the first whose weights are not all finite, that included."""
    for number, outcome in enumerate(outcomes):
        if not all(np.isfinite(weight).all() for weight in outcome.state.weights):
            return outcomes[: number + 1]
    return outcomes
