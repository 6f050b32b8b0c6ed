"""Defines the keys of `training`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from kfc.spec.callback_fields import CallbackSpec
from kfc.spec.components import (
    LossSpec,
)
from kfc.spec.fields import (
    ClassWeight,
    Count,
    Listed,
    NotNegative,
    NotNegativeInt,
    Positive,
    SpecModel,
    component,
)
from kfc.spec.metric_names import MONITORED, OF_OUTPUTS
from kfc.spec.optimizer_fields import OptimizerSpec


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
    distribute: Literal["auto", "none", "mirrored", "multi_worker"] = Field(
        "auto",
        description="Devices that share each batch of `kfc fit`: those of this machine "
        "(mirrored), or the processes that TF_CONFIG names (multi_worker). auto takes the "
        "processes if there are several, else several GPUs. Trials, folds and members train "
        "without.",
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
    share_batches: bool = Field(
        True,
        description="Of network.members: whether all members see the same rows in a step. "
        "Otherwise each has an order of its own, a step has members * batch_size rows, and "
        "training metrics are means over members.",
    )
    drop_last: bool = Field(
        False,
        description="Whether an epoch leaves out its last batch if it is short; with fewer "
        "rows than batch_size, a batch is all rows.",
    )
    epochs: Count = Field(20, description="Number of passes over the training rows.")
    members: Count = Field(
        1,
        description="Number of networks with the seeds seed, seed + 1, ..., which are trained "
        "on the same rows and averaged.",
    )
    at_once: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether the members of an ensemble, the folds of a cross-validation, or "
        "the trials of a search that have one shape train at once: their steps are one. auto: "
        "small networks, where TensorFlow sees a GPU; on processors alone, one after another "
        "is as fast. A network has, but for rounding, the weights that it would have alone.",
    )
    calibrate: Literal["temperature"] | None = Field(
        None,
        description="Of classes: divides the logits of the finished network by a temperature "
        "that is fitted on the validation rows.",
        examples=["temperature"],
    )
    interval_coverage: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Of a regression: share of rows whose target is between the bounds lower "
        "and upper of a prediction, from the residuals of every second validation row, which "
        "is then no validation row.",
        examples=[0.9],
    )
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
