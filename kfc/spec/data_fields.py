"""Defines the keys of `data`: the rows, their split and their scaling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
)

from kfc.spec.fields import (
    Count,
    Share,
    SpecModel,
)
from kfc.spec.fold_fields import Fold, Groups, Order, SplitSeed
from kfc.spec.source_fields import (
    NO_TEST,
    SourceSchema,
    check_source_name,
    check_test,
    check_validation,
)
from kfc.spec.table_fields import CategoriesSpec, ColumnSpec, CsvSpec

SourceName = Annotated[str, AfterValidator(check_source_name), SourceSchema()]
TestName = Annotated[str, AfterValidator(check_test), SourceSchema(NO_TEST)]
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
    test: TestName | None = Field(
        None,
        description="Source of the test rows; by default those of the data, or 20 % of them. "
        "none sets no rows aside for the test.",
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
    clip_predictions: bool = Field(
        False,
        description="Regression: whether the finished network limits its predictions to the "
        "range of the training targets.",
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
    groups: Groups = None
    order: Order = None
    fold: Fold = None
    split_seed: SplitSeed = None
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
