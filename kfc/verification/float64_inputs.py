"""The inputs of the first hidden layer in float64, and the gradients of their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kfc import reference, reference_inputs
from kfc.network import embedded_one_hots, table_features_float64
from kfc.training import kind_of
from kfc.verification.problem import Problem

Array = np.ndarray
Weights = Sequence[Array]

_WAVES, _LINEAR, _PIECES = (
    f"numeric_embedding_{part}" for part in ("waves", "linear", "pieces")
)


class Float64Inputs:
    """Computes what the first hidden layer takes, from encoded rows and embeddings.

    Args:
        problem: Training problem.
    """

    def __init__(self, problem: Problem) -> None:
        self._task = problem.task
        embedding = problem.spec.network.numeric_embedding
        self._embedding = embedding.name if embedding and self._task.num_scaled else ""
        self._places: dict[str, list[int]] = {}  # layer of an embedding -> its weights
        self._others = []
        for place, variable in enumerate(problem.untrained_model.trainable_variables):
            if kind_of(variable) in ("embedding", "numeric_embedding"):
                layer = variable.path.split("/")[-2]
                self._places.setdefault(layer, []).append(place)
            else:
                self._others.append(place)

    def other_weights(self, weights: Weights) -> list[Array]:
        """Returns the weights without those of embeddings."""
        return [weights[place] for place in self._others]

    def forward(self, weights: Weights, x: Array) -> Array:
        """Returns the inputs, (batch, inputs).

        Args:
            weights: All weights of the network.
            x: Rows as the network takes them.
        """
        numbers, categories = self._scaled(x)
        parts = [self._embedded(weights, numbers), categories]
        for layer, one_hot in embedded_one_hots(x, self._task).items():
            (kernel,) = self._of(weights, layer)
            parts.append(reference.matmul(one_hot, kernel))
        return np.concatenate(parts, axis=1)

    def with_gradients(
        self, weights: Weights, x: Array, g: Array, others: Sequence[Array]
    ) -> list[Array]:
        """Returns the gradients of all weights, in their order.

        Args:
            weights: All weights of the network.
            x: Rows as the network takes them.
            g: Gradient with respect to the inputs, (batch, inputs).
            others: Gradients of the weights that belong to no embedding.
        """
        found = dict(zip(self._others, others, strict=True))
        numbers, _ = self._scaled(x)
        for layer, gradients in self._of_numbers(weights, numbers, g).items():
            found |= zip(self._places[layer], gradients, strict=True)
        last = g.shape[1]
        for layer, one_hot in reversed(embedded_one_hots(x, self._task).items()):
            (kernel,) = self._of(weights, layer)
            first = last - kernel.shape[1]
            _, gradient = reference.matmul_backward(one_hot, kernel, g[:, first:last])
            found[self._places[layer][0]], last = gradient, first
        return [found[place] for place in range(len(found))]

    def _scaled(self, x: Array) -> tuple[Array, Array]:
        """Returns the scaled numbers, and the flags, signs and one-hot inputs."""
        task = self._task
        if task.encoding is None:
            return task.scaling.apply_float64(x), np.zeros((len(x), 0))
        inputs = table_features_float64(x, task)
        return inputs[:, : task.num_scaled], inputs[:, task.num_scaled :]

    def _embedded(self, weights: Weights, x: Array) -> Array:
        """Returns the inputs that belong to numbers."""
        if self._embedding == "periodic_linear":
            w, b, v, c = self._of(weights, _WAVES, _LINEAR)
            return reference_inputs.waves(x, w, b, v, c)
        if self._embedding == "piecewise_linear":
            w, c = self._of(weights, _LINEAR)
            if _PIECES in self._places:
                (v,) = self._of(weights, _PIECES)
            else:  # all columns are constant
                v = np.zeros((len(w), 0, w.shape[1]))
            return reference_inputs.pieces(x, w, c, self._encoded(x), v)
        return x

    def _of_numbers(self, weights: Weights, x: Array, g: Array) -> Mapping[str, list[Array]]:
        """Returns the gradients of the embedding of numbers, by layer."""
        if self._embedding == "periodic_linear":
            w, b, v, _ = self._of(weights, _WAVES, _LINEAR)
            size = v.shape[0] * v.shape[2]
            dw, db, dv, dc = reference_inputs.waves_backward(x, w, b, v, g[:, :size])
            return {_WAVES: [dw, db], _LINEAR: [dv, dc]}
        if self._embedding == "piecewise_linear":
            w, _ = self._of(weights, _LINEAR)
            found = reference_inputs.pieces_backward(x, self._encoded(x), g[:, : w.size])
            of_pieces = {_PIECES: [found[2]]} if _PIECES in self._places else {}
            return {_LINEAR: [*found[:2]], **of_pieces}
        return {}

    def _encoded(self, x: Array) -> Array:
        """Returns the encoding of numbers by their bins, (batch, numbers, bins)."""
        bins = self._task.number_bins
        if bins is None:
            raise TypeError("task.number_bins: expected bins, got None")
        return bins.apply(x)

    def _of(self, weights: Weights, *layers: str) -> list[Array]:
        places = [place for layer in layers for place in self._places[layer]]
        return [np.asarray(weights[place], np.float64) for place in places]
