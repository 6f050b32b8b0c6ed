"""The training problem that all paths solve: the same initial state and the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Rows, Task
from kfc.network import build
from kfc.runs import Plan
from kfc.spec import ComponentSpec, Spec
from kfc.training import TapeModel, compile_for_training, epoch_order, rows_of_step
from kfc.training.engine import build_optimizer_once


class State(NamedTuple):
    """Copies of all variables that a step reads and changes.

    Args:
        weights: Weights in the order of `get_weights()`.
        optimizer: Values of `optimizer.variables`: number of steps, learning rate, slots.
    """

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]

    def same_bits(self, other: State) -> bool:
        """Returns whether two states are equal to the bit."""
        pairs = zip(
            (*self.weights, *self.optimizer), (*other.weights, *other.optimizer), strict=True
        )
        return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)

    def perturbed(self) -> State:
        """Returns the state with one unit in the last place (ulp) added to each weight."""
        return self._replace(
            weights=[np.nextafter(w, w.dtype.type(np.inf)) for w in self.weights]
        )


@dataclass(frozen=True)
class Problem:
    """The first steps of the training that a spec describes, on a part of its rows.

    Args:
        spec: Resolved spec.
        task: Task of its data.
        rows: Training rows, (rows, ...); each epoch visits all of them.
        steps: Number of steps, over two epochs or more.
        initial_weights: Weights before the first step; None takes those of `build`.
    """

    spec: Spec
    task: Task
    rows: Rows
    steps: int
    initial_weights: Sequence[np.ndarray] | None = None

    @classmethod
    def of(cls, plan: Plan, steps: int) -> Problem:
        """Selects the rows of a plan for two epochs, each with rows for a short last batch."""
        spec, train = plan.spec, plan.prepared.train
        batch_size = spec.training.rows_per_step(len(train))
        steps_before = steps // 2 - (0 if spec.training.drop_last else 1)
        wanted = steps_before * batch_size + max(1, batch_size // 2)
        order = _order(spec, len(train), 0).reshape(-1, len(train))[0]  # of the first member
        chosen = train.take(np.sort(order[:wanted]))
        rows = replace(chosen, x=np.asarray(chosen.x[:]))
        # Some initial weights are computed from all training rows.
        return cls(spec, plan.prepared.task, rows, steps, plan.network.get_weights())

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch, with the short last one unless it is left out."""
        return self.spec.training.steps_per_epoch(len(self.rows))

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order of the rows in an epoch, as in `fit`, see `epoch_order`."""
        return _order(self.spec, len(self.rows), epoch)

    def batch(self, step: int, *, shift: int = 0) -> tuple[np.ndarray, ...]:
        """Returns raw inputs, targets and, if there are any, sample weights of a step.

        Args:
            step: Number of the step, from 0.
            shift: Number of rows by which the batch begins later.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self.spec.training.rows_per_step(len(self.rows))
        order = np.roll(self.order(epoch), -shift, axis=-1)
        chosen = rows_of_step(order, place, size)
        return tuple(part[chosen] for part in self.rows.parts)

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """Tensor specs of a batch with any number of rows."""
        parts = self.rows.parts
        return tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in parts)

    @cached_property
    def untrained_model(self) -> TapeModel:
        """Model whose variables are named and counted, but never trained."""
        return self.model()

    def model(self) -> TapeModel:
        """Builds a new model with the initial weights of `fit`."""
        network = build(self.spec, self.task)
        if self.initial_weights is not None:
            network.set_weights(self.initial_weights)
        model = compile_for_training(network, self.spec, self.task, num_rows=len(self.rows))
        build_optimizer_once(model)
        return model


def read_state(model: keras.Model) -> State:
    """Returns copies of a model's weights and its optimizer's variables."""
    return State(
        [variable.numpy() for variable in model.weights],
        [variable.numpy() for variable in model.optimizer.variables],
    )


def assign_state(model: keras.Model, state: State) -> None:
    """Assigns a state to a model of the same structure."""
    _assign(model.weights, state.weights)
    _assign(model.optimizer.variables, state.optimizer)


def changed_options(component: ComponentSpec) -> dict[str, Any]:
    """Returns the options of a component that differ from their defaults."""
    usual = type(component).model_validate({"name": component.name}).options
    return {name: v for name, v in component.options.items() if v != usual.get(name)}


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _order(spec: Spec, num_rows: int, epoch: int) -> np.ndarray:
    shuffle, orders = spec.training.shuffle, spec.num_orders
    return epoch_order(
        num_rows, seed=spec.seed, epoch=epoch, shuffle=shuffle, num_orders=orders
    )
