"""Defines the optimizer of a spec and its learning-rate schedules."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, ValidationError, model_validator

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


AnySchedule = ConstantSpec | CosineSpec | ExponentialSpec | StepSpec


class _Rate(SpecModel):
    learning_rate: Annotated[AnySchedule, Discriminator("name")] = Field(examples=[0.001])


_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


class OptimizerSpec(ComponentSpec):
    """Any Keras optimizer, `tape_sgd` (SGD written by hand), or a plug-in's optimizer."""

    kind = "optimizer"
    default = "adam"
    registry = OPTIMIZERS

    @classmethod
    def option_schema(cls, option: str, default: Any) -> dict[str, Any]:
        """Returns the JSON Schema of one option; a learning rate may be a schedule.

        Args:
            option: Name of the option.
            default: Default of the option; `UNREAD` for an option of a plug-in.
        """
        number = super().option_schema(option, default)
        if option != "learning_rate":
            return number
        rate = _Rate.model_json_schema()
        schedules = [rate["$defs"][kind.__name__] for kind in typing.get_args(AnySchedule)]
        return {
            "description": "A number above 0, or a schedule by its name and options.",
            "default": number.pop("default", None),
            "if": {"type": "object"},
            "then": {"anyOf": schedules},
            "else": number,
        }

    @classmethod
    def _value_findings(cls, option: str, value: Any, default: Any) -> Iterator[Finding]:
        if option == "learning_rate" and isinstance(value, Mapping):
            raw = {option: value}
            try:
                _Rate.model_validate(raw)
            except ValidationError as error:
                yield from (finding for _, finding in read_findings(error, raw, _Rate))
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
        if name == "lion" and options.get("beta_1") == 0:
            yield Finding("beta_1", "a number in (0, 1)", "0", "Use for example beta_1: 0.9.")

    @classmethod
    def _written_out(cls, option: str, value: Any, default: Any) -> Any:
        if option == "learning_rate" and isinstance(value, Mapping):
            rate = _Rate.model_validate({option: value}).learning_rate
            return rate.model_dump(mode="json", exclude_none=True)
        return super()._written_out(option, value, default)

    def schedule(self) -> AnySchedule | None:
        """Returns the schedule of the learning rate, or None where it is a number."""
        rate = self.options.get("learning_rate")
        if not isinstance(rate, Mapping):
            return None
        return _Rate.model_validate({"learning_rate": rate}).learning_rate
