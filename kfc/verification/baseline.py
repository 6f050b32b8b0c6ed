"""Runs the steps that all paths are compared with: in a graph, and in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kfc.verification.float64_path import Float64Path, float64_unsupported
from kfc.verification.problem import Problem, State, read_state
from kfc.verification.relu_zeros import ReluZero, find_relu_zeros
from kfc.verification.training_paths import GraphPath, StepResult, TrainingPath


class PathResults(NamedTuple):
    """A path with the results of its steps.

    Args:
        path: Training path.
        consecutive: Results of all steps, made one after the other.
        single: Results of each step, made from the state of the graph path before it.
    """

    path: TrainingPath | Float64Path
    consecutive: list[StepResult]
    single: list[StepResult]


class Baseline(NamedTuple):
    """Results that all paths are compared with.

    Args:
        problem: Training problem.
        states: States of the graph path before each step.
        graph: Results of the graph path.
        perturbed: Consecutive results of the graph path from perturbed initial weights.
        float64: Results of the float64 path; None if it does not support the spec.
        relu_zeros: Units of relu at 0, for each step; empty without float64.
    """

    problem: Problem
    states: list[State]
    graph: PathResults
    perturbed: list[StepResult]
    float64: PathResults | None
    relu_zeros: list[list[ReluZero]]


def run_baseline(problem: Problem) -> Baseline:
    """Makes the steps of a problem by the graph path, and by float64 if it supports them."""
    # The graph path sets the state before each step.
    graph = GraphPath(problem)
    start = read_state(graph.model)
    results = _until_not_finite(graph.run(start, 0, problem.steps))
    states = [start, *(result.state for result in results[:-1])]

    # The training may amplify rounding: measure how far a change of one ulp grows.
    perturbed = graph.run(start.perturbed(), 0, len(states))

    graph_results = PathResults(graph, results, results)
    if float64_unsupported(problem):
        return Baseline(problem, states, graph_results, perturbed, None, [])

    # The formulas make the same steps in float64.
    exact = Float64Path(problem)
    relu_zeros = [find_relu_zeros(exact, state, step) for step, state in enumerate(states)]
    float64 = run_path(exact, states)
    return Baseline(problem, states, graph_results, perturbed, float64, relu_zeros)


def run_path(path: TrainingPath | Float64Path, states: Sequence[State]) -> PathResults:
    """Makes all steps consecutively, and each single step from its state in `states`."""

    def single_step(step: int) -> StepResult:
        return path.run(states[step], step, step + 1)[0]

    if path.keeps_state:  # its single steps come first, in their order
        single = [single_step(step) for step in range(len(states))]
        return PathResults(path, path.run(states[0], 0, len(states)), single)
    consecutive = path.run(states[0], 0, len(states))
    before = [states[0], *(result.state for result in consecutive)]
    # A step from the same state gives the same result, and is not repeated.
    single = [
        consecutive[step] if before[step].same_bits(state) else single_step(step)
        for step, state in enumerate(states[:-1])
    ]
    # The engine's last consecutive result is that of one call for all steps.
    return PathResults(path, consecutive, [*single, single_step(len(states) - 1)])


def _until_not_finite(results: list[StepResult]) -> list[StepResult]:
    """Returns the results up to the first with weights that are not finite, that included."""
    for step, result in enumerate(results):
        if not all(np.isfinite(weight).all() for weight in result.state.weights):
            return results[: step + 1]
    return results
