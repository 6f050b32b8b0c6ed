"""Fields of a `certificate.json`, checked before they are used.

The file may come from elsewhere, so that each field may have any type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kfc.runs import result_file

_STRICT = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Numbers = float | list[float]


class _ScalingFields(BaseModel):
    model_config = _STRICT

    shift: _Numbers
    divisor: _Numbers
    clip: bool = False


class _QuantileFields(BaseModel):
    model_config = _STRICT

    values: list[list[float]]
    scores: list[list[float]]


class _IntervalFields(BaseModel):
    model_config = _STRICT

    coverage: Annotated[float, Field(gt=0, lt=1)]
    half_widths: list[Annotated[float, Field(ge=0)]]


class _TaskFields(BaseModel):
    model_config = _STRICT

    input_shape: Annotated[list[_Size], Field(min_length=1)]
    input_dtype: Annotated[str, Field(pattern="^(u?int|float)(8|16|32|64)$")]
    class_names: list[str]
    outputs: _Size
    feature_names: list[str]
    targets: list[str] = []
    scaling: _ScalingFields | _QuantileFields
    target_scaling: _ScalingFields
    table: dict[str, Any] | None = None  # checked where it is read, by `TableTask`
    temperature: Annotated[float, Field(gt=0)] | None = None
    limits: Annotated[list[list[float]], Field(min_length=2, max_length=2)] | None = None
    intervals: _IntervalFields | None = None
    number_bins: dict[Literal["edges"], list[list[float]]] | None = None


class _CertificateFields(BaseModel):
    """The fields of a certificate that kfc reads, with their types.

    Other fields are allowed: a later version of kfc may write more.
    """

    model_config = _STRICT

    name: str
    version: Annotated[int, Field(ge=1, le=2**63 - 1)]
    format: str
    input: str
    rows: _Count
    calls: list[str]
    max_difference: float
    limit: float
    task: _TaskFields
    files: dict[str, str]
    labels_equal: bool | None = None
    ties: _Count | None = None
    nan_rows: _Count = 0
    input_names: dict[str, str] = {}
    encoded: bool = False

    @model_validator(mode="after")
    def _check_ties(self) -> _CertificateFields:
        if self.task.class_names and self.ties is None:
            raise ValueError("ties: expected a number, for a model of classes")
        if self.encoded and self.task.table is None:
            raise ValueError("encoded: expected false, for a model of arrays")
        return self


def parse_certificate(text: str) -> dict[str, Any]:
    """Returns the fields of a certificate as plain values, after all checks.

    Args:
        text: Content of a `certificate.json`.

    Raises:
        ValueError: If the text is not JSON, if it was changed after it was sealed, or if a
            field is missing or has another type (pydantic's ValidationError).
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        result_file.check_sha256(fields)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _CertificateFields.model_validate(fields)
    return fields


def verdict(certificate: Mapping[str, Any]) -> str:
    """Returns the result of an export's comparison with its run as one line."""
    ties = certificate.get("ties")
    labels = ""
    if ties is not None:  # a model of classes
        but = f" but for {ties} tie{'s' if ties > 1 else ''}" if ties else ""
        labels = f" labels equal{but},"
    return (
        f"{certificate['rows']} test rows:{labels} largest difference "
        f"{certificate['max_difference']:.1e} (limit {certificate['limit']:.0e})"
    )
