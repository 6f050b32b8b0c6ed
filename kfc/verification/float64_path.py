"""The reference path: the formulas of `kfc.reference` in NumPy float64."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc import reference, reference_updates
from kfc.compat import optimizer_slots
from kfc.network import num_outputs
from kfc.spec import ActivationSpec, OptimizerSpec, Spec
from kfc.training import fan_in, kind_of
from kfc.verification.float64_inputs import Float64Inputs
from kfc.verification.problem import Problem, State, changed_options
from kfc.verification.training_paths import StepResult

_LOSSES = {
    "sparse_categorical_crossentropy": "cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "mean_squared_error": "mse",
}


_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


class Float64Path:
    """The reference: the same steps in NumPy float64.

    Args:
        problem: Training problem for which `float64_unsupported` returns "".
    """

    name = "float64"
    description = "the formulas, NumPy float64"
    keeps_state = False

    def __init__(self, problem: Problem) -> None:
        self.problem, spec = problem, problem.spec
        self.activation = [activation.name for activation in _activations(spec)]
        self.loss = _loss_function(spec)
        self.inputs = Float64Inputs(problem)
        optimizer = problem.untrained_model.optimizer
        place = {id(variable): i for i, variable in enumerate(optimizer.variables)}
        self._slots = {
            name: [place[id(variable)] for variable in variables]
            for name, variables in optimizer_slots(optimizer).items()
        }
        self._iterations = place[id(optimizer.iterations)]
        self._rates, self._decays = self._factors()

    def run(self, state: State, first: int, last: int) -> list[StepResult]:
        """Makes the steps `first` to `last` - 1 from a state, and returns their results."""
        results = []
        for step in range(first, last):
            loss, gradients = self.gradients(state, step)
            state = self.updated(state, gradients)
            results.append(StepResult(state, loss))
        return results

    def gradients(self, state: State, step: int) -> tuple[float, list[np.ndarray]]:
        """Returns the loss of a step's batch, and its gradients."""
        return self.gradients_of(state, *self.problem.batch(step))

    def gradients_of(
        self, state: State, x: np.ndarray, y: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        """Returns the loss of any batch, and its gradients."""
        loss, gradients, g = reference.backward(
            self.inputs.other_weights(state.weights),
            self.inputs_of(state, x),
            self.targets(y),
            activation=self.activation,
            loss=self.loss,
            kept=self._kept(state, len(x)),
        )
        return loss, self.with_gradients(state, x, g, gradients)

    def forward(self, state: State, x: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        """Returns the outputs for a batch, and what each layer took and made of it."""
        return reference.forward(
            self.inputs.other_weights(state.weights),
            self.inputs_of(state, x),
            activation=self.activation,
            kept=self._kept(state, len(x)),
        )

    def inputs_of(self, state: State, x: np.ndarray) -> np.ndarray:
        """Returns what the first hidden layer takes, (batch, inputs).

        It is (batch, members, inputs) if each member has rows of its own.
        """
        return self._by_member(self.inputs.forward(state.weights, x))

    def loss_of(self, outputs: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the loss of a batch, and its gradient with respect to the outputs."""
        own = self.problem.spec.num_orders > 1
        return reference.mean_of_members(self.loss, outputs, self.targets(y), own=own)

    def with_gradients(
        self, state: State, x: np.ndarray, g: np.ndarray, others: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the gradients of all weights, in their order.

        Args:
            state: State before the step.
            x: Rows of the batch.
            g: Gradient with respect to `inputs_of`.
            others: Gradients of the weights that belong to no embedding.
        """
        if self.problem.spec.num_orders > 1:
            g = g.transpose(1, 0, 2).reshape(len(x), -1)
        return self.inputs.with_gradients(state.weights, x, g, others)

    def _by_member(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows with an axis of members, (batch, members, ...), if each has its own."""
        orders = self.problem.spec.num_orders
        if orders == 1:
            return rows
        return rows.reshape(orders, -1, *rows.shape[1:]).swapaxes(0, 1)

    def layers(
        self, state: State, rows: int
    ) -> tuple[list[np.ndarray], list[reference.Layer]]:
        """Returns the scales of the inputs, and each layer as it is for a batch of rows."""
        weights = self.inputs.other_weights(state.weights)
        return reference.layers(weights, self.activation, self._kept(state, rows))

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Returns the targets of the loss, from those of the rows."""
        task = self.problem.task
        scaled = y if task.classification else task.target_scaling.apply_float64(y)
        return self._by_member(scaled)

    def _kept(self, state: State, rows: int) -> list[Any]:
        """Returns the factors of dropout in the step after a state, by hidden layer.

        Args:
            state: State before the step.
            rows: Number of rows of the batch.
        """
        kept: list[Any] = []
        members = self.problem.spec.network.members
        rows //= self.problem.spec.num_orders  # those of a member
        model = self.problem.untrained_model
        model.optimizer.iterations.assign(int(state.optimizer[self._iterations]))
        for number, hidden in enumerate(self.problem.spec.network.layers(), start=1):
            if not hidden.dropout:
                kept.append(1.0)
                continue
            # The mask is the hash of integers that every path computes. The rows of members
            # are one batch there, those of the first member first.
            dropout = model.get_layer(f"hidden_{number}_dropout")
            ones = np.ones((members * rows, hidden.units), np.float32)
            mask = np.asarray(dropout(ones, training=True), np.float64)
            if members > 1:
                mask = mask.reshape(members, rows, -1).transpose(1, 0, 2)
            kept.append(mask)
        return kept

    def updated(
        self, state: State, gradients: Sequence[np.ndarray], *, rate: float | None = None
    ) -> State:
        """Returns the state after an update by `gradients`.

        Args:
            state: State before the update.
            gradients: Gradients in the order of the weights.
            rate: Learning rate; None takes that of the spec.
        """
        update = self._update(self.learning_rate(state) if rate is None else rate)
        values = [np.asarray(value, np.float64) for value in state.optimizer]
        update.t = int(values[self._iterations])
        for name, places in self._slots.items():
            setattr(update, name, [values[place] for place in places])
        weights = [np.asarray(w, np.float64) for w in state.weights]
        if shrinkage := self.learning_rate(state) * self._weight_decay(state):
            weights = reference_updates.decay(weights, [shrinkage * d for d in self._decays])
        clipped = reference_updates.clip(gradients, **self._clipping())
        weights = update.step(weights, clipped)
        values[self._iterations] = np.asarray(update.t)
        for name, places in self._slots.items():
            for place, value in zip(places, getattr(update, name), strict=True):
                values[place] = value
        return State(weights, values)

    def learning_rate(self, state: State) -> float:
        """Returns the learning rate of the step after a state."""
        if self.problem.spec.training.optimizer.schedule() is None:
            return float(self.problem.spec.training.optimizer.options["learning_rate"])
        optimizer = self.problem.untrained_model.optimizer
        optimizer.iterations.assign(int(state.optimizer[self._iterations]))
        return float(optimizer.learning_rate)

    def _clipping(self) -> dict[str, Any]:
        options = self.problem.spec.training.optimizer.options
        return {name: options[name] for name in _CLIPPING if name in options}

    def _weight_decay(self, state: State) -> float:
        optimizer = self.problem.spec.training.optimizer
        if optimizer.decay_schedule() is None:
            return float(optimizer.options.get("weight_decay") or 0.0)
        schedule: Any = self.problem.untrained_model.optimizer.weight_decay
        return float(schedule(int(state.optimizer[self._iterations])))

    def _factors(self) -> tuple[list[float], list[float]]:
        """Returns the factors of the rate and of the decay of each weight."""
        optimizer = self.problem.spec.training.optimizer
        rates, decays = optimizer.rate_factors(), optimizer.decay_factors()
        of_rate, of_decay = [], []
        for variable in self.problem.untrained_model.trainable_variables:
            kind = kind_of(variable)
            factor = getattr(rates, kind)
            of_rate.append(
                float(1 / np.sqrt(fan_in(variable)) if factor == "fan_in" else factor)
            )
            of_decay.append(float(getattr(decays, kind)))
        return of_rate, of_decay

    def _update(self, rate: float) -> Any:
        optimizer = self.problem.spec.training.optimizer
        options: dict[str, Any] = {"learning_rate": rate, "factors": self._rates}
        if optimizer.name in ("adam", "adamw"):
            return reference_updates.Adam(
                **options, **_given(optimizer, "beta_1", "beta_2", "epsilon")
            )
        if optimizer.options.get("momentum"):
            given = _given(optimizer, "momentum", "nesterov")
            return reference_updates.Momentum(**{**options, **given})
        return reference_updates.SGD(**options)


def float64_unsupported(problem: Problem) -> str:
    """Returns the parts of a problem that the reference does not support; "" if none."""
    spec = problem.spec
    network, training = spec.network, spec.training
    optimizer = training.optimizer
    adam = {"beta_1", "beta_2", "epsilon"}
    known = {"sgd": {"momentum", "nesterov"}, "adam": adam, "adamw": adam}
    everywhere = {"learning_rate", "weight_decay", *_CLIPPING, *OptimizerSpec.added}
    extra = set(changed_options(optimizer)) - everywhere - known.get(optimizer.name, set())
    reasons = {
        f"network.block {network.block.name}": network.block.name != "dense",
        f"training.loss {training.loss and training.loss.name}": not _loss_of(spec),
        f"training.optimizer {optimizer.name}": optimizer.name
        not in ("sgd", "tape_sgd", "adam", "adamw"),
        f"training.optimizer.{'/'.join(sorted(extra))}": bool(extra),
        "training.precision": training.precision != "float32",
        "sample weights": problem.rows.sample_weight is not None,
        **_unsupported_layers(spec),
        "several outputs of a binary loss": (
            _loss_of(spec) == "binary_cross_entropy" and num_outputs(spec, problem.task) != 1
        ),
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _unsupported_layers(spec: Spec) -> dict[str, bool]:
    layers = spec.network.layers()
    activations = _activations(spec)
    unknown = sorted({a.name for a in activations} - set(reference.ACTIVATIONS))
    return {
        f"the activation {'/'.join(unknown)}": bool(unknown),
        "options of an activation": any(map(changed_options, activations)),
        "normalization": any(layer.normalization != "none" for layer in layers),
        "l1 or l2": any(layer.l1 or layer.l2 for layer in layers),
        "layers without bias": not all(layer.use_bias for layer in layers),
    }


def _activations(spec: Spec) -> list[ActivationSpec]:
    return [layer.activation for layer in spec.network.layers() if layer.activation]


def _loss_of(spec: Spec) -> str:
    """Returns the reference's name of a spec's loss; "" if it has none."""
    loss = spec.training.loss
    if loss is None:
        return ""
    name = _LOSSES.get(loss.full_name(loss.name), "")
    known = {"label_smoothing"} if name == "cross_entropy" else set()
    return name if set(changed_options(loss)) <= known else ""


def _loss_function(spec: Spec) -> reference.Loss:
    """Returns the reference's loss of a spec, with its label smoothing."""
    function: Any = reference.LOSSES[_loss_of(spec)]
    smoothing = spec.training.loss.options.get("label_smoothing") if spec.training.loss else 0
    return functools.partial(function, smoothing=smoothing) if smoothing else function


def _given(optimizer: Any, *names: str) -> dict[str, Any]:
    return {name: optimizer.options[name] for name in names if name in optimizer.options}
