"""The spec as frozen data: every key, its default and its limits; nothing but checking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
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

from kfc.findings import checks_of
from kfc.spec.components import (
    ActivationSpec,
    BlockSpec,
    CallbackSpec,
    InitializerSpec,
    LossSpec,
)
from kfc.spec.cross_checks import RECORDED
from kfc.spec.fields import (
    ClassWeight,
    Count,
    Listed,
    NotNegative,
    NotNegativeInt,
    Positive,
    Share,
    SpecModel,
    component,
)
from kfc.spec.messages import findings_error
from kfc.spec.optimizer_fields import OptimizerSpec
from kfc.spec.search_fields import SearchSpec
from kfc.spec.source_fields import SourceSchema, check_source_name, check_validation

# Codes of the checks that a spec may accept, see `kfc/findings.py`.
AcceptedCheck = Literal["unscaled_input"]


# --- data ---------------------------------------------------------------------------------

SourceName = Annotated[str, AfterValidator(check_source_name), SourceSchema()]
ValidationName = Annotated[str, AfterValidator(check_validation), SourceSchema()]

SCALES = {
    "none": "inputs stay as they are",
    "unit": "pixels are divided by 255, other numbers are mapped from their smallest and "
    "largest value to 0 and 1",
    "centered": "unit, minus one half",
    "standard": "minus the mean, divided by the standard deviation, for each feature",
    "robust": "minus the median, divided by the distance of the quartiles, for each feature",
}
"""Word of `data.scale` -> what it does to the inputs."""


class DataSpec(SpecModel):
    """Where the rows come from, how they are split and how they are scaled."""

    source: SourceName | None = Field(
        None,
        description="kind:argument; absent when data= is given.",
        examples=["sklearn:digits"],
    )
    task: Literal["classification", "regression"] | None = Field(
        None,
        description="By default classes where targets are integers or text, else numbers.",
    )
    scale: Literal["none", "unit", "centered", "standard", "robust"] = Field(
        "unit",
        description="How inputs are scaled; learned on training rows only. "
        + " ".join(f"{word}: {meaning}." for word, meaning in SCALES.items()),
        json_schema_extra={"enumDescriptions": [*SCALES.values()]},
    )
    scale_target: Literal["none", "standard"] = Field(
        "standard",
        description="Regression: the loss is measured in standard deviations of the "
        "training targets; predictions and other metrics stay in the target's own units.",
    )
    pixels: bool | None = Field(
        None,
        description="Whether inputs are 8-bit pixels, which unit divides by 255. By default "
        "rows of bytes with height and width are; a flattened picture is a table of numbers.",
        examples=[True],
    )
    validation: (
        Annotated[
            Annotated[Share, Tag("share")] | Annotated[ValidationName, Tag("source")],
            Discriminator(lambda value: "source" if isinstance(value, str) else "share"),
        ]
        | None
    ) = Field(
        None,
        description="Share of the training rows, shuffled, stratified, seeded; a source; or "
        "own, validation rows that the data bring. By default own, or else 0.1.",
        examples=[0.1],
    )
    rows: Count | None = Field(
        None,
        description="Use only so many rows for training and validation, stratified, seeded.",
        examples=[1000],
    )
    stream: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether training rows are read from the disk window by window. auto "
        "does so with arrays on the disk that are large for this machine's memory.",
    )


# --- network ------------------------------------------------------------------------------

Normalization = Literal["none", "batch", "layer"]


def of_network(key: str, example: Any) -> Any:
    """Returns a field of a hidden layer whose default is the same key of the network."""
    return Field(None, description=f"As network.{key}, for this layer.", examples=[example])


class HiddenSpec(SpecModel):
    """One hidden layer; what it leaves out is as the network says."""

    units: Count = Field(description="Width of the layer.", examples=[128])
    activation: ActivationSpec | None = of_network("activation", "relu")
    init: InitializerSpec | None = of_network("init", "glorot_uniform")
    dropout: Share | None = of_network("dropout", 0.5)
    l1: NotNegative | None = of_network("l1", 0.001)
    l2: NotNegative | None = of_network("l2", 0.001)
    normalization: Normalization | None = of_network("normalization", "none")
    use_bias: bool | None = of_network("use_bias", True)

    @model_validator(mode="before")
    @classmethod
    def _from_width(cls, value: Any) -> Any:
        """Reads a bare width as a layer that only has this width."""
        return value if isinstance(value, (Mapping, SpecModel)) else {"units": value}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns what a spec may write: a bare width, or a layer with options."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        layer = dict(schema)
        schema.clear()
        width = {**layer["properties"]["units"], "description": "Width of the layer."}
        schema.update({"if": {"type": "object"}, "then": layer, "else": width})
        return reference

    @model_serializer(mode="wrap")
    def _shortest(self, handler: Any) -> Any:
        """A layer that only has a width is written as that number."""
        said = {key: value for key, value in handler(self).items() if value is not None}
        return self.units if set(said) == {"units"} else said


class NetworkSpec(SpecModel):
    """A dense stack, from the scaled input to logits."""

    hidden: Listed[HiddenSpec] = Field(
        (HiddenSpec(units=128),),
        description="Widths, or layers with options; [] is softmax regression.",
        examples=[[256, 128]],
    )
    activation: ActivationSpec = component("relu", "Of every hidden layer.")
    init: InitializerSpec = component("glorot_uniform", "Of every kernel.")
    block: BlockSpec = component("dense", "What one entry of hidden becomes.")
    dropout: Share = Field(0.0, description="Share of outputs zeroed while training.")
    l1: NotNegative = Field(0.0, description="Factor of the sum of absolute kernel weights.")
    l2: NotNegative = Field(0.0, description="Factor of the sum of squared kernel weights.")
    normalization: Normalization = Field("none", description="Before the activation.")
    use_bias: bool = Field(True, description="Whether hidden layers add a bias.")

    def layers(self) -> tuple[HiddenSpec, ...]:
        """Returns the hidden layers, each with every option filled in."""
        shared = {
            name: getattr(self, name) for name in HiddenSpec.model_fields if name != "units"
        }
        return tuple(
            layer.model_copy(
                update={k: v for k, v in shared.items() if getattr(layer, k) is None}
            )
            for layer in self.hidden
        )


# --- training -----------------------------------------------------------------------------


class EarlyStoppingSpec(SpecModel):
    """Stops when a number has not become better for `patience` epochs."""

    monitor: str = Field(
        "val_loss",
        description="A recorded metric; its direction is known.",
        json_schema_extra={"enum": [*RECORDED]},
    )
    patience: NotNegativeInt = Field(
        5, description="Epochs without an improvement after which training stops."
    )
    min_delta: NotNegative = Field(
        0.0, description="Smallest change of the metric that counts as an improvement."
    )
    restore_best_weights: bool = Field(
        True, description="Whether to end with the best epoch's."
    )


class TrainingSpec(SpecModel):
    """How the weights are found."""

    loss: LossSpec | None = Field(
        None, description="By default cross_entropy for classes, mse for numbers."
    )
    class_weight: ClassWeight | None = Field(
        None,
        description="balanced, or class: number; a row's loss is multiplied by it.",
        examples=["balanced"],
    )
    optimizer: OptimizerSpec = component("adam", "Any of Keras's, tape_sgd, a plug-in's.")
    engine: Literal["auto", "xla", "graph", "eager"] = Field(
        "auto",
        description="What runs the steps: a graph that XLA compiles, a plain graph, or (for "
        "debugging) none. auto decides by the spec and the rows alone; the run says how.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of the hidden layers' arithmetic. bfloat16 is faster on large layers, "
        "and gives other numbers; weights stay float32.",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="TensorFlow's, for one operation and for operations at once; every core "
        "unless named. The first run of a process sets them for all.",
        examples=[2],
    )
    batch_size: Count = Field(32, description="Rows per step; the last batch may be shorter.")
    epochs: Count = Field(20, description="Number of passes over the training rows.")
    shuffle: bool = Field(True, description="Whether rows come in a new order each epoch.")
    early_stopping: EarlyStoppingSpec | None = Field(
        None,
        description="Off unless named.",
        examples=[{"monitor": "val_loss", "patience": 5}],
    )
    log_every: Count | None = Field(
        None, description="Steps between log lines, besides epochs.", examples=[100]
    )
    evaluate_every: Count | None = Field(
        None,
        description="Steps between evaluations, besides those at the end of epochs.",
        examples=[500],
    )
    callbacks: Listed[CallbackSpec] = Field(
        (),
        description="Any of Keras's by class name, kfc's, or a plug-in's.",
        examples=[[{"name": "TerminateOnNaN"}]],
    )
    checkpoint_seconds: Positive = Field(
        10.0,
        description="Between checkpoints; more where they would take over 3 % of the time.",
    )


# --- the whole ----------------------------------------------------------------------------


# The pattern of a name where \\w is ASCII or \\p{L} unknown, as in dialects of JSON Schema:
# it excludes what is no letter in ASCII and leaves all other characters to the loader.
_PORTABLE_NAME = (
    r"^[^\u0000-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u00a9]"
    r"[^\u0000-\u002c\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u00a9]*$"
)


class Spec(SpecModel):
    """A dense network, its data and its training, on one page."""

    model_config = ConfigDict(
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"}
    )

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", max_length=60)] = Field(
        "run",
        description="Letters, digits, '_', '.' and '-'; run folders carry it.",
        json_schema_extra={"pattern": _PORTABLE_NAME},
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="Of everything random.")
    accept: Listed[AcceptedCheck] = Field(
        (),
        description="Checks that may not refuse this run, by their codes.",
        examples=[["unscaled_input"]],
    )
    data: DataSpec = Field(default_factory=lambda: DataSpec())
    network: NetworkSpec = Field(default_factory=lambda: NetworkSpec())
    training: TrainingSpec = Field(default_factory=lambda: TrainingSpec())
    search: SearchSpec | None = Field(None, description="What `kfc tune` varies, and how.")

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        findings = [finding for check in checks_of("spec") for finding in check.find(self)]
        if findings:
            raise findings_error(*findings)
        return self
