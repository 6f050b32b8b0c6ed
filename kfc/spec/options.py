"""An option of a component and its value -> what is wrong with it, if anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from kfc.errors import Fault, nearest
from kfc.spec.plain import shown
from kfc.spec.signatures import REQUIRED, UNREAD

# Option -> (description, test). Keras accepts any of these numbers and trains on them.
_SHARE = ("a number in [0, 1)", lambda v: 0 <= v < 1)
_POSITIVE = ("a finite number above 0", lambda v: 0 < v < math.inf)
_NOT_NEGATIVE = ("a finite number of at least 0", lambda v: 0 <= v < math.inf)
_COUNT = ("an integer of at least 1", lambda v: isinstance(v, int) and v >= 1)
_WHOLE = ("an integer of at least 0", lambda v: isinstance(v, int) and v >= 0)
_ANY = ("a number", lambda v: True)
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("beta_1", "beta_2", "rho", "momentum", "ema_momentum"), _SHARE),
    **dict.fromkeys(("adam_beta_1", "adam_beta_2", "label_smoothing"), _SHARE),
    **dict.fromkeys(("learning_rate", "stddev", "epsilon", "delta", "scale"), _POSITIVE),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), _POSITIVE),
    **dict.fromkeys(("loss_scale_factor", "gain", "epsilon_1", "epsilon_2"), _POSITIVE),
    **dict.fromkeys(("clip_threshold", "rms_rate", "adam_lr_ratio"), _POSITIVE),
    **dict.fromkeys(("weight_decay", "min_delta", "gamma", "min_lr"), _NOT_NEGATIVE),
    **dict.fromkeys(("every", "ema_overwrite_frequency", "ns_steps"), _COUNT),
    **dict.fromkeys(("patience", "cooldown", "start_from_epoch", "warmup_steps"), _WHOLE),
    **dict.fromkeys(("verbose", "profile_batch", "ignore_class"), _WHOLE),
    **dict.fromkeys(("histogram_freq", "embeddings_freq"), _WHOLE),
    **dict.fromkeys(
        ("l1_regularization_strength", "l2_regularization_strength"), _NOT_NEGATIVE
    ),
    **dict.fromkeys(
        ("initial_accumulator_value", "l2_shrinkage_regularization_strength"), _NOT_NEGATIVE
    ),
    **dict.fromkeys(("baseline", "initial_value_threshold", "default_value"), _ANY),
    **dict.fromkeys(("max_value", "negative_slope"), _NOT_NEGATIVE),
    "threshold": _ANY,
    "factor": ("a number in (0, 1)", lambda v: 0 < v < 1),
    "learning_rate_power": ("a number of at most 0", lambda v: v <= 0),
    "gradient_accumulation_steps": (
        "an integer of at least 2",
        lambda v: isinstance(v, int) and v >= 2,
    ),
}
# (kind, option) -> what Keras knows; it refuses others late, or warns and takes another.
_CHOICES = {
    ("callback", "mode"): ("auto", "min", "max"),
    ("callback", "save_freq"): ("epoch",),
    ("callback", "update_freq"): ("epoch", "batch"),
    ("initializer", "mode"): ("fan_in", "fan_out", "fan_avg"),
    ("initializer", "distribution"): (
        *("truncated_normal", "untruncated_normal", "uniform"),
        "normal",
    ),
    ("loss", "reduction"): ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"),
}
_FLOAT32_MAX = 3.4028234663852886e38


def option_faults(kind: str, option: str, value: Any, default: Any) -> Iterator[Fault]:
    """Yields what is wrong with `value`, by the type and the name of its option.

    Args:
        kind: Of the component, such as `optimizer`.
        option: Its name, such as `learning_rate`.
        value: What the spec says.
        default: The option's own; `UNREAD` for a plug-in's.
    """
    expected = _type_fault(value, default) or _range_fault(option, value, default)
    remedy = "Leave it out, or mend it."
    if default not in (None, REQUIRED, UNREAD):
        text = str(default).lower() if isinstance(default, bool) else default
        remedy = f"Use for example {option}: {text}."
    choices = _CHOICES.get((kind, option), ())
    if not expected and default in choices and value not in choices:
        expected = f"one of {', '.join(choices)}"
        remedy = nearest(value, choices).strip() or remedy
    if expected:
        yield Fault(option, expected, shown(value), remedy)


def _type_fault(value: Any, default: Any) -> str:
    """Returns what was expected where `value` is not of the default's type, or nothing."""
    number = _is_number(value)
    if number and not abs(value) <= _FLOAT32_MAX:
        return "a finite number that fits in float32"
    if value is None and default is None:
        return ""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        fits = number and (isinstance(value, int) or value.is_integer())
        # A default of 0 or 1 is often a float written short, as in `min_delta=0`.
        return "" if fits or (number and default in (0, 1)) else "an integer"
    if isinstance(default, float):
        return "" if number else "a number"
    if isinstance(default, str) and default not in (REQUIRED, UNREAD):
        return "" if isinstance(value, str) else "text"
    return "" if number or isinstance(value, (bool, str)) else "a number, text or a yes or no"


def _range_fault(option: str, value: Any, default: Any) -> str:
    """Returns the range that `value` is not in, or nothing."""
    if option not in _RANGES or value is None:
        return ""
    expected, fits = _RANGES[option]
    if default == UNREAD and not (option == "learning_rate" and _is_number(value)):
        return ""  # a plug-in may mean something else by the name
    return "" if _is_number(value) and fits(value) else expected


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
