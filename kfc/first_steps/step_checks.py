"""Checks of a few real steps on the copy of a network: the stage `steps`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import option_cure, rate_cure
from kfc.first_steps.start import entry_sizes
from kfc.first_steps.start_checks import largest_gain, start_loss_high, starts_high
from kfc.first_steps.steps import Steps
from kfc.first_steps.tried_steps import loss_after

_LEARNED = 0.9  # of the loss of a constant answer: memory of 32 rows reaches nearly 0
_DISTINCT_ROWS = 4
_ONE_CLASS = 1e-3  # loss of a guess on a batch of one class, of which nothing can be learned
_EXPLODED = 10.0  # times the loss of a guess
_RATIO = 0.05  # share of the weights that one update changes, where steps fail
_PLAIN = ("SGD", "TapeSGD")
_USUAL = {"beta_1": 0.9, "beta_2": 0.999, "rho": 0.9, "momentum": 0.9}
"""Options of optimizers that average gradients, with usual values."""
_THROWN = 0.2  # share of the weights that one update changes
_FEWEST_UPDATES = 4  # of a training whose updates gather the gradients of several steps
_QUARTER = 0.25  # of the loss of a guess, or of that of another rate
_SMALL = 0.03  # inputs that are not 0; scaled ones have 0.3 to 1, pixels over 255^2 0.003
_SMALL_ROW = 0.3  # length of a row: texts of many words have small entries and the length 1
_DEEP = 20  # layers, through which hardly any network learns without shortcuts
_SHRUNK = 0.1  # of its size, to which no gradient takes a kernel in 40 steps
_OFFSET = 3.0  # deviations of the targets, by which their mean is away from 0
_FAR = 10.0  # times the loss of the mean target
_SHARE_OF_STEPS = 0.1  # of the training, after which the mean should be reached
_ALIKE = 1e-6  # spread of outputs that rounding explains
_STEPS, _MANY_STEPS = 40, 200  # that the training's own optimizer makes
_PROGRESS = 0.1  # of the loss of a guess, by which 40 steps should lower it


def steps_diverge(steps: Steps) -> Finding | None:
    """Finds a learning rate whose steps leave the loss above that of a guess.

    The rate counts as the cause where the steps are long: for gradient descent above
    2 / sharpness, otherwise above 5 % of the weights. It also does where the loss is ten times
    that of a guess, or NaN: nothing but the steps has changed, and the sharpness grows while
    they lengthen, as with momentum close to 1. An option of the optimizer is the cause instead
    where its usual value makes the same steps learn.
    """
    start = steps.start
    if not _may_judge(steps) or start.loss > steps.loss_after:
        return None  # the steps lead down, perhaps from a start that is high
    bound, size = _bound(steps)
    if steps.loss_after <= bound + 0.1 * size:  # False for NaN
        return None
    if (found := _option_diverges(steps, bound + 0.1 * size)) is not None:
        return found
    explodes = not steps.loss_after <= bound + (_EXPLODED - 1) * size
    better = _better_rate(steps)
    if better is None and not explodes:
        return None
    return _rate_finding(steps, better or steps.subject.learning_rate / 10)


def steps_lead_nowhere(steps: Steps) -> Finding | None:
    """Finds a learning rate with which many steps learn little, while a smaller one learns.

    Its steps are long, and the network is thrown about near the loss of a guess.
    """
    guess = steps.start.guess_loss
    if not _may_judge(steps) or not steps.loss_after > _QUARTER * guess > 0:
        return None
    stable, better = _stable_rate(steps), _better_rate(steps)
    throws = stable is not None or _largest_ratio(steps) >= _THROWN
    if better is None or not throws or start_loss_high(steps.start) or steps_diverge(steps):
        return None
    later = loss_after(steps.subject, _MANY_STEPS)
    if later <= _QUARTER * guess:
        return None  # it only begins slowly
    if not loss_after(steps.subject, _MANY_STEPS, learning_rate=better) < _QUARTER * later:
        return None
    return _rate_finding(steps, better, nowhere=later)


def _may_judge(steps: Steps) -> bool:
    """Returns whether there are real steps, from a start that tells something."""
    start, subject = steps.start, steps.subject
    updates = any(math.isfinite(kernel.update_ratio) for kernel in start.kernels)
    has_optimizer = subject.make_optimizer is not None and not subject.warms_up
    return has_optimizer and updates and math.isfinite(start.loss)


def _better_rate(steps: Steps) -> float | None:
    """Returns a rate whose steps are shorter; None where they are not long."""
    rate, stable = steps.subject.learning_rate, _stable_rate(steps)
    if stable is not None:
        return stable / 4 if rate > stable else None
    ratio = _largest_ratio(steps)
    return rate * 0.01 / ratio if ratio >= _RATIO else None


def _largest_ratio(steps: Steps) -> float:
    return max(k.update_ratio for k in steps.start.kernels if math.isfinite(k.update_ratio))


def _rate_finding(steps: Steps, good: float, nowhere: float | None = None) -> Finding:
    start, stable, ratio = steps.start, _stable_rate(steps), _largest_ratio(steps)
    count, later = _STEPS, steps.loss_after
    if nowhere is not None:
        count, later = _MANY_STEPS, nowhere
    evidence = {"loss": start.loss, "loss_after": later, "update_to_weight": ratio}
    why = f"one update is {ratio:.2g} of the weights"
    if stable is not None:
        evidence |= {"sharpness": steps.sharpness, "stable_rate": stable}
        why = (
            f"the loss curves by {steps.sharpness:.3g}, and rates above {stable:.2g} overshoot"
        )
    return Finding(
        "learning_rate",
        "steps that lower the loss",
        f"{steps.subject.learning_rate:g}, with which {count} steps lead from "
        f"{start.loss:.3g} to {later:.3g} ({why})",
        f"Set the learning rate to about {good:.1g}.",
        evidence={key: value for key, value in evidence.items() if math.isfinite(value)},
        cure=rate_cure(steps.subject.spec, good),
    )


def _option_diverges(steps: Steps, most: float) -> Finding | None:
    """Returns the finding for an option without which the same steps stay below a loss."""
    make = steps.subject.make_optimizer
    config = make().get_config() if make else {}
    for option, usual in _USUAL.items():
        given = config.get(option)
        plain = option == "momentum" and given == 0
        if not isinstance(given, (int, float)) or given == usual or plain:
            continue
        later = loss_after(steps.subject, _STEPS, **{option: usual})
        if not later <= most:
            continue
        return Finding(
            option,
            f"a value such as {usual:g}, with which {_STEPS} steps lead to {later:.3g}",
            f"{given:g}, with which they lead from {steps.start.loss:.3g} to "
            f"{steps.loss_after:.3g}",
            f"Set {option} to {usual:g}.",
            evidence={option: float(given), "loss": steps.start.loss},
            cure=option_cure(steps.subject.spec, option, usual),
        )
    return None


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
    guess = steps.start.guess_loss
    if guess - loss_after(steps.subject, _MANY_STEPS) > _PROGRESS * abs(guess):
        return None  # small weights have learned, as those of an average that begins at 0
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
    """Finds steps that change no weight, or hardly ever, though there is a gradient."""
    start, subject = steps.start, steps.subject
    make = subject.make_optimizer
    if make is None or not any(k.gradient.any() for k in start.kernels):
        return None
    optimizer: Any = make()
    gathered, option = int(optimizer.gradient_accumulation_steps or 1), ""
    updates = subject.longest // gathered
    rarely = updates < _FEWEST_UPDATES if gathered > 1 else not steps.changed
    if not rarely:
        return None
    got, remedy = "none after 40 steps", "Set a larger learning rate."
    if optimizer.loss_scale_factor:
        option = "loss_scale_factor"
        got = f"none after 40 steps with a {option} of {optimizer.loss_scale_factor:g}"
        remedy = f"Leave {option} out."
    if gathered > 1:
        option = "gradient_accumulation_steps"
        got = (
            f"{updates or 'none'} in {subject.longest:,} steps, since one update gathers "
            f"{gathered:,} of them"
        )
        remedy = f"Leave {option} out, or set it to 4."
    return Finding(
        "weights",
        "changes of the weights",
        got,
        remedy,
        evidence={"steps": 40, "gradient_accumulation_steps": gathered},
        cure=option_cure(subject.spec, option, None) if option else {},
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


def target_offset(steps: Steps) -> Finding | None:
    """Finds targets of a regression so far from 0 that the training only moves to their mean.

    The outputs begin near 0. The distance that 40 steps have left is compared with the one
    that they went.
    """
    start, subject = steps.start, steps.subject
    if subject.num_classes or subject.loss.compared != "numbers" or subject.loss.of_ratios:
        return None
    y = subject.some[1].astype(np.float64).reshape(len(subject.some[1]), -1)
    mean, deviation = float(np.abs(y.mean(axis=0)).max()), float(y.std(axis=0).max())
    first, later, guess = start.loss, steps.loss_after, start.guess_loss
    if not (mean > _OFFSET * deviation > 0 and later > _FAR * guess > 0):  # False for NaN
        return None
    pace = math.sqrt(first) - math.sqrt(later)
    needed = math.inf if pace <= 0 else _STEPS * math.sqrt(later) / pace
    if needed < _SHARE_OF_STEPS * subject.longest:
        return None
    steps_needed = f"{needed:,.0f}" if math.isfinite(needed) else "countless"
    return Finding(
        "targets",
        "targets around 0",
        f"a mean of {mean:.4g} and a deviation of {deviation:.3g}: it takes about "
        f"{steps_needed} of {subject.longest:,} steps to reach the mean",
        "Set data.scale_target to standard, or train on (y - mean) / deviation.",
        evidence={"mean": mean, "deviation": deviation, "loss": first, "loss_after": later},
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
    """Returns whether the answers are the same for every row, before and after the steps.

    Outputs of a regression have the unit of its targets.
    """
    outputs, y = steps.subject.outputs, steps.subject.some[1]
    unit = 1.0 if steps.subject.num_classes else float(np.std(y.astype(np.float64))) or 1.0
    spread = float(np.ptp(outputs, axis=0).max())
    at_start = spread <= _ALIKE * max(unit, float(np.abs(outputs).max()))
    return at_start and steps.varies_by_heart <= _ALIKE * unit


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
