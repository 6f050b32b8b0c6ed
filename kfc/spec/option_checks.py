"""Checks the value of a component's option, and describes valid values as JSON Schema."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from kfc.errors import Finding, nearest
from kfc.spec.keras_signatures import REQUIRED, UNREAD
from kfc.spec.plain_values import shown_value

Limits = tuple[str, dict[str, Any]]

# Description and limits of a range; the limits have the names of JSON Schema.
_SHARE: Limits = ("a number in [0, 1)", {"minimum": 0, "exclusiveMaximum": 1})
_POSITIVE: Limits = ("a finite number above 0", {"exclusiveMinimum": 0})
_NOT_NEGATIVE: Limits = ("a finite number of at least 0", {"minimum": 0})
_COUNT: Limits = ("an integer of at least 1", {"type": "integer", "minimum": 1})
_SIZE: Limits = (
    "an integer from 1 to 4096",
    {"type": "integer", "minimum": 1, "maximum": 4096},
)
_WHOLE: Limits = ("an integer of at least 0", {"type": "integer", "minimum": 0})
_ANY: Limits = ("a number", {})
# Range of each option. Keras itself accepts any number.
_RANGES: dict[str, Limits] = {
    **dict.fromkeys(("beta_1", "beta_2", "rho", "momentum", "ema_momentum"), _SHARE),
    **dict.fromkeys(("adam_beta_1", "adam_beta_2", "label_smoothing"), _SHARE),
    **dict.fromkeys(("learning_rate", "stddev", "epsilon", "delta", "scale"), _POSITIVE),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), _POSITIVE),
    **dict.fromkeys(("loss_scale_factor", "gain", "epsilon_1", "epsilon_2"), _POSITIVE),
    **dict.fromkeys(("clip_threshold", "rms_rate", "adam_lr_ratio"), _POSITIVE),
    **dict.fromkeys(("weight_decay", "min_delta", "gamma", "min_lr"), _NOT_NEGATIVE),
    **dict.fromkeys(("every", "ema_overwrite_frequency", "ns_steps"), _COUNT),
    **dict.fromkeys(("frequencies", "size", "bins"), _SIZE),
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
    "factor": ("a number in (0, 1)", {"exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    "learning_rate_power": ("a number of at most 0", {"maximum": 0}),
    "gradient_accumulation_steps": (
        "an integer of at least 2",
        {"type": "integer", "minimum": 2},
    ),
}
# Values that Keras accepts. For another value Keras raises an error late, or warns and uses
# the default.
_CHOICES = {
    ("callback", "mode"): ("auto", "min", "max"),
    ("callback", "save_freq"): ("epoch",),
    ("callback", "update_freq"): ("epoch", "batch"),
    **{
        (kind, option): words
        for kind in ("initializer", "bias_initializer")
        for option, words in {
            "mode": ("fan_in", "fan_out", "fan_avg"),
            "distribution": ("truncated_normal", "untruncated_normal", "uniform", "normal"),
        }.items()
    },
    ("loss", "reduction"): ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"),
}
_FLOAT32_MAX = 3.4028234663852886e38


def option_findings(kind: str, option: str, value: Any, default: Any) -> Iterator[Finding]:
    """Yields a finding if the value of an option has a wrong type, range or word.

    Args:
        kind: Kind of the component, such as `optimizer`.
        option: Name of the option, such as `learning_rate`.
        value: Value in the spec.
        default: Default of the option; `UNREAD` for an option of a plug-in.
    """
    expected = _type_finding(value, default) or _range_finding(option, value, default)
    remedy = "Change it, or leave it out."
    if default not in (None, REQUIRED, UNREAD):
        text = str(default).lower() if isinstance(default, bool) else default
        remedy = f"Use for example {option}: {text}."
    choices = _CHOICES.get((kind, option), ())
    if not expected and default in choices and value not in choices:
        expected = f"one of {', '.join(choices)}"
        remedy = nearest(value, choices).strip() or remedy
    if expected:
        yield Finding(option, expected, shown_value(value), remedy)


def _type_finding(value: Any, default: Any) -> str:
    """Returns the expected type if `value` has another type than the default, else nothing."""
    number = _is_number(value)
    if number and not abs(value) <= _FLOAT32_MAX:
        return "a finite number that fits in float32"
    if value is None and default is None:
        return ""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        fits = number and (isinstance(value, int) or value.is_integer())
        # A default of 0 or 1 often stands for a float, as in `min_delta=0`.
        return "" if fits or (number and default in (0, 1)) else "an integer"
    if isinstance(default, float):
        return "" if number else "a number"
    if isinstance(default, str) and default not in (REQUIRED, UNREAD):
        return "" if isinstance(value, str) else "text"
    return "" if number or isinstance(value, (bool, str)) else "a number, text, true or false"


def _range_finding(option: str, value: Any, default: Any) -> str:
    """Returns the expected range if `value` is outside of it, else nothing."""
    if option not in _RANGES or value is None:
        return ""
    expected, limits = _RANGES[option]
    if default == UNREAD and not (option == "learning_rate" and _is_number(value)):
        return ""  # the name may have another meaning in a plug-in
    return "" if _is_number(value) and _is_within(value, limits) else expected


_COMPARED = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}


def _is_within(value: float, limits: Mapping[str, Any]) -> bool:
    """Returns whether a number is within limits, which have the names of JSON Schema."""
    if limits.get("type") == "integer" and not isinstance(value, int):
        return False
    return all(fits(value, limits[key]) for key, fits in _COMPARED.items() if key in limits)


def option_schema(kind: str, option: str, default: Any) -> dict[str, Any]:
    """Returns the JSON Schema of an option; it accepts the same values as `option_findings`.

    Args:
        kind: Kind of the component, such as `optimizer`.
        option: Name of the option, such as `learning_rate`.
        default: Default of the option; `UNREAD` for an option of a plug-in.
    """
    words, limits = _RANGES.get(option, ("", {})) if default != UNREAD else ("", {})
    choices = _CHOICES.get((kind, option), ())
    finite = {"minimum": -_FLOAT32_MAX, "maximum": _FLOAT32_MAX}
    if isinstance(default, bool):
        schema: dict[str, Any] = {"type": "boolean"}
    elif isinstance(default, str) and default not in (REQUIRED, UNREAD):
        schema = {"type": "string"} | ({"enum": list(choices)} if default in choices else {})
    elif isinstance(default, (int, float)) or words:
        whole = isinstance(default, int) and default not in (0, 1)
        bounds = {k: v for k, v in finite.items() if f"exclusive{k.title()}" not in limits}
        schema = {"type": "integer" if whole else "number", **bounds, **limits}
        if default is None:
            schema["type"] = [schema["type"], "null"]
    else:
        null = ["null"] if default is None else []
        schema = {"type": ["number", "boolean", "string", *null], **finite}
    if words:
        schema["description"] = f"{words[0].upper()}{words[1:]}."
    if default not in (REQUIRED, UNREAD):
        schema["default"] = default
    return schema


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
