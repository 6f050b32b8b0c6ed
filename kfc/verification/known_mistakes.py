"""Explains a wrong step: makes each known mistake on purpose, and compares the results.

A mistake is a step of the reference with one change. The mistake whose step ends at the same
weights as the wrong step is the explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kfc import reference
from kfc.training import kind_of
from kfc.verification.float64_path import Float64Path
from kfc.verification.problem import State

Gradients = list[np.ndarray]


class Mistake(NamedTuple):
    """A known mistake in the code of a step.

    Args:
        code: Short name, such as `sign`.
        cause: One sentence about the mistake.
        state: State after a step with this mistake.
    """

    code: str
    cause: str
    state: State


def find_mistake(
    exact: Float64Path,
    states: Sequence[State],
    step: int,
    distance: Callable[[State], float],
) -> Mistake | None:
    """Returns the known mistake that explains a wrong step, or None.

    Args:
        exact: Reference in float64.
        states: States before each step up to this one.
        step: Number of the wrong step, from 0.
        distance: Function that returns the difference between a state and the state after the
            wrong step, as a share of the allowed difference.
    """
    mistakes = list(known_mistakes(exact, states, step))
    distances = [distance(mistake.state) for mistake in mistakes]
    best = int(np.argmin(distances))
    return mistakes[best] if distances[best] <= 1 else None


def known_mistakes(
    exact: Float64Path, states: Sequence[State], step: int
) -> Iterator[Mistake]:
    """Makes every known mistake in a step.

    Args:
        exact: Reference in float64.
        states: States before each step up to this one; the last is the state before it.
        step: Number of the step, from 0.
    """
    state, problem = states[-1], exact.problem
    _, right = exact.gradients(state, step)
    batch = problem.batch(step)
    size = problem.spec.training.rows_per_step(len(problem.rows))
    rows, rate = len(batch[1]), exact.learning_rate(state)
    *members, classes = right[-1].shape

    def scaled(factor: float) -> State:
        return exact.updated(state, [factor * gradient for gradient in right])

    # Mistakes in the loss: its sign, and its mean over rows or classes.
    yield Mistake("sign", "the update goes up the gradient, not down", scaled(-1.0))
    yield Mistake("sum", "the loss is summed over the rows: 1/n is missing", scaled(rows))
    reductions = {classes, 1 / classes, rows * classes, 2, 1 / 2, *members}
    if rows != size:
        reductions.add(rows / size)
    for factor in sorted(reductions - {1, rows}):
        cause = f"the loss is reduced otherwise: gradients are {factor:.4g} times too large"
        yield Mistake("reduction", cause, scaled(factor))

    # Mistakes in the update.
    squared = exact.updated(state, right, rate=rate**2)
    yield Mistake("rate", "the learning rate is applied twice", squared)
    still = exact.updated(state, right)
    biases = [kind_of(each) == "bias" for each in problem.untrained_model.trainable_variables]
    weights = zip(biases, state.weights, still.weights, strict=True)
    kept = [old if is_bias else new for is_bias, old, new in weights]
    yield Mistake("bias", "the biases are not updated", State(kept, still.optimizer))
    if len(states) > 1:
        _, old = exact.gradients(states[-2], step - 1)
        stale = exact.updated(state, old)
        yield Mistake("stale", "the gradient is that of the step before", stale)

    # Mistakes in the batch.
    for shift in (1, -1):
        moved = exact.updated(state, _shifted(exact, state, step, shift))
        yield Mistake("rows", f"the batch begins {shift:+d} row off", moved)

    yield from _backward_mistakes(exact, state, step)


def _backward_mistakes(exact: Float64Path, state: State, step: int) -> Iterator[Mistake]:
    """Makes the mistakes in the backward pass."""
    depth = len(exact.activation)
    _, layers = exact.layers(state, len(exact.problem.batch(step)[1]))
    for layer in range(depth):
        for other in range(depth):
            widths = [layers[place].bias.size for place in (layer, other)]
            if layer != other and widths[0] == widths[1]:
                wrong = _backward(exact, state, step, masks={layer: other})
                cause = (
                    f"the derivative of hidden_{layer + 1}'s activation is taken at "
                    f"hidden_{other + 1}"
                )
                yield Mistake("mask", cause, exact.updated(state, wrong))
    early = _backward(exact, state, step, masks={}, update=exact.learning_rate(state))
    cause = "a layer's weights are updated before the gradient has passed through them"
    yield Mistake("order", cause, exact.updated(state, early))
    if exact.problem.spec.network.members > 1 and exact.problem.spec.num_orders == 1:
        together = _backward(exact, state, step, masks={}, averaged=True)
        cause = "the loss is that of the members' mean output, not the mean of their losses"
        yield Mistake("average", cause, exact.updated(state, together))


def _backward(
    exact: Float64Path,
    state: State,
    step: int,
    *,
    masks: dict[int, int],
    update: float = 0.0,
    averaged: bool = False,
) -> Gradients:
    """Returns gradients by the chain rule, with a mistake.

    Args:
        exact: Reference in float64.
        state: State before the step.
        step: Number of the step, from 0.
        masks: Layers whose activation is differentiated at another layer's inputs.
        update: Learning rate by which each kernel is updated too early; 0 for a right order.
        averaged: Whether members are averaged before the loss.
    """
    x, y = exact.problem.batch(step)
    outputs, passed = exact.forward(state, x)
    if averaged:
        _, g = exact.loss(outputs.mean(axis=1), exact.targets(y))
        g = np.broadcast_to(g[:, None] / outputs.shape[1], outputs.shape)
    else:
        _, g = exact.loss_of(outputs, y)
    scales, layers = exact.layers(state, len(x))
    found: Gradients = []
    for number, layer in reversed([*enumerate(layers)]):
        values = passed[masks.get(number, number)][1]  # (batch, units)
        g, slope_gradient = layer.backward(values, g)
        signal = passed[number][0]
        _, kernel_gradient = reference.matmul_backward(signal, layer.kernel, g)
        bias_gradient = reference.sum_like(g, layer.bias)
        found = [kernel_gradient, bias_gradient, *slope_gradient, *found]
        moved = layer.kernel - update * kernel_gradient
        g, _ = reference.matmul_backward(signal, moved, g)  # (batch, inputs)
    of_scales, g = reference.scale_gradients(exact.inputs_of(state, x), scales, g)
    return exact.with_gradients(state, x, g, [*of_scales, *found])


def _shifted(exact: Float64Path, state: State, step: int, shift: int) -> Gradients:
    """Returns the gradients of a batch that begins `shift` rows later."""
    return exact.gradients_of(state, *exact.problem.batch(step, shift=shift))[1]
