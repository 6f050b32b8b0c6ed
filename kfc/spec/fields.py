"""Defines the types of values that several parts of a spec use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

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


class ShortSpec(SpecModel):
    """Options that may be written as the value of one key: `256` for `{units: 256}`.

    Attributes:
        short_key: Key whose value stands for a mapping without other keys.
        short_description: Description of that value in the JSON Schema.
    """

    short_key: ClassVar[str]
    short_description: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        """Reads everything but a mapping as the value of that key."""
        return value if isinstance(value, (Mapping, SpecModel)) else {cls.short_key: value}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns the JSON Schema: a value of that key, or a mapping of options."""

        def with_short(options: dict[str, Any]) -> dict[str, Any]:
            value = {**options["properties"][cls.short_key]}
            value["description"] = cls.short_description
            return {"if": {"type": "object"}, "then": options, "else": value}

        return redefined(core_schema, handler, with_short)

    @model_serializer(mode="wrap")
    def _shortest(self, handler: Any) -> Any:
        """Writes only the options that are said, and without others the value alone."""
        said = {key: value for key, value in handler(self).items() if value is not None}
        return getattr(self, self.short_key) if set(said) == {self.short_key} else said


def redefined(
    core_schema: CoreSchema,
    handler: GetJsonSchemaHandler,
    rewrite: Callable[[dict[str, Any]], dict[str, Any]],
) -> JsonSchemaValue:
    """Returns the JSON Schema of a model after another definition has replaced its own.

    Args:
        core_schema: Schema of the model in pydantic.
        handler: Function of pydantic that returns the JSON Schema of `core_schema`.
        rewrite: Function from the model's definition to the other one.
    """
    reference = handler(core_schema)
    schema = handler.resolve_ref_schema(reference)
    definition = rewrite(dict(schema))
    schema.clear()
    schema.update(definition)
    return reference


def component(default: str, description: str) -> Any:
    """Returns a field whose default is the name of a component, which is checked too."""
    return Field(default, description=description)
