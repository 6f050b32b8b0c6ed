"""The reference path: the formulas of `kfc.reference` in NumPy float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc import reference, reference_updates
from kfc.compat import optimizer_slots
from kfc.network import has_embeddings, num_outputs, table_features_float64
from kfc.spec import ActivationSpec, OptimizerSpec, Spec
from kfc.training import fan_in, kind_of
from kfc.verification.problem import Problem, State, changed_options
from kfc.verification.training_paths import StepResult

_LOSSES = {
    "sparse_categorical_crossentropy": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "mean_squared_error": "mse",
}


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
        self.loss = _loss_of(spec)
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
        x, y = self.rows(*self.problem.batch(step))
        return reference.gradients(
            state.weights, x, y, activation=self.activation, loss=self.loss
        )

    def rows(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns scaled inputs, (batch, features), and the targets of the loss."""
        task = self.problem.task
        if task.encoding is not None:
            scaled = table_features_float64(x, task)
        else:
            scaled = task.scaling.apply_float64(x)
        return scaled, y if task.classification else task.target_scaling.apply_float64(y)

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
        weights = update.step(weights, gradients)
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
    everywhere = {"learning_rate", "weight_decay", *OptimizerSpec.added}
    extra = set(changed_options(optimizer)) - everywhere - known.get(optimizer.name, set())
    reasons = {
        f"network.block {network.block.name}": network.block.name != "dense",
        f"training.loss {training.loss and training.loss.name}": not _loss_of(spec),
        f"training.optimizer {optimizer.name}": optimizer.name
        not in ("sgd", "tape_sgd", "adam", "adamw"),
        f"training.optimizer.{'/'.join(sorted(extra))}": bool(extra),
        "training.precision": training.precision != "float32",
        "embeddings of categories": has_embeddings(problem.task),
        "embeddings of numbers": network.numeric_embedding is not None,
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
        "dropout": any(layer.dropout for layer in layers),
        "normalization": any(layer.normalization != "none" for layer in layers),
        "l1 or l2": any(layer.l1 or layer.l2 for layer in layers),
        "layers without bias": not all(layer.use_bias for layer in layers),
    }


def _activations(spec: Spec) -> list[ActivationSpec]:
    return [layer.activation for layer in spec.network.layers() if layer.activation]


def _loss_of(spec: Spec) -> str:
    """Returns the reference's name of a spec's loss; "" if it has none."""
    loss = spec.training.loss
    if loss is None or changed_options(loss):
        return ""
    return _LOSSES.get(loss.full_name(loss.name), "")


def _given(optimizer: Any, *names: str) -> dict[str, Any]:
    return {name: optimizer.options[name] for name in names if name in optimizer.options}
