"""Runs the checks that need no step on the plan of a training: errors refuse it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from kfc.data import Parts, check_parts, evenly
from kfc.errors import NumbersError
from kfc.first_steps import LossFacts, Subject, examine_network, without_consequences
from kfc.runs.plan import Plan
from kfc.training import build_loss, build_optimizer

Checks = Literal["none", "data", "start"]
"""Checks of the doctor that a training runs first: none, those of the data, or also those of
the untrained network, without a step."""

_ROWS = 4096  # training rows of which batches are drawn


def examined(plan: Plan, checks: Checks) -> Plan:
    """Returns a plan whose data have the warnings of the doctor's checks too.

    Args:
        plan: Plan of a training, whose network is not changed.
        checks: Checks that run.

    Raises:
        NumbersError: If the network cannot learn as it is.
    """
    if checks == "none":
        return plan
    accept, prepared = plan.spec.accept, plan.prepared
    found = list(check_parts(Parts.of(plan.spec, prepared), accept))
    if checks == "start":
        found += examine_network(subject_of(plan), accept, steps=False)[0]
    found = without_consequences(found)
    if errors := [each for each in found if each.severity == "error"]:
        raise NumbersError(*errors)
    warnings = (*prepared.warnings, *found)
    return replace(plan, prepared=replace(prepared, warnings=warnings))


def subject_of(plan: Plan) -> Subject:
    """Returns the network of a plan with its loss, its optimizer and some training rows."""
    spec, train, task = plan.spec, plan.prepared.train, plan.prepared.task
    training = spec.training
    some = train.take(evenly(len(train), _ROWS))
    loss = build_loss(training.loss, task)
    inner = getattr(loss, "inner", loss)
    facts = LossFacts.of(inner)
    facts = replace(facts, loss=loss, from_logits=task.classification)
    schedule = training.optimizer.schedule()
    rate = training.optimizer.largest_rate
    constant = training.optimizer.with_learning_rate(rate)
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
        class_names=task.class_names,
        weights=some.sample_weight,
        spec=spec,
    )
