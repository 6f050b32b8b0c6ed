"""Defines the components of a spec: a name and its options, such as an optimizer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kfc.errors import Finding, RegistryError
from kfc.registry import BLOCKS, Registry
from kfc.spec.fields import redefined
from kfc.spec.keras_signatures import REQUIRED, UNREAD, signatures
from kfc.spec.messages import findings_error
from kfc.spec.option_checks import option_findings, option_schema
from kfc.spec.plain_values import shown_value
from kfc.spec.suggestions import suggested_key, suggested_word


class ComponentSpec(BaseModel):
    """A name and its options: `adam`, or `{name: adam, learning_rate: 0.01}`.

    An option that the spec leaves out gets its default, so a saved spec shows every value.

    Attributes:
        kind: Word for such a component in messages, such as `optimizer`.
        default: Name of the component if the spec has only options.
        registry: Registry of the plug-ins; None if there can be none.
        short: Keras's name of each short name that kfc defines.
        added: Options that kfc adds to every component of the kind, none of them by default.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")
    kind: ClassVar[str]
    default: ClassVar[str] = ""
    registry: ClassVar[Registry | None] = None
    short: ClassVar[Mapping[str, str]] = {}
    added: ClassVar[tuple[str, ...]] = ()

    name: str = Field(description="Name of the component; its options are beside it.")

    @property
    def options(self) -> dict[str, Any]:
        """Options by name, defaults included."""
        return dict(self.model_extra or {})

    @classmethod
    def known(cls) -> list[str]:
        """Returns every available name, plug-ins included, without importing them."""
        names = {*signatures(cls.kind), *cls.short}
        return sorted(names | set(cls.registry.names() if cls.registry else ()))

    @classmethod
    def full_name(cls, name: str) -> str:
        """Returns Keras's name of a component; other names than short ones are unchanged."""
        return cls.short.get(name, name)

    @classmethod
    def option_defaults(cls, name: str) -> dict[str, Any] | None:
        """Returns the options of a component with their defaults; None for a plug-in."""
        defaults = signatures(cls.kind).get(cls.full_name(name))
        return None if defaults is None else {**defaults, **dict.fromkeys(cls.added)}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns the JSON Schema: a name, or a mapping of a name and options."""

        def with_names(definition: dict[str, Any]) -> dict[str, Any]:
            description = definition.get("description", "")
            return {
                **component_schema(cls),
                "title": cls.__name__,
                "description": description,
            }

        return redefined(core_schema, handler, with_names)

    @classmethod
    def option_schema(cls, option: str, default: Any) -> dict[str, Any]:
        """Returns the JSON Schema of one option.

        Args:
            option: Name of the option.
            default: Default of the option; `UNREAD` for an option of a plug-in.
        """
        return option_schema(cls.kind, option, default)

    @model_validator(mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        elif isinstance(value, Mapping) and "name" not in value and cls.default:
            value = {"name": cls.default, **value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            return value  # pydantic reports the error
        name = value["name"]
        options = {key: v for key, v in value.items() if key != "name"}
        if findings := list(cls._name_findings(name)):
            raise findings_error(*findings)
        defaults = cls.option_defaults(name)
        if defaults is None:  # a plug-in: its options are checked when it is imported
            found = (cls._value_findings(key, v, UNREAD) for key, v in options.items())
            if findings := list(itertools.chain.from_iterable(found)):
                raise findings_error(*findings)
            return value
        if findings := list(cls._option_findings(name, options, defaults)):
            raise findings_error(*findings)
        filled = {k: v for k, v in defaults.items() if v is not None and v != REQUIRED}
        written = {k: cls._written_out(k, v, defaults[k]) for k, v in options.items()}
        return {"name": name, **filled, **written}

    @classmethod
    def _written_out(cls, option: str, value: Any, default: Any) -> Any:
        """Returns the value of an option as it is used and saved."""
        # Keras refuses an integer such as 1 as a learning rate.
        return float(value) if isinstance(default, float) else value

    @classmethod
    def _name_findings(cls, name: str) -> Iterator[Finding]:
        if cls.full_name(name) in signatures(cls.kind):
            owners = cls.registry.owners().get(name, []) if cls.registry else []
            if "kfc" not in owners and owners:
                owners.insert(0, "keras")
            if len(owners) > 1:
                yield Finding(
                    "name",
                    f"one owner of {cls.kind} {name!r}",
                    " and ".join(owners),
                    f"Uninstall {', '.join(owners[1:])}.",
                )
        elif cls.registry and name in cls.registry.names():
            yield from _registry_findings(cls.registry, name)
        else:
            yield Finding(
                "name",
                f"the name of a known {cls.kind}",
                shown_value(name),
                f"{suggested_word(name, cls.known())}Known: {', '.join(cls.known())}.",
            )

    @classmethod
    def _option_findings(
        cls, name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Finding]:
        for option, value in options.items():
            if option not in defaults:
                yield Finding(
                    str(option),
                    f"an option of {cls.kind} {name!r}",
                    f"the unknown key {option!r}",
                    f"{suggested_key(str(option), defaults, {})}"
                    f"Known: {', '.join(defaults) or 'none'}.",
                )
            else:
                yield from cls._value_findings(option, value, defaults[option])
        for option, default in defaults.items():
            if default == REQUIRED and option not in options:
                yield Finding(
                    option,
                    f"a value, which {cls.kind} {name!r} requires",
                    "nothing",
                    f"Add {option}.",
                )

    @classmethod
    def _value_findings(cls, option: str, value: Any, default: Any) -> Iterator[Finding]:
        yield from option_findings(cls.kind, option, value, default)


def _registry_findings(registry: Registry, name: str) -> Iterator[Finding]:
    try:
        registry.check(name, "name")
    except RegistryError as error:
        yield from error.findings


def component_schema(component: type[ComponentSpec]) -> dict[str, Any]:
    """Returns the JSON Schema of a component, installed plug-ins included.

    Args:
        component: Class of the component, such as `OptimizerSpec`.
    """
    by_options: dict[str, tuple[dict[str, Any], list[str]]] = {}
    bare = []
    for name in component.known():
        defaults = component.option_defaults(name)
        options = _options_schema(component, defaults)
        by_options.setdefault(repr(options), (options, []))[1].append(name)
        if not options.get("required"):
            bare.append(name)
    default = component.default
    with_options: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {
                "enum": component.known(),
                "description": f"Name of the {component.kind}; its options are beside it.",
            }
        },
        "allOf": [
            {
                "if": {
                    "properties": {"name": {"enum": names}},
                    "required": [] if default in names else ["name"],
                },
                "then": options,
            }
            for options, names in by_options.values()
        ],
        "required": [] if default else ["name"],
    }
    if default:
        with_options["properties"]["name"]["default"] = default
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": {"enum": bare},
        "else": with_options,
    }


def _options_schema(
    component: type[ComponentSpec], defaults: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns the JSON Schema of the options; `defaults` is None for a plug-in."""
    if defaults is None:
        return {"additionalProperties": component.option_schema("", UNREAD)}
    return {
        "properties": {
            "name": True,
            **{key: component.option_schema(key, value) for key, value in defaults.items()},
        },
        "required": [key for key, value in defaults.items() if value == REQUIRED],
        "additionalProperties": False,
    }


class ActivationSpec(ComponentSpec):
    """Any Keras activation, with its options."""

    kind = "activation"


class InitializerSpec(ComponentSpec):
    """Any Keras initializer, or unit_variance; the seed comes from the spec's seed.

    Attributes:
        of_rows: Name of the initializer that computes the weights from training rows.
    """

    kind = "initializer"
    default = "glorot_uniform"
    of_rows: ClassVar[str] = "unit_variance"

    @property
    def needs_rows(self) -> bool:
        """Whether the weights are computed from training rows."""
        return self.name == self.of_rows


class BiasInitializerSpec(InitializerSpec):
    """Any Keras initializer of vectors, or kfc's; the seed comes from the spec's seed.

    fan_in_uniform is uniform in +-1 / sqrt(inputs of the layer), he_plus_5 looks at rows.

    Attributes:
        of_inputs: Name of the initializer that depends on the number of inputs of the layer.
    """

    kind = "bias_initializer"
    default = "zeros"
    of_rows: ClassVar[str] = "he_plus_5"
    of_inputs: ClassVar[str] = "fan_in_uniform"


class LossSpec(ComponentSpec):
    """Any Keras loss, which is computed from logits, or a short name such as `mse`."""

    kind = "loss"
    short: ClassVar[Mapping[str, str]] = {
        "cross_entropy": "sparse_categorical_crossentropy",
        "binary_cross_entropy": "binary_crossentropy",
        "mse": "mean_squared_error",
        "mae": "mean_absolute_error",
    }


class BlockSpec(ComponentSpec):
    """Layers that one entry of `hidden` adds: `dense`, `residual` or a plug-in's block."""

    kind = "block"
    default = "dense"
    registry = BLOCKS


class NumericEmbeddingSpec(ComponentSpec):
    """Inputs of the network for each number: learned waves, or pieces between quantiles."""

    kind = "numeric_embedding"
