"""Makes a few real steps on the copy of a network, and measures their effect."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.first_steps.start import Start

_STEPS = 40  # of the training itself
_BATCH = 32  # rows that are learned by heart
_BY_HEART = 200  # steps for that, with Adam
_ITERATIONS = 12  # of the power iteration; the largest curvature is far above the next ones
_SEED = 0
_RAREST = 1e-6  # probability of a class that a batch does not have


class Steps:
    """Effect of some steps: of the training's optimizer, and of Adam on one batch.

    Args:
        start: The untrained network with its loss and rows.
    """

    def __init__(self, start: Start) -> None:
        self.start, self.subject = start, start.subject

    @cached_property
    def loss_after(self) -> float:
        """Loss of `some` after 40 steps of the training's optimizer, NaN without one."""
        return self._trained[0]

    @cached_property
    def dead_after(self) -> float:
        """Largest share of dead units of a layer after these steps."""
        return self._trained[1]

    @cached_property
    def sizes_after(self) -> tuple[float, ...]:
        """Norm of each kernel after these steps, by that before them; empty without steps."""
        return self._trained[2]

    @cached_property
    def changed(self) -> bool:
        """Whether these steps change a kernel; a bias of 0 moves by the smallest step."""
        return self._trained[3]

    @cached_property
    def loss_by_heart(self) -> float:
        """Loss of one batch after 200 steps of Adam on it."""
        return self._learned[0]

    @cached_property
    def guess_by_heart(self) -> float:
        """Loss of that batch for the best answer that does not look at the inputs."""
        return self._learned[1]

    @cached_property
    def varies_by_heart(self) -> float:
        """Largest spread of an output over the rows after these steps."""
        return self._learned[2]

    @cached_property
    def sharpness(self) -> float:
        """Largest eigenvalue of the Hessian of the loss, by power iteration.

        H v is the gradient of (gradient of the loss) . v, Pearlmutter, "Fast exact
        multiplication by the Hessian", 1994. A step of gradient descent on a quadratic form
        overshoots if the learning rate is above 2 / sharpness. NaN where TensorFlow cannot
        derive twice.
        """
        model, (x, y) = self.subject.copy, self.subject.some
        variables = [variable.value for variable in model.trainable_variables]
        generator = np.random.default_rng(_SEED)
        vector = [tf.constant(generator.normal(size=v.shape), v.dtype) for v in variables]

        @tf.function(autograph=False)
        def product(vector: list[tf.Tensor]) -> list[tf.Tensor]:
            with tf.GradientTape() as outer:
                outer.watch(variables)
                with tf.GradientTape() as inner:
                    inner.watch(variables)
                    loss = self.subject.loss.mean(y, model(x, training=True))
                gradients = inner.gradient(loss, variables, unconnected_gradients="zero")
                pairs = zip(map(tf.convert_to_tensor, gradients), vector, strict=True)
                dot = tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])
            found = outer.gradient(dot, variables, unconnected_gradients="zero")
            return [tf.convert_to_tensor(each) for each in found]

        eigenvalue = 0.0
        for _ in range(_ITERATIONS):
            norm = tf.linalg.global_norm(vector)
            if not float(norm) > 0:
                return 0.0
            vector = [each / norm for each in vector]
            try:
                image = product(vector)
            except LookupError:  # TensorFlow has no second derivative, as of softsign
                return math.nan
            eigenvalue = float(
                tf.add_n([tf.reduce_sum(i * v) for i, v in zip(image, vector, strict=True)])
            )
            vector = image
        return eigenvalue

    @cached_property
    def _trained(self) -> tuple[float, float, tuple[float, ...], bool]:
        if self.subject.make_optimizer is None:
            return math.nan, math.nan, (), True
        before = [np.array(variable) for variable in self.subject.copy.trainable_variables]

        def measure() -> tuple[float, float, tuple[float, ...], bool]:
            x, y = self.subject.some
            loss = float(self.subject.loss.mean(y, self.subject.copy(x, training=True)))
            units = Start(self.subject).units
            dead = max((each.dead for each in units), default=0.0)
            after = [np.array(variable) for variable in self.subject.copy.trainable_variables]
            pairs = list(zip(before, after, strict=True))
            changed = any((old != new).any() for old, new in pairs if old.ndim > 1)
            return loss, dead, tuple(_shares_left(pairs)), changed

        batches = self.subject.batches(_STEPS)
        return self._after(self.subject.make_optimizer(), batches, measure)

    @cached_property
    def _learned(self) -> tuple[float, float, float]:
        x, y = self.subject.some
        _, distinct = np.unique(x.reshape(len(x), -1), axis=0, return_index=True)
        chosen = np.random.default_rng(_SEED).permutation(np.sort(distinct))[:_BATCH]
        x, y = x[chosen], y[chosen]

        def measure() -> tuple[float, float, float]:
            outputs = self.subject.copy(x, training=True)
            loss = float(self.subject.loss.mean(y, outputs))
            spread = float(np.ptp(np.asarray(outputs), axis=0).max())
            return loss, self._constant_loss(y), spread

        adam = keras.optimizers.Adam(0.01)
        batches = ((x, y) for _ in range(_BY_HEART))
        return self._after(adam, batches, measure, penalties=False)

    def _constant_loss(self, y: np.ndarray) -> float:
        """Loss of the best constant answer on a batch: shares of the classes, or the mean."""
        width = self.subject.outputs.shape[-1]
        targets = y.reshape(len(y), -1)
        if self.subject.num_classes and width > 1:
            codes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0]
            best = np.bincount(codes.astype(np.int64), minlength=width) / len(y)
        else:
            best = targets.mean(axis=0)
        if self.subject.num_classes and self.subject.loss.compared != "numbers":
            best = np.clip(best, _RAREST, 1.0 if width > 1 else 1 - _RAREST)
            if self.subject.loss.from_logits:
                best = np.log(best) if width > 1 else np.log(best / (1 - best))
        outputs = np.broadcast_to(best.astype(np.float32), (len(y), width))
        return float(self.subject.loss.mean(y, outputs))

    def _after(
        self, optimizer: Any, batches: Any, measure: Any, *, penalties: bool = True
    ) -> Any:
        """Makes a step of Keras for each batch, measures, and restores the initial weights."""
        model = self.subject.copy
        before = [(v, v.regularizer, v.numpy()) for v in model.weights]
        for variable, regularizer, _ in before:
            variable.regularizer = regularizer if penalties else None
        model.compile(optimizer, loss=self.subject.loss.mean, jit_compile=False)
        # TensorFlow traces a step that creates variables twice.
        model.optimizer.build(model.trainable_variables)
        try:
            for x, y in batches:
                model.train_on_batch(x, y)
            return measure()
        finally:
            for variable, regularizer, value in before:
                variable.assign(value)
                variable.regularizer = regularizer


def _shares_left(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Returns the norm of each matrix that has been changed, by that before."""
    return [
        float(np.linalg.norm(new) / size)
        for old, new in pairs
        if old.ndim > 1 and (size := float(np.linalg.norm(old))) > 0
    ]
