"""Rows -> many training steps in one graph call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kfc.compat import route_updates_through_scope
from kfc.data import Rows
from kfc.system import Mapped
from kfc.training.engine.batches import Resident, Streamed, Window
from kfc.training.engine.compile_cache import Structure, compiled, signature_of
from kfc.training.engine.evaluation import Evaluator, create_variables
from kfc.training.engine.multi_step import Span
from kfc.training.engine.tensor_inputs import given_variables
from kfc.training.engine.variables import (
    Carried,
    InPlace,
    build_optimizer_once,
    named_variables,
)
from kfc.training.metrics import defined
from kfc.training.step import TapeModel

_CALL_OPERATIONS = 4e10
"""Multiplications per graph call, about half a second on two cores: short enough for a bar
that moves and a keyboard that stops, long enough to make the call's own cost vanish."""

_STEP_OPERATIONS = 2e7
"""What a step of a plain graph costs besides, in the same unit: some 0.2 ms."""

_COPY_OPERATIONS = 2e4
"""What carrying a weight into a call and out of it costs, in the same unit, fifty times: a
large network is copied less often."""

_MOST_EPOCHS_AT_ONCE = 64


class Block(NamedTuple):
    """What a block of steps reports.

    Args:
        logs: Means over the last epoch so far, and `batch_loss` of the last step.
        epochs: The means and, where it was asked for, the evaluation of each epoch that
            ended within the block.
        first_bad_step: The first step whose loss was not finite, after which the block
            went no further, or -1.
    """

    logs: dict[str, float]
    epochs: list[dict[str, float]]
    first_bad_step: int


class Engine:
    """Runs `TapeModel.train_step` over rows, a block of steps per call.

    Rows that fit lie in memory once, in their stored type, and others come window by
    window; each batch is gathered from them inside the graph, in the order it is given. A
    block may reach over several epochs.

    One function, `Span`, runs in three forms: `xla` compiles it and carries the variables
    through its loops as tensors; `graph` does so where it can share its function with other
    models, and else assigns them in each step; `eager` runs it line by line, for a debugger.

    Args:
        model: A compiled model.
        train: Training rows.
        batch_size: Rows per step; the last step of an epoch may have fewer.
        form: `xla`, `graph` or `eager`.
        evaluator: Measures `held_out` at the end of epochs.
        held_out: The prefix of its numbers, such as `val`, and rows.
        structure: Equal for models whose compiled functions do the same; with it, they
            compile once in a process, a plain graph even for several widths.
    """

    def __init__(
        self,
        model: TapeModel,
        train: Rows,
        batch_size: int,
        *,
        form: str = "graph",
        evaluator: Evaluator | None = None,
        held_out: tuple[str, Rows] | None = None,
        structure: Structure | None = None,
    ) -> None:
        self.model, self.batch_size, self.form = model, batch_size, form
        self.num_rows = len(train)
        self.steps_per_epoch = -(-self.num_rows // batch_size)
        self._structure = structure
        self._feed: Resident | Streamed
        if isinstance(train.x, Mapped):
            self._feed = Streamed(train, batch_size)
        else:
            self._feed = Resident(train, self.epochs_at_once)

        create_variables(model, train)
        build_optimizer_once(model)
        variables = [variable for _, variable in named_variables(model)]
        variables += given_variables(model)
        self._held_out, prefix = [], ""
        if evaluator and held_out and not isinstance(held_out[1].x, Mapped):
            prefix, rows = held_out
            self._held_out = [tf.constant(part) for part in rows.parts]
            create_variables(evaluator.model, rows)
            variables += given_variables(evaluator.model)
            variables += evaluator.model.metrics_variables
            variables = list({id(variable): variable for variable in variables}.values())
        self._variables: Carried | InPlace = InPlace()
        if form == "xla" or (form == "graph" and structure):
            route_updates_through_scope(model.optimizer)
            self._variables = Carried(variables, fixed_shapes=form == "xla")
        self._span = Span(
            model,
            self._variables,
            num_rows=self.num_rows,
            batch_size=batch_size,
            evaluator=evaluator if self._held_out else None,
            prefix=prefix,
        )
        self._compiled: Any = None

    @property
    def steps_at_once(self) -> int:
        """Steps that make a call neither long nor, by its own cost, expensive."""
        if self.form == "eager":
            return 1
        weights = self.model.count_params()
        operations = 3 * weights * self.batch_size  # forward, and two for gradients
        call = min(_CALL_OPERATIONS + _COPY_OPERATIONS * weights, 4 * _CALL_OPERATIONS)
        return max(1, int(call / (operations + _STEP_OPERATIONS)))

    @property
    def epochs_at_once(self) -> int:
        """The most epochs that a block reaches over, of at least 1."""
        epochs = self.steps_at_once // self.steps_per_epoch
        return min(max(epochs, 1), _MOST_EPOCHS_AT_ONCE)

    @property
    def window_rows(self) -> int | None:
        """Rows that the order of an epoch must keep together, where they are streamed."""
        return self._feed.window_rows

    def compile(self) -> None:
        """Makes the function that `run` calls, or finds one that does the same."""
        if self._compiled is not None:
            return
        if self.form == "eager":
            self._compiled = self._span
            return
        window = self._feed.window(0)
        self._compiled = compiled(
            self._span.__call__,
            self._signature(self._arguments(window, 0, 0, False)),
            structure=self._structure,
            facts=(self.batch_size, self.num_rows, self._span.measured_metrics),
            xla=self.form == "xla",
        )
        if self.form == "xla":
            self._call(window, 0, 0, False)  # XLA compiles in the first call

    def _signature(self, arguments: list[Any]) -> list[Any]:
        """Returns what the function takes: in a plain graph any width, and any epochs."""
        values, *others = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), arguments
        )
        if self.form == "graph":
            orders = others[2]
            others[2] = tf.TensorSpec([None, *orders.shape[1:]], orders.dtype)
            values = signature_of(values, self._structure)
        return [values, *others]

    def begin(self, orders: np.ndarray) -> None:
        """Sets the order in which the coming steps visit the rows.

        Args:
            orders: Row numbers, (epochs, rows), of at most `epochs_at_once`.
        """
        self._feed.begin(orders)

    def run(self, first: int, last: int, *, evaluate: bool = False) -> Block:
        """Runs the steps `first` to `last` - 1, counted from the first epoch given.

        Args:
            first: A step.
            last: A step, of at most the steps of all epochs given.
            evaluate: Whether to measure the held-out rows where an epoch ends.
        """
        self.compile()
        block = Block({}, [], -1)
        while first < last and block.first_bad_step < 0:
            window = self._feed.window(first)
            until = min(last, window.last)
            logs, table, bad = self._call(window, first, until, evaluate)
            columns = {
                name: np.asarray(column)
                for name, column in table.items()
                if evaluate or name not in self._span.measured_metrics
            }
            done = until if bad < 0 else int(bad)
            ended = range(first // self.steps_per_epoch, done // self.steps_per_epoch)
            block = Block(
                defined({name: float(value) for name, value in logs.items()}),
                [
                    defined({name: float(c[number]) for name, c in columns.items()})
                    for number in ended
                ],
                int(bad),
            )
            first = until
        return block

    def weights_are_finite(self) -> bool:
        """Returns whether no weight is NaN or infinite."""
        finite = [tf.reduce_all(tf.math.is_finite(w)) for w in self.model.weights]
        return bool(tf.reduce_all(finite))

    def _arguments(self, window: Window, first: int, last: int, evaluate: bool) -> list[Any]:
        steps = (tf.constant(number) for number in (window.first, first, last))
        values = self._variables.read()
        held_out = self._held_out
        return [values, window.tensors, held_out, window.orders, *steps, tf.constant(evaluate)]

    def _call(self, window: Window, first: int, last: int, evaluate: bool) -> Any:
        values, *results = self._compiled(*self._arguments(window, first, last, evaluate))
        self._variables.write(values)
        return results
