"""The kinds of values that several parts of a spec share: strict, frozen, finite."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

T = TypeVar("T")

Listed = Annotated[tuple[T, ...], Field(strict=False)]
"""An immutable list; files have no tuples, so lists are taken."""

Count = Annotated[int, Field(ge=1, lt=2**31)]
NotNegativeInt = Annotated[int, Field(ge=0, lt=2**31)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]
Share = Annotated[Finite, Field(ge=0, lt=1)]

ClassWeight = Annotated[
    # Tags that nobody calls a class: a path of keys must not lead to one of them.
    Annotated[Literal["balanced"], Tag("(a name)")]
    | Annotated[dict[str, NotNegative], Tag("(by class)")],
    Discriminator(lambda value: "(a name)" if isinstance(value, str) else "(by class)"),
]
"""How much the rows of each class count: `balanced`, or numbers by the names of classes."""


class SpecModel(BaseModel):
    """Strict, frozen, no unknown keys: true is no number, "0.5" is no number."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", validate_default=True)


def component(default: str, description: str) -> Any:
    """Returns a field whose default is a component's name, checked like any other value."""
    return Field(default, description=description)
