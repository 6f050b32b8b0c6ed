"""Defines the training step: the hand-written loop with `GradientTape`, on one screen."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kfc.compat import step_counter
from kfc.errors import Finding, SpecError
from kfc.findings import run_check
from kfc.network import num_members
from kfc.training.distributing import OneReplica
from kfc.training.engine import count_steps, training_network


class TapeModel(keras.Model):
    """Trains `network` with the hand-written loop, one batch at a time.

    It shares the network's layers, so the network itself holds the trained weights
    afterwards and can be saved or exported without this class. Compiled like any Keras
    model, it works with `fit`, callbacks and every Keras optimizer; kfc's engine runs the
    same `train_step` many times in one graph.

    Args:
        network: A functional model, (batch, ...) -> (batch, outputs). If it averages members,
            this model returns their own outputs, (batch, members, outputs).
        own_rows: Whether each member has rows of its own. Then a batch has those of the first
            member first, and the outputs are (members * batch, outputs), each of the member
            that has seen the row.
        replicas: Devices or processes that share each batch; by default this process alone.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        own_rows: bool = False,
        replicas: OneReplica | None = None,
    ) -> None:
        trained = training_network(network, own_rows=own_rows)
        super().__init__(inputs=trained.inputs[0], outputs=trained.outputs[0])
        self.num_orders = num_members(trained) if own_rows else 1
        self.replicas = replicas or OneReplica()
        self._plain = network.inputs[0], network.outputs[0]

    def compile(self, optimizer: Any = None, **options: Any) -> None:
        """Compiles like any Keras model; dropout takes its masks from the optimizer's step."""
        super().compile(optimizer=optimizer, **options)
        measures = [options.get("loss"), *(options.get("metrics") or ())]
        # Behind a function: Keras would count the metrics of a list a second time.
        self._measures = lambda: measures
        self.has_metric_variables = False  # Keras creates them with the first batch
        if self.optimizer is not None:
            # Not `optimizer.iterations`, which stands still while gradients accumulate.
            count_steps(self, lambda: step_counter(self.optimizer).value, self.replicas)

    @property
    def scaled_measures(self) -> list[Any]:
        """Losses and metrics that know the scaling of the targets; empty before `compile`."""
        found = self._measures() if hasattr(self, "_measures") else []
        # That of the members of a network is in the loss or the metric of their average.
        inner = [getattr(measure, "inner", None) for measure in found]
        return [each for each in (*found, *inner) if hasattr(each, "take_scaling")]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on one batch: forward, loss, gradients, update, metrics.

        Args:
            data: Batch, `(x, y)` or `(x, y, sample_weight)`; x is (batch, *input_shape). On
                several replicas it has the rows of this one, (own, *input_shape).

        Returns:
            The metrics so far in this epoch, weighted by rows, and `batch_loss`, the loss
            of this batch alone, which the hand-written loops print.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._check_optimizer()
        weights = [variable.value for variable in self.trainable_variables]

        with tf.GradientTape() as tape:
            tape.watch(weights)
            own = self(x, training=True)  # (own, outputs), of one replica (batch, outputs)
            y_pred = self.replicas.gather(own, tf.shape(y)[0])  # (batch, outputs)
            loss = self.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
            )
            # The loss itself, but for `loss_scale_factor`: `apply` divides by it again.
            scaled_loss = self.optimizer.scale_loss(loss) if weights else loss
        if weights:  # a network whose layers are all frozen is only measured
            gradients = tape.gradient(scaled_loss, weights)
            run_check("no_gradient", self.trainable_variables, gradients)
            gradients = self.replicas.mean(gradients)
            self.optimizer.apply(gradients, self.trainable_variables)

        # Weighted by rows: the last batch is usually short, and an unweighted mean would
        # let it count as much as a full one.
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(y)[0])
        metrics = self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        return {**metrics, "batch_loss": loss}

    @property
    def plain(self) -> keras.Model:
        """Network of Keras's own layers with the same weights."""
        return keras.Model(*self._plain, name="network")

    def save(self, filepath: Any, **options: Any) -> None:
        """Saves the plain network, which loads where kfc is not installed."""
        self.plain.save(filepath, **options)

    def _check_optimizer(self) -> None:
        """Refuses to train without an optimizer; Keras would choose one."""
        if self.optimizer is None and self.trainable_variables:
            remedy = "Call model.compile(optimizer=..., loss=...)."
            raise SpecError(Finding("model.optimizer", "an optimizer", "none", remedy))


def no_gradient(variables: list[Any], gradients: list[Any]) -> Finding | None:
    """Finds a weight that the loss does not depend on; Keras would skip it."""
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            remedy = "Remove its layer, or connect it to the output."
            return Finding(variable.path, "a gradient of the loss", "none", remedy)
    return None
