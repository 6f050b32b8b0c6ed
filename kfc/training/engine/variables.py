"""Variables of a model within a call: as tensors that the loop passes on, or assigned.

XLA keeps the state of a loop in caches, and a function of tensors serves every model with the
same cache key. A variable that is assigned in every step goes through memory, and its function
belongs to one model. So variables are read before the loop and assigned after it, and within
it they are tensors: Keras's `StatelessScope` returns these in their place. `train_step` is the
same in both cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kfc.compat import stack_bitcasts
from kfc.training.distributing import OneReplica

Tensors = list[tf.Tensor]
"""One tensor for each variable, or for each array of rows."""

STATELESS_OPTIMIZERS = frozenset(
    {
        *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "ftrl", "lion"),
        *("muon", "rmsprop", "sgd", "tape_sgd"),
    }
)
"""Optimizers whose stateless steps the tests compare with their ordinary steps."""


def build_optimizer_once(model: keras.Model) -> None:
    """Creates the variables of a model's optimizer, unless it has them.

    Keras's optimizers return at once from a second `build`; a plug-in's optimizer may create
    its variables again.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def named_variables(model: keras.Model) -> Iterable[tuple[str, keras.Variable]]:
    """Yields each variable under a name that is the same in every process."""
    weights = list(model.weights)
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    # The rest of `model.variables` are the seeds of dropout.
    known = {id(variable) for variable in (*weights, *metrics)}
    seeds = [variable for variable in model.variables if id(variable) not in known]
    groups: dict[str, Sequence[keras.Variable]] = {
        "weights": weights,
        "metrics": metrics,
        "seeds": seeds,
        "optimizer": model.optimizer.variables,
    }
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            yield f"{group}/{number}", variable


class StatelessVariables:
    """Variables as a list of tensors, which a function takes and returns.

    Args:
        variables: Every variable that a function may read or change.
        fixed_shapes: Whether every tensor has one shape, as XLA needs it.
    """

    batch_shape: tuple[int, ...] = ()
    """Leading axes of every value and result."""

    def __init__(
        self, variables: Sequence[keras.Variable], *, fixed_shapes: bool = True
    ) -> None:
        self.variables, self.fixed_shapes = list(variables), fixed_shapes

    def read(self) -> Tensors:
        """Returns the values of the variables, to be given to the first call."""
        return [variable.value for variable in self.variables]

    def call(
        self,
        function: Callable[..., Any],
        values: Tensors,
        *arguments: Any,
        own: Sequence[tf.Tensor] = (),
    ) -> tuple[Any, Tensors]:
        """Calls a function that reads and assigns the variables.

        Args:
            function: Function of `arguments` and `own`, such as `model.train_step`.
            values: Values of the variables before the call.
            *arguments: Arguments of the function.
            own: Further arguments, of which each of several networks has its own.

        Returns:
            The result of the function, and the values of the variables after the call.
        """
        with keras.StatelessScope() as scope:
            # Not by the argument `state_mapping`, which requires the variable's own width.
            for variable, value in zip(self.variables, values, strict=True):
                scope.add_update((variable, value))
            result = function(*arguments, *own)
            after = [scope.get_current_value(variable) for variable in self.variables]
        return result, after

    def call_if(
        self, condition: tf.Tensor, function: Callable[[], Any], values: Tensors
    ) -> Tensors:
        """Returns the values after `function` if `condition` holds, else the same values."""
        _, after = self.call(function, values)
        # Only the changed values are chosen: a `tf.cond` would pass every value through.
        return [
            old if new is old else tf.where(condition, new, old)
            for old, new in zip(values, after, strict=True)
        ]

    def assign(self, values: Tensors) -> None:
        """Assigns values to the variables, after the last call."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def stacked(self, networks: int) -> StackedVariables:
        """Returns the variables of several networks of this shape."""
        return StackedVariables(self.variables, networks, fixed_shapes=self.fixed_shapes)


class StackedVariables(StatelessVariables):
    """Variables of several networks of one shape, as tensors with a leading axis for them.

    A function of one network's values is traced once, and each of its operations becomes one
    of all networks (`tf.vectorized_map`). Its results have the leading axis, too.

    Args:
        variables: Every variable of one network that a function may read or change.
        networks: Number of networks.
        fixed_shapes: Whether every tensor has one shape, as XLA needs it.
    """

    def __init__(
        self, variables: Sequence[keras.Variable], networks: int, *, fixed_shapes: bool
    ) -> None:
        super().__init__(variables, fixed_shapes=fixed_shapes)
        self.batch_shape = (networks,)
        stack_bitcasts()

    def call(
        self,
        function: Callable[..., Any],
        values: Tensors,
        *arguments: Any,
        own: Sequence[tf.Tensor] = (),
    ) -> tuple[Any, Tensors]:
        """Calls a function for each network.

        Args:
            function: Function of `arguments` and `own`.
            values: Values of the variables before the call, (networks, ...) each.
            *arguments: Arguments of the function, the same for all networks.
            own: Further arguments, (networks, ...) each.

        Returns:
            The result of the function, and the values of the variables after the call,
            (networks, ...) each.
        """
        changed: list[int] = []

        def of_one(each: tuple[Tensors, Tensors]) -> tuple[Any, Tensors]:
            before, of_this = each
            result, after = super(StackedVariables, self).call(
                function, before, *arguments, own=of_this
            )
            changed[:] = [n for n, old in enumerate(before) if after[n] is not old]
            return result or {}, [after[n] for n in changed]

        result, new = tf.vectorized_map(of_one, (list(values), list(own)))
        after = list(values)
        for number, value in zip(changed, new, strict=True):
            after[number] = value
        return result, after


class ReplicaVariables(StatelessVariables):
    """Variables as tensors, a copy for each device of this process.

    A function is called once for each device, with the values of its copy. Its results, and
    the values after it, are the same on every device.

    Args:
        variables: Every variable that a function may read or change.
        replicas: Replicas whose devices share each batch.
    """

    def __init__(self, variables: Sequence[keras.Variable], replicas: OneReplica) -> None:
        super().__init__(variables, fixed_shapes=False)
        self._replicas = replicas

    def read(self) -> Tensors:
        """Returns the values of the variables: those of the first device, and so on."""
        values = super().read()
        return [value for _ in self._replicas.on_devices() for value in values]

    def call(
        self,
        function: Callable[..., Any],
        values: Tensors,
        *arguments: Any,
        own: Sequence[tf.Tensor] = (),
    ) -> tuple[Any, Tensors]:
        """Calls a function on each device; returns the first result, and all values after."""
        results: list[Any] = []
        after: Tensors = []
        for device in self._replicas.on_devices():
            first = device * len(self.variables)
            copy = values[first : first + len(self.variables)]
            result, own_after = super().call(function, copy, *arguments, own=own)
            results.append(result)
            after += own_after
        return results[0], after

    def assign(self, values: Tensors) -> None:
        """Assigns the values of the first device to the variables."""
        super().assign(values[: len(self.variables)])


class StatefulVariables:
    """The same interface for functions that assign the variables themselves."""

    fixed_shapes = False
    batch_shape: tuple[int, ...] = ()
    variables: Sequence[keras.Variable] = ()

    def read(self) -> Tensors:
        """Returns an empty list: a function reads the variables itself."""
        return []

    def call(
        self,
        function: Callable[..., Any],
        values: Tensors,
        *arguments: Any,
        own: Sequence[tf.Tensor] = (),
    ) -> tuple[Any, Tensors]:
        """Returns the result of the function, and an empty list."""
        return function(*arguments, *own), []

    def call_if(
        self, condition: tf.Tensor, function: Callable[[], Any], values: Tensors
    ) -> Tensors:
        """Calls the function if `condition` holds."""

        def call_function() -> tf.Tensor:
            function()
            return tf.constant(0)

        tf.cond(condition, call_function, lambda: tf.constant(0))
        return []

    def assign(self, values: Tensors) -> None:
        """Assigns nothing: the functions have done so."""
