"""Fits the temperature or the intervals of finished networks on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kfc.data import Intervals, Prepared, Task
from kfc.errors import DataError, Finding
from kfc.network import finished_network
from kfc.preprocessing import ranges
from kfc.runs import calibration, intervals
from kfc.runs.trainer import Trainer
from kfc.spec import Spec
from kfc.training import class_logits, class_probabilities, compile_for_evaluation

Labelled = tuple[np.ndarray, np.ndarray]
"""Outputs of a network, (rows, outputs), and the targets of the same rows."""


def finish(trainer: Trainer) -> tuple[Trainer, dict[str, Any]]:
    """Gives a trained network its end, and fits what its spec asks for on held-out rows.

    `data.clip_predictions` limits the values; `training.calibrate` and
    `training.interval_coverage` are fitted to the outputs of the limited network.

    Args:
        trainer: Trainer of a trained network, with the weights that the run ends with.

    Returns:
        The trainer of the finished network, whose task has the temperature, the limits or the
        intervals; and the facts that `uncertainty_facts` returns. The same trainer and no
        facts, where the spec asks for nothing.
    """
    plan, spec = trainer.plan, trainer.plan.spec
    prepared = plan.prepared
    limits = None
    if spec.data.clip_predictions and not prepared.task.classification:
        smallest, largest = ranges(prepared.train.y.reshape(len(prepared.train), -1))
        limits = tuple(map(float, smallest)), tuple(map(float, largest))
        trainer = _finished(trainer, plan.network, replace(prepared.task, limits=limits))
    if not asks_for_uncertainty(spec):
        return trainer, {}
    rows_by_part = dict(prepared.held_out)
    if prepared.interval_rows is not None:
        rows_by_part["val"] = prepared.interval_rows
    parts = {
        name: (trainer.evaluator.outputs(rows.x), rows.y)
        for name, rows in rows_by_part.items()
    }
    facts = uncertainty_facts(spec, parts)
    task = replace(with_fitted(prepared.task, facts), limits=limits)
    return _finished(trainer, plan.network, task), facts


def _finished(trainer: Trainer, network: keras.Model, task: Task) -> Trainer:
    """Returns a trainer whose network, evaluator and task are finished.

    Args:
        trainer: Trainer of the network.
        network: Network as it was trained.
        task: Task with all that was fitted.
    """
    evaluator, finished = trainer.evaluator, finished_network(network, task)
    if finished is not network:
        evaluator = compile_for_evaluation(finished, trainer.plan.spec, task)
    prepared = replace(trainer.plan.prepared, task=task)
    plan = replace(trainer.plan, network=finished, prepared=prepared)
    return replace(trainer, plan=plan, evaluator=evaluator)


def asks_for_uncertainty(spec: Spec) -> bool:
    """Returns whether a spec asks for a temperature or for intervals."""
    training = spec.training
    return training.calibrate is not None or training.interval_coverage is not None


def uncertainty_facts(
    spec: Spec, parts: Mapping[str, Labelled], *, only_surer: bool = False
) -> dict[str, Any]:
    """Fits a temperature or intervals on the first part of the rows; measures all parts.

    Args:
        spec: Spec that asks for one of them.
        parts: Name of the rows (`val`, `test`) -> outputs without a temperature, and targets.
        only_surer: Whether a temperature above 1 is not taken, but 1.

    Returns:
        Plain values for `result.json`. Of classes: `temperature`; `best_temperature`, which
        minimizes the log-loss whether it is clearly another one or not; `bins`, and for each
        part the calibration error in these bins, `val_ece_before` and `val_ece_after`. Of
        a regression: `coverage`, `half_widths` and for each other part the share of targets
        in their intervals, `test_coverage`, each a list of one number per output. Of both:
        `rows`, the number of rows of the first part.

    Raises:
        DataError: If the first part has too few rows for the coverage.
    """
    outputs, y = next(iter(parts.values()))
    coverage = spec.training.interval_coverage
    if coverage is not None:
        if finding := _too_few(coverage, len(y)):
            raise DataError(finding)
        half_widths = intervals.fit_half_widths(y, outputs, coverage)
        return {
            "coverage": coverage,
            "half_widths": list(half_widths),
            "rows": len(y),
            **{
                f"{name}_coverage": intervals.measure_coverage(y, value, half_widths)
                for name, (value, y) in list(parts.items())[1:]
            },
        }
    temperature = calibration.fit_temperature(class_logits(outputs), y)
    temperature = min(temperature, 1.0) if only_surer else temperature
    facts: dict[str, Any] = {
        "temperature": temperature,
        "best_temperature": calibration.best_temperature(class_logits(outputs), y),
        "rows": len(y),
        "bins": calibration.BINS,
    }
    for name, (outputs, y) in parts.items():
        for moment, divisor in (("before", 1.0), ("after", temperature)):
            probabilities = class_probabilities(outputs / divisor)
            facts[f"{name}_ece_{moment}"] = calibration.calibration_error(probabilities, y)
    return facts


def with_fitted(task: Task, facts: Mapping[str, Any]) -> Task:
    """Returns a task with the temperature and the intervals of facts, and without limits.

    Args:
        task: Task of a network.
        facts: Facts that `uncertainty_facts` returns; may be empty.
    """
    fitted = None
    if "half_widths" in facts:
        fitted = Intervals(facts["coverage"], tuple(facts["half_widths"]))
    temperature = facts.get("temperature")
    return replace(task, temperature=temperature, limits=None, intervals=fitted)


def uncertainty_lines(facts: Mapping[str, Any]) -> dict[str, str]:
    """Returns the facts as short texts, by name, for people; none for no facts.

    Args:
        facts: Facts that `uncertainty_facts` returns; may be empty.
    """
    if "temperature" in facts:
        errors = ", ".join(
            f"{part} {facts[f'{part}_ece_before']:.4f} -> {facts[f'{part}_ece_after']:.4f}"
            for part in _parts(facts, "_ece_after")
        )
        temperature = f"{facts['temperature']:.4f}, fitted on {facts['rows']:,} rows"
        return {"temperature": temperature, "calibration error": errors}
    if "half_widths" in facts:
        widths = ", ".join(f"{width:.6g}" for width in facts["half_widths"])
        shares = ", ".join(
            f"{part} {share:.4f}"
            for part in _parts(facts, "_coverage")
            for share in facts[f"{part}_coverage"]
        )
        fitted = f"+-{widths} for {facts['coverage']:.3g}, from {facts['rows']:,} rows"
        return {"interval": fitted, **({"coverage": shares} if shares else {})}
    return {}


def _parts(facts: Mapping[str, Any], end: str) -> list[str]:
    return [name.removesuffix(end) for name in facts if name.endswith(end)]


# --- checks --------------------------------------------------------------------------------


def too_few_for_intervals(
    spec: Spec, prepared: Prepared, *, processes: int = 1, networks: int | None = None
) -> Finding | None:
    """Finds intervals of a coverage that too few rows can give, half the validation rows.

    Args:
        spec: Spec of the network.
        prepared: Its data.
        processes: Number of processes that train, which makes no difference here.
        networks: Number of networks in each, which makes none either.
    """
    coverage = spec.training.interval_coverage
    num_rows = 0 if prepared.interval_rows is None else len(prepared.interval_rows)
    return None if coverage is None else _too_few(coverage, num_rows)


def _too_few(coverage: float, num_rows: int) -> Finding | None:
    fewest = intervals.fewest_rows(coverage)
    if num_rows >= fewest:
        return None
    return Finding(
        "training.interval_coverage",
        f"at least {fewest} held-out rows to fit intervals that hold {coverage:g} of rows",
        f"{num_rows}",
        "Hold out more rows by data.validation, or ask for less coverage.",
        evidence={"rows": num_rows},
    )
