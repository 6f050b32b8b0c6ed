"""Checks of the untrained network, one forward and one backward pass: the stage `start`."""

from __future__ import annotations

import math

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import init_cure, loss_cure, relu_cure, widened
from kfc.first_steps.start import Kernel, Start, entry_rms

_FEW_ROWS = 20  # with fewer, units are silent by chance
_NATS = 6.0
"""Loss above a guess: the true class has e^6 = 400 times less probability than by guessing.
Glorot's and He's weights of any depth give at most 2 for inputs of size 1."""
_TIMES = 10.0  # outputs of a regression as large, in deviations of the target
_INPUT_RMS = 3.0  # of inputs that are not scaled; of scaled ones it is 1
_TARGET_RMS = 30.0  # as of unscaled_input: 30 outputs of the usual size
_GAIN = 5.0  # of a kernel; He has 1.4, an orthogonal one with gain 2 has 2
_DEAD = 0.5  # share of units: half of a relu layer is silent for any one row, not for all
_NEVER_DIE = ("sigmoid", "tanh", "softsign", "hard_sigmoid", "hard_tanh", "linear")
_SATURATED = 0.5
_VANISHED = 1e-7
"""Gradient below the epsilon of Keras's Adam, with which no optimizer takes full steps; at
first a healthy gradient is 1e-4 to 1e-1."""
_RATIO = 1e-5  # smallest over largest gradient of the kernels
_EXPLODED = 1e3  # times the weights: a step of rate 0.001 replaces them
_FLAT = 1e-4  # slope of the loss of a row; that of a cross-entropy is about 1
_PARALLEL = 1e-5  # share of a second direction, which rounding of float32 leaves
_OUTPUTS_OF_SEVERAL = 2  # numbers; of classes three, as the probabilities of two say the same
_WEAK = 0.1  # gain of a kernel that takes the signal away
_PENALTY = 10.0  # times the loss of the data


def start_not_finite(start: Start) -> Finding | None:
    """Finds a loss that is NaN or infinite before the first step."""
    if math.isfinite(start.loss):
        return _gradient_not_finite(start)
    outputs = start.subject.outputs
    if np.isfinite(outputs).all():
        low, high = float(outputs.min()), float(outputs.max())
        return Finding(
            "loss at step 0",
            "a finite number",
            f"{start.loss} of outputs from {low:.3g} to {high:.3g}, which are finite",
            "The loss cannot take such outputs: a logarithm or a root needs numbers above 0, "
            "as activation='softplus' in the last layer gives.",
            evidence={"lowest": low, "highest": high},
        )
    return Finding(
        "loss at step 0",
        "a finite number",
        f"{start.loss}",
        "Scale the inputs, and use an initializer such as he_normal.",
        evidence={"rows": len(start.subject.some[1])},
        cure=init_cure(start.subject.spec),
    )


def _gradient_not_finite(start: Start) -> Finding | None:
    found = [kernel for kernel in start.kernels if not np.isfinite(kernel.gradient).all()]
    if not found:
        return None
    return Finding(
        found[0].path,
        "a gradient that is finite",
        f"NaN or infinity, while the loss is {start.loss:.4g}",
        "Look for a square root, a norm or a division at 0 in the loss and in the layers: add "
        "a small number below the root.",
        evidence={"loss": start.loss, "weights": len(found)},
    )


def gradient_missing(start: Start) -> Finding | None:
    """Finds weights that the loss does not depend on."""
    if not start.without_gradient:
        return None
    first, more = start.without_gradient[0], len(start.without_gradient) - 1
    remedy = "Connect the layer to the output, or remove it."
    if more + 1 == len(start.subject.network.trainable_variables):
        remedy = (
            "argmax, rounding and comparisons have no derivative: leave them out of the loss."
        )
    return Finding(
        first,
        "a gradient of the loss",
        "none" + (f", like {more} more" if more else ""),
        remedy,
        evidence={"weights": more + 1},
    )


def units_identical(start: Start) -> Finding | None:
    """Finds a layer whose units have the same weights and gradients, so that they stay equal.

    All-zero and constant initial weights do that: the layer then has one unit, repeated.
    """
    if not math.isfinite(start.loss):
        return None
    found = [kernel for kernel in start.kernels[:-1] if kernel.units_are_identical]
    if not found:
        return None
    value, units = float(found[0].value.flat[0]), found[0].value.shape[1]
    return Finding(
        found[0].path,
        "units with different initial weights",
        f"{units} units that all have equal weights ({value:g}) and equal gradients, so that "
        "they stay equal",
        "Use an initializer that draws random weights, such as glorot_uniform.",
        evidence={"units": units, "distinct": 1},
        cure=init_cure(start.subject.spec),
    )


def target_unscaled(start: Start) -> Finding | None:
    """Finds targets of a regression that are far larger than the first outputs.

    An update moves an output by about the learning rate times the number of units, so that
    targets of 1e6 are out of reach, and their squared errors overflow.
    """
    _, y = start.subject.some
    loss = start.subject.loss
    if start.subject.num_classes or loss.compared != "numbers" or loss.of_ratios:
        return None
    size = float(np.sqrt(np.square(y.astype(np.float64)).mean()))
    given = float(np.sqrt(np.square(start.subject.outputs, dtype=np.float64).mean()))
    if not size > _TARGET_RMS * max(1.0, given):
        return None
    return Finding(
        "targets",
        f"numbers with a root mean square of at most {_TARGET_RMS:g}",
        f"{size:.4g}, while the untrained network gives {given:.2g}",
        "Set data.scale_target to standard, or train on (y - mean) / deviation.",
        evidence={"rms": size, "outputs": given},
        cure={} if start.subject.spec is None else {"data.scale_target": "standard"},
    )


def loss_hardly_changes(start: Start) -> Finding | None:
    """Finds a loss that hardly depends on the outputs, or on some of them not at all."""
    slopes = start.output_gradient
    if slopes is None or not math.isfinite(start.loss) or start.subject.loss.swapped:
        return None
    by_output = np.sqrt(
        np.square(slopes.reshape(len(slopes), -1), dtype=np.float64).mean(axis=0)
    )
    if not start.subject.num_classes:  # by the size of the outputs, which have a unit
        y = start.subject.some[1].astype(np.float64)
        by_output = by_output * max(float(y.std()), float(start.subject.outputs.std()))
    size, unused = float(np.sqrt(np.square(by_output).mean())), int((by_output == 0).sum())
    evidence = {"slope": size, "outputs_without_gradient": unused}
    if size < _FLAT:
        got = f"{size:.2g} on average, so that hardly any gradient arrives anywhere"
    elif unused and start.subject.loss.compared == "other":
        got = f"none for {unused} of {len(by_output)} outputs"
    else:
        return None
    return Finding(
        "loss",
        "a loss that changes by about as much as the outputs do",
        f"a slope of {got}",
        "Look at the options of the loss, such as delta of huber, and whether it uses all "
        "outputs.",
        evidence=evidence,
        cure=loss_cure(start.subject.spec),
    )


def one_number_passes(start: Start) -> Finding | None:
    """Finds a network in which all outputs depend on one number between them and the inputs.

    A hidden layer of one unit, or a mean over all features, is the usual cause.
    """
    outputs = start.subject.width
    if outputs < _OUTPUTS_OF_SEVERAL + start.subject.loss.of_classes:
        return None
    if not start.directions < _PARALLEL:  # False for NaN
        return None
    narrow = [kernel for kernel in start.kernels[:-1] if kernel.value.shape[1] == 1]
    equal = [kernel for kernel in start.kernels[:-1] if kernel.has_equal_units]
    got, remedy = "one number", "Give every hidden layer several units, such as 32."
    spec = start.subject.spec
    cure = widened(spec)
    if narrow:
        got = f"one number, after {narrow[0].path}"
    elif equal:
        got = f"one number, since the units of {equal[0].path} all have equal weights"
        remedy, cure = "Use an initializer such as he_normal.", init_cure(spec)
    elif start.directions:
        return None  # of two units of relu one may answer at a time
    return Finding(
        (narrow or equal)[0].path if narrow or equal else "layers",
        f"several numbers that reach the {outputs} outputs",
        got,
        remedy,
        evidence={"directions": start.directions, "outputs": outputs},
        cure=cure,
    )


def few_numbers_pass(start: Start) -> Finding | None:
    """Finds a layer with fewer units than the classes have binary digits.

    Units that are on or off tell 2^units groups of rows apart.
    """
    classes, kernels = start.subject.num_classes, start.kernels[:-1]
    narrow = min(kernels, key=lambda kernel: kernel.value.shape[1], default=None)
    if narrow is None or start.subject.width < _OUTPUTS_OF_SEVERAL + 1:
        return None
    units = narrow.value.shape[1]
    needed = math.ceil(math.log2(max(classes, 1)))
    passing = start.passing if 1 < units < needed else ()
    # Another path around the layer has a direction of its own.
    if not 1 < units < min(needed, len(passing)) or not passing[units] < _PARALLEL:
        return None
    return Finding(
        narrow.path,
        f"at least {needed} numbers that reach the outputs of {classes} classes",
        f"{units} units, which on or off are {2**units} groups of rows",
        "Give every hidden layer more units, such as 32.",
        evidence={"units": units, "classes": classes},
        cure=widened(start.subject.spec, needed),
    )


def start_loss_high(start: Start) -> Finding | None:
    """Finds a network that is certain, and wrong, before it has learned anything."""
    if not starts_high(start):
        return None
    worst = largest_gain(start)
    gain = worst.gain if worst else 0.0
    if worst and gain > _GAIN:
        cause = f", since {worst.path} multiplies its inputs by {gain:.3g}"
        remedy, cure = "Use an initializer such as he_normal", init_cure(start.subject.spec)
    elif (entry_rms(start.subject) or 0.0) > _INPUT_RMS:
        cause, remedy = "", "Scale the inputs"
        cure = {"data.scale": "standard"} if start.subject.spec is not None else {}
    else:
        return None  # a sum of many layers, which a few steps may undo: `signal_grows`
    return Finding(
        "loss at step 0",
        f"about the {start.guess_loss:.3g} of {start.guess}",
        f"{start.loss:.4g}{cause}",
        f"{remedy}: the first epochs only undo it.",
        evidence={"loss": start.loss, "guess": start.guess_loss, "gain": gain},
        cure=cure,
    )


def starts_high(start: Start) -> bool:
    """Returns whether the first loss is far above that of an answer that knows nothing."""
    if not math.isfinite(start.loss):
        return False
    if start.subject.num_classes:
        of_numbers = start.subject.loss.compared == "numbers"
        return not of_numbers and start.loss - start.guess_loss > _NATS
    _, y = start.subject.some
    spread = float(np.std(y)) or 1.0
    return float(np.std(start.subject.outputs)) > _TIMES * spread


def largest_gain(start: Start) -> Kernel | None:
    """Returns the kernel that multiplies its inputs most; None where there is none."""
    return max(start.kernels, key=lambda kernel: kernel.gain, default=None)


def units_dead(start: Start) -> Finding | None:
    """Finds a layer most of whose units have the same output for every row."""
    if len(start.subject.some[1]) < _FEW_ROWS:
        return None
    # A sigmoid that is constant between its ends has lost the signal: `gradient_vanishes`.
    found = [u for u in start.units if u.dead > _DEAD and u.activation not in _NEVER_DIE]
    if not found:
        return None
    rows = len(found[0].values)
    return Finding(
        found[0].name,
        "units that answer differently to different rows",
        f"{found[0].dead:.0%} of its units give one value for all of {rows} rows",
        "Scale the inputs to mean 0, and use he_normal for relu; a dead unit learns nothing.",
        evidence={"share": found[0].dead, "rows": rows},
        cure=init_cure(start.subject.spec),
    )


def units_saturated(start: Start) -> Finding | None:
    """Finds a layer most of whose outputs are at the flat ends of their activation."""
    found = [units for units in start.units if units.saturated > _SATURATED]
    if not found:
        return None
    return Finding(
        found[0].name,
        f"outputs on the slope of {found[0].activation}",
        f"{found[0].saturated:.0%} of the outputs at its ends, where no gradient passes",
        "Scale the inputs, and use an initializer such as glorot_uniform.",
        evidence={"share": found[0].saturated},
        cure=init_cure(start.subject.spec),
    )


def gradient_vanishes(start: Start) -> Finding | None:
    """Finds a layer that gets hardly any gradient, or none."""
    kernels = start.kernels
    if not kernels or not math.isfinite(start.loss):
        return None
    last = max(kernel.gradient_rms for kernel in kernels)
    low = min(kernels, key=lambda kernel: kernel.gradient_rms)
    if any(kernel.units_are_identical for kernel in kernels[:-1]):
        return None  # that is the cause
    if low.gradient_rms > max(_VANISHED, _RATIO * last) or _learns_later(low, kernels):
        return None
    if not last:
        return None  # the outputs are constant: `output_constant`
    got = f"{low.gradient_rms:.2g} on average, while the largest of a layer is {last:.2g}"
    remedy = "Use fewer layers, relu with he_normal, or normalization: layer."
    cure = relu_cure(start.subject.spec)
    weak = min(kernels, key=lambda kernel: kernel.gain)
    if float(np.median([kernel.gain for kernel in kernels])) < _WEAK:
        got += f", since {weak.path} multiplies its inputs by {weak.gain:.2g}"
        remedy, cure = "Use an initializer such as he_normal.", init_cure(start.subject.spec)
    return Finding(
        low.path,
        "a gradient that reaches the layer",
        got,
        remedy,
        evidence={"gradient": low.gradient_rms, "largest": last, "gain": weak.gain},
        cure=cure,
    )


def gradient_explodes(start: Start) -> Finding | None:
    """Finds gradients that are a thousand times as large as the weights."""
    if not start.kernels or not math.isfinite(start.loss):
        return None
    worst = max(start.kernels, key=lambda kernel: kernel.gradient_rms / kernel.size)
    ratio = worst.gradient_rms / worst.size
    if not ratio > _EXPLODED:
        return None
    return Finding(
        worst.path,
        "a gradient that is smaller than the weights",
        f"{worst.gradient_rms:.2g}, {ratio:.2g} times the weights",
        "Scale inputs and targets, use an initializer such as he_normal, or set "
        "global_clipnorm: 1.0.",
        evidence={"gradient": worst.gradient_rms, "gradient_to_weight": ratio},
        cure=init_cure(start.subject.spec),
    )


def penalty_dominates(start: Start) -> Finding | None:
    """Finds penalties, of weights or of outputs of layers, far above the loss of the data."""
    # A loss may be below 0, as that of Poisson is.
    if not math.isfinite(start.loss) or start.penalty <= _PENALTY * abs(start.guess_loss):
        return None
    spec, cure = start.subject.spec, {}
    if spec is not None:
        cure = {f"network.{k}": 1e-4 for k in ("l1", "l2") if getattr(spec.network, k)}
        layers = enumerate(spec.network.hidden)
        cure |= {
            f"network.hidden[{number}].{key}": 1e-4
            for number, layer in layers
            for key in ("l1", "l2")
            if getattr(layer, key)
        }
    return Finding(
        "penalty",
        f"less than the loss of the data, {start.guess_loss:.3g} for a guess",
        f"{start.penalty:.4g}, so that the weights go to 0 whatever the data say",
        "Set l1 and l2 to about 0.0001.",
        evidence={"penalty": start.penalty, "loss": start.guess_loss},
        cure=cure,
    )


def _learns_later(kernel: Kernel, kernels: tuple[Kernel, ...]) -> bool:
    """Returns whether a kernel has no gradient yet because the next one starts at 0."""
    following = kernels[kernels.index(kernel) + 1 :]
    return any(not each.value.any() and each.gradient.any() for each in following)
