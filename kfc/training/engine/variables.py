"""A function on variables -> the same function on tensors, which a compiled loop carries.

XLA keeps what a loop carries in caches, and a function of tensors serves every model of the
same structure; a variable that is assigned in every step goes through memory and belongs to
one model. So the variables are read before the loop and assigned after it, and within it
Keras's `StatelessScope` stands in for them. `train_step` itself is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

CARRIED_OPTIMIZERS = frozenset(
    {
        *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "ftrl", "lion"),
        *("muon", "rmsprop", "sgd", "tape_sgd"),
    }
)
"""Optimizers whose carried steps the tests have compared with their ordinary ones."""


def build_optimizer_once(model: keras.Model) -> None:
    """Creates the variables of a model's optimizer, unless it has them.

    Keras's optimizers return at once from a second `build`; a plug-in's may make its
    variables again.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def named_variables(model: keras.Model) -> Iterable[tuple[str, Any]]:
    """Yields every variable under a name that does not depend on the process."""
    weights = list(model.weights)
    known = {id(variable) for variable in weights}
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    known |= {id(variable) for variable in metrics}
    seeds = [variable for variable in model.variables if id(variable) not in known]
    groups = {
        "weights": weights,
        "metrics": metrics,
        "seeds": seeds,
        "optimizer": model.optimizer.variables,
    }
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            yield f"{group}/{number}", variable


class Carried:
    """Variables as a list of tensors: functions are applied to those.

    Args:
        variables: Every variable that a function may read or change.
        fixed_shapes: Whether every tensor has one shape: XLA compiles for shapes.
    """

    def __init__(
        self, variables: Sequence[keras.Variable], *, fixed_shapes: bool = True
    ) -> None:
        self.variables, self.fixed_shapes = list(variables), fixed_shapes

    def read(self) -> list[Any]:
        """Returns the variables' values, to be carried."""
        return [variable.value for variable in self.variables]

    def apply(
        self, function: Callable[..., Any], values: Sequence[Any], *arguments: Any
    ) -> tuple[Any, list[Any]]:
        """Returns what `function` returns on carried values, and the values after it."""
        with keras.StatelessScope() as scope:
            # Not as its `state_mapping`, which wants the variable's own width.
            for variable, value in zip(self.variables, values, strict=True):
                scope.add_update((variable, value))
            result = function(*arguments)
            after = [scope.get_current_value(variable) for variable in self.variables]
        return result, after

    def apply_if(
        self, condition: Any, function: Callable[[], Any], values: Sequence[Any]
    ) -> list[Any]:
        """Returns the values after `function` where `condition` holds, or else unchanged."""
        _, after = self.apply(function, values)
        return [  # not a condition in the graph, across which every value would be handed
            old if new is old else tf.where(condition, new, old)
            for old, new in zip(values, after, strict=True)
        ]

    def write(self, values: Sequence[Any]) -> None:
        """Assigns carried values to the variables."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


class InPlace:
    """The same interface where functions change the variables themselves."""

    fixed_shapes = False
    variables: Sequence[keras.Variable] = ()

    def read(self) -> list[Any]:
        """Returns nothing: there is nothing to carry."""
        return []

    def apply(
        self, function: Callable[..., Any], values: Sequence[Any], *arguments: Any
    ) -> tuple[Any, list[Any]]:
        """Returns what `function` returns."""
        return function(*arguments), []

    def apply_if(
        self, condition: Any, function: Callable[[], Any], values: Sequence[Any]
    ) -> list[Any]:
        """Calls `function` where `condition` holds."""

        def call() -> Any:
            function()
            return tf.constant(0)

        tf.cond(condition, call, lambda: tf.constant(0))
        return []

    def write(self, values: Sequence[Any]) -> None:
        """Assigns nothing: it has been done."""
