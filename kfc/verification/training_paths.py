"""A problem -> the same steps by different paths, which ought to give the same weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.compat import step_counter, without_graph_rewriting
from kfc.network import num_outputs
from kfc.training import build_loss, build_metrics
from kfc.training.engine import Engine, count_steps, graph_key
from kfc.verification.setup import Problem, State, changed_options, read, write


class Outcome(NamedTuple):
    """What a step gave: the state after it, and the loss of its batch."""

    state: State
    loss: float


class Way(ABC):
    """One way to make steps. `run` goes from any state, so that each step can be compared.

    Args:
        problem: What to train on.
    """

    name = ""
    what = ""
    remembers = False
    """Whether a step may know of earlier ones what no state holds."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.model = problem, problem.model()

    @abstractmethod
    def run(self, state: State, first: int, last: int) -> list[Outcome]:
        """Makes the steps `first` to `last` - 1, and returns what each gave."""


class StepByStep(Way):
    """A way that is given one batch after the other."""

    def run(self, state: State, first: int, last: int) -> list[Outcome]:
        """Makes the steps `first` to `last` - 1, and returns what each gave."""
        write(self.model, state)
        outcomes = []
        for step in range(first, last):
            loss = self._step(tuple(map(tf.constant, self.problem.batch(step))))
            outcomes.append(Outcome(read(self.model), float(loss)))
        return outcomes

    @abstractmethod
    def _step(self, batch: tuple[Any, ...]) -> Any:
        """Updates the model, and returns the loss of the batch."""


class Eager(StepByStep):
    """The tutorial's loop, line by line: forward, tape, `assign_sub`."""

    name = "eager"
    what = "a hand-written tape loop"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._loss = build_loss(problem.spec.training.loss, problem.task)
        optimizer = problem.spec.training.optimizer
        plain = set(changed_options(optimizer)) <= {"learning_rate"}
        self._by_hand = optimizer.name in ("sgd", "tape_sgd") and plain

    def _step(self, batch: tuple[Any, ...]) -> Any:
        x, y, *weight = batch
        model, optimizer = self.model, self.model.optimizer
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = self._loss(y, model(x, training=True), *weight)
            loss = tf.add_n([loss, *model.losses])
        gradients = tape.gradient(loss, variables)
        if not self._by_hand:
            optimizer.apply(gradients, model.trainable_variables)
            return loss
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(optimizer.learning_rate * gradient)
        optimizer.iterations.assign_add(1)
        return loss


class Graph(StepByStep):
    """kfc's `train_step` as a `tf.function`, which TensorFlow rewrites, as it does `fit`."""

    name = "graph"
    what = "train_step, tf.function"
    xla = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._compiled = tf.function(
            lambda *batch: self.model.train_step(batch)["batch_loss"],
            # XLA compiles for shapes; a plain graph serves the short last batch too.
            input_signature=None if self.xla else problem.signature,
            jit_compile=self.xla,
        )

    def _step(self, batch: tuple[Any, ...]) -> Any:
        return self._compiled(*batch)


class Xla(Graph):
    """kfc's `train_step`, compiled by XLA."""

    name = "xla"
    what = "train_step, XLA"
    xla = True


class Fit(Way):
    """Keras's own `fit`, with Keras's own `train_step`."""

    name = "fit"
    what = "keras.Model.fit"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        taped = self.model
        self.model = keras.Model(taped.inputs[0], taped.outputs[0])
        self.model.compile(
            optimizer=taped.optimizer,
            loss=build_loss(problem.spec.training.loss, problem.task),
            # What else uses the outputs changes what the graph optimizer does with them.
            metrics=build_metrics(problem.task, num_outputs(problem.spec, problem.task)),
            jit_compile=False,
        )
        count_steps(self.model, lambda: step_counter(taped.optimizer).value)

    def run(self, state: State, first: int, last: int) -> list[Outcome]:
        """Makes the steps in one call of `fit`."""
        write(self.model, state)
        outcomes: list[Outcome] = []
        batches = map(self.problem.batch, range(first, last))
        data = tf.data.Dataset.from_generator(
            lambda: batches, output_signature=self.problem.signature
        )
        copied = keras.callbacks.LambdaCallback(
            # The loss is a mean over the batches since then.
            on_train_batch_begin=lambda batch, logs: self.model.reset_metrics(),
            on_train_batch_end=lambda batch, logs: outcomes.append(
                Outcome(read(self.model), logs["loss"])
            ),
        )
        self.model.fit(
            data, steps_per_epoch=last - first, shuffle=False, verbose=0, callbacks=[copied]
        )
        return outcomes


class Fused(Way):
    """kfc's engine: all steps in one call, in the form that `kfc.fit` chooses."""

    name = "engine"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        spec = problem.spec
        self.what = f"kfc's engine, {spec.training.engine}"
        self._engine = Engine(
            self.model,
            problem.rows,
            spec.training.batch_size,
            form=spec.training.engine,
            graph_key=graph_key(spec, problem.task, num_rows=len(problem.rows)),
        )

    def run(self, state: State, first: int, last: int) -> list[Outcome]:
        """Makes the steps in calls of one each, and then all of them in one call.

        The last outcome is that of the one call, which the calls before must have come to.
        """
        outcomes: list[Outcome] = []
        for step in range(first, last - 1):
            before = outcomes[-1].state if outcomes else state
            outcomes.append(self._call(before, step, step + 1))
        return [*outcomes, self._call(state, first, last)]

    def _call(self, state: State, first: int, last: int) -> Outcome:
        write(self.model, state)
        size = self.problem.steps_per_epoch
        loss = np.nan
        for epoch in range(first // size, -(-last // size)):
            self._engine.set_row_orders(self.problem.order(epoch)[None])
            begin, end = max(first - epoch * size, 0), min(last - epoch * size, size)
            loss = self._engine.run(begin, end).logs["batch_loss"]
        return Outcome(read(self.model), loss)


class Unoptimized(Graph):
    """`train_step` in a graph that TensorFlow runs as it was traced."""

    name = "unoptimized"
    what = "train_step, graph not optimized"

    def _step(self, batch: tuple[Any, ...]) -> Any:
        with without_graph_rewriting():
            return super()._step(batch)


class Own(StepByStep):
    """A step that is to be verified.

    Args:
        problem: What to train on.
        step: A function of a model and a batch, which updates the model's weights and
            returns the loss.
    """

    name = "yours"
    what = "the step you gave"
    remembers = True

    def __init__(self, problem: Problem, step: Callable[..., Any]) -> None:
        super().__init__(problem)
        self._own = step

    def _step(self, batch: tuple[Any, ...]) -> Any:
        return self._own(self.model, *batch)
