"""Runs the checks of the stages that look at a network, from the cheapest to the dearest."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from kfc.check_plugins import plugin_findings
from kfc.errors import Finding
from kfc.findings import Stage, checks_of, is_accepted
from kfc.first_steps.start import Start
from kfc.first_steps.steps import Steps
from kfc.first_steps.subject import Subject

_SILENT = ("units_dead", "units_saturated", "gradient_vanishes", "output_constant")
_STEPS = (
    "steps_diverge",
    "steps_lead_nowhere",
    "one_batch_not_learned",
    "output_constant",
    "weights_vanish",
    "weights_stand_still",
)
_SQUEEZED = (
    "signal_grows",
    "unscaled_input",
    "target_unscaled",
    "target_offset",
    "start_loss_high",
    "targets_unrelated",
    *_STEPS,
)
_BEFORE_LOSS: tuple[Stage, ...] = ("rows", "targets", "loss")
_CONSEQUENCES = {
    "rate_not_positive": ("update_too_small", *_STEPS),
    "units_identical": (*_SILENT, "one_number_passes", *_STEPS),
    "codes_for_numbers": ("target_broadcast",),
    "batch_of_one": (*_SILENT, *_STEPS),
    "rows_depend_on_others": (
        "start_loss_high",
        "signal_grows",
        "logits_as_probabilities",
        *_STEPS,
    ),
    "gradient_missing": ("gradient_vanishes", *_STEPS),
    "loss_hardly_changes": ("gradient_vanishes", "update_too_small", *_STEPS),
    "label_smoothing_high": _STEPS,
    "norm_of_one": (*_SILENT, "one_number_passes", "signal_vanishes", *_STEPS),
    "few_rows_count": ("class_hardly_counts", *_STEPS),
    "class_hardly_counts": _STEPS,
    "weights_scale_updates": _STEPS,
    "constraint_removes_weights": ("units_dead", "weights_vanish", *_STEPS),
    "penalty_dominates": ("gradient_explodes", *_STEPS),
    "decay_dominates": _STEPS,
    "option_stops_updates": ("rate_too_small", "rate_too_large", *_STEPS),
    "momentum_too_long": ("rate_too_small", "rate_too_large", *_STEPS),
    "weights_stand_still": ("rate_too_small",),
    "frozen_untrained": _STEPS,
    "target_too_small": ("signal_grows", "start_loss_high", *_STEPS),
    "one_number_passes": ("units_dead", "gradient_vanishes", *_STEPS),
    "few_numbers_pass": ("units_dead", "gradient_vanishes", "signal_vanishes", *_STEPS),
    "value_not_embedded": ("rows_not_computed",),
    "one_class_dominates": ("outputs_unused",),
    "update_not_finite": ("rate_too_large", *_STEPS),
    "start_not_finite": (*_SILENT, *_STEPS),
    "units_dead": ("gradient_vanishes", "update_too_small", *_STEPS),
    "gradient_vanishes": ("update_too_small", *_STEPS),
    "relu_output": ("start_loss_high", "signal_grows", *_STEPS),
    "softmax_of_one": ("gradient_vanishes", "loss_hardly_changes", *_STEPS),
    "logits_as_probabilities": ("start_loss_high", "signal_grows", *_STEPS),
    "target_unscaled": (
        "target_offset",
        "start_loss_high",
        "signal_grows",
        "gradient_explodes",
        *_STEPS,
    ),
    "unscaled_input": (
        "start_loss_high",
        "signal_grows",
        "units_saturated",
        "gradient_explodes",
        "update_too_large",
        "units_dead",
        "target_too_small",
        *_STEPS,
    ),
    "start_loss_high": ("gradient_explodes", "units_saturated", *_STEPS),
    "signal_grows": ("gradient_explodes", "units_saturated", *_STEPS),
    "inputs_too_small": (
        "gradient_vanishes",
        "update_too_small",
        "rate_too_small",
        "signal_vanishes",
        *_STEPS,
    ),
    "softmax_hidden": ("gradient_vanishes", "rate_too_small", "signal_vanishes", *_STEPS),
    "dropout_on_outputs": ("dropout_too_high",),
    "rate_collapses": ("update_too_small",),
    "units_saturated": ("gradient_vanishes", *_STEPS),
    "update_too_large": ("steps_diverge", "steps_lead_nowhere", "weights_vanish"),
    "weights_vanish": ("steps_diverge", "steps_lead_nowhere", "one_batch_not_learned"),
    "category_of_measurements": (
        "category_nearly_unique",
        "parts_differ",
        "held_out_targets_differ",
    ),
    "category_nearly_unique": ("parts_differ", "held_out_targets_differ"),
    "value_for_missing": _SQUEEZED,
    "value_far_away": _SQUEEZED,
    "bytes_wrapped": ("targets_unrelated",),
    "target_offset": ("signal_grows", "start_loss_high", *_STEPS),
    "rows_sorted": ("class_shares_differ",),
    "class_shares_differ": ("parts_differ", "held_out_targets_differ"),
    "class_not_in_part": ("class_shares_differ", "held_out_targets_differ"),
    "targets_unrelated": ("held_out_targets_differ",),
}
"""Name of a finding -> names of those that it explains, and that need no cure of their own."""


def examine_network(
    subject: Subject, accept: Collection[str] = (), *, plain: bool = False, steps: bool = True
) -> tuple[list[Finding], dict[str, float]]:
    """Looks at the layers, the outputs, the start and, if asked, a few steps of a network.

    Args:
        subject: Network with its loss and rows.
        accept: Codes or names of the checks that are left out.
        plain: Whether it is a plain Keras model, whose targets and outputs may not fit.
        steps: Whether a copy of the network also makes some steps.

    Returns:
        The findings, and numbers that were measured.
    """
    found: list[Finding] = []
    if plain:
        for stage in _BEFORE_LOSS:
            if found := _find_first(stage, accept, subject):
                return found, {}  # the loss cannot be computed, or is another one
        found = find_all("outputs", accept, subject)
        if any(each.name == "output_outside_loss" for each in found):
            return found, {}
    if not subject.network.trainable_variables:
        return found + find_all("structure", accept, subject), {}
    start = Start(subject)
    found += find_in("structure", accept, subject) + find_in("start", accept, start)
    measured = {"loss": start.loss, "guess_loss": start.guess_loss}
    has_gradient = len(start.without_gradient) < len(subject.network.trainable_variables)
    if steps and math.isfinite(start.loss) and has_gradient:
        later = Steps(start)
        found += find_in("steps", accept, later)
        measured |= {
            "loss_after_40_steps": later.loss_after,
            "loss_of_one_batch": later.loss_by_heart,
            "sharpness": later.sharpness,
        }
    measured = {key: value for key, value in measured.items() if math.isfinite(value)}
    return without_consequences(found), measured


def without_consequences(findings: list[Finding]) -> list[Finding]:
    """Returns findings without those that another one explains.

    Args:
        findings: All findings about one training.
    """
    explained = {name for each in findings for name in _CONSEQUENCES.get(each.name, ())}
    return [each for each in findings if each.name not in explained]


def find_all(stage: Stage, accept: Collection[str], *arguments: Any) -> list[Finding]:
    """Returns the findings of all checks of a stage; none refuses.

    Args:
        stage: Stage whose checks run.
        accept: Codes or names of the checks that are left out.
        *arguments: Arguments of these checks.
    """
    return [
        finding
        for check in checks_of(stage)
        if not is_accepted(check, accept)
        for finding in check.find(*arguments)
    ]


def _find_first(stage: Stage, accept: Collection[str], subject: Subject) -> list[Finding]:
    """Returns the findings of the first check that finds something: later ones rely on it."""
    for check in checks_of(stage):
        if not is_accepted(check, accept) and (found := check.find(subject)):
            return list(found)
    return []


def find_in(stage: Stage, accept: Collection[str], argument: Any) -> list[Finding]:
    """Returns the findings of a stage, also of the checks of other packages."""
    return [*find_all(stage, accept, argument), *plugin_findings(stage, accept, argument)]
