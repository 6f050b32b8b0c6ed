"""Calls of the engines of several networks, made as one.

Each engine asks for a call, see `kfc.system.in_lockstep`. Calls that differ only in the values
of variables, in rows and in their order become one call of stacked variables:

    network 0: values [tensor (64, 32), ...]   row_orders (3, 70)    rows (70, 64)
    network 1: values [tensor (64, 32), ...]   row_orders (3, 70)    rows (70, 64)
                       |                                |                  |
    stacked:   values [tensor (2, 64, 32), ...]         |           rows (140, 64), or
                                                        v           (70, 64) if both are equal
                                               row_orders (3, 2, 70) of these rows
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kfc.training.engine.graph_cache import GraphKey, traced
from kfc.training.engine.multi_step import MultiStep, MultiStepInputs, MultiStepOutputs
from kfc.training.engine.variables import Tensors


class CallRequest(NamedTuple):
    """A call that an engine is about to make, of rows in memory.

    Args:
        multi_step: Steps of the engine's network, with variables as tensors.
        inputs: Inputs of the call.
        graph_key: Cache key of the engine's graph.
        constants: Values besides those in the key that the graph depends on.
    """

    multi_step: MultiStep
    inputs: MultiStepInputs
    graph_key: GraphKey
    constants: tuple[Any, ...]

    @property
    def form(self) -> str:
        """Text that is equal for calls of the same graph."""
        shapes = [(each.shape, each.dtype) for each in tf.nest.flatten(self.inputs)]
        return repr((self.graph_key.text, self.constants, shapes))

    @property
    def steps(self) -> tuple[int, int, bool]:
        """First step, end step, and whether to evaluate: equal in calls that can be one."""
        inputs = self.inputs
        return int(inputs.first_step), int(inputs.end_step), bool(inputs.evaluate)


class JointCalls:
    """Answers the requests of several engines: with the outputs of a call for all of them.

    An engine whose request is like no other one gets None, and makes its call itself. So does
    each of several if a loss is NaN or infinite: the call is repeated from the values before
    it, and a network ends or continues as it would alone.

    Args:
        announce: Function that gets the number of networks of each shape, before the first
            call.
    """

    def __init__(self, announce: Callable[[list[int]], None] | None = None) -> None:
        self._announce = announce
        self._rows: dict[str, _RowsOfAll] = {}
        self._places: dict[str, int] = {}  # number of networks of a graph, by its form

    def __call__(self, requests: Sequence[CallRequest]) -> list[MultiStepOutputs | None]:
        """Returns the outputs for each request, or None."""
        if self._announce is not None:
            self._announce([*Counter(request.form for request in requests).values()])
            self._announce = None
        alike: dict[tuple[Any, ...], list[int]] = {}
        for number, request in enumerate(requests):
            alike.setdefault((request.form, request.steps), []).append(number)
        answers: list[MultiStepOutputs | None] = [None] * len(requests)
        for (form, _), numbers in alike.items():
            if len(numbers) > 1:
                found = self._call(form, [requests[number] for number in numbers])
                for number, outputs in zip(numbers, found, strict=False):
                    answers[number] = outputs
        return answers

    def _call(
        self, form: str, requests: list[CallRequest]
    ) -> Sequence[MultiStepOutputs | None]:
        """Returns the outputs for each request, and perhaps further ones."""
        # A graph has a place for each network. Until half of them have ended, the places of
        # these are filled with the last network again, which is faster than another graph.
        places = self._places.get(form, 0)
        if not places / 2 < len(requests) <= places:
            places = self._places[form] = len(requests)
        requests = [*requests, *requests[-1:] * (places - len(requests))]
        first, networks = requests[0], len(requests)
        inputs = self._stacked([request.inputs for request in requests])
        steps = first.multi_step.stacked(networks)
        function = traced(
            steps.__call__,
            [
                tf.nest.map_structure(
                    lambda each: tf.TensorSpec(each.shape, each.dtype), inputs
                )
            ],
            key=first.graph_key,
            constants=(*first.constants, networks),
            xla=steps.variables.fixed_shapes,
        )
        outputs: MultiStepOutputs = function(inputs)
        if int(outputs.bad_step) >= 0:
            return [None] * networks
        return _of_each(outputs, networks)

    def _stacked(self, inputs: list[MultiStepInputs]) -> MultiStepInputs:
        train, firsts = self._rows_of_all("training", [each.train for each in inputs])
        orders = [
            np.asarray(each.row_orders) + np.int32(first)
            for each, first in zip(inputs, firsts, strict=True)
        ]
        held_out: Tensors = []
        if inputs[0].held_out:
            own = [each.held_out for each in inputs]
            held_out, firsts = self._rows_of_all("held-out", own)
            rows = np.arange(own[0][0].shape[0], dtype=np.int32)
            numbers = rows[:, None] + np.asarray(firsts, np.int32)  # (rows, networks)
            held_out = [*held_out, tf.constant(numbers)]
        return inputs[0]._replace(
            values=[tf.stack(each) for each in zip(*(i.values for i in inputs), strict=True)],
            train=train,
            held_out=held_out,
            row_orders=tf.constant(np.stack(orders, axis=1)),
        )

    def _rows_of_all(self, kind: str, own: list[Tensors]) -> tuple[Tensors, list[int]]:
        shapes = repr([kind, *((part.shape, part.dtype) for part in own[0])])
        return self._rows.setdefault(shapes, _RowsOfAll()).find(own)


class _RowsOfAll:
    """Rows of several networks below one another, those that are equal once."""

    def __init__(self) -> None:
        self._distinct: list[Tensors] = []
        self._known: dict[int, tuple[tf.Tensor, int]] = {}  # the number of distinct rows
        self._together: Tensors = []

    def find(self, own: list[Tensors]) -> tuple[Tensors, list[int]]:
        """Returns all rows, and the row at which those of each network begin.

        Args:
            own: Parts of the rows of each network, (rows, ...) each, all of equal shapes.
        """
        for parts in own:
            if id(parts[0]) not in self._known:
                self._known[id(parts[0])] = parts[0], self._number(parts)
        if not self._together:
            self._together = self._distinct[0]
            if len(self._distinct) > 1:
                columns = zip(*self._distinct, strict=True)
                self._together = [tf.concat(parts, axis=0) for parts in columns]
        rows = own[0][0].shape[0]
        return self._together, [rows * self._known[id(parts[0])][1] for parts in own]

    def _number(self, parts: Tensors) -> int:
        for number, known in enumerate(self._distinct):
            if all(np.array_equal(a, b) for a, b in zip(parts, known, strict=True)):
                return number
        self._distinct.append(parts)
        self._together = []
        return len(self._distinct) - 1


def _of_each(outputs: MultiStepOutputs, networks: int) -> list[MultiStepOutputs]:
    """Returns the outputs of each network of a call."""
    values = [tf.unstack(value) for value in outputs.values]
    logs = {name: np.asarray(column) for name, column in outputs.logs.items()}
    epochs = {name: np.asarray(columns) for name, columns in outputs.epoch_metrics.items()}
    epoch_values = [np.asarray(stack) for stack in outputs.epoch_values]
    return [
        MultiStepOutputs(
            [value[number] for value in values],
            {name: column[number] for name, column in logs.items()},
            {name: columns[:, number] for name, columns in epochs.items()},
            outputs.bad_step,
            [stack[:, number] for stack in epoch_values],
        )
        for number in range(networks)
    ]
