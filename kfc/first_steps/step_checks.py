"""Checks of a few real steps on the copy of a network: the stage `steps`."""

from __future__ import annotations

import math

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import option_cure, rate_cure
from kfc.first_steps.start import entry_sizes
from kfc.first_steps.start_checks import largest_gain, start_loss_high, starts_high
from kfc.first_steps.steps import Steps

_LEARNED = 0.9  # of the loss of a constant answer: memory of 32 rows reaches nearly 0
_DISTINCT_ROWS = 4
_ONE_CLASS = 1e-3  # loss of a guess on a batch of one class, of which nothing can be learned
_EXPLODED = 10.0  # times the loss of a guess
_RATIO = 0.05  # share of the weights that one update changes, where steps fail
_PLAIN = ("SGD", "TapeSGD")
_SMALL = 0.03  # inputs that are not 0; scaled ones have 0.3 to 1, pixels over 255^2 0.003
_SMALL_ROW = 0.3  # length of a row: texts of many words have small entries and the length 1
_DEEP = 20  # layers, through which hardly any network learns without shortcuts
_SHRUNK = 0.1  # of its size, to which no gradient takes a kernel in 40 steps
_ALIKE = 1e-6  # spread of outputs that rounding explains
_PROGRESS = 0.1  # of the loss of a guess, by which 40 steps should lower it


def steps_diverge(steps: Steps) -> Finding | None:
    """Finds a learning rate whose steps leave the loss above that of a guess.

    The rate counts as the cause where the steps are long: for gradient descent above
    2 / sharpness, otherwise above 5 % of the weights. It also does where the loss is ten times
    that of a guess, or NaN: nothing but the steps has changed, and the sharpness grows while
    they lengthen, as with momentum close to 1.
    """
    start, subject = steps.start, steps.subject
    if subject.make_optimizer is None or subject.warms_up or not math.isfinite(start.loss):
        return None
    bound, size = _bound(steps)
    ratios = [k.update_ratio for k in start.kernels if math.isfinite(k.update_ratio)]
    if steps.loss_after <= bound + 0.1 * size or not ratios:  # False for NaN
        return None
    if steps.loss_after < start.loss:
        return None  # the steps lead down, from a start that is high
    evidence = {"loss": start.loss, "loss_after": steps.loss_after}
    rate, ratio = subject.learning_rate, max(ratios)
    stable, explodes = (
        _stable_rate(steps),
        not steps.loss_after <= bound + (_EXPLODED - 1) * size,
    )
    if stable is not None:
        evidence |= {"sharpness": steps.sharpness, "stable_rate": stable}
        if rate <= stable and not explodes:
            return None
        good = stable / 4 if rate > stable else rate / 10
        why = (
            f"the loss curves by {steps.sharpness:.3g}, and rates above {stable:.2g} overshoot"
        )
    else:
        evidence["update_to_weight"] = ratio
        if ratio < _RATIO and not explodes:
            return None
        good = rate * (0.01 / ratio if ratio >= _RATIO else 0.1)
        why = f"one update is {ratio:.2g} of the weights"
    return Finding(
        "learning_rate",
        "steps that lower the loss",
        f"{rate:g}, with which 40 steps lead from {start.loss:.3g} to {steps.loss_after:.3g} "
        f"({why})",
        f"Set the learning rate to about {good:.1g}.",
        evidence={key: value for key, value in evidence.items() if math.isfinite(value)},
        cure=rate_cure(subject.spec, good),
    )


def _bound(steps: Steps) -> tuple[float, float]:
    """Returns the loss that steps should not exceed, and the size of its differences.

    The loss of a guess tells that size where it is above 0; another loss, such as that of
    Poisson, may be anywhere, and has that of the first loss above a guess.
    """
    start, guess = steps.start, steps.start.guess_loss
    bound = max(guess, min(start.loss, guess + abs(guess)))
    if steps.subject.loss.compared != "other" and guess > 0:
        return bound, bound
    return bound, max(abs(bound), abs(start.loss - guess))


def weights_vanish(steps: Steps) -> Finding | None:
    """Finds steps that take the weights to 0, whatever the data say.

    A constraint, a weight decay, or an optimizer that computes weights anew, as FTRL, does so.
    """
    sizes = steps.sizes_after
    if not min(sizes, default=1.0) < _SHRUNK or _lowers_loss(steps):
        return None
    make = steps.subject.make_optimizer
    name = type(make()).__name__ if make else ""
    spec, left = steps.subject.spec, min(sizes)
    return Finding(
        "weights",
        "weights that keep about their size in the first steps",
        f"a layer with {left:.2g} of their initial size after 40 steps of {name}",
        "Look for a constraint such as MaxNorm, a weight decay, or an optimizer such as Ftrl, "
        "and use adam without them.",
        evidence={"left": left, "loss_after": steps.loss_after},
        cure={} if spec is None or name != "Ftrl" else {"training.optimizer": "adam"},
    )


def weights_stand_still(steps: Steps) -> Finding | None:
    """Finds steps that change no weight, though there is a gradient."""
    start, subject = steps.start, steps.subject
    make = subject.make_optimizer
    if make is None or steps.changed or not any(k.gradient.any() for k in start.kernels):
        return None
    gathered = int(getattr(make(), "gradient_accumulation_steps", None) or 1)
    if 1 < gathered <= subject.longest:
        return None
    got, remedy = "none after 40 steps", "Set a larger learning rate."
    if gathered > 1:
        got = (
            f"none in {subject.longest:,} steps, since one update gathers {gathered:,} of them"
        )
        remedy = "Leave gradient_accumulation_steps out, or set it to 4."
    cure = option_cure(subject.spec, "gradient_accumulation_steps", None)
    return Finding(
        "weights",
        "weights that the steps change",
        got,
        remedy,
        evidence={"steps": 40, "gradient_accumulation_steps": gathered},
        cure=cure if gathered > 1 else {},
    )


def target_too_small(steps: Steps) -> Finding | None:
    """Finds targets of a regression far below the outputs, also after 40 steps."""
    start, subject = steps.start, steps.subject
    if subject.num_classes or subject.loss.compared != "numbers" or subject.loss.of_ratios:
        return None
    _, y = subject.some
    size, outputs = float(np.std(y.astype(np.float64))), float(np.std(subject.outputs))
    if not 0 < size < _SMALL * min(outputs, 1.0) or steps.loss_after <= start.guess_loss:
        return None
    return Finding(
        "targets",
        "numbers with a standard deviation of about 1",
        f"{size:.2g}, while the outputs of the untrained network have {outputs:.2g}",
        "Set data.scale_target to standard, or train on (y - mean) / deviation.",
        evidence={"deviation": size, "outputs": outputs},
        cure={} if subject.spec is None else {"data.scale_target": "standard"},
    )


def output_constant(steps: Steps) -> Finding | None:
    """Finds a network that answers every row alike, also after it has learned one batch."""
    if not _can_learn(steps) or not _is_constant(steps):
        return None
    return Finding(
        "outputs",
        "answers that depend on the inputs",
        "the same for every row, before and after 200 steps on one batch",
        "Look for dead layers: use random initial weights, scaled inputs, and no relu at the "
        "output.",
        evidence={"spread": steps.varies_by_heart},
    )


def one_batch_not_learned(steps: Steps) -> Finding | None:
    """Finds a network that cannot learn one batch by heart.

    Without dropout and penalties 200 steps of Adam learn 32 rows, if a gradient of the right
    loss arrives. The bound is the loss of the best answer that ignores the inputs.
    """
    if not _can_learn(steps) or _is_constant(steps):
        return None
    if steps.loss_by_heart <= _LEARNED * steps.guess_by_heart:
        return None
    layers, remedy = len(steps.start.kernels), "Look at the other findings; "
    remedy += "check that loss, outputs and targets fit, and scale the inputs."
    if layers > _DEEP:
        remedy = f"Use fewer than {layers} layers, or shortcuts, as those of block: residual."
    return Finding(
        "one batch",
        f"a loss far below {steps.guess_by_heart:.3g}, which needs no inputs",
        f"{steps.loss_by_heart:.3g} after 200 steps on the same 32 rows",
        remedy,
        evidence={"loss": steps.loss_by_heart, "guess": steps.guess_by_heart},
    )


def signal_grows(steps: Steps) -> Finding | None:
    """Finds layers that together start with a loss which the first steps do not undo.

    No kernel alone is large, as in a sum of residual blocks. Such a start is often undone
    within a few steps, and is then no fault.
    """
    start, spec = steps.start, steps.subject.spec
    if not starts_high(start) or start_loss_high(start):
        return None
    if math.isnan(steps.loss_after) or steps.loss_after <= start.guess_loss:
        return None
    remedy, cure = "Use fewer layers, or smaller initial weights", {}
    if spec is None or spec.network.normalization == "none":
        remedy = "Use normalization: layer, or fewer layers"
        cure = {} if spec is None else {"network.normalization": "layer"}
    worst = largest_gain(start)
    return Finding(
        "loss at step 0",
        f"about the {start.guess_loss:.3g} of {start.guess}, or less after 40 steps",
        f"{start.loss:.4g}, and {steps.loss_after:.4g} after 40 steps",
        f"{remedy}: the signal grows from layer to layer.",
        evidence={
            "loss": start.loss,
            "guess": start.guess_loss,
            "loss_after": steps.loss_after,
            "gain": worst.gain if worst else 0.0,
        },
        cure=cure,
    )


def inputs_too_small(steps: Steps) -> Finding | None:
    """Finds inputs so small that the first steps learn nothing from them.

    The gradient of the first kernel is proportional to its inputs. Where the steps lower the
    loss all the same, as an optimizer such as Adam can, nothing is said.
    """
    start, spec = steps.start, steps.subject.spec
    sizes = entry_sizes(steps.subject)
    if sizes is None or not math.isfinite(start.loss):
        return None
    cell, row = sizes
    if not 0 < cell < _SMALL or row >= _SMALL_ROW:
        return None
    if _lowers_loss(steps):
        return None
    return Finding(
        "inputs of the first layer",
        "numbers with a root mean square of about 1",
        f"{cell:.2g}, so that they hardly change an output",
        "Scale the inputs: set data.scale to standard, or adapt a keras.layers.Normalization; "
        "divide pixels by 255 once.",
        evidence={"rms": cell, "row": row},
        cure={} if spec is None else {"data.scale": "standard"},
    )


def _lowers_loss(steps: Steps) -> bool:
    """Returns whether the steps lead clearly below the loss of a guess."""
    guess = steps.start.guess_loss
    return guess - steps.loss_after > _PROGRESS * abs(guess)


def _is_constant(steps: Steps) -> bool:
    """Returns whether the answers are the same for every row, before and after the steps."""
    outputs = steps.subject.outputs
    spread = float(np.ptp(outputs, axis=0).max())
    at_start = spread <= _ALIKE * max(1.0, float(np.abs(outputs).max()))
    return at_start and steps.varies_by_heart <= _ALIKE


def _can_learn(steps: Steps) -> bool:
    """Returns whether learning a batch by heart would say something."""
    finite = math.isfinite(steps.start.loss) and math.isfinite(steps.guess_by_heart)
    return (
        finite and steps.guess_by_heart > _ONE_CLASS and len(steps.subject.y) >= _DISTINCT_ROWS
    )


def _stable_rate(steps: Steps) -> float | None:
    """Returns 2 (1 + momentum) / sharpness for gradient descent, or None for other rules."""
    make = steps.subject.make_optimizer
    optimizer = make() if make else None
    if type(optimizer).__name__ not in _PLAIN or not steps.sharpness > 0:
        return None
    momentum = float(getattr(optimizer, "momentum", 0.0) or 0.0)
    return 2 * (1 + momentum) / steps.sharpness
