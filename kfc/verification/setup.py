"""A spec and its data -> what every path is given: one start, and the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Rows, Task
from kfc.network import build
from kfc.spec import ComponentSpec, Spec
from kfc.training import TapeModel, compile_for_training, epoch_order
from kfc.training.engine import build_optimizer_once


class State(NamedTuple):
    """Everything a step reads and writes, as copies.

    Args:
        weights: In `get_weights()` order.
        optimizer: Values of `optimizer.variables`: the count of steps, the rate, the slots.
    """

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]

    def same_bits(self, other: State) -> bool:
        """Returns whether a step from either is the same step."""
        pairs = zip(
            (*self.weights, *self.optimizer), (*other.weights, *other.optimizer), strict=True
        )
        return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)

    def shaken(self) -> State:
        """Returns the state with every weight moved by one unit in the last place."""
        return self._replace(
            weights=[np.nextafter(w, w.dtype.type(np.inf)) for w in self.weights]
        )


@dataclass(frozen=True)
class Problem:
    """Some steps of the training that a spec describes.

    Args:
        spec: A resolved spec.
        task: Of its data.
        rows: Training rows, (rows, ...), of which each epoch visits all.
        steps: How many, over two epochs or more.
    """

    spec: Spec
    task: Task
    rows: Rows
    steps: int

    @classmethod
    def of(cls, spec: Spec, train: Rows, task: Task, steps: int) -> Problem:
        """Takes as many training rows as make two epochs, each with a short last batch."""
        batch_size = spec.training.batch_size
        wanted = (steps // 2 - 1) * batch_size + max(1, batch_size // 2)
        chosen = train.take(np.sort(_order(spec, len(train), 0)[:wanted]))
        return cls(spec, task, replace(chosen, x=np.asarray(chosen.x[:])), steps)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the short last one included."""
        return -(-len(self.rows) // self.spec.training.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order of an epoch's rows, (rows,), as kfc's own."""
        return _order(self.spec, len(self.rows), epoch)

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        """Returns raw inputs, targets and, where there are any, weights of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self.spec.training.batch_size
        chosen = self.order(epoch)[place * size :][:size]
        return tuple(part[chosen] for part in self.rows.parts)

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """What a step takes, with any number of rows."""
        parts = self.rows.parts
        return tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in parts)

    def model(self) -> TapeModel:
        """Builds the network anew, its weights those that `fit` starts from."""
        network = build(self.spec, self.task)
        model = compile_for_training(network, self.spec, self.task, num_rows=len(self.rows))
        build_optimizer_once(model)
        return model


def read(model: keras.Model) -> State:
    """Returns copies of a model's weights and its optimizer's variables."""
    return State(
        [variable.numpy() for variable in model.weights],
        [variable.numpy() for variable in model.optimizer.variables],
    )


def write(model: keras.Model, state: State) -> None:
    """Puts a state into a model of the same structure."""
    for variables, values in (
        (model.weights, state.weights),
        (model.optimizer.variables, state.optimizer),
    ):
        _assign(variables, values)


def changed_options(component: ComponentSpec) -> dict[str, Any]:
    """Returns the options of a component that are not what they are by default."""
    usual = type(component).model_validate({"name": component.name}).options
    return {name: v for name, v in component.options.items() if v != usual.get(name)}


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _order(spec: Spec, num_rows: int, epoch: int) -> np.ndarray:
    return epoch_order(num_rows, seed=spec.seed, epoch=epoch, shuffle=spec.training.shuffle)
