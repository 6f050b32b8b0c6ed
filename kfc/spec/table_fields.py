"""Defines the keys of a spec that describe a table: its columns, its categories, its file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kfc.spec.fields import Count, Listed, ShortSpec, SpecModel

ColumnType = Literal["number", "category", "boolean", "date", "ignore"]
Encoder = Literal["auto", "one_hot", "embedding"]


class CsvSpec(SpecModel):
    """The form of a CSV file; each key that is left out is recognised from the file."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None, description="Character between two cells.", examples=[";"]
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="Decimal mark of numbers.", examples=[","]
    )
    encoding: str | None = Field(
        None,
        description="Encoding of the text. UTF-8 and UTF-16 are recognised; name another one.",
        examples=["latin-1"],
    )
    missing_values: Listed[str] | None = Field(
        None,
        description="Texts of a missing cell, besides the empty one.",
        examples=[["NA", "-"]],
    )


class CategoriesSpec(SpecModel):
    """The encoding of all categories of a table."""

    encoder: Encoder = Field(
        "auto",
        description="one_hot, embedding (a vector that the network learns), or auto: one_hot "
        "up to max_one_hot values, else embedding.",
    )
    max_one_hot: Count = Field(
        32, description="Largest number of values that auto encodes as one_hot."
    )
    embedding_size: Count = Field(8, description="Length of an embedding.")
    min_count: Count = Field(
        1,
        description="Training rows that a value needs to get a code of its own. Rarer values "
        "share the code of unknown ones, which is then trained.",
    )
    binary: Literal["one_hot", "sign"] = Field(
        "one_hot",
        description="One-hot encoding of two values: two inputs, or sign, one input of 1 and "
        "-1, and 0 for unknown ones.",
    )
    scale: bool = Field(
        False,
        description="Whether data.scale also scales flags and one-hot inputs, by their own "
        "statistics. quantile has no meaning for them.",
    )


class ColumnSpec(ShortSpec):
    """One column of a table. Options left out are inherited from `data.categories`."""

    short_key: ClassVar[str] = "type"
    short_description: ClassVar[str] = "Type of the column."

    type: ColumnType = Field(description="Type of the column.", examples=["number"])
    format: str | None = Field(
        None,
        description="Form of a date's text, with %Y, %m, %d, %H, %M and %S; by default "
        "ISO 8601.",
        examples=["%d/%m/%Y"],
    )
    encoder: Encoder | None = Field(
        None, description="Overrides data.categories.encoder.", examples=["embedding"]
    )
    embedding_size: Count | None = Field(
        None, description="Overrides data.categories.embedding_size.", examples=[4]
    )
    min_count: Count | None = Field(
        None, description="Overrides data.categories.min_count.", examples=[5]
    )
