"""Diagnoses a spec: its data, its network and its first steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from kfc.data import Parts, Prepared, check_learned, check_parts
from kfc.diagnosing.diagnosis import Diagnosis, sorted_findings
from kfc.diagnosing.stages import examine_network, without_consequences
from kfc.errors import DataError, Finding, NumbersError, SpecError
from kfc.first_steps import LossFacts, Subject
from kfc.runs import Plan, plan_training, prepare_data, start_for_spec
from kfc.spec import OptimizerSpec, Spec, StepSpec, load_spec
from kfc.training import build_loss, build_optimizer

_ROWS = 4096  # training rows of which batches are drawn
_ROUNDS = 4  # a cure may uncover the next problem


def diagnose_spec(spec: Spec, data: Any = None) -> Diagnosis:
    """Diagnoses a valid spec.

    Where a check refuses the data and knows a cure, the diagnosis goes on with the cured
    spec, so that it is not the first of several problems that is found alone.

    Args:
        spec: Valid spec.
        data: Rows that replace `data.source`, as for `kfc.fit`.

    Raises:
        KfcError: If the data cannot be read.
    """
    findings: list[Finding] = []
    measured: dict[str, float] = {}
    cured = spec
    for _ in range(_ROUNDS):
        try:
            found, measured = _examine(cured, data)
            findings += found
            break
        except (SpecError, DataError, NumbersError) as error:
            if not any(finding.code for finding in error.findings):
                raise
            findings += error.findings
            changes = Diagnosis(error.findings).changes
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
        new = {path: v for path, v in diagnosis.changes.items() if path not in changes}
        if not new:
            break
        changes |= new
        diagnosis = diagnose_spec(load_spec(spec, changes), data)
    return changes


def _examine(spec: Spec, data: Any) -> tuple[list[Finding], dict[str, float]]:
    start_for_spec(spec, insist_on_threads=False)
    resolved, prepared = prepare_data(spec, data)
    parts = parts_of(resolved, prepared)
    findings = [*prepared.warnings, *check_parts(parts, spec.accept)]
    findings += check_learned(parts, spec.accept)
    plan = plan_training(resolved, prepared)
    found, measured = examine_network(subject_of(plan), spec.accept)
    return without_consequences(findings + found), measured


def parts_of(spec: Spec, prepared: Prepared) -> Parts:
    """Returns the parts of prepared data, for their checks."""
    names = {"val": "validation rows", "test": "test rows"}
    task = prepared.task
    return Parts(
        prepared.train,
        {names[prefix]: rows for prefix, rows in prepared.held_out.items()},
        task.class_names,
        shuffle=spec.training.shuffle,
        pixels=task.input_dtype == "uint8",
        of_table=task.table is not None,
        by_time=spec.data.order is not None,
    )


def subject_of(plan: Plan) -> Subject:
    """Returns the network of a plan with its loss, its optimizer and some training rows."""
    spec, train, task = plan.spec, plan.prepared.train, plan.prepared.task
    training = spec.training
    places = np.linspace(0, len(train) - 1, min(len(train), _ROWS)).astype(np.int64)
    some = train.take(np.unique(places))
    loss = build_loss(training.loss, task)
    inner = getattr(loss, "inner", loss)
    facts = LossFacts.of(inner)
    facts = LossFacts(loss, facts.name, facts.compared, task.classification, facts.of_ratios)
    schedule = training.optimizer.schedule()
    rate = _largest_rate(training.optimizer)
    options = {"name": training.optimizer.name, **training.optimizer.options}
    constant = OptimizerSpec.model_validate({**options, "learning_rate": rate})
    steps = training.steps_per_epoch(len(train))
    return Subject(
        plan.network,
        facts,
        np.asarray(some.x[:]),
        some.y,
        lambda: build_optimizer(constant, steps_per_epoch=steps, epochs=training.epochs),
        learning_rate=rate,
        warms_up=bool(getattr(schedule, "warmup_epochs", 0)),
        batch_size=training.rows_per_step(len(train)),
        steps=steps * training.epochs,
        num_classes=len(task.class_names),
        spec=spec,
    )


def _largest_rate(optimizer: OptimizerSpec) -> float:
    schedule = optimizer.schedule()
    if schedule is None:
        return float(optimizer.options["learning_rate"])
    if isinstance(schedule, StepSpec):
        return max(schedule.values)
    return float(schedule.initial_learning_rate)
