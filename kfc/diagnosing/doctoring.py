"""Diagnoses a spec or a plain Keras model: the public function of the folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras

from kfc.diagnosing.diagnosis import Diagnosis
from kfc.diagnosing.of_model import ModelTraining, diagnose_model
from kfc.diagnosing.of_spec import diagnose_spec
from kfc.errors import Finding, SpecError
from kfc.spec import SpecLike, load_spec


def doctor(
    subject: SpecLike | keras.Model,
    overrides: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    **training: Any,
) -> Diagnosis:
    """Names the faults of a spec or a Keras model, before they take an afternoon.

    It looks at the data, at the layers, at the loss, the units and the gradients before the
    first step, and at a few steps of a copy. Nothing that is given is changed.

    Examples:
        >>> kfc.doctor("digits").findings
        ()
        >>> diagnosis = kfc.doctor("digits", overrides={"network.init": "zeros"})
        >>> diagnosis.findings[0].label
        'KFC323 units_identical'

    Args:
        subject: A built-in spec's name, a file, a dict or a `kfc.Spec`; or a Keras model.
        overrides: Values of a spec: dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows that replace `data.source`, as for `kfc.fit`; required for a model.
        **training: Training of a model, with the names of Keras: `loss` and `optimizer`, by
            default those that it is compiled with; `validation_data`, `validation_split`,
            `batch_size`, `epochs` and `shuffle`.

    Returns:
        The findings, each with a code, a cause, the evidence and, where there is one, a cure.

    Raises:
        SpecError: If the spec is wrong, or an argument is missing or of the other kind.
        DataError: If the data cannot be read.
        PluginError: If a plug-in fails.
    """
    if isinstance(subject, keras.Model):
        if overrides:
            got = ", ".join(overrides)
            raise SpecError(Finding("overrides", "none for a model", got, "Leave them out."))
        known = ModelTraining.__dataclass_fields__
        _refuse(set(training) - set(known), f"arguments among {', '.join(known)}")
        with warnings.catch_warnings():  # of Keras, about what the findings say
            warnings.simplefilter("ignore")
            return diagnose_model(subject, data, ModelTraining(**training))
    _refuse(set(training), "none of them for a spec, which has its own values")
    return diagnose_spec(load_spec(subject, overrides), data)


def _refuse(names: set[str], expected: str) -> None:
    if names:
        got = ", ".join(sorted(names))
        raise SpecError(Finding("kfc.doctor", expected, got, "See help(kfc.doctor)."))
