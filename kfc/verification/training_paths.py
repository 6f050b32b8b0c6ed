"""Paths that make the same training steps by different code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.compat import step_counter, without_graph_rewriting
from kfc.network import num_outputs
from kfc.training import build_engine, build_loss, build_metrics
from kfc.training.engine import count_steps
from kfc.verification.problem import Problem, State, assign_state, changed_options, read_state


class StepResult(NamedTuple):
    """Result of one step.

    Args:
        state: State after the step.
        loss: Loss of the step's batch.
    """

    state: State
    loss: float


class TrainingPath(ABC):
    """One implementation of the training steps.

    Args:
        problem: Training problem.
    """

    name = ""
    description = ""
    keeps_state = False
    """Whether a step may depend on earlier steps by other data than a `State`."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.model = problem, problem.model()

    @abstractmethod
    def run(self, state: State, first: int, last: int) -> list[StepResult]:
        """Makes the steps `first` to `last` - 1 from a state, and returns their results."""


class StepByStepPath(TrainingPath):
    """A path that takes one batch after the other."""

    def run(self, state: State, first: int, last: int) -> list[StepResult]:
        """Makes the steps `first` to `last` - 1 from a state, and returns their results."""
        assign_state(self.model, state)
        results = []
        for step in range(first, last):
            loss = self._step(tuple(map(tf.constant, self.problem.batch(step))))
            results.append(StepResult(read_state(self.model), float(loss)))
        return results

    @abstractmethod
    def _step(self, batch: tuple[Any, ...]) -> Any:
        """Updates the model, and returns the loss of the batch."""


class EagerPath(StepByStepPath):
    """The loop of the tutorials, line by line: forward, tape, `assign_sub`."""

    name = "eager"
    description = "a hand-written tape loop"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._loss = build_loss(problem.spec.training.loss, problem.task)
        optimizer = problem.spec.training.optimizer
        plain = set(changed_options(optimizer)) <= {"learning_rate"}
        self._by_hand = optimizer.name in ("sgd", "tape_sgd") and plain

    def _step(self, batch: tuple[Any, ...]) -> Any:
        x, y, *sample_weight = batch
        model, optimizer = self.model, self.model.optimizer
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            # The outputs of each member have a loss of their own.
            members = [outputs] if outputs.shape.rank == 2 else tf.unstack(outputs, axis=1)
            losses = [self._loss(y, each, *sample_weight) for each in members]
            loss = tf.add_n([tf.add_n(losses) / len(losses), *model.losses])
        gradients = tape.gradient(loss, variables)
        if not self._by_hand:
            optimizer.apply(gradients, model.trainable_variables)
            return loss
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(optimizer.learning_rate * gradient)
        optimizer.iterations.assign_add(1)
        return loss


class GraphPath(StepByStepPath):
    """kfc's `train_step` as a `tf.function`, optimized by TensorFlow as in `fit`."""

    name = "graph"
    description = "train_step, tf.function"
    xla = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._compiled = tf.function(
            lambda *batch: self.model.train_step(batch)["batch_loss"],
            # XLA compiles for each shape; one plain graph takes the short last batch, too.
            input_signature=None if self.xla else problem.signature,
            jit_compile=self.xla,
            autograph=False,
        )

    def _step(self, batch: tuple[Any, ...]) -> Any:
        return self._compiled(*batch)


class XlaPath(GraphPath):
    """kfc's `train_step`, compiled by XLA."""

    name = "xla"
    description = "train_step, XLA"
    xla = True


class UnoptimizedGraphPath(GraphPath):
    """`train_step` in a graph that TensorFlow runs as it was traced."""

    name = "unoptimized"
    description = "train_step, graph not optimized"

    def _step(self, batch: tuple[Any, ...]) -> Any:
        with without_graph_rewriting():
            return super()._step(batch)


class FitPath(TrainingPath):
    """Keras's own `fit`, with Keras's own `train_step`."""

    name = "fit"
    description = "keras.Model.fit"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        taped, spec, task = self.model, problem.spec, problem.task
        members, own_rows = spec.network.members, spec.num_orders > 1
        self.model = keras.Model(taped.inputs[0], taped.outputs[0])
        self.model.compile(
            optimizer=taped.optimizer,
            loss=build_loss(spec.training.loss, task, members=members, own_rows=own_rows),
            # The graph optimizer treats outputs in another way if metrics use them, too.
            metrics=build_metrics(
                task, num_outputs(spec, task), members=1 if own_rows else members
            ),
            jit_compile=False,
        )
        count_steps(self.model, lambda: step_counter(taped.optimizer).value)

    def run(self, state: State, first: int, last: int) -> list[StepResult]:
        """Makes the steps in one call of `fit`."""
        assign_state(self.model, state)
        results: list[StepResult] = []
        batches = map(self.problem.batch, range(first, last))
        data = tf.data.Dataset.from_generator(
            lambda: batches, output_signature=self.problem.signature
        )
        recorder = keras.callbacks.LambdaCallback(
            # Keras logs the mean loss of all batches since the last reset.
            on_train_batch_begin=lambda batch, logs: self.model.reset_metrics(),
            on_train_batch_end=lambda batch, logs: results.append(
                StepResult(read_state(self.model), logs["loss"])
            ),
        )
        self.model.fit(
            data, steps_per_epoch=last - first, shuffle=False, verbose=0, callbacks=[recorder]
        )
        return results


class EnginePath(TrainingPath):
    """kfc's engine: all steps in one call, in the form that `kfc.fit` chooses."""

    name = "engine"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        spec = problem.spec
        self.description = f"kfc's engine, {spec.training.engine}"
        self._engine = build_engine(self.model, problem.rows, spec, problem.task)

    def run(self, state: State, first: int, last: int) -> list[StepResult]:
        """Makes the steps in calls of one step each, and then all of them in one call.

        The last result is the result of the one call for all steps.
        """
        results: list[StepResult] = []
        for step in range(first, last - 1):
            before = results[-1].state if results else state
            results.append(self._call(before, step, step + 1))
        return [*results, self._call(state, first, last)]

    def _call(self, state: State, first: int, last: int) -> StepResult:
        assign_state(self.model, state)
        size = self.problem.steps_per_epoch
        loss = np.nan
        for epoch in range(first // size, -(-last // size)):
            self._engine.set_row_orders(self.problem.order(epoch)[None])
            begin, end = max(first - epoch * size, 0), min(last - epoch * size, size)
            loss = self._engine.run(begin, end).logs["batch_loss"]
        return StepResult(read_state(self.model), loss)


class UserPath(StepByStepPath):
    """A step of the user.

    Args:
        problem: Training problem.
        step: Function of a model and a batch, which updates the model's weights and returns
            the loss.
    """

    name = "yours"
    description = "the step you gave"
    keeps_state = True

    def __init__(self, problem: Problem, step: Callable[..., Any]) -> None:
        super().__init__(problem)
        self._user_step = step

    def _step(self, batch: tuple[Any, ...]) -> Any:
        return self._user_step(self.model, *batch)
