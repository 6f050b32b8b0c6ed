"""Checks of the layers themselves, before anything is computed: the stage `structure`."""

from __future__ import annotations

import keras
import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import relu_cure
from kfc.first_steps.subject import Subject, activation_of, feeds, last_layers, layers_of
from kfc.first_steps.target_checks import is_one_hot

_NOISE = 0.5
"""Variance of dropout's noise as a share of the signal, when all units of a layer agree; with
0.7 of the signal as its deviation rows are hardly different. 0.5 in three layers of 16
gives 0.19."""
_MOST_RATE = 0.95  # a unit then learns from one row in twenty
_ROWS = 32
_OF_NUMBERS = ("mse", "mean_squared_error", "mae", "mean_absolute_error", "huber", "log_cosh")
_OTHERWISE = 1e-3  # of the outputs: rounding differs with the size of a batch
_MEAN_RATE = 0.01  # of the largest: the steps of the training are those of a hundredth
_GATES = 2  # units of a softmax that may choose between two ways
_AFFINE = 1e-4  # of the spread: rounding of float32 in a few layers


def dropout_too_high(subject: Subject) -> Finding | None:
    """Finds dropout that leaves hardly any signal, even if all units agree.

    The mean of n units, each kept with probability 1 - p and then divided by it, has noise of
    variance p / ((1 - p) n); the noises of several layers add up.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    layers = [each for each in layers_of(subject.network) if isinstance(each, _DROPOUTS)]
    rates = [float(each.rate) for each in layers]
    widths = [int(each.input.shape[-1] or 1) for each in layers]
    noise = sum(
        p / ((1 - p) * n) if p < 1 else np.inf for p, n in zip(rates, widths, strict=True)
    )
    if not rates or (noise <= _NOISE and max(rates) < _MOST_RATE):
        return None
    rate, width = max(zip(rates, widths, strict=True))
    cure: dict[str, float] = {}
    if subject.spec is not None:
        network = subject.spec.network
        cure = {"network.dropout": 0.2} if network.dropout else {}
        for number, layer in enumerate(network.hidden):
            if layer.dropout:
                cure[f"network.hidden[{number}].dropout"] = 0.2
    return Finding(
        "dropout",
        "a rate that leaves a signal, such as 0.1 to 0.5",
        f"{rate:g}, which keeps {width * (1 - rate):.3g} of {width} units",
        "Set the rate of dropout to 0.2.",
        evidence={"rate": rate, "kept_units": width * (1 - rate), "noise": float(noise)},
        cure=cure,
    )


def squared_error_for_classes(subject: Subject) -> Finding | None:
    """Finds a distance of numbers as the loss of classes.

    The logits are compared with rows of 0 and a 1, so that those of a perfect network have the
    softmax e / (e + classes - 1): its labels may be right, and its probabilities are not. The
    hand-written tutorials do this; Hui and Belkin, "Evaluation of neural architectures trained
    with square loss vs cross-entropy in classification tasks", 2021,
    https://arxiv.org/abs/2006.07322, train well by it, and rank the outputs alone.
    """
    spec, classes = subject.spec, subject.num_classes
    if spec is None:
        return _numbers_for_one_hot(subject)
    loss = spec.training.loss
    if loss is None or classes < 2 or loss.name not in _OF_NUMBERS:
        return None
    most = float(np.e / (np.e + classes - 1))
    return Finding(
        "training.loss",
        "a cross-entropy, by which outputs become probabilities",
        f"{loss.name}, with which a perfect answer of {classes} classes has the "
        f"probability {most:.2f}",
        "Set training.loss to cross_entropy.",
        evidence={"largest_probability": most, "classes": classes},
        cure={"training.loss": "cross_entropy"},
    )


def no_activation(subject: Subject) -> Finding | None:
    """Finds hidden layers that together are one linear function, as without activation.

    For an affine f, f((a + b) / 2) is the mean of f(a) and f(b).
    """
    copy = subject.copy
    layers = layers_of(copy)
    dense = [each for each in layers if isinstance(each, keras.layers.Dense)]
    if len(dense) < 2 or any(_bends(layer) for layer in layers[:-1]):
        return None
    try:
        hidden = keras.Model(dense[0].input, dense[-1].input)
    except ValueError:  # other inputs reach the last layer too
        return None
    entry = keras.Model(copy.inputs[0], dense[0].input)
    x = np.asarray(entry(subject.some[0][: 2 * _ROWS], training=False), np.float32)
    half = len(x) // 2
    if not half:
        return None
    a, b = x[:half], x[half : 2 * half]
    ends = np.asarray(hidden(a, training=False)), np.asarray(hidden(b, training=False))
    middle = np.asarray(hidden((a + b) / 2, training=False))
    spread = float(np.abs(ends[0] - ends[1]).max())
    bend = float(np.abs(middle - (ends[0] + ends[1]) / 2).max())
    if not spread or not np.isfinite(bend) or bend > _AFFINE * spread:
        return None
    cure: dict[str, str] = {}
    if subject.spec is not None:
        cure = {"network.activation": "relu"}
        for number, layer in enumerate(subject.spec.network.hidden):
            if layer.activation is not None:
                cure[f"network.hidden[{number}].activation"] = "relu"
    return Finding(
        "hidden layers",
        "an activation such as relu",
        f"none: {len(dense) - 1} of them are together one linear function",
        "Set activation to relu, or leave the hidden layers out.",
        evidence={"layers": len(dense) - 1, "bend": bend / spread},
        cure=cure,
    )


def rows_depend_on_others(subject: Subject) -> Finding | None:
    """Finds a network whose answer for a row depends on the other rows of the batch.

    The first half of some rows is answered alone and beside the second half, as at inference.
    A softmax over the batch, or a mean over it, is the usual cause.
    """
    x = subject.some[0][: 2 * _ROWS]
    half = len(x) // 2
    if not half:
        return None
    alone = np.asarray(subject.copy(x[:half], training=False), np.float64)
    beside = np.asarray(subject.copy(x, training=False), np.float64)
    if beside.shape[:1] != (len(x),) or not np.isfinite(beside).all():
        return None
    difference, size = np.abs(beside[:half] - alone).max(), np.abs(beside).max()
    if difference <= _OTHERWISE * size:
        return None
    return Finding(
        "layers",
        "an answer for each row that does not depend on the other rows of the batch",
        f"answers that change by {difference / size:.2g} of their size with these rows",
        "Let softmax, means and normalizations use the last axis, as axis=-1, not axis=0.",
        evidence={"difference": float(difference / size), "rows": len(x)},
    )


def batch_of_one(subject: Subject) -> Finding | None:
    """Finds batch normalization in batches of one row, whose deviations from their mean are 0.

    While training, such a layer gives the same outputs for every row. Ioffe and Szegedy,
    "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", 2015, https://arxiv.org/abs/1502.03167.
    """
    kind = keras.layers.BatchNormalization
    found = [each for each in layers_of(subject.network) if isinstance(each, kind)]
    if subject.batch_size > 1 or not any(each.trainable for each in found):
        return None
    cure = {} if subject.spec is None else {"training.batch_size": 32}
    return Finding(
        "batch_size",
        "several rows in a batch, whose mean and variance the normalization takes",
        f"1, with which {len(found)} layers give the same outputs for every row",
        "Set batch_size to 32, or use layer normalization.",
        evidence={"batch_size": subject.batch_size, "layers": len(found)},
        cure=cure,
    )


def nothing_to_train(subject: Subject) -> Finding | None:
    """Finds a network without a weight that training changes."""
    if subject.network.trainable_variables:
        return None
    weights = len(subject.network.weights)
    return Finding(
        "layers",
        "weights that training changes",
        f"none: all {weights} weights are frozen" if weights else "no weights at all",
        "Set trainable to True for the layers that should learn.",
        evidence={"weights": weights},
    )


def rate_collapses(subject: Subject) -> Finding | None:
    """Finds a schedule whose learning rate is soon near 0. KFC189 is the one for specs."""
    if subject.mean_rate >= _MEAN_RATE:
        return None
    return Finding(
        "learning_rate",
        "a rate that lasts for some of the training",
        f"a mean of {100 * subject.mean_rate:.2g} % of its largest value",
        "Count in steps, not in epochs, or use a schedule over the whole training, such as "
        "CosineDecay.",
        evidence={"mean": subject.mean_rate, "learning_rate": subject.learning_rate},
    )


def dropout_on_outputs(subject: Subject) -> Finding | None:
    """Finds dropout behind the last layer with weights, which sets outputs to 0."""
    if subject.loss.compared == "other":
        return None
    behind = last_layers(subject.network)[1:]
    found = [each for each in behind if isinstance(each, _DROPOUTS) and each.rate > 0]
    if not found:
        return None
    rate = float(found[0].rate)
    return Finding(
        found[0].name,
        "dropout between hidden layers",
        f"dropout of {rate:g} on the outputs, of which it sets as many to 0 in each step",
        "Move it before the last dense layer.",
        evidence={"rate": rate},
    )


def softmax_hidden(subject: Subject) -> Finding | None:
    """Finds softmax over the units of a hidden layer, which the next dense layer takes.

    Their sum is 1, so that each is about 1 / units, and all compete for it. A softmax that
    weighs other values, as in attention, and one inside an autoencoder are left alone.
    """
    if subject.loss.compared == "other" or _gives_back_inputs(subject):
        return None
    layers = layers_of(subject.network)
    dense = [each for each in layers if isinstance(each, keras.layers.Dense)]
    sources = [_source(subject.network, each) for each in dense]
    found = [each for each in sources if each is not None and _is_softmax(each)]
    if not found:
        return None
    units = _width(found[0])
    return Finding(
        found[0].name,
        "an activation of each unit for itself, such as relu",
        f"softmax, whose {units} outputs sum to 1, so that the next layer gets about "
        f"{1 / units:.2g} from each",
        "Set the activation of hidden layers to relu; softmax is for the last layer.",
        evidence={"units": units, "layers": len(found)},
        cure=relu_cure(subject.spec),
    )


def _numbers_for_one_hot(subject: Subject) -> Finding | None:
    """Finds a distance of numbers between outputs and classes of a plain model.

    The classes are one-hot rows, or 0 and 1 below a sigmoid.
    """
    if subject.loss.name not in _OF_NUMBERS or _gives_back_inputs(subject):
        return None
    classes, remedy = 2, "Use binary_crossentropy."
    got = f"{subject.loss.name} of 0 and 1"
    if is_one_hot(subject.y):
        classes = subject.y.shape[1]
        got = f"{subject.loss.name} of one-hot rows of {classes} classes"
        remedy = "Use categorical_crossentropy, with softmax in the last layer."
    elif (
        subject.width > 1
        or subject.output_activation != "sigmoid"
        or not _is_binary(subject.y)
    ):
        return None
    return Finding(
        "loss",
        "a cross-entropy, by which outputs become probabilities",
        got,
        remedy,
        evidence={"classes": classes},
    )


def _is_binary(y: np.ndarray) -> bool:
    return np.array_equal(np.unique(y), (0, 1))


def _gives_back_inputs(subject: Subject) -> bool:
    """Returns whether the targets are the inputs, as of an autoencoder."""
    x, y = subject.some
    return x.shape == y.shape and bool(np.allclose(x, y))


def _source(network: keras.Model, layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Returns the layer whose outputs a layer takes, perhaps with dropout between them."""
    for each in reversed(layers_of(network)):
        if feeds(network, each, layer):
            if not isinstance(each, _PASS_THROUGH):
                return each
            layer = each
    return None


def _is_softmax(layer: keras.layers.Layer) -> bool:
    return activation_of(layer) == "softmax" and _width(layer) > _GATES


def _width(layer: keras.layers.Layer) -> int:
    return int(layer.output.shape[-1] or 0)


def _bends(layer: keras.layers.Layer) -> bool:
    return activation_of(layer) not in (None, "linear")


_DROPOUTS = (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout)
_PASS_THROUGH = (*_DROPOUTS, keras.layers.Flatten, keras.layers.Identity)
