"""A name with options, as a spec writes it -> a checked `Component`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kfc.errors import Fault, RegistryError, nearest
from kfc.registry import BLOCKS, CALLBACKS, SOURCES, Registry
from kfc.spec.faults import faults_error
from kfc.spec.plain import shown
from kfc.spec.signatures import REQUIRED, signatures

# Option -> (description, test). Keras accepts any of these numbers and trains on them.
_SHARE = ("a number in [0, 1)", lambda v: 0 <= v < 1)
_POSITIVE = ("a finite number above 0", lambda v: 0 < v < math.inf)
_NOT_NEGATIVE = ("a finite number of at least 0", lambda v: 0 <= v < math.inf)
_COUNT = ("an integer of at least 1", lambda v: isinstance(v, int) and v >= 1)
_ANY = ("a number", lambda v: True)
_RANGES = {
    **dict.fromkeys(("beta_1", "beta_2", "rho", "momentum", "ema_momentum"), _SHARE),
    **dict.fromkeys(("adam_beta_1", "adam_beta_2", "label_smoothing"), _SHARE),
    **dict.fromkeys(("learning_rate", "stddev", "epsilon", "delta", "scale"), _POSITIVE),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), _POSITIVE),
    **dict.fromkeys(("loss_scale_factor", "gain", "epsilon_1", "epsilon_2"), _POSITIVE),
    **dict.fromkeys(("clip_threshold", "rms_rate", "adam_lr_ratio"), _POSITIVE),
    **dict.fromkeys(("weight_decay", "min_delta", "patience", "gamma"), _NOT_NEGATIVE),
    **dict.fromkeys(("every", "ema_overwrite_frequency", "ns_steps"), _COUNT),
    **dict.fromkeys(("min_lr", "initial_accumulator_value", "cooldown"), _NOT_NEGATIVE),
    **dict.fromkeys(("start_from_epoch", "warmup_steps"), _NOT_NEGATIVE),
    **dict.fromkeys(("baseline", "initial_value_threshold", "default_value"), _ANY),
    **dict.fromkeys(("max_value", "negative_slope"), _NOT_NEGATIVE),
    "threshold": _ANY,
    "factor": ("a number in (0, 1)", lambda v: 0 < v < 1),
    "ignore_class": ("an integer of at least 0", lambda v: isinstance(v, int) and v >= 0),
    "learning_rate_power": ("a number of at most 0", lambda v: v <= 0),
    "gradient_accumulation_steps": (
        "an integer of at least 2",
        lambda v: isinstance(v, int) and v >= 2,
    ),
}
# (kind, option) -> what Keras knows; it refuses others late, or warns and takes another.
_CHOICES = {
    ("callback", "mode"): ("auto", "min", "max"),
    ("initializer", "mode"): ("fan_in", "fan_out", "fan_avg"),
    ("initializer", "distribution"): (
        *("truncated_normal", "untruncated_normal", "uniform"),
        "normal",
    ),
    ("loss", "reduction"): ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"),
}
_FLOAT32_MAX = 3.4028234663852886e38


class Component(BaseModel):
    """A name and its options: `adam`, or `{name: adam, learning_rate: 0.01}`.

    Every option the spec leaves out is filled in with its default, so that a saved spec
    says all that was used.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")
    kind: ClassVar[str]
    registry: ClassVar[Registry | None] = None
    short: ClassVar[Mapping[str, str]] = {}

    name: str = Field(description="Name of the component; its options stand beside it.")

    @property
    def options(self) -> dict[str, Any]:
        """The options, defaults included."""
        return dict(self.model_extra or {})

    @classmethod
    def known(cls) -> list[str]:
        """Returns every name on offer, plug-ins included; imports none of them."""
        names = {*signatures(cls.kind), *cls.short}
        return sorted(names | set(cls.registry.names() if cls.registry else ()))

    @classmethod
    def full_name(cls, name: str) -> str:
        """Returns Keras's name for one of kfc's short names."""
        return cls.short.get(name, name)

    @model_validator(mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            return value  # pydantic says what is wrong with it
        name = value["name"]
        options = {key: v for key, v in value.items() if key != "name"}
        if faults := list(cls._name_faults(name)):
            raise faults_error(*faults)
        defaults = signatures(cls.kind).get(cls.full_name(name))
        if defaults is None:  # a plug-in: bound to its signature before data is read
            found = (cls._value_faults(key, v, v) for key, v in options.items())
            if faults := list(itertools.chain.from_iterable(found)):
                raise faults_error(*faults)
            return value
        if faults := list(cls._option_faults(name, options, defaults)):
            raise faults_error(*faults)
        filled = {k: v for k, v in defaults.items() if v is not None and v != REQUIRED}
        written = {option: cls._written_out(option, v) for option, v in options.items()}
        return {"name": name, **filled, **written}

    @classmethod
    def _written_out(cls, option: str, value: Any) -> Any:
        """Returns the value of an option with its own defaults filled in."""
        return value

    @classmethod
    def _name_faults(cls, name: str) -> Iterator[Fault]:
        if cls.full_name(name) in signatures(cls.kind):
            if cls.registry and len(cls.registry.owners().get(name, ())) > 1:
                yield from _registry_faults(cls.registry, name)
        elif cls.registry and name in cls.registry.names():
            yield from _registry_faults(cls.registry, name)
        else:
            yield Fault(
                "name",
                f"the name of a known {cls.kind}",
                repr(name),
                f"{nearest(name, cls.known())}Known: {', '.join(cls.known())}.",
            )

    @classmethod
    def _option_faults(
        cls, name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Fault]:
        for option, value in options.items():
            if option not in defaults:
                yield Fault(
                    str(option),
                    f"an option of {cls.kind} {name!r}",
                    f"the unknown key {option!r}",
                    f"{nearest(str(option), defaults)}Known: {', '.join(defaults) or 'none'}.",
                )
            else:
                yield from cls._value_faults(option, value, defaults[option])
        for option, default in defaults.items():
            if default == REQUIRED and option not in options:
                yield Fault(
                    option,
                    f"a value, which {cls.kind} {name!r} needs",
                    "nothing",
                    f"Add {option}.",
                )

    @classmethod
    def _value_faults(cls, option: str, value: Any, default: Any) -> Iterator[Fault]:
        choices = _CHOICES.get((cls.kind, option), ())
        if option in _RANGES and value is not None:
            text, fits = _RANGES[option]
            # Text only where the default is: a plug-in may mean something else by the name.
            other = isinstance(default, (bool, str)) and default != REQUIRED
            right = fits(value) if _is_number(value) else other
            expected = _type_fault(value, default) or ("" if right else text)
        else:
            expected = _type_fault(value, default)
        remedy = "" if default in (None, REQUIRED) else f"Use for example {shown(default)}."
        if not expected and choices and value not in choices:
            expected = f"one of {', '.join(choices)}"
            remedy = nearest(value, choices).strip() or remedy
        if expected:
            yield Fault(option, expected, shown(value), remedy or "Leave it out, or mend it.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _registry_faults(registry: Registry, name: str) -> Iterator[Fault]:
    try:
        registry.check(name, "name")
    except RegistryError as error:
        yield from error.faults


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
    if isinstance(default, str) and default != REQUIRED:
        return "" if isinstance(value, str) else "text"
    return "" if number or isinstance(value, (bool, str)) else "a number, text or a yes or no"


class Activation(Component):
    """Any Keras activation, with its options."""

    kind = "activation"


class Initializer(Component):
    """Any Keras initialiser, with its options; seeds follow the spec's seed."""

    kind = "initializer"


class Loss(Component):
    """Any Keras loss on logits, or a short name of kfc's."""

    kind = "loss"
    short: ClassVar[Mapping[str, str]] = {
        "cross_entropy": "sparse_categorical_crossentropy",
        "binary_cross_entropy": "binary_crossentropy",
        "mse": "mean_squared_error",
        "mae": "mean_absolute_error",
    }


class Block(Component):
    """What one entry of `hidden` becomes: `dense`, `residual` or a plug-in's."""

    kind = "block"
    registry = BLOCKS


class Callback(Component):
    """Any `keras.callbacks` class by its name, one of kfc's, or a plug-in's."""

    kind = "callback"
    registry = CALLBACKS

    # Options that name a file: Keras would write to any path a spec holds.
    PATHS: ClassVar[frozenset[str]] = frozenset({"filepath", "filename", "log_dir"})

    @classmethod
    def _value_faults(cls, option: str, value: Any, default: Any) -> Iterator[Fault]:
        outside = not isinstance(value, str) or (
            value.startswith(("/", "\\", "~")) or ".." in value or ":" in value or not value
        )
        if option in cls.PATHS and outside:
            yield Fault(
                option,
                "a path inside the run folder",
                shown(value),
                "Use a relative path without '..', such as 'best.keras'.",
            )
        else:
            yield from super()._value_faults(option, value, default)


def named(default: str) -> BeforeValidator:
    """Returns the reader of a component: a bare name, or options without one."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "name" not in value and default:
            return {"name": default, **value}
        return value

    return BeforeValidator(read, json_schema_input_type=str | dict[str, Any])


def check_source(value: str) -> str:
    """Checks that `value` reads `kind:argument`, with a kind that somebody offers."""
    kind, colon, argument = value.partition(":")
    if not colon or not argument:
        close = nearest(value, SOURCES.names())
        raise faults_error(
            Fault(
                "",
                "kind:argument, such as sklearn:digits",
                repr(value),
                f"{close}Known kinds: {', '.join(SOURCES.names())}.",
            )
        )
    try:
        SOURCES.check(kind)
    except RegistryError as error:
        fault = error.faults[0]
        raise faults_error(Fault("", fault.expected, fault.got, fault.remedy)) from error
    return value


ActivationField = Annotated[Activation, named("")]
InitializerField = Annotated[Initializer, named("glorot_uniform")]
LossField = Annotated[Loss, named("")]
BlockField = Annotated[Block, named("dense")]
CallbackField = Annotated[Callback, named("")]
