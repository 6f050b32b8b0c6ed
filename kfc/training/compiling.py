"""Compiles the model that trains a network, the one that evaluates it, and their engine."""

from __future__ import annotations

import keras

from kfc.data import Rows, Task
from kfc.network import average_of_members, finished, num_outputs
from kfc.spec import Spec
from kfc.training.distributing import OneReplica
from kfc.training.engine import (
    EVALUATION_BATCH,
    Engine,
    Evaluator,
    compiles_steps_only,
    graph_key,
    schedule_dropout,
    training_network,
)
from kfc.training.losses import build_loss, is_mean_of_rows
from kfc.training.metrics import build_metrics
from kfc.training.optimizers import build_optimizer
from kfc.training.schedules import over_training
from kfc.training.step import TapeModel


def compile_for_training(
    network: keras.Model,
    spec: Spec,
    task: Task,
    *,
    num_rows: int,
    replicas: OneReplica | None = None,
) -> TapeModel:
    """Returns a model that trains `network` as the spec says.

    Args:
        network: Network of the same spec and task.
        spec: A checked spec.
        task: Task of the network.
        num_rows: Number of training rows, which turns a schedule's epochs into steps.
        replicas: Devices or processes that share each batch.

    Raises:
        SpecError: If the loss is not for this task.
        PluginError: If a plug-in's optimizer fails.
    """
    training = spec.training
    steps_per_epoch = training.steps_per_epoch(num_rows)
    optimizer = build_optimizer(
        training.optimizer, steps_per_epoch=steps_per_epoch, epochs=training.epochs
    )
    model = TapeModel(network, own_rows=spec.num_orders > 1, replicas=replicas)
    members = spec.network.members
    _compile(model, spec, task, optimizer, members=members, own_rows=spec.num_orders > 1)
    if name := spec.network.dropout_schedule:
        schedule_dropout(model, over_training(name, 1.0, steps_per_epoch * training.epochs))
    return model


def build_engine(
    model: TapeModel,
    train: Rows,
    spec: Spec,
    task: Task,
    *,
    evaluator: Evaluator | None = None,
    held_out: tuple[str, Rows] | None = None,
    keep_epochs: bool = False,
) -> Engine:
    """Returns the engine that trains a model in the form that the spec names.

    Args:
        model: Model as `compile_for_training` returns it.
        train: Training rows.
        spec: A resolved spec.
        task: Task of the network.
        evaluator: Evaluates `held_out` at the end of epochs.
        held_out: Prefix of the names of held-out metrics, and the rows.
        keep_epochs: Whether something reads the model at the end of epochs.
    """
    training, num_rows = spec.training, len(train)
    return Engine(
        model,
        train,
        training.rows_per_step(num_rows),
        drop_last=training.drop_last,
        form=training.engine,
        steps_only=compiles_steps_only(spec),
        evaluator=evaluator,
        held_out=held_out,
        graph_key=graph_key(spec, task, num_rows=num_rows),
        keep_epochs=keep_epochs,
    )


def compile_for_evaluation(network: keras.Model, spec: Spec, task: Task) -> Evaluator:
    """Returns an evaluator of `network` with the loss and the metrics of the spec.

    The loss of a network with members is that of their average, which the network answers:
    other than the loss of the training, it depends on what they have learned together.

    Args:
        network: Network of the spec, or the model that trains it.
        spec: A checked spec.
        task: Task of the network.
    """
    # A graph within that of replicas takes tensors of known shapes.
    several = isinstance(network, TapeModel) and network.replicas.count > 1
    if spec.network.members > 1:
        if isinstance(network, TapeModel):
            network = network.plain  # its members may take rows of their own
        trained = training_network(network)
        outputs = average_of_members(trained.outputs[0], classification=task.classification)
        # `training_network` leaves out how a finished network ends.
        network = keras.Model(trained.inputs[0], finished(outputs, task))
    model = TapeModel(network)
    _compile(model, spec, task, None)
    return evaluator_of(model, spec, task, shared=not several)


def evaluator_of(
    model: TapeModel, spec: Spec, task: Task, *, shared: bool = True
) -> Evaluator:
    """Returns an evaluator of a model that `compile_for_evaluation` has compiled.

    Args:
        model: Model of a spec with the same loss, whose network has the spec's widths.
        spec: A checked spec.
        task: Task of the network.
        shared: Whether its graph is shared with other models.
    """
    # An evaluation has no schedule, so the number of training rows does not matter.
    key = graph_key(spec, task, num_rows=0) if shared else None
    return Evaluator(model, key, batch_size=evaluation_batch(spec))


def give_optimizer(model: TapeModel, spec: Spec, *, num_rows: int) -> None:
    """Gives a compiled model a new optimizer, that of a spec, which has made no step.

    Args:
        model: Model as `compile_for_training` returns it.
        spec: A checked spec.
        num_rows: Number of training rows, which turns a schedule's epochs into steps.

    Raises:
        SpecError: If the optimizer refuses its options.
    """
    training = spec.training
    model.optimizer = build_optimizer(
        training.optimizer,
        steps_per_epoch=training.steps_per_epoch(num_rows),
        epochs=training.epochs,
    )


def evaluation_batch(spec: Spec) -> int:
    """Returns the number of rows in each batch of an evaluation.

    If the loss depends on the size of a batch, it is the batch size of the training, so that
    `loss` and `val_loss` can be compared.

    Args:
        spec: A spec that knows its loss.
    """
    if is_mean_of_rows(spec.training.loss):
        return EVALUATION_BATCH
    return spec.training.batch_size


def _compile(
    model: TapeModel,
    spec: Spec,
    task: Task,
    optimizer: keras.optimizers.Optimizer | None,
    *,
    members: int = 1,
    own_rows: bool = False,
) -> None:
    model.compile(
        optimizer=optimizer,
        loss=build_loss(spec.training.loss, task, members=members, own_rows=own_rows),
        metrics=build_metrics(
            task, num_outputs(spec, task), members=1 if own_rows else members
        ),
        jit_compile=False,  # "auto" compiles on some machines and not on others
    )
