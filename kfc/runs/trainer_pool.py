"""Keeps compiled trainers of this process, so that the next fit of the same form builds none.

Building a small Keras model, its optimizer and its metrics takes several times as long as a
few epochs of it. So fits, and the trials of a search, take a trainer of the same form, whose
weights get the shapes and the initial numbers of the next training. A trainer is taken out
while it trains, so two threads never share one.
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
from kfc.runs.plan import Plan, new_network
from kfc.runs.trainer import Trainer, compile_trainer
from kfc.runs.uncertainty import asks_for_uncertainty
from kfc.spec import Spec
from kfc.training import evaluation_batch, evaluator_of, give_optimizer
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
        weights: Initial weights that no initializer of the spec has drawn.
        optimizer: Initial variables of the optimizer.
    """

    trainer: Trainer
    weights: list[tuple[keras.Variable, tf.Tensor]]
    optimizer: list[tf.Tensor]

    @classmethod
    def of(cls, trainer: Trainer) -> PooledTrainer:
        """Returns a trainer that has not trained yet, ready for the pool."""
        build_optimizer_once(trainer.model)
        network = trainer.plan.network
        drawn = {
            id(weight)
            for layer in network.layers
            if isinstance(layer, keras.layers.Dense)
            for weight in layer.weights
        }
        others = [weight for weight in network.weights if id(weight) not in drawn]
        weights = [(weight, tf.identity(weight.value)) for weight in others]
        optimizer = [tf.identity(each.value) for each in trainer.model.optimizer.variables]
        return cls(trainer, weights, optimizer)

    @property
    def network(self) -> keras.Model:
        """The network that trains."""
        return self.trainer.plan.network

    def start(self, spec: Spec, prepared: Prepared) -> PooledTrainer:
        """Sets everything to the start of another training.

        Args:
            spec: Spec whose `pool_key` is that of the trainer: with another seed, other
                widths, initializers, rates or numbers of epochs.
            prepared: Data of the spec, perhaps other rows.

        Returns:
            The trainer with its optimizer: a new one, unless widths and options are equal.
        """
        before, prepared_before = self.trainer.plan.spec, self.trainer.plan.prepared
        num_rows = len(prepared.train)
        for weight, value in self.weights:
            weight.value.assign(value)  # Keras's own `assign` checks what is known here
        reseed(self.network, spec)
        if prepared.task.scaling is not prepared_before.task.scaling:
            for layer in self.trainer.model.layers:
                if isinstance(layer, TensorScaling) and layer.name == "scaling":
                    layer.take_numbers(_scaling_layer(prepared.task))
        self._take_target_scaling(prepared.task)
        rows_before = len(prepared_before.train)
        if _optimizer_facts(before, rows_before) != _optimizer_facts(spec, num_rows):
            give_optimizer(self.trainer.model, spec, num_rows=num_rows)
            return PooledTrainer.of(self.trainer)
        variables = self.trainer.model.optimizer.variables
        for variable, value in zip(variables, self.optimizer, strict=True):
            variable.value.assign(value)
        return self

    def _take_target_scaling(self, task: Task) -> None:
        if task.classification:
            return
        layer = task.target_scaling.inverse_layer()
        for model in (self.trainer.model, self.trainer.evaluator.model):
            for each in model.layers:
                if isinstance(each, TensorScaling) and each.name == layer.name:
                    each.take_numbers(layer)
            for measure in model.scaled_measures:
                measure.take_scaling(task.target_scaling)

    def with_plan(self, plan: Plan) -> PooledTrainer:
        """Returns the trainer for a plan whose network is the pool's."""
        evaluator = evaluator_of(self.trainer.evaluator.model, plan.spec, plan.prepared.task)
        return replace(self, trainer=replace(self.trainer, plan=plan, evaluator=evaluator))


class Lease:
    """A trainer of the pool for one training, or a new one that then goes into the pool.

    Example:
        lease = Lease()
        plan = plan_training(spec, prepared, build_network=lease.network)
        trainer = lease.trainer(plan)
        ...                              # train, and read what is needed of the network
        lease.end()
    """

    def __init__(self) -> None:
        self.key: str | None = None
        self._pooled: PooledTrainer | None = None

    def network(self, spec: Spec, prepared: Prepared) -> keras.Model:
        """Returns the untrained network of the pool, or a new one."""
        self.key = pool_key(spec, prepared)
        pooled = None if self.key is None else _trainers.pop(self.key, None)
        if pooled is None:
            return new_network(spec, prepared)
        self._pooled = pooled.start(spec, prepared)
        return self._pooled.network

    def trainer(self, plan: Plan) -> Trainer:
        """Returns the trainer of the network that `network` has returned."""
        if self._pooled is not None:
            self._pooled = self._pooled.with_plan(plan)
            return self._pooled.trainer
        trainer = compile_trainer(plan)
        if self.key:
            self._pooled = PooledTrainer.of(trainer)
        return trainer

    def end(self) -> None:
        """Puts the trainer into the pool, from which the one used longest ago is dropped.

        Each training sets weights, optimizer and metrics anew, so one whose training has
        ended with NaN may be put back too.
        """
        pooled, self._pooled = self._pooled, None
        if self.key is None or pooled is None:
            return
        if pooled.network.count_params() > _MOST_WEIGHTS:
            return
        _trainers[self.key] = pooled
        if len(_trainers) > _MAX_TRAINERS:
            _trainers.popitem(last=False)


def pool_key(spec: Spec, prepared: Prepared) -> str | None:
    """Returns a text that is equal for trainings which may use the same trainer.

    Seeds, initializers, learning rates and widths of hidden layers are not part of it.

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
    layers = spec.network.layers()
    # A parametric activation has a weight for each unit.
    fixed = any(layer.parametric_activation for layer in layers)
    return json.dumps(
        [
            [shared.text, task.outputs],
            [spec.network.dropout_schedule, evaluation_batch(spec)],
            [layer.units for layer in layers] if fixed else len(layers),
            prepared.train.x.shape[1:],
        ]
    )


def _optimizer_facts(spec: Spec, num_rows: int) -> list[object]:
    """Returns the facts that decide the variables and the schedules of an optimizer."""
    training = spec.training
    return [
        training.optimizer.model_dump(mode="json"),
        training.steps_per_epoch(num_rows),
        training.epochs,
        [layer.units for layer in spec.network.layers()],
    ]


def _scaling_layer(task: Task) -> keras.layers.Layer:
    """Returns the built layer that scales the inputs of a task."""
    layer = task.scaling.layer()
    layer.build((None, task.num_scaled))
    return layer
