"""Defines the spec: every key with its type, default and limits, as frozen models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from kfc.findings import checks_of
from kfc.spec.accepted_checks import acceptable_checks, check_accepted
from kfc.spec.components import (
    ActivationSpec,
    BiasInitializerSpec,
    BlockSpec,
    InitializerSpec,
    NumericEmbeddingSpec,
)
from kfc.spec.data_fields import DataSpec
from kfc.spec.fields import (
    Count,
    Listed,
    NotNegative,
    Share,
    ShortSpec,
    SpecModel,
    component,
)
from kfc.spec.messages import findings_error
from kfc.spec.preset_values import check_preset, preset_names, with_preset
from kfc.spec.search_fields import SearchSpec
from kfc.spec.training_fields import TrainingSpec
from kfc.spec.unit_fields import (
    BIAS_INIT,
    INIT,
    INPUT_SCALE,
    MEMBERS,
    NUMERIC_EMBEDDING,
    OUTPUT_BIAS_INIT,
    OUTPUT_INIT,
    PARAMETRIC_ACTIVATION,
)

AcceptedCheck = Annotated[
    str, AfterValidator(check_accepted), Field(json_schema_extra={"enum": acceptable_checks()})
]
"""Name or code of a check, see `kfc/check_table.py`."""


# --- network ------------------------------------------------------------------------------

Normalization = Literal["none", "batch", "layer"]


def of_network(key: str, example: Any) -> Any:
    """Returns a field of a hidden layer that defaults to the same key of the network."""
    return Field(
        None, description=f"Overrides network.{key} for this layer.", examples=[example]
    )


class HiddenSpec(ShortSpec):
    """One hidden layer. Options left out are inherited from the network."""

    short_key: ClassVar[str] = "units"
    short_description: ClassVar[str] = "Number of units."

    units: Count = Field(description="Number of units of the layer.", examples=[128])
    activation: ActivationSpec | None = of_network("activation", "relu")
    parametric_activation: bool | None = of_network("parametric_activation", True)
    init: InitializerSpec | None = of_network("init", "glorot_uniform")
    bias_init: BiasInitializerSpec | None = of_network("bias_init", "zeros")
    dropout: Share | None = of_network("dropout", 0.5)
    l1: NotNegative | None = of_network("l1", 0.001)
    l2: NotNegative | None = of_network("l2", 0.001)
    normalization: Normalization | None = of_network("normalization", "none")
    use_bias: bool | None = of_network("use_bias", True)


class NetworkSpec(SpecModel):
    """A stack of dense layers, from the scaled input to logits."""

    hidden: Listed[HiddenSpec] = Field(
        (HiddenSpec(units=128),),
        description="Number of units of each layer, or layers with options; [] is softmax "
        "regression.",
        examples=[[256, 128]],
    )
    activation: ActivationSpec = component("relu", "Activation of every hidden layer.")
    parametric_activation: bool = PARAMETRIC_ACTIVATION
    numeric_embedding: NumericEmbeddingSpec | None = NUMERIC_EMBEDDING
    input_scale: bool = INPUT_SCALE
    members: Count = MEMBERS
    init: InitializerSpec = component("glorot_uniform", INIT)
    bias_init: BiasInitializerSpec = component("zeros", BIAS_INIT)
    output_init: InitializerSpec | None = OUTPUT_INIT
    output_bias_init: BiasInitializerSpec | None = OUTPUT_BIAS_INIT
    block: BlockSpec = component("dense", "Block of layers that one entry of hidden adds.")
    dropout: Share = Field(0.0, description="Share of outputs set to 0 during training.")
    dropout_schedule: Literal["flat_cosine", "coslog"] | None = Field(
        None,
        description="Factor of the rates of dropout: flat_cosine is 1 for half of the "
        "training and falls to 0 by half a cosine wave, coslog has four waves from 0 to 1.",
        examples=["flat_cosine"],
    )
    l1: NotNegative = Field(
        0.0,
        description="Factor of the sum of absolute weights of hidden kernels in the loss.",
    )
    l2: NotNegative = Field(
        0.0,
        description="Factor of the sum of squared weights of hidden kernels in the loss.",
    )
    normalization: Normalization = Field(
        "none", description="Normalization before the activation."
    )
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


# --- spec ---------------------------------------------------------------------------------


# The pattern of a name in JSON Schema, whose dialects differ in \\w and \\p{L}. It excludes
# the ASCII characters that a name may not have; the loader checks all other characters.
_PORTABLE_NAME = (
    r"^[^\u0000-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u00a9]"
    r"[^\u0000-\u002c\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u00a9]*$"
)


class Spec(SpecModel):
    """A checked spec: a dense network, its data and its training.

    A spec is immutable, and every option that was left out has its default.

    Examples:
        >>> spec = kfc.Spec.model_validate({"network": {"hidden": [64, 32]}})
        >>> [layer.units for layer in spec.network.layers()]
        [64, 32]
        >>> spec.training.optimizer.name, spec.training.batch_size
        ('adam', 32)
    """

    model_config = ConfigDict(
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "description": "A dense network, its data and its training.",
        }
    )

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", max_length=60)] = Field(
        "run",
        description="Name of run folders: letters, digits, '_', '.' and '-'.",
        json_schema_extra={"pattern": _PORTABLE_NAME},
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="Seed of all random numbers."
    )
    accept: Listed[AcceptedCheck] = Field(
        (),
        description="Names or codes of checks that neither stop this run nor warn.",
        examples=[["unscaled_input"]],
    )
    report: bool = Field(
        True,
        description="Whether report.html, a page about the result, is written at the end.",
    )
    preset: Annotated[str, AfterValidator(check_preset)] | None = Field(
        None,
        description="Name of values for the keys of data, network and training that this spec "
        "leaves out; `kfc presets NAME` prints them. The spec of a run has these values and "
        "no preset.",
        examples=["realmlp_s"],
        json_schema_extra={"enum": [*preset_names(), None]},
    )
    data: DataSpec = Field(default_factory=lambda: DataSpec())
    network: NetworkSpec = Field(default_factory=lambda: NetworkSpec())
    training: TrainingSpec = Field(default_factory=lambda: TrainingSpec())
    search: SearchSpec | None = Field(
        None, description="Search space and algorithm of `kfc tune`."
    )

    _said: Mapping[str, Any] | None = PrivateAttr(None)

    @property
    def said(self) -> Mapping[str, Any] | None:
        """Values as they were before the preset filled in the others; None without one."""
        return self._said

    @model_validator(mode="wrap")
    @classmethod
    def _with_preset(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Fills in the keys that are left out, and keeps the values without them."""
        if not isinstance(values, Mapping) or values.get("preset") is None:
            return handler(values)
        checked = handler(with_preset(values))
        checked._said = copy.deepcopy(dict(values))
        return checked

    @property
    def num_orders(self) -> int:
        """Number of orders in which an epoch visits the rows: 1, or one for each member."""
        return 1 if self.training.share_batches else self.network.members

    @property
    def seed_of_rows(self) -> int:
        """The seed of all splits of rows."""
        return self.seed if self.data.split_seed is None else self.data.split_seed

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        findings = [finding for check in checks_of("spec") for finding in check.find(self)]
        if findings:
            raise findings_error(*findings)
        return self
