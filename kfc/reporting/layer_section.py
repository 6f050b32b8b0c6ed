"""The section about the layers of a trained network: signals, gradients and weights."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Task
from kfc.reporting.blocks import Cell, Section, Table, Text, count, shown
from kfc.reporting.run_facts import Answers, RunFacts
from kfc.reporting.value_numbers import evenly

_ROWS = 256


@dataclass(frozen=True)
class LayerNumbers:
    """Numbers of one layer with a kernel, on some held-out rows.

    Args:
        name: Name of the layer.
        weights: Number of its weights.
        signal: Standard deviation of its outputs over rows and units.
        zero: Share of its units whose output is the same for all rows.
        weight: Root of the mean squared weight of the kernel.
        gradient: Root of the mean squared gradient of the loss by the kernel.
    """

    name: str
    weights: int
    signal: float
    zero: float
    weight: float
    gradient: float


def layer_numbers(
    network: keras.Model, x: np.ndarray, y: np.ndarray, task: Task
) -> list[LayerNumbers]:
    """Returns the numbers of each layer with a kernel, in the order of the network.

    The signal of a layer is its output after its activation, where one follows. The loss of
    the gradient is the cross-entropy, or the squared error in units of the target's standard
    deviation.

    Args:
        network: Trained network.
        x: Encoded rows, (rows, ...).
        y: Class numbers, (rows,), or target values, (rows, outputs).
        task: Task of the network.
    """
    layers = [each for each in network.layers if getattr(each, "kernel", None) is not None]
    if not layers:
        return []
    signals = [_signal_of(network, layer) for layer in layers]
    probe = keras.Model(network.inputs, [*signals, network.outputs[0]])
    kernels = [layer.kernel.value for layer in layers]
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        *outputs, answer = probe(tf.constant(x), training=False)
        loss = _loss(answer, y, task)
    gradients = tape.gradient(loss, kernels)
    found = []
    for layer, output, gradient in zip(layers, outputs, gradients, strict=True):
        values = np.asarray(output, np.float64).reshape(len(x), -1)
        found.append(
            LayerNumbers(
                layer.name,
                layer.count_params(),
                float(values.std()),
                float((np.ptp(values, axis=0) == 0).mean()),
                _rms(layer.kernel),
                0.0 if gradient is None else _rms(gradient),
            )
        )
    return found


def _signal_of(network: keras.Model, layer: keras.Layer) -> keras.KerasTensor:
    """Returns the output of a layer, or that of the activation that follows it."""
    place = network.layers.index(layer)
    for following in network.layers[place + 1 :]:
        if getattr(following, "kernel", None) is not None:
            break
        if isinstance(following, keras.layers.Activation):
            return following.output
    return layer.output


def _rms(values: object) -> float:
    return float(np.sqrt(np.square(np.asarray(values, np.float64)).mean()))


def _loss(answer: tf.Tensor, y: np.ndarray, task: Task) -> tf.Tensor:
    if not task.classification:
        scale = np.maximum(y.std(axis=0), 1e-30).astype(np.float32)
        return tf.reduce_mean(tf.square((answer - y.astype(np.float32)) / scale))
    if answer.shape[-1] == 1:  # the logit of the second of two classes
        zeros = tf.zeros_like(answer)
        answer = tf.concat([zeros, answer], axis=1)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y.astype(np.int32), answer)
    return tf.reduce_mean(losses)


def layer_section(facts: RunFacts, answers: Answers) -> Section | None:
    """Returns the section about the layers; None where no layer has a kernel.

    Args:
        facts: The run.
        answers: Its answers for held-out rows.
    """
    chosen = evenly(len(answers.y), _ROWS)
    x, y = np.asarray(answers.x[chosen]), answers.y[chosen]
    found = layer_numbers(facts.run.network, x, y, facts.run.task)
    if not found:
        return None
    rows: list[list[Cell | str]] = [
        [
            shown(each.name, 60),
            count(each.weights),
            Cell(f"{each.signal:.3g}", each.signal),
            Cell(f"{100 * each.zero:.1f} %", each.zero),
            Cell(f"{each.weight:.3g}", each.weight),
            Cell(f"{each.gradient:.3g}", each.gradient),
            Cell(
                f"{each.gradient / max(each.weight, 1e-30):.3g}",
                each.gradient / max(each.weight, 1e-30),
            ),
        ]
        for each in found
    ]
    head = ["layer", "weights", "signal", "constant units", "weight", "gradient", "ratio"]
    text = (
        "The trained network on held-out rows: standard deviation of the outputs of a layer, "
        "units with the same output for all rows, root mean square of weights and of the "
        "gradient of the loss, and gradient by weight. A signal or a gradient that shrinks "
        "or grows a hundredfold from layer to layer makes training hard."
    )
    table = Table(f"Layers on {len(x)} {answers.noun}", head, rows)
    return Section("layers", "Layers", [Text(text), table])
