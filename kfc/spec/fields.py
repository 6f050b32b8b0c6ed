"""Defines the types of values that several parts of a spec use."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

T = TypeVar("T")

Listed = Annotated[tuple[T, ...], Field(strict=False)]
"""An immutable list; it is read from a list, because files have no tuples."""

Count = Annotated[int, Field(ge=1, lt=2**31)]
NotNegativeInt = Annotated[int, Field(ge=0, lt=2**31)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]
Share = Annotated[Finite, Field(ge=0, lt=1)]

ClassWeight = Annotated[
    # No class has the name of a tag, so that a path of keys cannot lead to a tag.
    Annotated[Literal["balanced"], Tag("(a name)")]
    | Annotated[dict[str, NotNegative], Tag("(by class)")],
    Discriminator(lambda value: "(a name)" if isinstance(value, str) else "(by class)"),
]
"""Weights of the classes: `balanced`, or a number for each class name."""


class SpecModel(BaseModel):
    """A part of a spec: strict types, immutable, without unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", validate_default=True)


def component(default: str, description: str) -> Any:
    """Returns a field whose default is the name of a component, which is checked too."""
    return Field(default, description=description)
