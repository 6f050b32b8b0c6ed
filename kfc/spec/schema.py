"""The spec as frozen data: every key, its default, its limits; no behaviour beyond checking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import AfterValidator

from kfc.errors import Fault
from kfc.registry import OPTIMIZERS
from kfc.spec.components import (
    ActivationField,
    BlockField,
    CallbackField,
    Component,
    InitializerField,
    LossField,
    check_source,
    named,
)
from kfc.spec.faults import faults_error, read_faults

METRICS = {"loss": "min", "accuracy": "max", "mae": "min", "r2": "max"}
"""Name -> direction of everything kfc records; validation rows add `val_` in front."""

# Codes of the checks a spec may accept; `kfc/data/checks.py` has their rows.
AcceptedCheck = Literal["unscaled_input"]

Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]
Share = Annotated[Finite, Field(ge=0, lt=1)]


class SpecModel(BaseModel):
    """Strict, frozen, no unknown keys: true is no number, "0.5" is no number."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", validate_default=True
    )


def _mapping_of(key: str) -> BeforeValidator:
    """Returns the reader of a shorthand: a bare value stands for `{key: value}`."""

    def read(value: Any) -> Any:
        return value if isinstance(value, (Mapping, SpecModel)) else {key: value}

    return BeforeValidator(read, json_schema_input_type=int | dict[str, Any])


def _listed(item: Any) -> Any:
    """Returns an immutable list of `item`; files have no tuples, so lists are taken."""
    return Annotated[tuple[item, ...], Field(strict=False)]


# --- data ---------------------------------------------------------------------------------

SourceName = Annotated[str, AfterValidator(check_source)]


class Data(SpecModel):
    """Where the rows come from, how they are split and how they are scaled."""

    source: SourceName | None = Field(
        None, description="kind:argument; absent when data= is given.", examples=["sklearn:digits"]
    )
    task: Literal["classification", "regression"] | None = Field(
        None, description="By default classes where targets are integers or text, else numbers."
    )
    scale: Literal["none", "unit", "centered", "standard", "robust"] = Field(
        "unit", description="How inputs are scaled; learned on training rows only."
    )
    scale_target: Literal["none", "standard"] = Field(
        "standard",
        description="Regression: the loss is measured in standard deviations of the "
        "training targets; predictions and other metrics stay in the target's own units.",
    )
    validation: Annotated[
        Annotated[Share, Tag("share")] | Annotated[SourceName, Tag("source")],
        Discriminator(lambda value: "source" if isinstance(value, str) else "share"),
    ] = Field(
        0.1,
        description="Share of the training rows, shuffled, stratified, seeded; or a source.",
        examples=[0.1],
    )
    rows: Count | None = Field(
        None, description="Use only so many rows for training and validation, stratified, seeded."
    )


# --- network ------------------------------------------------------------------------------

Normalization = Literal["none", "batch", "layer"]


class Hidden(SpecModel):
    """One hidden layer; what it leaves out is as the network says."""

    units: Count = Field(description="Width of the layer.", examples=[128])
    activation: ActivationField | None = None
    init: InitializerField | None = None
    dropout: Share | None = None
    l1: NotNegative | None = None
    l2: NotNegative | None = None
    normalization: Normalization | None = None
    use_bias: bool | None = None

    @model_serializer(mode="wrap")
    def _shortest(self, handler: Any) -> Any:
        """A layer that only has a width is written as that number."""
        said = {key: value for key, value in handler(self).items() if value is not None}
        return self.units if set(said) == {"units"} else said


class Network(SpecModel):
    """A dense stack, from the scaled input to logits."""

    hidden: _listed(Annotated[Hidden, _mapping_of("units")]) = Field(  # type: ignore[valid-type]
        (128,), description="Widths, or layers with options; [] is softmax regression."
    )
    activation: ActivationField = Field("relu", description="Of every hidden layer.")
    init: InitializerField = Field("glorot_uniform", description="Of every kernel.")
    block: BlockField = Field("dense", description="What one entry of hidden becomes.")
    dropout: Share = Field(0.0, description="Share of outputs zeroed while training.")
    l1: NotNegative = Field(0.0, description="Factor of the sum of absolute kernel weights.")
    l2: NotNegative = Field(0.0, description="Factor of the sum of squared kernel weights.")
    normalization: Normalization = Field("none", description="Before the activation.")
    use_bias: bool = Field(True, description="Whether hidden layers add a bias.")

    def layers(self) -> tuple[Hidden, ...]:
        """Returns the hidden layers, each with every option filled in."""
        shared = {
            name: getattr(self, name)
            for name in Hidden.model_fields
            if name != "units"
        }
        return tuple(
            layer.model_copy(
                update={k: v for k, v in shared.items() if getattr(layer, k) is None}
            )
            for layer in self.hidden
        )


# --- training -----------------------------------------------------------------------------


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
    boundaries: Annotated[_listed(Positive), Field(min_length=1)]  # type: ignore[valid-type]
    values: Annotated[_listed(Positive), Field(min_length=2)]  # type: ignore[valid-type]

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
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
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


class EarlyStopping(SpecModel):
    """Stops when a number has not become better for `patience` epochs."""

    monitor: str = Field("val_loss", description="A recorded metric; its direction is known.")
    patience: Annotated[int, Field(ge=0)] = 5
    min_delta: NotNegative = 0.0
    restore_best_weights: bool = Field(True, description="Whether to end with the best epoch's.")

    @model_validator(mode="after")
    def _is_recorded(self) -> Self:
        recorded = [prefix + name for name in METRICS for prefix in ("", "val_")]
        if self.monitor not in recorded:
            raise faults_error(
                Fault(
                    "monitor",
                    "a recorded metric",
                    repr(self.monitor),
                    f"Known: {', '.join(recorded)}.",
                )
            )
        return self


class Training(SpecModel):
    """How the weights are found."""

    loss: LossField | None = Field(
        None, description="By default cross_entropy for classes, mse for numbers."
    )
    optimizer: Annotated[Optimizer, named("adam")] = Field("adam", validate_default=True)  # type: ignore[assignment]
    batch_size: Count = Field(32, description="Rows per step; the last batch may be shorter.")
    epochs: Count = 20
    shuffle: bool = Field(True, description="Whether rows come in a new order each epoch.")
    early_stopping: EarlyStopping | None = None
    log_every: Count | None = Field(None, description="Steps between log lines, besides epochs.")
    evaluate_every: Count | None = Field(
        None, description="Steps between evaluations, besides those at the end of epochs."
    )
    callbacks: _listed(CallbackField) = ()  # type: ignore[valid-type]
    commit_seconds: Positive = Field(10.0, description="At most so far apart are commits.")


# --- search -------------------------------------------------------------------------------


class Range(SpecModel):
    """Numbers from `low` to `high`."""

    low: Finite
    high: Finite
    log: bool = False
    step: Positive | None = None


class Choice(SpecModel):
    """One of the listed values."""

    choice: Annotated[_listed(Any), Field(min_length=1)]  # type: ignore[valid-type]


class Stack(SpecModel):
    """Hidden layers: how many, and how wide."""

    depth: Annotated[_listed(int), Field(min_length=2, max_length=2)]  # type: ignore[valid-type]
    width: Annotated[_listed(int), Field(min_length=2, max_length=2)]  # type: ignore[valid-type]


def _dimension(value: Any) -> str:
    keys = value if isinstance(value, Mapping) else value.model_fields_set
    return "choice" if "choice" in keys else "stack" if "depth" in keys else "range"


class Search(SpecModel):
    """What `kfc tune` varies; training alone does not read it."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "bayesian"
    objective: str = "val_accuracy"
    trials: Count = 40
    space: dict[
        str,
        Annotated[
            Annotated[Range, Tag("range")]
            | Annotated[Choice, Tag("choice")]
            | Annotated[Stack, Tag("stack")],
            Discriminator(_dimension),
        ],
    ] = Field(default_factory=dict)


# --- the whole ----------------------------------------------------------------------------


class Spec(SpecModel):
    """A dense network, its data and its training, on one page."""

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", max_length=60)] = Field(
        "run", description="Letters, digits, '_', '.' and '-'; run folders carry it."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="Of everything random.")
    accept: _listed(AcceptedCheck) = Field(  # type: ignore[valid-type]
        (), description="Checks that may not refuse this run, by their codes."
    )
    data: Data = Field(default_factory=Data)
    network: Network = Field(default_factory=Network)
    training: Training = Field(default_factory=Training)
    search: Search | None = None

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if faults := list(_impossible(self)):
            raise faults_error(*faults)
        return self


def _impossible(spec: Spec) -> Iterator[Fault]:
    stopping = spec.training.early_stopping
    if stopping and stopping.monitor.startswith("val_") and spec.data.validation == 0:
        yield Fault(
            "training.early_stopping.monitor",
            "a metric that is recorded",
            f"{stopping.monitor!r} while data.validation is 0",
            "Set data.validation to 0.1, or monitor 'loss'.",
        )
    if spec.data.source is None and isinstance(spec.data.validation, str):
        yield Fault(
            "data.validation",
            "a share of the rows given as data=",
            repr(spec.data.validation),
            "Name data.source too, or set data.validation to 0.1.",
        )
