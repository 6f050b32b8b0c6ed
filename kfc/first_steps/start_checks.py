"""Checks of the untrained network, one forward and one backward pass: the stage `start`."""

from __future__ import annotations

import math

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import init_cure, rate_cure, relu_cure
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
_UPDATE = 1.0  # share of the weights that one update changes; 1e-3 is usual
_MOVED = 0.01  # share of the weights that all updates together could change
_PULL = 0.5  # of the decay, where a step of the gradient is 1
_USUAL_DECAY = 0.001
_PENALTY = 10.0  # times the loss of the data


def start_not_finite(start: Start) -> Finding | None:
    """Finds a loss that is NaN or infinite before the first step."""
    if math.isfinite(start.loss):
        return None
    return Finding(
        "loss at step 0",
        "a finite number",
        f"{start.loss}",
        "Scale the inputs, and use an initializer such as he_normal.",
        evidence={"rows": len(start.subject.some[1])},
        cure=init_cure(start.subject.spec),
    )


def gradient_missing(start: Start) -> Finding | None:
    """Finds weights that the loss does not depend on."""
    if not start.without_gradient:
        return None
    first, more = start.without_gradient[0], len(start.without_gradient) - 1
    return Finding(
        first,
        "a gradient of the loss",
        "none" + (f", like {more} more" if more else ""),
        "Connect the layer to the output, or remove it.",
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
    given = float(np.sqrt(np.square(start.subject.outputs).mean()))
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
    return Finding(
        low.path,
        "a gradient that reaches the layer",
        f"{low.gradient_rms:.2g} on average, while the largest of a layer is {last:.2g}",
        "Use fewer layers, relu with he_normal, or normalization: layer.",
        evidence={"gradient": low.gradient_rms, "largest": last},
        cure=relu_cure(start.subject.spec),
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


def update_too_large(start: Start) -> Finding | None:
    """Finds a learning rate with which one update replaces the weights."""
    ratios = [k.update_ratio for k in start.kernels if math.isfinite(k.update_ratio)]
    if not ratios or float(np.median(ratios)) <= _UPDATE:
        return None
    ratio, rate = float(np.median(ratios)), start.subject.learning_rate
    cure = rate_cure(start.subject.spec, rate * 0.01 / ratio)
    good = next(iter(cure.values()), float(f"{rate * 0.01 / ratio:.1g}"))
    return Finding(
        "learning_rate",
        "updates of about a thousandth of the weights",
        f"{rate:g}, with which one update is {ratio:.3g} times the weights",
        f"Set the learning rate to about {good:g}.",
        evidence={"update_to_weight": ratio, "learning_rate": rate},
        cure=cure,
    )


def update_too_small(start: Start) -> Finding | None:
    """Finds a learning rate with which all steps together hardly move the weights."""
    ratios = [k.update_ratio for k in start.kernels if math.isfinite(k.update_ratio)]
    steps, rate = start.subject.steps, start.subject.learning_rate
    if not ratios or not steps or max(ratios) * steps >= _MOVED or max(ratios) == 0:
        return None
    ratio = max(ratios)
    cure = rate_cure(start.subject.spec, rate * 0.002 / ratio)
    return Finding(
        "learning_rate",
        f"updates that change the weights within {steps:,} steps",
        f"{rate:g}, with which they change by at most {ratio * steps:.2g} of themselves",
        f"Set the learning rate to about {rate * 0.002 / ratio:.1g}.",
        evidence={"update_to_weight": ratio, "learning_rate": rate, "steps": steps},
        cure=cure,
    )


def penalty_dominates(start: Start) -> Finding | None:
    """Finds penalties of weights that are far larger than the loss of the data."""
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
        "penalty of the weights",
        f"less than the loss of the data, {start.guess_loss:.3g} for a guess",
        f"{start.penalty:.4g}, so that the weights go to 0 whatever the data say",
        "Set l1 and l2 to about 0.0001.",
        evidence={"penalty": start.penalty, "loss": start.guess_loss},
        cure=cure,
    )


def decay_dominates(start: Start) -> Finding | None:
    """Finds a weight decay that pulls weights to 0 about as hard as their gradient moves them.

    A step multiplies weights by 1 - rate * decay, and is compared with the rest of the first
    update, when gradients are large. A decay that would take longer than the training to halve
    the weights is left alone.
    """
    make, rate = start.subject.make_optimizer, start.subject.learning_rate
    decay = getattr(make(), "weight_decay", None) if make else None
    if not isinstance(decay, (int, float)) or not decay > 0:
        return None
    steps = start.subject.steps or -(-len(start.subject.y) // start.subject.batch_size)
    pulls = [pull for kernel in start.kernels if (pull := _pull(kernel, rate * decay))]
    if rate * decay * steps <= math.log(2) or not pulls or np.median(pulls) < _PULL:
        return None
    pull, halves = float(np.median(pulls)), math.log(2) / (rate * decay)
    return Finding(
        "weight_decay",
        f"a decay that is small beside the gradient, such as {_USUAL_DECAY:g}",
        f"{decay:g}, which halves the weights in {halves:.3g} steps, and pulls {pull:.2g} "
        "times as hard as the gradient",
        f"Set weight_decay to {_USUAL_DECAY:g}.",
        evidence={"pull": pull, "steps_to_half": halves, "weight_decay": float(decay)},
        cure={}
        if start.subject.spec is None
        else {"training.optimizer.weight_decay": _USUAL_DECAY},
    )


def _pull(kernel: Kernel, shrinkage: float) -> float:
    """Returns the size of the decay's part of an update, of that of its other part."""
    if kernel.update is None or not kernel.gradient.any():
        return 0.0
    decay = shrinkage * kernel.value
    other = float(np.linalg.norm(kernel.update + decay))
    return float(np.linalg.norm(decay)) / other if other > 0 else 0.0


def _learns_later(kernel: Kernel, kernels: tuple[Kernel, ...]) -> bool:
    """Returns whether a kernel has no gradient yet because the next one starts at 0."""
    following = kernels[kernels.index(kernel) + 1 :]
    return any(not each.value.any() and each.gradient.any() for each in following)
