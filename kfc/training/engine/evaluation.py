"""Loss and metrics of a network on held-out rows, in one call of a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.system import DiskArray, chunks
from kfc.training.engine.graph_cache import GraphKey, free_widths, traced
from kfc.training.engine.row_tensors import row_tensor
from kfc.training.engine.sizes import EVALUATION_BATCH
from kfc.training.engine.tensor_inputs import given_variables
from kfc.training.engine.variables import StatefulVariables, StatelessVariables, Tensors
from kfc.training.metrics import defined
from kfc.training.step import TapeModel

_Metrics = dict[str, tf.Tensor]
"""Metrics by name, () each."""


class Evaluator:
    """Evaluates a network on rows.

    Args:
        model: Compiled model. Its metrics must not be those of the training: an evaluation
            within an epoch then leaves the means of the epoch alone.
        graph_key: Cache key of the model's graph; None disables sharing.
        batch_size: Number of rows per step.
    """

    def __init__(
        self,
        model: TapeModel,
        graph_key: GraphKey | None = None,
        *,
        batch_size: int | None = None,
    ) -> None:
        self.model, self._graph_key = model, graph_key
        self.batch_size = batch_size or EVALUATION_BATCH
        self._variables: StatelessVariables | StatefulVariables = StatefulVariables()
        self._function: Callable[..., tuple[_Metrics, Tensors]] | None = None
        self._forward: Callable[..., tf.Tensor] | None = None

    def evaluate(self, rows: Rows) -> dict[str, float]:
        """Returns loss and metrics on `rows`; the same weights give the same bits."""
        create_variables(self.model, rows)
        function = self._traced(rows.x, rows.y)
        self.model.reset_metrics()
        values = self._variables.read()
        # Rows on the disk come in chunks of complete batches, and the metrics add them up.
        for first_row, x in chunks(rows.x, multiple=self.batch_size):
            y = tf.constant(rows.y[first_row : first_row + len(x)])
            logs, values = function(values, row_tensor(x), y)
        return defined({name: float(value) for name, value in logs.items()})

    def outputs(self, x: np.ndarray | DiskArray) -> np.ndarray:
        """Returns the outputs of the network, (rows, outputs), float32.

        The same weights give the same bits.

        Args:
            x: Encoded inputs, (rows, ...), in memory or on the disk.
        """
        forward = self._traced_forward(x)
        values = self._weights().read()
        batches = (
            x[first : first + EVALUATION_BATCH] for first in range(0, len(x), EVALUATION_BATCH)
        )
        return np.concatenate([forward(values, tf.constant(batch)) for batch in batches])

    def evaluate_in_graph(
        self,
        variables: StatelessVariables | StatefulVariables,
        values: Tensors,
        x: tf.Tensor,
        y: tf.Tensor,
        numbers: tf.Tensor | None = None,
        *,
        wanted: tf.Tensor,
    ) -> tuple[_Metrics, Tensors]:
        """Evaluates within the graph of a training, without a reset of the metrics.

        Args:
            variables: Variables of the training, this evaluator's among them.
            values: Their values, if they are stateless.
            x: Held-out inputs, (rows, ...).
            y: Held-out targets, (rows,) or (rows, outputs).
            numbers: Row numbers of each of several networks, (rows, networks).
            wanted: Whether to evaluate, (); if not, the returned metrics mean nothing.

        Returns:
            Loss and metrics by name, and the values, with those of the metrics changed.
        """
        if numbers is not None:
            return self._steps(variables, values, x, y, wanted, numbers)
        shares_graph = self._graph_key and not variables.fixed_shapes
        if isinstance(variables, StatelessVariables) and shares_graph:
            return self._call_own_graph(variables, values, x, y, wanted)
        return self._steps(variables, values, x, y, wanted)

    def _call_own_graph(
        self,
        variables: StatelessVariables,
        values: Tensors,
        x: tf.Tensor,
        y: tf.Tensor,
        wanted: tf.Tensor,
    ) -> tuple[_Metrics, Tensors]:
        """Evaluates by the graph of `evaluate`, so that it is traced once for both."""
        function = self._traced(x, y)
        # This graph takes the evaluator's variables, which are some of the training's.
        index_of = {id(variable): index for index, variable in enumerate(variables.variables)}
        indices = [index_of[id(variable)] for variable in self._variables.variables]
        num_rows = tf.where(wanted, tf.shape(x)[0], 0)  # () - of no row, there is no step
        logs, own_after = function(
            [values[index] for index in indices], x[:num_rows], y[:num_rows]
        )
        after = list(values)
        for index, value in zip(indices, own_after, strict=True):
            after[index] = value
        return logs, after

    def _steps(
        self,
        variables: StatelessVariables | StatefulVariables,
        values: Tensors,
        x: tf.Tensor,
        y: tf.Tensor,
        wanted: tf.Tensor | bool,
        numbers: tf.Tensor | None = None,
    ) -> tuple[_Metrics, Tensors]:
        """Evaluates batch after batch, here."""
        visited = x if numbers is None else numbers
        # For each loop, the rows of a batch and the row before its end: a plain graph takes
        # batches of any size in one loop, XLA has a loop of its own for the short last one.
        loops: list[tuple[int | None, int | tf.Tensor]] = [(None, tf.shape(visited)[0])]
        if variables.fixed_shapes:
            num_full, short_rows = divmod(visited.shape[0], self.batch_size)
            full_rows = num_full * self.batch_size
            loops = [(self.batch_size, full_rows)] * (num_full > 0)
            loops += [(short_rows, visited.shape[0])] * (short_rows > 0)
        state = tf.constant(0), values
        for batch_rows, end_row in loops:
            # Where it is not wanted, loops of no step: traced faster than a condition.
            end_row = tf.where(wanted, end_row, 0)
            state = self._run_steps(
                variables, state, (x, y), numbers, rows=batch_rows, end_row=end_row
            )
        return variables.call(self.model.get_metrics_result, state[1])

    def _run_steps(
        self,
        variables: StatelessVariables | StatefulVariables,
        state: tuple[tf.Tensor, Tensors],
        parts: tuple[tf.Tensor, tf.Tensor],
        numbers: tf.Tensor | None,
        *,
        rows: int | None,
        end_row: tf.Tensor,
    ) -> tuple[tf.Tensor, Tensors]:
        """Evaluates batches of `rows` rows each, up to the row `end_row`."""

        def one_step(first_row: tf.Tensor, values: Tensors) -> tuple[tf.Tensor, Tensors]:
            if numbers is None:
                batch = tuple(self._batch(part, first_row, rows) for part in parts)
                _, values = variables.call(self.model.test_step, values, batch)
            else:
                chosen = tf.transpose(self._batch(numbers, first_row, rows))
                _, values = variables.call(self._test, values, parts, own=[chosen])
            return first_row + (rows or self.batch_size), values

        after: tuple[tf.Tensor, Tensors] = tf.while_loop(
            lambda first_row, values: first_row < end_row, one_step, state
        )
        return after

    def _test(self, parts: tuple[tf.Tensor, tf.Tensor], chosen: tf.Tensor) -> None:
        """Evaluates the rows with the numbers `chosen`, (batch,)."""
        self.model.test_step(tuple(tf.gather(part, chosen) for part in parts))

    def _batch(self, part: tf.Tensor, first_row: tf.Tensor, rows: int | None) -> tf.Tensor:
        """Returns rows of a part, (rows, ...) -> (batch, ...)."""
        if rows is None:
            return part[first_row : first_row + self.batch_size]  # the last may be shorter
        begin = [first_row, *[0] * (len(part.shape) - 1)]
        return tf.slice(part, begin, [rows, *part.shape[1:]])

    def _weights(self) -> StatelessVariables | StatefulVariables:
        """Returns the variables on which the outputs depend, if the graph is shared."""
        if not self._graph_key:
            return StatefulVariables()
        variables = [*self.model.weights, *given_variables(self.model)]
        return StatelessVariables(variables, fixed_shapes=False)

    def _traced_forward(self, x: np.ndarray | DiskArray) -> Callable[..., tf.Tensor]:
        """Returns the graph of `outputs`, (values, batch) -> outputs."""
        if self._forward is None:
            variables = self._weights()

            def forward(values: Tensors, batch: tf.Tensor) -> tf.Tensor:
                return variables.call(self._call_model, values, batch)[0]

            values = [tf.TensorSpec(each.shape, each.dtype) for each in variables.read()]
            rows = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
            signature = [free_widths(values, self._graph_key), rows]
            self._forward = traced(
                forward, signature, key=self._graph_key, constants="forward"
            )
        return self._forward

    def _call_model(self, batch: tf.Tensor) -> tf.Tensor:
        return self.model(batch, training=False)

    def _traced(self, x: tf.Tensor, y: tf.Tensor) -> Callable[..., tuple[_Metrics, Tensors]]:
        """Returns the graph of `evaluate`, traced with the first rows."""
        if self._function is not None:
            return self._function
        if self._graph_key:
            model = self.model
            variables = [*model.weights, *given_variables(model), *model.metrics_variables]
            self._variables = StatelessVariables(variables, fixed_shapes=False)

        def evaluate(values: Tensors, x: tf.Tensor, y: tf.Tensor) -> tuple[_Metrics, Tensors]:
            return self._steps(self._variables, values, x, y, True)

        values = [tf.TensorSpec(value.shape, value.dtype) for value in self._variables.read()]
        rows = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in (x, y)]
        self._function = traced(
            evaluate,
            [free_widths(values, self._graph_key), *rows],
            key=self._graph_key,
            constants=self.batch_size,
        )
        return self._function


def create_variables(model: TapeModel, rows: Rows) -> None:
    """Creates every variable of the metrics: a loop in a graph cannot create any."""
    if model.has_metric_variables:
        return
    # A batch of no row, which leaves every metric at its start.
    x, y = tf.constant(rows.x[:0]), tf.constant(rows.y[:0])  # (0, ...) each
    model.compute_metrics(x, y, tf.zeros([0, *model.output_shape[1:]]))
    model.has_metric_variables = True
