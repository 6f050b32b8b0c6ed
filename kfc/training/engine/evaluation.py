"""Weights and rows -> loss and metrics, in one graph call."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kfc.data import Rows
from kfc.system import chunks
from kfc.training.engine.compile_cache import Structure, compiled, signature_of
from kfc.training.engine.tensor_inputs import given_variables
from kfc.training.engine.variables import Carried, InPlace
from kfc.training.metrics import defined
from kfc.training.step import TapeModel

EVALUATION_BATCH = 1024
"""Rows per evaluation step where the loss is a mean over rows; fixed, so that an evaluation
repeats to the same bits."""


class Evaluator:
    """Measures a network on rows.

    Args:
        model: A compiled model whose metrics nobody else uses, so that an evaluation in
            the middle of an epoch leaves the epoch's means alone.
        structure: Equal for models that may share one graph, of several widths too.
        batch_size: Number of rows per step.
    """

    def __init__(
        self,
        model: TapeModel,
        structure: Structure | None = None,
        *,
        batch_size: int | None = None,
    ) -> None:
        self.model, self._structure = model, structure
        self.batch_size = batch_size or EVALUATION_BATCH
        self._variables: Carried | InPlace = InPlace()
        self._graph: Any = None

    def evaluate(self, rows: Rows) -> dict[str, float]:
        """Returns loss and metrics on `rows`; the same weights give the same bits."""
        create_variables(self.model, rows)
        graph = self._traced(rows.x, rows.y)
        self.model.reset_metrics()
        values = self._variables.read()
        for first, x in chunks(rows.x, multiple=self.batch_size):
            y = tf.constant(rows.y[first : first + len(x)])
            logs, values = graph(values, tf.constant(x), y)
        return defined({name: float(value) for name, value in logs.items()})

    def measure(
        self, form: Carried | InPlace, values: list[Any], x: Any, y: Any, *, wanted: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        """Measures within a graph, on variables in place or carried.

        Metrics go on from where they are.

        Args:
            form: How variables are kept.
            values: What it carries.
            x: Inputs, (rows, ...).
            y: Targets of the same length.
            wanted: Whether to measure at all; what is returned otherwise says nothing.

        Returns:
            Loss and metrics by name, and the values, of which metrics have changed.
        """
        if self._structure and isinstance(form, Carried) and not form.fixed_shapes:
            return self._measure_as_evaluate(form, values, x, y, wanted)
        return self._measure(form, values, x, y, wanted)

    def _measure_as_evaluate(
        self, form: Carried, values: list[Any], x: Any, y: Any, wanted: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        """Measures by the graph of `evaluate`, which is then traced once for both."""
        graph = self._traced(x, y)
        places = {id(variable): place for place, variable in enumerate(form.variables)}
        own = [places[id(variable)] for variable in self._variables.variables]
        rows = tf.where(wanted, tf.shape(x)[0], 0)
        logs, measured = graph([values[place] for place in own], x[:rows], y[:rows])
        after = list(values)
        for place, value in zip(own, measured, strict=True):
            after[place] = value
        return logs, after

    def _measure(
        self, form: Carried | InPlace, values: list[Any], x: Any, y: Any, wanted: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        size = self.batch_size
        # Rows of a batch, and up to which row batches have so many.
        sizes: list[tuple[int | None, Any]] = [(None, tf.shape(x)[0])]
        if form.fixed_shapes:
            whole, short = divmod(x.shape[0], size)
            sizes = [(size, whole * size)] * (whole > 0) + [(short, x.shape[0])] * (short > 0)
        state = tf.constant(0), values
        for rows, last in sizes:
            # Loops of no steps where it is not wanted: traced faster than a condition.
            state = self._batches(form, state, x, y, rows, tf.where(wanted, last, 0))
        return form.apply(self.model.get_metrics_result, state[1])

    def _batches(
        self, form: Carried | InPlace, state: Any, x: Any, y: Any, rows: int | None, last: Any
    ) -> Any:
        """Measures batches of `rows` rows each, up to `last`."""

        def body(first: Any, values: list[Any]) -> tuple[Any, list[Any]]:
            batch = tuple(self._batch(part, first, rows) for part in (x, y))
            _, values = form.apply(self.model.test_step, values, batch)
            return first + (rows or self.batch_size), values

        return tf.while_loop(lambda first, values: first < last, body, state)

    def _traced(self, x: Any, y: Any) -> Any:
        if self._graph is not None:
            return self._graph
        if self._structure:
            model = self.model
            variables = [*model.weights, *given_variables(model), *model.metrics_variables]
            self._variables = Carried(variables, fixed_shapes=False)

        def evaluate(values: list[Any], x: Any, y: Any) -> Any:
            return self._measure(self._variables, values, x, y, True)

        values = signature_of(self._variables.read(), self._structure)
        parts = [  # any number of such rows
            tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in (x, y)
        ]
        self._graph = compiled(
            evaluate, [values, *parts], structure=self._structure, facts=self.batch_size
        )
        return self._graph

    def _batch(self, part: Any, first: Any, rows: int | None) -> Any:
        if rows is None:
            return part[first : first + self.batch_size]  # the last may be shorter
        return tf.slice(part, [first, *[0] * (len(part.shape) - 1)], [rows, *part.shape[1:]])


def create_variables(model: TapeModel, rows: Rows) -> None:
    """Creates every variable of the metrics now: a graph's loop cannot create any."""
    if model.has_metric_variables:
        return
    # No row at all, after which every metric is as it was made.
    x, y = tf.constant(rows.x[:0]), tf.constant(rows.y[:0])
    model.compute_metrics(x, y, tf.zeros([0, *model.output_shape[1:]]))
    model.has_metric_variables = True
