"""Training rows and a compiled model, run many steps per call.

One call, here for three epochs of 70 rows in batches of 32, so of 3 steps each:

    model variables              row_orders (3, 70) int32       training rows
    weights, slots, metrics      [[52, 3, 17, ... ],            x (70, features)
        | read                    [ 8, 61, 0, ... ],            y (70,)
        v                         [ 5, 40, 9, ... ]]                |
    values [tensor, ...]              |                             |
        |                             |                             |
        v                             v                             v
    +-- MultiStep: eager, a graph, or a graph compiled by XLA ----------------------+
    | for each epoch:  reset the metrics                                            |
    |   for each step: rows = row_orders[epoch, 32 * step : 32 * (step + 1)]  (32,) |
    |                  TapeModel.train_step((x[rows], y[rows])) -> new values       |
    |                  stop if the loss is NaN or infinite                          |
    |   evaluate the held-out rows, if asked                                        |
    +-------------------------------------------------------------------------------+
        |                     |                        |                      |
        v                     v                        v                      v
    values               logs: loss, accuracy,    epoch_metrics:         bad_step: the
    -> assigned to       ... so far, and          loss (3,),             first bad step,
       the variables     batch_loss               val_loss (3,), ...     or -1

A call may also begin or end within an epoch. Rows that do not fit into memory come window by
window, with one call for each window (`kfc/training/engine/batches.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from kfc.compat import route_updates_through_scope
from kfc.data import Rows
from kfc.network import num_members
from kfc.system import ask, number_in_lockstep
from kfc.training.engine.batches import ResidentRows, StreamedRows
from kfc.training.engine.call_length import epochs_per_call, steps_per_call
from kfc.training.engine.evaluation import Evaluator, create_variables
from kfc.training.engine.execution_result import ExecutionResult, execution_result
from kfc.training.engine.graph_cache import GraphKey, free_widths, traced
from kfc.training.engine.joint_calls import CallRequest
from kfc.training.engine.multi_step import MultiStep, MultiStepInputs, MultiStepOutputs
from kfc.training.engine.next_call import NextCall
from kfc.training.engine.row_tensors import row_tensor
from kfc.training.engine.tensor_inputs import given_variables
from kfc.training.engine.variables import (
    ReplicaVariables,
    StatefulVariables,
    StatelessVariables,
    Tensors,
    build_optimizer_once,
    named_variables,
)
from kfc.training.step import TapeModel


class Engine:
    """Runs `TapeModel.train_step` over training rows, many steps per call.

    The rows are in memory once, in their stored dtype; each batch is gathered from them
    inside the graph. One function, `MultiStep`, runs in three forms: `xla` compiles it, with
    the variables as tensors; `graph` traces it, with the variables as tensors if other models
    can share the graph, else assigned in each step; `eager` runs it line by line, for a
    debugger.

    Args:
        model: Compiled model.
        train: Training rows.
        batch_size: Number of rows per step; the last step of an epoch may have fewer.
        drop_last: Whether an epoch leaves out a short last batch.
        form: `xla`, `graph` or `eager`.
        steps_only: Whether XLA compiles the loop over the full batches of an epoch alone. The
            short last batch and the evaluation are then a plain graph.
        evaluator: Evaluates `held_out` at the end of epochs.
        held_out: Prefix of the names of held-out metrics, such as `val`, and the rows.
        graph_key: Cache key of the model's graph; None disables sharing.
        keep_epochs: Whether `return_to_epoch` is needed, because something reads the model at
            the end of epochs. Without variables as tensors, a call then has one epoch.
    """

    def __init__(
        self,
        model: TapeModel,
        train: Rows,
        batch_size: int,
        *,
        drop_last: bool = False,
        form: str = "graph",
        steps_only: bool = False,
        evaluator: Evaluator | None = None,
        held_out: tuple[str, Rows] | None = None,
        graph_key: GraphKey | None = None,
        keep_epochs: bool = False,
    ) -> None:
        self.model, self.batch_size, self.form = model, batch_size, form
        self.num_rows = len(train)
        # The rows of an epoch; its order has all rows, of which the last ones may be left.
        self._epoch_rows = self.num_rows
        if drop_last:
            self._epoch_rows -= self.num_rows % batch_size
        self.steps_per_epoch = -(-self._epoch_rows // batch_size)  # rounded up
        self._replicas = model.replicas
        several = self._replicas.count > 1
        self._graph_key = None if several else graph_key
        # XLA needs variables as tensors, and so do replicas, and a graph that several models
        # share.
        as_tensors = form == "xla" or several or (form == "graph" and graph_key is not None)
        self._one_epoch = keep_epochs and not as_tensors
        self._keep_epochs = keep_epochs and as_tensors and not train.on_disk
        self._epoch_values: list[np.ndarray] = []  # (epochs, ...) each

        # The rows: in memory, or window by window.
        self._rows: ResidentRows | StreamedRows
        if train.on_disk:
            self._rows = StreamedRows(train, batch_size, num_orders=self.num_orders)
        else:
            self._rows = ResidentRows(
                train, self.epochs_per_execution, num_orders=self.num_orders
            )

        # Every variable now: a loop in a graph cannot create any.
        create_variables(model, train)
        build_optimizer_once(model)
        variables = [variable for _, variable in named_variables(model)]
        variables += given_variables(model)

        # Held-out rows in memory are evaluated in the same call, others by `evaluate`.
        self._held_out: Tensors = []
        prefix = ""
        if evaluator and held_out and not held_out[1].on_disk:
            prefix, rows = held_out
            self._held_out = [row_tensor(part) for part in rows.parts]  # (rows, ...) each
            create_variables(evaluator.model, rows)
            variables += given_variables(evaluator.model)
            variables += evaluator.model.metrics_variables
            variables = list({id(variable): variable for variable in variables}.values())

        self._variables: StatelessVariables | StatefulVariables = StatefulVariables()
        if several:
            route_updates_through_scope(model.optimizer)
            self._variables = ReplicaVariables(variables, self._replicas)
        elif as_tensors:
            route_updates_through_scope(model.optimizer)
            self._variables = StatelessVariables(
                variables, fixed_shapes=form == "xla" and not steps_only
            )
        self._multi_step = MultiStep(
            model,
            self._variables,
            num_rows=self._epoch_rows,
            batch_size=batch_size,
            evaluator=evaluator if self._held_out else None,
            prefix=prefix,
            keep_epochs=self._keep_epochs,
            compile_steps=form == "xla" and steps_only,
        )
        self._function: Callable[[MultiStepInputs], MultiStepOutputs] | None = None
        self._constants = (  # of the graph, besides its key and the shapes of its inputs
            *(batch_size, self._epoch_rows, self._multi_step.held_out_names),
            *(self._keep_epochs, form, self._variables.fixed_shapes),
        )
        # In lockstep, a call may be one with those of other networks, see `joint_calls`.
        shared = self._graph_key if as_tensors and not train.on_disk else None
        in_lockstep = number_in_lockstep() > 1
        self._joint_key = shared if in_lockstep else None
        # A call that depends on its inputs alone may begin before its caller needs it.
        self._begins_next = shared is not None and not in_lockstep
        self._next = NextCall()

    @property
    def steps_per_execution(self) -> int:
        """Number of steps that make a call neither long nor, by its own cost, expensive."""
        if self.form == "eager":
            return 1
        rows = self.batch_size * num_members(self.model)
        return steps_per_call(
            self.model.count_params(),
            rows,
            steps_per_epoch=self.steps_per_epoch,
            replicas=self._replicas.count,
        )

    @property
    def epochs_per_execution(self) -> int:
        """Largest number of epochs of one call, at least 1."""
        if self._one_epoch:
            return 1
        kept = self.model.count_params() if self._keep_epochs else None
        return epochs_per_call(
            self.steps_per_execution, self.steps_per_epoch, kept_weights=kept
        )

    @property
    def keeps_epochs(self) -> bool:
        """Whether `return_to_epoch` and `weights_of_epoch` can be called."""
        return self._keep_epochs

    @property
    def evaluates(self) -> bool:
        """Whether `run` can evaluate the held-out rows, because they are in memory."""
        return bool(self._held_out)

    @property
    def num_orders(self) -> int:
        """Number of orders in which an epoch visits the rows, one for each member or 1."""
        return self.model.num_orders

    @property
    def window_rows(self) -> int | None:
        """Number of rows that the order of an epoch must keep together; None for any order."""
        return self._rows.window_rows

    def trace(self) -> None:
        """Traces the graph that `run` calls, or finds an equal one; XLA also compiles it.

        In lockstep with engines of other networks, a graph is traced when it is called first.
        """
        if self._joint_key is None:
            self._trace()

    def _trace(self) -> None:
        if self._function is not None:
            return
        if self.form == "eager":
            self._function = self._multi_step
            return
        inputs = self._inputs(0, 1, evaluate=False, values=self._variables.read())
        signature = self._signature(inputs)
        self._function = traced(
            self._multi_step.__call__,
            [signature],
            key=self._graph_key,
            constants=self._constants,
            xla=self._variables.fixed_shapes,
            before=partial(self._multi_step.begin_compiling, inputs, signature),
        )
        if self.form == "xla":
            self._function(inputs)  # compiles, by a step whose results are dropped

    def _signature(self, inputs: MultiStepInputs) -> MultiStepInputs:
        """Returns the shapes and dtypes that the graph takes, each as a `tf.TensorSpec`."""
        signature: MultiStepInputs = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), inputs
        )
        if self._variables.fixed_shapes:
            return signature
        # A plain graph takes any number of epochs, and any width that the key leaves open.
        orders = signature.row_orders
        return signature._replace(
            values=free_widths(signature.values, self._graph_key),
            row_orders=tf.TensorSpec([None, *orders.shape[1:]], orders.dtype),
        )

    def set_row_orders(self, row_orders: np.ndarray) -> None:
        """Sets the order in which the next epochs visit the rows.

        Args:
            row_orders: Row numbers, (epochs, rows), int32, of at most `epochs_per_execution`;
                (epochs, members, rows) if `num_orders` is not 1.
        """
        self._rows.set_row_orders(row_orders)

    def run(
        self,
        first_step: int,
        end_step: int,
        *,
        evaluate: bool = False,
        next_orders: Callable[[], np.ndarray | None] | None = None,
    ) -> ExecutionResult:
        """Runs steps, counted from the first epoch of the row orders.

        The epochs that follow whole epochs may begin immediately, in a thread. They compute
        while the caller reads the results of these steps and calls hooks. The variables keep
        the values after these steps until the next `run`, of `epochs_begun` epochs.

        Args:
            first_step: First step to run.
            end_step: Step before which to stop.
            evaluate: Whether to evaluate the held-out rows at the end of each epoch.
            next_orders: Function that returns the row orders of the epochs that follow, as
                `set_row_orders` takes them, or None if they shall not begin; called while
                these steps run.
        """
        if next_orders is not None and self._begins_next:
            num_epochs = end_step // self.steps_per_epoch
            return self._run_and_begin_next(num_epochs, evaluate, next_orders)
        result = ExecutionResult({}, [], -1)
        # One call if the rows are in memory, else one for each window.
        while first_step < end_step and result.first_bad_step < 0:
            call_end = min(end_step, self._rows.window(first_step).end_step)
            values = self._variables.read()
            inputs = self._inputs(first_step, call_end, evaluate=evaluate, values=values)
            outputs = self._call(inputs)
            self._assign(outputs)
            result = self._result(outputs, first_step, call_end, evaluate)
            first_step = call_end
        return result

    @property
    def epochs_begun(self) -> int:
        """Number of epochs that the last `run` has begun, with their row orders."""
        return self._next.epochs

    def drop_begun(self) -> None:
        """Waits for the epochs that have begun, and ignores them."""
        self._next.drop()

    def _run_and_begin_next(
        self, num_epochs: int, evaluate: bool, next_orders: Callable[[], np.ndarray | None]
    ) -> ExecutionResult:
        """Runs whole epochs, or takes those that have begun, and begins the next ones."""
        if not self._next.epochs:
            self._begin(num_epochs, evaluate, self._variables.read())
        orders = next_orders()
        outputs = self._next.take()
        self._assign(outputs)  # before the next call takes memory, the last values are freed
        if orders is not None and int(outputs.bad_step) < 0:
            self.set_row_orders(orders)
            self._begin(len(orders), evaluate, outputs.values)
        return self._result(outputs, 0, num_epochs * self.steps_per_epoch, evaluate)

    def _begin(self, num_epochs: int, evaluate: bool, values: Tensors) -> None:
        end_step = num_epochs * self.steps_per_epoch
        inputs = self._inputs(0, end_step, evaluate=evaluate, values=values)
        self._next.begin(self._call, inputs, num_epochs)

    def return_to_epoch(self, number: int) -> None:
        """Gives each variable the value that it had at the end of an epoch of the last call.

        Args:
            number: Number of the epoch within the call, from 0.
        """
        self._variables.assign([values[number] for values in self._epoch_values])

    def weights_of_epoch(self, number: int) -> list[np.ndarray]:
        """Returns the weights at the end of an epoch of the last call, which was kept.

        Args:
            number: Number of the epoch within the call, from 0.

        Returns:
            Arrays in the order of `model.get_weights()`.
        """
        # The variables begin with the weights, see `named_variables`.
        of_weights = self._epoch_values[: len(self.model.weights)]
        return [values[number].copy() for values in of_weights]

    def weights_are_finite(self) -> bool:
        """Returns whether no weight is NaN or infinite."""
        finite = [tf.reduce_all(tf.math.is_finite(w)) for w in self.model.weights]
        return bool(tf.reduce_all(finite))

    def _inputs(
        self, first_step: int, end_step: int, *, evaluate: bool, values: Tensors
    ) -> MultiStepInputs:
        window = self._rows.window(first_step)
        return MultiStepInputs(
            values,
            window.tensors,
            self._held_out,
            window.row_orders,
            tf.constant(window.first_step),
            tf.constant(first_step),
            tf.constant(end_step),
            tf.constant(evaluate),
        )

    def _call(self, inputs: MultiStepInputs) -> MultiStepOutputs:
        outputs: MultiStepOutputs | None = None
        if key := self._joint_key:
            outputs = ask(CallRequest(self._multi_step, inputs, key, self._constants))
        if outputs is None:
            self._trace()
            function: Any = self._function
            with self._replicas.watched():
                outputs = function(inputs)
        return outputs

    def _assign(self, outputs: MultiStepOutputs) -> None:
        """Gives the variables their values after a call."""
        self._variables.assign(outputs.values)
        self._epoch_values = [np.asarray(values) for values in outputs.epoch_values]

    def _result(
        self, outputs: MultiStepOutputs, first_step: int, end_step: int, evaluate: bool
    ) -> ExecutionResult:
        return execution_result(
            *(outputs, first_step, end_step),
            steps_per_epoch=self.steps_per_epoch,
            left_out=() if evaluate else self._multi_step.held_out_names,
        )
