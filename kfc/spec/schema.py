"""Defines the spec: every key with its type, default and limits, as frozen models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from kfc.findings import checks_of
from kfc.spec.components import (
    ActivationSpec,
    BiasInitializerSpec,
    BlockSpec,
    CallbackSpec,
    InitializerSpec,
    LossSpec,
)
from kfc.spec.fields import (
    ClassWeight,
    Count,
    Listed,
    NotNegative,
    NotNegativeInt,
    Positive,
    Share,
    ShortSpec,
    SpecModel,
    component,
)
from kfc.spec.messages import findings_error
from kfc.spec.metric_names import MONITORED, OF_OUTPUTS
from kfc.spec.optimizer_fields import OptimizerSpec
from kfc.spec.search_fields import SearchSpec
from kfc.spec.source_fields import SourceSchema, check_source_name, check_validation
from kfc.spec.table_fields import CategoriesSpec, ColumnSpec, CsvSpec
from kfc.spec.unit_fields import (
    BIAS_INIT,
    INIT,
    INPUT_SCALE,
    OUTPUT_BIAS_INIT,
    OUTPUT_INIT,
    PARAMETRIC_ACTIVATION,
)

# Codes of the checks that a spec may accept, see `kfc/findings.py`.
AcceptedCheck = Literal[
    "unscaled_input",
    "column_constant",
    "category_nearly_unique",
    "number_is_id",
    "column_not_in_training",
    "target_in_column",
    "training_rows_repeated",
]


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
    "robust_clip": "robust, then x / sqrt(1 + (x / 3)^2), which stays between -3 and 3",
    "quantile": "by the quantiles of each feature to a standard normal distribution, between "
    "-5.2 and 5.2, linear between 128 training values (fewer above 2,048 features)",
}
"""Description of each value of `data.scale`."""

Scale = Annotated[
    Literal["none", "unit", "centered", "standard", "robust", "robust_clip", "quantile"],
    Field(json_schema_extra={"enumDescriptions": [*SCALES.values()]}),
]


class DataSpec(SpecModel):
    """The source of the rows, their split and their scaling."""

    source: SourceName | None = Field(
        None,
        description="kind:argument; left out if data= is given.",
        examples=["sklearn:digits"],
    )
    task: Literal["classification", "regression"] | None = Field(
        None,
        description="By default classification for targets that are integers or text, else "
        "regression.",
    )
    target: str | None = Field(
        None,
        description="Name of the target's column in a table.",
        examples=["churn"],
    )
    test: SourceName | None = Field(
        None,
        description="Source of the test rows; by default those of the data, or 20 % of them.",
        examples=["csv:holdout.csv"],
    )
    columns: dict[str, ColumnSpec] = Field(
        default_factory=dict,
        description="Type of each column of a table, perhaps with options. Types that are "
        "left out are inferred from the training file and written into the run's spec.",
        examples=[{"age": "number", "plan": "category"}],
    )
    missing: Literal["auto", "mean", "median", "refuse"] = Field(
        "auto",
        description="Replacement of a missing number of a table, learned on training rows; "
        "auto takes the median. Where training rows have gaps, the network also gets an "
        "indicator. Missing categories are a category of their own.",
    )
    unknown: Literal["slot", "refuse"] = Field(
        "slot",
        description="Treatment of a category that the training rows do not have: slot gives "
        "all of them the same code, refuse refuses the rows.",
    )
    categories: CategoriesSpec = Field(
        default_factory=lambda: CategoriesSpec(),
        description="Encoding of the categories of a table.",
    )
    csv: CsvSpec = Field(default_factory=lambda: CsvSpec(), description="Form of a CSV file.")
    scale: Scale | None = Field(
        None,
        description="Scaling of the inputs, fitted on training rows only; by default "
        "standard for the numbers of a table, unit for arrays. "
        + " ".join(f"{word}: {meaning}." for word, meaning in SCALES.items()),
        examples=["standard"],
    )
    scale_target: Literal["none", "standard"] = Field(
        "standard",
        description="Regression: the loss is in standard deviations of the training targets; "
        "predictions and other metrics are in the units of the target.",
    )
    pixels: bool | None = Field(
        None,
        description="Whether inputs are 8-bit pixels, which unit divides by 255. By default "
        "true for rows of bytes with height and width, false for flattened pictures.",
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
        description="Share of the training rows (shuffled, stratified, seeded), a source, or "
        "own: the validation rows of the data. By default own if there are any, else 0.1.",
        examples=[0.1],
    )
    rows: Count | None = Field(
        None,
        description="Number of rows used for training and validation, stratified, seeded; by "
        "default all.",
        examples=[1000],
    )
    stream: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether training rows are read from the disk in windows. auto does so if "
        "the arrays or the files of the table are on the disk and large compared with the "
        "memory of this machine.",
    )
    cache: str | None = Field(
        None,
        description="Folder for the encoded rows of tables that are streamed, which later "
        "runs on the same files use again; by default .tables beside the run folders.",
        examples=["/scratch/tables"],
    )


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
    input_scale: bool = INPUT_SCALE
    init: InitializerSpec = component("glorot_uniform", INIT)
    bias_init: BiasInitializerSpec = component("zeros", BIAS_INIT)
    output_init: InitializerSpec | None = OUTPUT_INIT
    output_bias_init: BiasInitializerSpec | None = OUTPUT_BIAS_INIT
    block: BlockSpec = component("dense", "Block of layers that one entry of hidden adds.")
    dropout: Share = Field(0.0, description="Share of outputs set to 0 during training.")
    dropout_schedule: Literal["flat_cosine"] | None = Field(
        None,
        description="flat_cosine: the rates of dropout hold for half of the training and fall "
        "to 0 by half a cosine wave.",
        examples=["flat_cosine"],
    )
    l1: NotNegative = Field(
        0.0, description="Factor of the sum of absolute kernel weights in the loss."
    )
    l2: NotNegative = Field(
        0.0, description="Factor of the sum of squared kernel weights in the loss."
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


# --- training -----------------------------------------------------------------------------


class EarlyStoppingSpec(SpecModel):
    """Stops training when a metric has not improved for `patience` epochs."""

    monitor: str = Field(
        "val_loss",
        description="Recorded metric; kfc knows whether lower or higher is better.",
        json_schema_extra={"enum": [*MONITORED]},
    )
    patience: NotNegativeInt | None = Field(
        5,
        description="Epochs without improvement after which training stops; null never stops, "
        "and only finds the best epoch.",
    )
    min_delta: NotNegative = Field(
        0.0, description="Smallest change of the metric that counts as an improvement."
    )
    restore_best_weights: bool = Field(
        True, description="Whether the final weights are those of the best epoch."
    )
    ties: Literal["first", "last"] = Field(
        "first", description="Best epoch among equally good ones."
    )


class TrainingSpec(SpecModel):
    """The training: loss, optimizer, epochs, engine and callbacks."""

    loss: LossSpec | None = Field(
        None,
        description="Loss; by default cross_entropy for classification, mse for regression.",
    )
    class_weight: ClassWeight | None = Field(
        None,
        description="balanced, or a factor of the loss of each class's rows.",
        examples=["balanced"],
    )
    optimizer: OptimizerSpec = component(
        "adam", "A Keras optimizer, tape_sgd, or a plug-in's."
    )
    engine: Literal["auto", "xla", "graph", "eager"] = Field(
        "auto",
        description="Execution of the steps: a graph compiled by XLA, a plain graph, or eager "
        "(for debugging). auto depends only on the spec and the rows; the run prints it.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Arithmetic of the hidden layers. bfloat16 is faster for large layers and "
        "less exact; weights stay float32.",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="Threads of TensorFlow, for one operation and for operations at once; by "
        "default every core. The first run of a process sets the number for all runs.",
        examples=[2],
    )
    batch_size: Count = Field(32, description="Rows per step; the last batch may be shorter.")
    drop_last: bool = Field(
        False,
        description="Whether an epoch leaves out its last batch if it is short; with fewer "
        "rows than batch_size, a batch is all rows.",
    )
    epochs: Count = Field(20, description="Number of passes over the training rows.")
    shuffle: bool = Field(True, description="Whether each epoch has a new order of rows.")
    early_stopping: EarlyStoppingSpec | None = Field(
        None,
        description="Early stopping; off by default.",
        examples=[{"monitor": "val_loss", "patience": 5}],
    )
    log_every: Count | None = Field(
        None,
        description="Steps between log lines; the end of an epoch always has one.",
        examples=[100],
    )
    evaluate_every: Count | None = Field(
        None,
        description="Steps between evaluations; the end of an epoch always has one.",
        examples=[500],
    )
    metrics: Listed[Annotated[str, Field(json_schema_extra={"enum": [*OF_OUTPUTS]})]] = Field(
        (),
        description="Further metrics of held-out rows that each epoch records, computed by "
        "scikit-learn. A monitored metric needs no entry.",
        examples=[["auc"]],
    )
    callbacks: Listed[CallbackSpec] = Field(
        (),
        description="Keras callbacks by class name, kfc's callbacks, or plug-ins'.",
        examples=[[{"name": "TerminateOnNaN"}]],
    )
    checkpoint_seconds: Positive = Field(
        10.0,
        description="Seconds between checkpoints; more if writing them takes more than 3 % of "
        "the time.",
    )

    def rows_per_step(self, num_rows: int) -> int:
        """Returns the number of rows of every batch but a short last one.

        Args:
            num_rows: Number of training rows.
        """
        # An evaluation trains on no row, and has batches too.
        return min(self.batch_size, max(1, num_rows)) if self.drop_last else self.batch_size

    def steps_per_epoch(self, num_rows: int) -> int:
        """Returns the number of batches of an epoch.

        Args:
            num_rows: Number of training rows.
        """
        rows_per_step = self.rows_per_step(num_rows)
        return num_rows // rows_per_step if self.drop_last else -(-num_rows // rows_per_step)


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
        description="Codes of data checks that neither stop this run nor warn.",
        examples=[["unscaled_input"]],
    )
    data: DataSpec = Field(default_factory=lambda: DataSpec())
    network: NetworkSpec = Field(default_factory=lambda: NetworkSpec())
    training: TrainingSpec = Field(default_factory=lambda: TrainingSpec())
    search: SearchSpec | None = Field(
        None, description="Search space and algorithm of `kfc tune`."
    )

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        findings = [finding for check in checks_of("spec") for finding in check.find(self)]
        if findings:
            raise findings_error(*findings)
        return self
