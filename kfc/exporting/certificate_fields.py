"""The text of a `certificate.json`, of somebody's -> checked facts."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kfc.runs import result_file

_MODEL = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Numbers = float | list[float]


class _Scaling(BaseModel):
    model_config = _MODEL

    shift: _Numbers
    divisor: _Numbers


class _Task(BaseModel):
    model_config = _MODEL

    input_shape: Annotated[list[_Size], Field(min_length=1)]
    input_dtype: Annotated[str, Field(pattern="^(u?int|float)(8|16|32|64)$")]
    class_names: list[str]
    outputs: _Size
    feature_names: list[str]
    targets: list[str] = []
    scaling: _Scaling
    target_scaling: _Scaling


class Facts(BaseModel):
    """The fields of a certificate that kfc reads, each of its own type.

    Other fields may be there: a later kfc may have more to say.
    """

    model_config = _MODEL

    name: str
    version: Annotated[int, Field(ge=1, le=2**63 - 1)]
    format: str
    input: str
    rows: _Count
    calls: list[str]
    max_difference: float
    limit: float
    task: _Task
    files: dict[str, str]
    labels_equal: bool | None = None
    ties: _Count | None = None
    nan_rows: _Count = 0
    columns: dict[str, str] = {}

    @model_validator(mode="after")
    def _check_ties(self) -> Facts:
        if self.task.class_names and self.ties is None:
            raise ValueError("ties: expected a number, for a model of classes")
        return self


def read(text: str) -> dict[str, Any]:
    """Returns the facts of a certificate as plain values, sealed and of the right types.

    Args:
        text: JSON.

    Raises:
        ValueError: If it is not JSON, has been changed since it was sealed, or lacks a field
            or has one of another type; pydantic's ValidationError is one.
    """
    try:
        facts: dict[str, Any] = json.loads(text)
        result_file.check_sha256(facts)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    Facts.model_validate(facts)
    return facts
