"""What `kfc tune` varies, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from kfc.errors import Fault
from kfc.spec.faults import faults_error
from kfc.spec.fields import Count, Finite, Listed, NotNegativeInt, Positive, SpecModel


class Range(SpecModel):
    """Numbers from `low` to `high`."""

    low: Finite = Field(examples=[0.01])
    high: Finite = Field(examples=[1.0])
    log: bool = False
    step: Positive | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise faults_error(_not_rising("high", self.low, self.high))
        if self.log and self.low <= 0:
            raise faults_error(
                Fault(
                    "low", "a number above 0 where log is true", f"{self.low:g}", "Raise it."
                )
            )
        return self


class Choice(SpecModel):
    """One of the listed values."""

    choice: Annotated[Listed[Any], Field(min_length=1, examples=[[32, 64]])]


class Stack(SpecModel):
    """Hidden layers: how many, and how wide."""

    depth: Annotated[
        Listed[NotNegativeInt], Field(min_length=2, max_length=2, examples=[[1, 4]])
    ]
    width: Annotated[Listed[Count], Field(min_length=2, max_length=2, examples=[[32, 512]])]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name, (low, high) in (("depth", self.depth), ("width", self.width)):
            if low > high:
                raise faults_error(_not_rising(name, low, high))
        return self


def _not_rising(where: str, low: float, high: float) -> Fault:
    return Fault(where, "the low end first", f"{low:g} to {high:g}", "Swap them.")


def _dimension(value: Any) -> str:
    keys = value if isinstance(value, Mapping) else getattr(value, "model_fields_set", ())
    return "Choice" if "choice" in keys else "Stack" if "depth" in keys else "Range"


class Search(SpecModel):
    """What `kfc tune` varies; training alone does not read it."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "bayesian"
    objective: str = "val_accuracy"
    trials: Count = 40
    space: dict[
        str,
        Annotated[
            Annotated[Range, Tag("Range")]
            | Annotated[Choice, Tag("Choice")]
            | Annotated[Stack, Tag("Stack")],
            Discriminator(_dimension),
        ],
    ] = Field(default_factory=dict)
