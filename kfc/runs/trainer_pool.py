"""Keeps compiled trainers of this process, so that the next fit of the same form builds none.

Building a small Keras model, its optimizer and its metrics takes several times as long as a
few epochs of it. A trainer is taken out while it trains, so two threads never share one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, replace

import keras
import tensorflow as tf

from kfc.data import Prepared, Task
from kfc.network import can_reseed, reseed
from kfc.preprocessing import NumericScaling, TensorScaling
from kfc.runs.plan import Plan
from kfc.runs.trainer import Trainer
from kfc.runs.uncertainty import asks_for_uncertainty
from kfc.spec import Spec
from kfc.training.engine import build_optimizer_once, graph_key

_MAX_TRAINERS = 4
_MOST_WEIGHTS = 1_000_000
"""Larger networks are not kept: they take memory, and their training takes longer anyway."""

_trainers: OrderedDict[str, PooledTrainer] = OrderedDict()  # the one used last at the end


@dataclass(frozen=True)
class PooledTrainer:
    """A trainer with its state before the first step.

    Args:
        trainer: Trainer of a network that no run has.
        weights: Initial weights of the network.
        optimizer: Initial variables of the optimizer.
    """

    trainer: Trainer
    weights: list[tf.Tensor]
    optimizer: list[tf.Tensor]

    @classmethod
    def of(cls, trainer: Trainer) -> PooledTrainer:
        """Returns a trainer that has not trained yet, ready for the pool."""
        build_optimizer_once(trainer.model)
        parts = trainer.plan.network.weights, trainer.model.optimizer.variables
        weights, optimizer = ([tf.identity(each.value) for each in part] for part in parts)
        return cls(trainer, weights, optimizer)

    @property
    def network(self) -> keras.Model:
        """The network that trains."""
        return self.trainer.plan.network

    def start(self, spec: Spec, task: Task) -> None:
        """Sets everything to the start of a training with another seed and other rows."""
        variables = [*self.network.weights, *self.trainer.model.optimizer.variables]
        for variable, value in zip(variables, [*self.weights, *self.optimizer], strict=True):
            variable.value.assign(value)  # Keras's own `assign` checks what is known here
        reseed(self.network, spec)
        for layer in self.trainer.model.layers:
            if isinstance(layer, TensorScaling) and layer.name == "scaling":
                layer.take_numbers(_scaling_layer(task))

    def with_plan(self, plan: Plan) -> Trainer:
        """Returns the trainer for a plan whose network is the pool's."""
        return replace(self.trainer, plan=plan)


def pool_key(spec: Spec, prepared: Prepared) -> str | None:
    """Returns a text that is equal for trainings which may use the same trainer.

    Args:
        spec: Spec as `prepare_data` returns it.
        prepared: Data of the spec.

    Returns:
        None if the seed decides more than weights, or the run ends with another network.
    """
    task, shared = prepared.task, graph_key(spec, prepared.task, num_rows=len(prepared.train))
    if (
        shared is None
        or not can_reseed(spec, task)
        or not isinstance(task.scaling, NumericScaling)
        or spec.training.callbacks
        or asks_for_uncertainty(spec)
        or spec.data.clip_predictions
    ):
        return None
    parts = spec.model_dump(mode="json", include={"network", "training"})
    layer = type(_scaling_layer(task)).__name__
    steps = spec.training.steps_per_epoch(len(prepared.train))
    return json.dumps(
        [parts, shared.text, steps, layer, task.outputs, prepared.train.x.shape[1:]]
    )


def take(key: str | None) -> PooledTrainer | None:
    """Takes a trainer out of the pool; None if there is none."""
    return None if key is None else _trainers.pop(key, None)


def give_back(key: str | None, pooled: PooledTrainer | None) -> None:
    """Puts a trainer into the pool, from which the one used longest ago is dropped."""
    if key is None or pooled is None or pooled.network.count_params() > _MOST_WEIGHTS:
        return
    _trainers[key] = pooled
    if len(_trainers) > _MAX_TRAINERS:
        _trainers.popitem(last=False)


def _scaling_layer(task: Task) -> keras.layers.Layer:
    """Returns the built layer that scales the inputs of a task."""
    layer = task.scaling.layer()
    layer.build((None, task.num_scaled))
    return layer
