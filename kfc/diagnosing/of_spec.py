"""Diagnoses a spec: its data, its network and its first steps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from kfc.check_plugins import plugin_findings
from kfc.data import Parts, check_learned, check_parts
from kfc.diagnosing.diagnosis import Diagnosis, sorted_findings
from kfc.errors import DataError, Finding, NumbersError, SpecError
from kfc.explaining import explain
from kfc.first_steps import examine_network, without_consequences
from kfc.runs import plan_training, prepare_data, start_for_spec, subject_of
from kfc.spec import Spec, load_spec
from kfc.training.engine import check_at_once

_ROUNDS = 4  # a cure may uncover the next problem


def diagnose_spec(spec: Spec, data: Any = None) -> Diagnosis:
    """Diagnoses a valid spec.

    Where a check refuses the data and knows a cure, the diagnosis continues with the cured
    spec, so that it is not the first of several problems that is found alone.

    Args:
        spec: Valid spec.
        data: Rows that replace `data.source`, as for `kfc.fit`.

    Raises:
        KfcError: If the data cannot be read, or its members cannot train as the spec says.
    """
    if spec.training.members > 1:
        check_at_once(spec)
    findings: list[Finding] = []
    measured: dict[str, float] = {}
    cured = spec
    for _ in range(_ROUNDS):
        try:
            found, measured = _examine(cured, data)
            findings += _that_change(cured, found)
            break
        except (SpecError, DataError, NumbersError) as error:
            if not any(finding.code for finding in error.findings):
                raise
            refused = _that_change(cured, error.findings)
            findings += refused
            changes = Diagnosis(tuple(refused)).changes
            if not changes:
                break
            cured = load_spec(cured, changes)
    return Diagnosis(sorted_findings(findings), measured, spec.name)


def cure_spec(spec: Spec, diagnosis: Diagnosis, data: Any = None) -> dict[str, Any]:
    """Returns the changes with which a diagnosis of the spec has no cure left.

    Args:
        spec: Valid spec.
        diagnosis: Its diagnosis.
        data: Rows that replace `data.source`, as for `kfc.fit`.

    Returns:
        Values by dotted path; none where nothing is to be changed.
    """
    changes: dict[str, Any] = {}
    for _ in range(_ROUNDS):
        # A value may be changed again: a rate that fits large weights is too large later.
        new = {path: v for path, v in diagnosis.changes.items() if changes.get(path, ...) != v}
        if not new:
            break
        changes |= new
        diagnosis = diagnose_spec(load_spec(spec, changes), data)
    return changes


def _examine(spec: Spec, data: Any) -> tuple[list[Finding], dict[str, float]]:
    start_for_spec(spec, insist_on_threads=False)
    resolved, prepared = prepare_data(spec, data)
    parts = Parts.of(resolved, prepared)
    # Trees of scikit-learn beside steps of TensorFlow: each leaves the other a core.
    with ThreadPoolExecutor(1) as beside:
        learned = beside.submit(check_learned, parts, spec.accept)
        findings = [*prepared.warnings, *check_parts(parts, spec.accept)]
        plan = plan_training(resolved, prepared)
        found, measured = examine_network(subject_of(plan), spec.accept)
        findings += learned.result()
    findings += plugin_findings("parts", spec.accept, parts)
    findings = without_consequences(findings + found)
    return without_consequences(findings + _predicted(spec, data, findings)), measured


def _that_change(spec: Spec, findings: Sequence[Finding]) -> list[Finding]:
    """Returns findings whose cures have only values that the spec does not have already."""
    return [
        replace(each, cure={k: v for k, v in each.cure.items() if _changes(spec, k, v)})
        for each in findings
    ]


def _changes(spec: Spec, path: str, value: Any) -> bool:
    try:
        return load_spec(spec, {path: value}) != spec
    except SpecError:  # one that holds only beside other changes
        return True


def _predicted(spec: Spec, data: Any, findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings of `kfc explain` that no measured finding contradicts."""
    changed = {path for finding in findings for path in finding.cure}
    predicted = explain(spec, data=data).findings
    return [each for each in predicted if each.cure and not changed & each.cure.keys()]
