"""Finds the tensor in which NaN or infinity appeared first: the last steps run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kfc.errors import KfcError, NumbersError
from kfc.network import with_layer_outputs
from kfc.runs.plan import Plan, new_network
from kfc.training import (
    TapeModel,
    build_engine,
    compile_for_training,
    epoch_order,
    rows_of_step,
)
from kfc.training.checkpoints import restore, store
from kfc.training.engine import named_variables

_NAMES = ("loss_not_finite", "weights_not_finite")
_STEPS_PER_BLOCK = 32
"""Steps after which the replay copies every variable, until a block has NaN or infinity."""


def with_tensor(
    error: NumbersError, plan: Plan, folder: Path, say: Callable[[str], None]
) -> NumbersError:
    """Adds the step and the tensor where NaN or infinity appeared first to an error.

    The training is repeated from its last checkpoint, or from its first weights, which gives
    the same bits, and the step that fails is made once more, tensor by tensor. A loss may stay
    finite while a weight is NaN: the fused product and relu of oneDNN turn NaN into 0.

    Args:
        error: Error that ended a training.
        plan: Plan of the training.
        folder: Run folder with its checkpoints.
        say: Function that shows a line to the user: the repetition may take a while.

    Returns:
        The error with a more precise finding; the same error where the repetition does not
        fail, because a callback has changed the training, where several workers train, or
        where it is another error.
    """
    (finding, *_) = error.findings
    if finding.name not in _NAMES or plan.replicas.count > 1:
        return error
    say(f"{finding.where}: {finding.got}; the steps since the last checkpoint are made again")
    try:
        replay = _Replay(plan, folder)
    except KfcError:  # no checkpoint can be read: the first error says more
        return error
    for epoch in range(replay.first_epoch, int(finding.evidence["epoch"])):
        found = replay.failing_step(epoch)
        if found is not None:
            step, tensor = found
            return NumbersError(
                replace(
                    finding,
                    where=f"training, epoch {epoch + 1}, step {step + 1}",
                    got=f"NaN or infinity, first in {tensor}",
                    evidence={"epoch": epoch + 1, "step": step + 1, "tensor": tensor},
                )
            )
    return error


class _Replay:
    """The same training once more, from its last checkpoint.

    Args:
        plan: Plan of the training.
        folder: Run folder with its checkpoints.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._spec, self._train = plan.spec, plan.prepared.train
        network = new_network(self._spec, plan.prepared)
        self._model = compile_for_training(
            network, self._spec, plan.prepared.task, num_rows=len(self._train)
        )
        self._engine = build_engine(self._model, self._train, self._spec, plan.prepared.task)
        self.first_epoch = self._first_step = 0
        if store.has_checkpoints(folder / "checkpoints"):
            state = store.newest(folder / "checkpoints")
            restore(state, self._model, ())
            progress = state.facts["progress"]
            self.first_epoch, self._first_step = progress["epoch"], progress["step"]

    def failing_step(self, epoch: int) -> tuple[int, str] | None:
        """Makes the steps of the next epoch; returns the one that fails, and the tensor."""
        engine, first_step = self._engine, self._first_step
        self._first_step = 0
        order = epoch_order(
            engine.num_rows,
            seed=self._spec.seed,
            epoch=epoch,
            shuffle=self._spec.training.shuffle,
            window=engine.window_rows,
            num_orders=engine.num_orders,
        )
        engine.set_row_orders(order[None])
        # Block by block, then step by step within the block that fails.
        for begin in range(first_step, engine.steps_per_epoch, _STEPS_PER_BLOCK):
            before = self._values()
            if self._is_finite_after(begin, begin + _STEPS_PER_BLOCK):
                continue
            self._assign(before)
            for step in range(begin, begin + _STEPS_PER_BLOCK):
                before = self._values()
                if not self._is_finite_after(step, step + 1):
                    self._assign(before)
                    rows = self._train.take(rows_of_step(order, step, engine.batch_size))
                    tensor = first_not_finite(self._model, *rows.loaded().parts)
                    return (step, tensor) if tensor else None
        return None

    def _is_finite_after(self, first_step: int, end_step: int) -> bool:
        end_step = min(end_step, self._engine.steps_per_epoch)
        if first_step >= end_step:
            return True
        result = self._engine.run(first_step, end_step)
        return result.first_bad_step < 0 and self._engine.weights_are_finite()

    def _values(self) -> list[np.ndarray]:
        return [np.array(variable) for _, variable in named_variables(self._model)]

    def _assign(self, values: list[np.ndarray]) -> None:
        variables = (variable for _, variable in named_variables(self._model))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def first_not_finite(model: TapeModel, x: Any, y: Any, sample_weight: Any = None) -> str:
    """Makes one step and returns the name of the first tensor with NaN or infinity.

    Args:
        model: Compiled model with finite weights, which the step changes.
        x: Encoded inputs of a batch, (rows, ...).
        y: Encoded targets, (rows,) or (rows, outputs).
        sample_weight: Weights of the rows, (rows,), or None.

    Returns:
        A text such as `the output of hidden_2`; empty if every tensor is finite.
    """
    found = (name for name, tensor in _tensors(model, x, y, sample_weight) if _bad(tensor))
    return next(found, "")


def _tensors(
    model: TapeModel, x: Any, y: Any, sample_weight: Any
) -> Iterator[tuple[str, Any]]:
    """Yields the name and the value of each tensor of a step, in the order of the step."""
    layers, probe = with_layer_outputs(model)
    outputs = probe(tf.constant(x), training=True)
    for layer, output in zip(layers, outputs, strict=True):
        yield f"the output of {layer.name}", output
    gradients: list[Any] = []
    apply = model.optimizer.apply

    def noting(found: Any, variables: Any) -> None:
        gradients.extend(found)
        apply(found, variables)

    model.optimizer.apply = noting
    batch = [tf.constant(part) for part in (x, y, sample_weight) if part is not None]
    yield "the loss", model.train_step(tuple(batch))["batch_loss"]
    # The gradient of the last layer is computed first.
    pairs = zip(model.trainable_variables, gradients, strict=True)
    for variable, gradient in reversed([*pairs]):
        yield f"the gradient of {variable.path}", gradient
    for variable in model.optimizer.variables:
        yield f"the optimizer's {variable.path}", variable.value
    for variable in model.weights:
        yield f"{variable.path} after the update", variable.value


def _bad(tensor: Any) -> bool:
    value = np.asarray(tensor)
    return value.dtype.kind in "fV" and not np.isfinite(value.astype(np.float32)).all()
