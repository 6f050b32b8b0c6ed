"""The optimizer of a spec and its learning-rate schedule, as frozen data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, TypeAdapter, ValidationError, model_validator

from kfc.errors import Fault
from kfc.registry import OPTIMIZERS
from kfc.spec.components import Component, named
from kfc.spec.faults import faults_error, read_faults
from kfc.spec.fields import Finite, Listed, NotNegative, Positive, Share, SpecModel


class Schedule(SpecModel):
    """A learning rate that changes; all times are in epochs, fractions allowed."""

    warmup_epochs: NotNegative = Field(0.0, description="Linear rise from 0, before the rest.")


class Constant(Schedule):
    """The same rate throughout (after a warm-up)."""

    name: Literal["constant"]
    initial_learning_rate: Positive


class Cosine(Schedule):
    """Half a cosine wave from the initial rate down to `alpha` times it."""

    name: Literal["cosine"]
    initial_learning_rate: Positive
    alpha: Share = 0.0
    decay_epochs: Positive | None = Field(None, description="By default until training ends.")


class Exponential(Schedule):
    """The initial rate times `decay_rate ** (epochs / decay_epochs)`."""

    name: Literal["exponential"]
    initial_learning_rate: Positive
    decay_rate: Annotated[Finite, Field(gt=0, le=1)] = 0.96
    decay_epochs: Positive = 1.0
    staircase: bool = Field(False, description="Whether the rate falls in whole steps.")


class Step(Schedule):
    """`values[i]` until epoch `boundaries[i]`, the last value afterwards."""

    name: Literal["step"]
    boundaries: Annotated[Listed[Positive], Field(min_length=1)]
    values: Annotated[Listed[Positive], Field(min_length=2)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.values) != len(self.boundaries) + 1:
            raise faults_error(
                Fault(
                    "values",
                    f"one value more than boundaries, so {len(self.boundaries) + 1}",
                    f"{len(self.values)}",
                    "The last value holds after the last boundary.",
                )
            )
        if any(a >= b for a, b in itertools.pairwise(self.boundaries)):
            raise faults_error(
                Fault(
                    "boundaries",
                    "rising epochs",
                    f"{list(self.boundaries)}",
                    "Sort them and drop equal ones.",
                )
            )
        return self


AnySchedule = Annotated[Constant | Cosine | Exponential | Step, Discriminator("name")]
_SCHEDULE: TypeAdapter[Any] = TypeAdapter(AnySchedule)


class Optimizer(Component):
    """Any Keras optimizer, `tape_sgd` (the update written by hand), or a plug-in's."""

    kind = "optimizer"
    registry = OPTIMIZERS

    @classmethod
    def _value_faults(cls, option: str, value: Any, default: Any) -> Iterator[Fault]:
        if option == "learning_rate" and isinstance(value, Mapping):
            try:
                _SCHEDULE.validate_python(value)
            except ValidationError as error:
                for keys, fault in read_faults(error, value, Schedule):
                    where = ".".join((option, *map(str, keys)))
                    yield Fault(where, fault.expected, fault.got, fault.remedy)
        else:
            yield from super()._value_faults(option, value, default)

    def schedule(self) -> Constant | Cosine | Exponential | Step | None:
        """Returns the schedule of the learning rate, or None where it is a number."""
        rate = self.options.get("learning_rate")
        return _SCHEDULE.validate_python(rate) if isinstance(rate, Mapping) else None


OptimizerField = Annotated[Optimizer, named("adam")]
