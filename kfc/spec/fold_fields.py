"""Defines the keys of a spec that choose one fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from kfc.errors import Finding
from kfc.spec.fields import NotNegativeInt, SpecModel
from kfc.spec.messages import findings_error

if TYPE_CHECKING:
    from kfc.spec.schema import Spec


class FoldSpec(SpecModel):
    """One fold: its rows are the test rows, and the training has the other rows."""

    number: NotNegativeInt = Field(
        description="Number of the fold that is held out, from 0.", examples=[0]
    )
    of: Annotated[int, Field(ge=2, lt=2**31)] | None = Field(
        None,
        description="Number of folds, which the seed of the rows makes: stratified for "
        "classes, by data.groups, or by data.order, where a fold trains on the past only.",
        examples=[5],
    )
    file: str | None = Field(
        None,
        description="File with given folds instead: .npz with the arrays rows and fold, or "
        ".npy with a number for each row. Rows that it does not name take no part.",
        examples=["folds.npz"],
    )

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.of is None) == (self.file is None):
            got = "neither" if self.of is None else "both"
            expected = "the number of folds (of) or a file with folds"
            raise findings_error(Finding("", expected, got, "Name one of them."))
        if self.of is not None and self.number >= self.of:
            expected = f"a number from 0 to {self.of - 1}"
            raise findings_error(Finding("number", expected, str(self.number), "Lower it."))
        return self


Groups = Annotated[
    str | None,
    Field(
        description="Column of a table whose equal values are never split between parts or "
        "folds; it is no input.",
        examples=["patient"],
    ),
]
Order = Annotated[
    str | None,
    Field(
        description="Column of numbers or dates by which rows are split: the last ones are "
        "held out, and a fold trains on the rows before it.",
        examples=["date"],
    ),
]
Fold = Annotated[
    FoldSpec | None,
    Field(
        description="Fold whose rows are the test rows of this run.",
        examples=[{"number": 0, "of": 5}],
    ),
]
SplitSeed = Annotated[
    Annotated[int, Field(ge=0, lt=2**32)] | None,
    Field(description="Seed of all splits of rows; by default seed.", examples=[0]),
]


def arranged_twice(spec: Spec) -> Iterator[Finding]:
    """Yields findings about keys that arrange rows in groups or in an order."""
    data = spec.data
    if data.groups is not None and data.order is not None:
        remedy = "Keep one of the two keys."
        expected = "folds by groups or by time"
        yield Finding("data.order", expected, "data.groups beside it", remedy)
    for key in ("groups", "order"):
        name = getattr(data, key)
        if name is not None and name == data.target:
            remedy = "Name another column."
            yield Finding(f"data.{key}", "another column than the target", repr(name), remedy)
    if data.groups is not None and data.groups in data.columns:
        kind = data.columns[data.groups].type
        if kind != "ignore":
            remedy = "Remove it: a group says which rows belong together."
            where = f"data.columns.{data.groups}"
            yield Finding(where, "ignore for the column of data.groups", kind, remedy)
