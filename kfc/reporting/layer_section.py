"""The section about the layers of a network: signals, gradients and updates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from kfc.data import Task, evenly
from kfc.reporting.blocks import Cell, Section, Table, Text, count, shown
from kfc.reporting.curves import layer_curves
from kfc.reporting.run_facts import Answers, RunFacts
from kfc.training import LayerProbe
from kfc.training.callbacks import read_layers

_ROWS = 256


def layer_section(facts: RunFacts, answers: Answers) -> Section | None:
    """Returns the section about the layers; None where no layer has a kernel.

    Args:
        facts: The run.
        answers: Its answers for held-out rows.
    """
    chosen = evenly(len(answers.y), _ROWS)
    x, y = np.asarray(answers.x[chosen]), answers.y[chosen]
    probe = LayerProbe(facts.run.network)
    if not probe.layers:
        return None
    found = probe.measure(x, partial(_mean_loss, y=y, task=facts.run.task))
    rows: list[list[Cell | str]] = [
        [
            shown(each.layer, 60),
            count(each.weights),
            Cell(f"{each.signal:.3g}", each.signal),
            Cell(f"{100 * each.constant:.1f} %", each.constant),
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
    return Section("layers", "Layers", [Text(text), table, *_over_time(facts.run.folder)])


def _mean_loss(answer: tf.Tensor, y: np.ndarray, task: Task) -> tf.Tensor:
    """Returns the cross-entropy, or the squared error in units of the target's deviation."""
    if not task.classification:
        scale = np.maximum(y.std(axis=0), 1e-30).astype(np.float32)
        return tf.reduce_mean(tf.square((answer - y.astype(np.float32)) / scale))
    if answer.shape[-1] == 1:  # the logit of the second of two classes
        zeros = tf.zeros_like(answer)
        answer = tf.concat([zeros, answer], axis=1)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y.astype(np.int32), answer)
    return tf.reduce_mean(losses)


def _over_time(folder: Path) -> Sequence[object]:
    """Returns drawings of the numbers of each layer over the epochs, if there are any."""
    logged = read_layers(folder)
    if len(logged) < 2:
        note = (
            "Measurements during the training take at most 3 % of its time, and copies for "
            "later ones at most 32 MB, so this training has too few of them to be drawn."
        )
        return [Text(note, "note")]
    epochs = [epoch for epoch, _ in logged]
    quantities = {
        "signal": lambda each: each.signal,
        "gradient": lambda each: each.gradient,
        "update by weight": lambda each: (each.update or 0.0) / max(each.weight, 1e-30),
    }
    names = [each.layer for each in logged[0][1]]
    figures = [
        layer_curves(
            title,
            epochs,
            {
                name: [value(numbers[place]) for _, numbers in logged]
                for place, name in enumerate(names)
            },
        )
        for title, value in quantities.items()
    ]
    text = (
        "While the network trained, on 256 of its training rows, after epochs: signal and "
        "gradient of each layer, and the change of its weights in one step by their size. "
        "Around 0.001 is usual; weights that change by a tenth in a step are thrown about, "
        "and those that change by a millionth stand still."
    )
    return [Text(text), *figures]
