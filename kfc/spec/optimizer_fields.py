"""Defines the optimizer of a spec and its learning-rate schedules."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from kfc.errors import Finding
from kfc.registry import OPTIMIZERS
from kfc.spec.components import ComponentSpec
from kfc.spec.fields import Finite, Listed, NotNegative, Positive, Share, SpecModel
from kfc.spec.messages import findings_error, read_findings


class ScheduleSpec(SpecModel):
    """A learning rate that changes over time; times are in epochs, fractions allowed."""

    warmup_epochs: NotNegative = Field(
        0.0, description="Linear rise from 0, before the schedule starts."
    )


InitialRate = Annotated[
    Positive,
    Field(description="Learning rate at the start of the schedule.", examples=[0.001]),
]


class ConstantSpec(ScheduleSpec):
    """The initial rate throughout, after the warm-up."""

    name: Literal["constant"]
    initial_learning_rate: InitialRate


class CosineSpec(ScheduleSpec):
    """Half a cosine wave from the initial rate to `alpha` times it, after the warm-up."""

    name: Literal["cosine"]
    initial_learning_rate: InitialRate
    alpha: Share = Field(0.0, description="Final learning rate as a share of the initial one.")
    decay_epochs: Positive | None = Field(
        None, description="Epochs after the warm-up; by default until training ends."
    )


class ExponentialSpec(ScheduleSpec):
    """The initial rate times `decay_rate ** (epochs / decay_epochs)`, after the warm-up."""

    name: Literal["exponential"]
    initial_learning_rate: InitialRate
    decay_rate: Annotated[Finite, Field(gt=0, le=1)] = Field(
        0.96, description="Factor of the learning rate over decay_epochs."
    )
    decay_epochs: Positive = Field(
        1.0, description="Epochs in which the rate falls by the factor decay_rate."
    )
    staircase: bool = Field(False, description="Whether the rate falls in whole steps.")


class StepSpec(ScheduleSpec):
    """`values[i]` until epoch `boundaries[i]`, the last value afterwards.

    Epochs are counted from the beginning of the training. A warm-up multiplies the values and
    does not move the boundaries.
    """

    name: Literal["step"]
    boundaries: Annotated[Listed[Positive], Field(min_length=1)] = Field(
        description="Epochs at which the rate changes, in ascending order.", examples=[[10]]
    )
    values: Annotated[Listed[Positive], Field(min_length=2)] = Field(
        description="Learning rates, one more than boundaries.", examples=[[0.01, 0.001]]
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.values) != len(self.boundaries) + 1:
            raise findings_error(
                Finding(
                    "values",
                    f"{len(self.boundaries) + 1} values, one more than boundaries",
                    f"{len(self.values)}",
                    "The last value holds after the last boundary.",
                )
            )
        if any(a >= b for a, b in itertools.pairwise(self.boundaries)):
            raise findings_error(
                Finding(
                    "boundaries",
                    "ascending epochs",
                    f"{list(self.boundaries)}",
                    "Sort them and remove duplicates.",
                )
            )
        return self


CYCLES: Any = Field(4, ge=1, le=16, description="Number of waves until training ends.")


class CoslogSpec(ScheduleSpec):
    """Cosine waves from 0 to the rate, each twice as long as the one before.

    With `t` from 0 to 1 over the training: `(1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2`
    times the rate.
    """

    name: Literal["coslog"]
    initial_learning_rate: Annotated[
        Positive, Field(description="Largest learning rate.", examples=[0.04])
    ]
    cycles: int = CYCLES


class FlatCosineSpec(ScheduleSpec):
    """The initial rate for half of the training, then half a cosine wave to 0."""

    name: Literal["flat_cosine"]
    initial_learning_rate: InitialRate


AnySchedule = (
    ConstantSpec | CosineSpec | ExponentialSpec | StepSpec | CoslogSpec | FlatCosineSpec
)


class FlatCosineDecaySpec(SpecModel):
    """The initial weight decay for half of the training, then half a cosine wave to 0."""

    name: Literal["flat_cosine"]
    initial_weight_decay: Positive = Field(
        description="Weight decay at the start of the schedule.", examples=[0.02]
    )


class CoslogDecaySpec(SpecModel):
    """Cosine waves of the weight decay, as those of the learning rate."""

    name: Literal["coslog"]
    initial_weight_decay: Positive = Field(
        description="Largest weight decay.", examples=[0.02]
    )
    cycles: int = CYCLES


AnyDecay = FlatCosineDecaySpec | CoslogDecaySpec


# One of two types by the value itself, so that a wrong one has one finding.
RateFactor = Annotated[
    Annotated[Literal["fan_in"], Tag("word")] | Annotated[NotNegative, Tag("number")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "number"),
]


class RateFactorsSpec(SpecModel):
    """Factors of the learning rate, by the kind of a variable.

    Kernels may have `fan_in`, which is `1 / sqrt(inputs)` of a kernel with so many inputs.
    """

    kernel: RateFactor = Field(1.0, description="Kernels of dense layers.")
    bias: NotNegative = Field(1.0, description="Biases, and parameters of normalizations.")
    input_scale: NotNegative = Field(1.0, description="Factors of network.input_scale.")
    embedding: NotNegative = Field(1.0, description="Embeddings of categories.")
    numeric_embedding: NotNegative = Field(
        1.0, description="Variables of network.numeric_embedding."
    )
    activation: NotNegative = Field(
        1.0, description="Factors of network.parametric_activation."
    )


class DecayFactorsSpec(SpecModel):
    """Factors of the weight decay, by the kind of a variable.

    With any of them, a step multiplies a variable by `1 - rate * weight_decay * factor`
    before its update; `rate` is the learning rate without its factor.
    """

    kernel: NotNegative = Field(1.0, description="Kernels of dense layers.")
    bias: NotNegative = Field(1.0, description="Biases, and parameters of normalizations.")
    input_scale: NotNegative = Field(1.0, description="Factors of network.input_scale.")
    embedding: NotNegative = Field(1.0, description="Embeddings of categories.")
    numeric_embedding: NotNegative = Field(
        1.0, description="Variables of network.numeric_embedding."
    )
    activation: NotNegative = Field(
        1.0, description="Factors of network.parametric_activation."
    )


class _Rate(SpecModel):
    learning_rate: Annotated[AnySchedule, Discriminator("name")] = Field(examples=[0.001])


class _Decay(SpecModel):
    weight_decay: Annotated[AnyDecay, Discriminator("name")] = Field(examples=[0.001])


class _RateFactors(SpecModel):
    rate_factors: RateFactorsSpec


class _DecayFactors(SpecModel):
    decay_factors: DecayFactorsSpec


_MAPPINGS: dict[str, type[SpecModel]] = {
    "learning_rate": _Rate,
    "weight_decay": _Decay,
    "rate_factors": _RateFactors,
    "decay_factors": _DecayFactors,
}
"""Options of an optimizer that may be mappings, and the model that reads each."""

_SCHEDULED = {"learning_rate": AnySchedule, "weight_decay": AnyDecay}


_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


class OptimizerSpec(ComponentSpec):
    """Any Keras optimizer, `tape_sgd` (SGD written by hand), or a plug-in's optimizer."""

    kind = "optimizer"
    default = "adam"
    registry = OPTIMIZERS
    added = ("rate_factors", "decay_factors")

    @classmethod
    def option_schema(cls, option: str, default: Any) -> dict[str, Any]:
        """Returns the JSON Schema of one option; a rate or a decay may be a schedule.

        Args:
            option: Name of the option.
            default: Default of the option; `UNREAD` for an option of a plug-in.
        """
        if option in cls.added:
            schema = _MAPPINGS[option].model_json_schema()
            return dict(next(iter(schema["$defs"].values())))
        number = super().option_schema(option, default)
        if option not in _SCHEDULED:
            return number
        defined = _MAPPINGS[option].model_json_schema()["$defs"]
        kinds = typing.get_args(_SCHEDULED[option]) or (_SCHEDULED[option],)
        return {
            "description": "A number, or a schedule by its name and options.",
            "default": number.pop("default", None),
            "if": {"type": "object"},
            "then": {"anyOf": [defined[kind.__name__] for kind in kinds]},
            "else": number,
        }

    @classmethod
    def _value_findings(cls, option: str, value: Any, default: Any) -> Iterator[Finding]:
        if option in cls.added and value is None:
            return  # as if it were left out
        if option in cls.added or (option in _MAPPINGS and isinstance(value, Mapping)):
            raw, model = {option: value}, _MAPPINGS[option]
            try:
                model.model_validate(raw)
            except ValidationError as error:
                yield from (finding for _, finding in read_findings(error, raw, model))
        else:
            yield from super()._value_findings(option, value, default)

    @classmethod
    def _option_findings(
        cls, name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Finding]:
        yield from super()._option_findings(name, options, defaults)
        clipping = [option for option in _CLIPPING if options.get(option) is not None]
        if len(clipping) > 1:
            yield Finding(
                clipping[1],
                f"one of {', '.join(_CLIPPING)}",
                f"it beside {clipping[0]}",
                "Remove all but one.",
            )
        yield from _factor_findings(name, {**defaults, **options})
        if name == "lion" and options.get("beta_1") == 0:
            yield Finding("beta_1", "a number in (0, 1)", "0", "Use for example beta_1: 0.9.")

    @classmethod
    def _written_out(cls, option: str, value: Any, default: Any) -> Any:
        if option in _MAPPINGS and isinstance(value, Mapping):
            read = _MAPPINGS[option].model_validate({option: value})
            return read.model_dump(mode="json", exclude_none=True)[option]
        return super()._written_out(option, value, default)

    def schedule(self) -> AnySchedule | None:
        """Returns the schedule of the learning rate, or None where it is a number."""
        rate = self.options.get("learning_rate")
        if not isinstance(rate, Mapping):
            return None
        return _Rate.model_validate({"learning_rate": rate}).learning_rate

    @property
    def largest_rate(self) -> float:
        """The learning rate, or the largest one of its schedule."""
        schedule = self.schedule()
        if schedule is None:
            return float(self.options["learning_rate"])
        if isinstance(schedule, StepSpec):
            return max(schedule.values)
        return float(schedule.initial_learning_rate)

    def with_learning_rate(self, rate: float) -> OptimizerSpec:
        """Returns the same optimizer with a constant learning rate."""
        options = {"name": self.name, **self.options, "learning_rate": rate}
        return OptimizerSpec.model_validate(options)

    def decay_schedule(self) -> AnyDecay | None:
        """Returns the schedule of the weight decay, or None where it is a number."""
        decay = self.options.get("weight_decay")
        if not isinstance(decay, Mapping):
            return None
        return _Decay.model_validate({"weight_decay": decay}).weight_decay

    @property
    def follows_time(self) -> bool:
        """Whether an update depends on the number of its step among all steps."""
        return self.schedule() is not None or self.decay_schedule() is not None

    def rate_factors(self) -> RateFactorsSpec:
        """Returns the factors of the learning rate, all 1 by default."""
        return RateFactorsSpec.model_validate(self.options.get("rate_factors") or {})

    def decay_factors(self) -> DecayFactorsSpec:
        """Returns the factors of the weight decay, all 1 by default."""
        return DecayFactorsSpec.model_validate(self.options.get("decay_factors") or {})


def _factor_findings(name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields findings about factors that would have no effect, or a wrong one."""
    factors = [key for key in OptimizerSpec.added if options.get(key)]
    if "decay_factors" in factors and options.get("weight_decay") is None:
        yield Finding(
            "decay_factors",
            "a weight_decay, which they multiply",
            "none",
            "Add weight_decay, or remove decay_factors.",
        )
    if name == "muon" and factors and options.get("adam_weight_decay"):
        yield Finding(
            "adam_weight_decay",
            "one weight decay beside factors",
            str(options["adam_weight_decay"]),
            "Set it to 0, and use weight_decay with decay_factors.",
        )
    rate, rates = options.get("learning_rate"), options.get("rate_factors")
    from_zero = isinstance(rate, Mapping) and rate.get("name") == "coslog"
    no_rate = isinstance(rates, Mapping) and 0 in rates.values()
    if name == "ftrl" and (from_zero or no_rate):
        yield Finding(
            "learning_rate" if from_zero else "rate_factors",
            "rates above 0, since ftrl divides by them",
            "coslog, which begins at 0" if from_zero else "a factor of 0",
            "Use another optimizer, such as adam.",
        )
