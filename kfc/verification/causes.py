"""A step that went wrong -> the fault that explains it: each known one is made on purpose.

A fault is a step of the reference with one thing changed. Whichever ends where the step in
question did names what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kfc import reference
from kfc.verification.float64_path import Float64
from kfc.verification.setup import State

Gradients = list[np.ndarray]


class Mistake(NamedTuple):
    """What may be wrong with a step.

    Args:
        code: A short name.
        cause: One sentence.
        state: After a step with this fault.
    """

    code: str
    cause: str
    state: State


def known_mistakes(exact: Float64, states: Sequence[State], step: int) -> Iterator[Mistake]:
    """Makes every known fault in a step.

    Args:
        exact: The reference.
        states: Before each step up to this one; the last is where it began.
        step: Its number.
    """
    state, problem = states[-1], exact.problem
    _, right = exact.gradients(state, step)
    batch = problem.batch(step)
    rows, size, rate = len(batch[1]), problem.spec.training.batch_size, exact.learning_rate
    classes = right[-1].size

    def scaled(factor: float) -> State:
        return exact.updated(state, [factor * gradient for gradient in right])

    yield Mistake("sign", "the update goes up the gradient, not down", scaled(-1.0))
    yield Mistake("sum", "the loss is summed over the rows: 1/n is missing", scaled(rows))
    reductions = {classes, 1 / classes, rows * classes, 2, 1 / 2}
    if rows != size:
        reductions.add(rows / size)
    for factor in sorted(reductions - {1, rows}):
        cause = f"the loss is reduced otherwise: gradients are {factor:.4g} times too large"
        yield Mistake("reduction", cause, scaled(factor))
    squared = exact.updated(state, right, rate=rate**2)
    yield Mistake("rate", "the learning rate is applied twice", squared)
    still = exact.updated(state, right)
    pairs = zip(state.weights, still.weights, strict=True)
    kept = [new if new.ndim > 1 else old for old, new in pairs]
    yield Mistake("bias", "the biases are not updated", State(kept, still.optimizer))
    if len(states) > 1:
        _, old = exact.gradients(states[-2], step - 1)
        stale = exact.updated(state, old)
        yield Mistake("stale", "the gradient is that of the step before", stale)
    for shift in (1, -1):
        moved = exact.updated(state, _shifted(exact, state, step, shift))
        yield Mistake("rows", f"the batch begins {shift:+d} row off", moved)
    yield from _of_backward(exact, state, step, right)


def _of_backward(
    exact: Float64, state: State, step: int, right: Gradients
) -> Iterator[Mistake]:
    """Makes the faults within the backward pass."""
    depth = len(exact.activation)
    for layer in range(depth):
        for other in range(depth):
            widths = [right[2 * place + 1].size for place in (layer, other)]
            if layer != other and widths[0] == widths[1]:
                turned = {layer: other}
                wrong = _backward(exact, state, step, masks=turned)
                cause = (
                    f"the derivative of hidden_{layer + 1}'s activation is taken at "
                    f"hidden_{other + 1}"
                )
                yield Mistake("mask", cause, exact.updated(state, wrong))
    early = _backward(exact, state, step, masks={}, update=exact.learning_rate)
    cause = "a layer's weights are updated before the gradient has passed through them"
    yield Mistake("order", cause, exact.updated(state, early))


def _backward(
    exact: Float64,
    state: State,
    step: int,
    *,
    masks: dict[int, int],
    update: float = 0.0,
) -> Gradients:
    """Returns gradients by the chain rule, with masks of other layers or weights too new."""
    x, y = exact.rows(*exact.problem.batch(step))
    outputs, passed = reference.forward(state.weights, x, activation=exact.activation)
    _, g = reference.LOSSES[exact.loss](outputs, y)
    found: Gradients = []
    for layer in reversed(range(len(passed))):
        if layer < len(exact.activation):
            taken = passed[masks.get(layer, layer)][1]
            g = reference.ACTIVATIONS[exact.activation[layer]].backward(taken, g)
        kernel = np.asarray(state.weights[2 * layer], np.float64)
        found = [passed[layer][0].T @ g, g.sum(axis=0), *found]
        g = g @ (kernel - update * found[0]).T
    return found


def _shifted(exact: Float64, state: State, step: int, shift: int) -> Gradients:
    """Returns the gradients of a batch that begins some rows further on."""
    problem = exact.problem
    epoch, place = divmod(step, problem.steps_per_epoch)
    size = problem.spec.training.batch_size
    order = np.roll(problem.order(epoch), -shift)
    chosen = order[place * size :][:size]
    x, y = exact.rows(problem.rows.x[chosen], problem.rows.y[chosen])
    _, gradients = reference.gradients(
        state.weights, x, y, activation=exact.activation, loss=exact.loss
    )
    return gradients


def explain(
    exact: Float64,
    states: Sequence[State],
    step: int,
    matches: Callable[[State], float],
) -> Mistake | None:
    """Returns the known fault that ends where a step did, the closest of several.

    Args:
        exact: The reference.
        states: Before each step up to this one.
        step: Its number.
        matches: How far a state is from where the step ended, 1 being as far as allowed.
    """
    faults = list(known_mistakes(exact, states, step))
    distances = [matches(fault.state) for fault in faults]
    best = int(np.argmin(distances))
    return faults[best] if distances[best] <= 1 else None
