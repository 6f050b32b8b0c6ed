"""The sections of the page of one run, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kfc.reporting.blocks import (
    Cell,
    Section,
    Table,
    Text,
    number,
    number_text,
    shown,
)
from kfc.reporting.class_sections import class_sections
from kfc.reporting.column_importance import column_importance, loss_name
from kfc.reporting.curves import learning_curves
from kfc.reporting.data_section import data_section
from kfc.reporting.figures import bars
from kfc.reporting.honest_baselines import LinearModel, linear_model
from kfc.reporting.layer_section import layer_section
from kfc.reporting.machine_section import machine_section
from kfc.reporting.pictures import weight_pictures
from kfc.reporting.run_facts import Answers, RunFacts
from kfc.reporting.spec_section import spec_section
from kfc.reporting.value_sections import value_sections
from kfc.reporting.worst_rows import mistakes_section
from kfc.runs import Run, placed, published_beside, scores
from kfc.spec import METRICS

_IMPORTANCES = 20


def run_sections(facts: RunFacts) -> list[Section]:
    """Returns the sections of the page of a run.

    Args:
        facts: The run.
    """
    run, answers = facts.run, facts.final
    sections = [_result_section(facts), data_section(facts), _learning_section(facts)]
    if answers is None:
        text = f"Without its rows, a run has no section about its answers: {facts.no_rows}."
        sections.append(Section("answers", "Answers", [Text(shown(text, 900), "note")]))
    else:
        sections += answer_sections(facts, answers)
        sections += [mistakes_section(facts, answers), *_importance_sections(facts)]
    if facts.picture:
        pictures = weight_pictures(run.network, facts.picture)
        if pictures is not None:
            about = Text(
                "A unit answers where pixels are bright under its orange weights and dark "
                "under its blue ones."
            )
            sections.append(Section("weights", "First-layer weights", [about, pictures]))
    layers = layer_section(facts, facts.watched) if facts.watched else None
    if layers is not None:
        sections.append(layers)
    return [*sections, _findings_section(facts), spec_section(facts), machine_section(facts)]


def answer_sections(facts: RunFacts, answers: Answers) -> list[Section]:
    """Returns the sections about answers: of classes, or of values.

    Args:
        facts: The run.
        answers: Its answers, or those of an average with the same task.
    """
    task = facts.run.task
    if task.classification:
        calibrated = bool(facts.run.uncertainty)
        return class_sections(task.class_names, answers, calibrated=calibrated)
    return value_sections(
        [*task.targets] or [task.table.target if task.table else "target"], answers
    )


def _result_section(facts: RunFacts) -> Section:
    run = facts.run
    linear = None
    if facts.prepared is not None:
        further = scores.further_scores(run.spec)
        linear = linear_model(facts.prepared, run.task, further)
    parts = [part for part in ("val", "test") if f"{part}_loss" in run.metrics]
    blocks: list[object] = [Text(text) for text in _headline(facts, linear)]
    if parts:
        blocks.append(
            metric_table(run.metrics, run.baseline, linear.metrics if linear else {}, parts)
        )
    else:
        blocks.append(Text("All rows were trained on, so no others were measured.", "note"))
    if linear is not None:
        note = f"Constant: {_constant(run.task.classification)}. Linear model: {linear.name}"
        if linear.rows < run.num_rows.get("train", linear.rows):
            note += f" on {linear.rows:,} of {run.num_rows['train']:,} training rows"
        blocks.append(Text(f"{note}, on standardized inputs with one-hot categories.", "note"))
    blocks += _published(run)
    return Section("result", "Result", blocks)


def _published(run: Run) -> list[object]:
    """Returns a table of published results for the same data, if there are any."""
    found = published_beside(run)
    rows: list[list[Cell | str]] = [
        [
            "-".join(map(str, each.hidden)),
            Cell(each.percent, each.accuracy),
            each.source,
        ]
        for each in found
    ]
    accuracy = run.metrics.get("test_accuracy")
    if accuracy is not None and found:
        own = "-".join(str(layer.units) for layer in run.spec.network.hidden)
        rows.append(
            [
                Cell(f"{own} (this run)", strong=True),
                Cell(f"{100 * accuracy:.2f} %", accuracy),
                "",
            ]
        )
    if not rows:
        return []
    caption = f"Published for {found[0].data}, dense networks of about this size"
    sentence = [Text(f"{placed(run)}.")] if accuracy is not None else []
    return [*sentence, Table(caption, ["hidden layers", "test accuracy", "source"], rows)]


def _constant(classification: bool) -> str:
    return "the most frequent class" if classification else "the mean of the training rows"


def metric_table(
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
    linear: Mapping[str, Mapping[str, float]],
    parts: list[str],
) -> Table:
    """Returns a table of all metrics on all held-out rows, beside those of simple models.

    Args:
        metrics: Metrics of a run, with the prefixes `val_` and `test_`.
        baseline: Metrics of a constant, with the same prefixes.
        linear: Metrics of a linear model by part; may be empty.
        parts: Parts that were measured.
    """
    last = parts[-1]
    names = [name.removeprefix(f"{last}_") for name in metrics if name.startswith(f"{last}_")]
    of_linear = linear.get(last, {})
    head = ["metric", *({"val": "validation", "test": "test"}[part] for part in parts)]
    head += ["constant", *(["linear model"] if linear else [])]
    rows: list[list[Cell | str]] = []
    for name in names:
        beside = [baseline.get(f"{last}_{name}")]
        beside += [of_linear.get(name)] if linear else []
        values = [metrics.get(f"{part}_{name}") for part in parts] + beside
        cells = [Cell("") if value is None else number(value) for value in values]
        better = {"max": "more", "min": "less"}.get(METRICS.get(name, ""), "")
        rows.append([shown(name), *cells, better])
    head.append("better is")
    measured = {"val": "validation", "test": "test"}[last]
    return Table(f"Metrics; the simple models are measured on {measured} rows", head, rows)


def _headline(facts: RunFacts, linear: LinearModel | None) -> list[str]:
    run = facts.run
    part = "test" if "test_loss" in run.metrics else "val"
    name = "accuracy" if run.task.classification else "rmse"
    value, constant = run.metrics.get(f"{part}_{name}"), run.baseline.get(f"{part}_{name}")
    if value is None or constant is None:
        return []
    rows = f"{run.num_rows.get(part, 0):,} {'test' if part == 'test' else 'validation'} rows"
    of_linear = linear.metrics.get(part, {}).get(name) if linear else None
    if run.task.classification:
        text = f"{100 * value:.2f} % of {rows} are right. The most frequent class alone "
        text += f"gives {100 * constant:.2f} %"
        text += f", a linear model {100 * of_linear:.2f} %." if of_linear is not None else "."
        no_better = of_linear is not None and value <= of_linear
    else:
        text = (
            f"Predictions for {rows} are {number_text(value)} off (root mean square). The "
            f"mean alone is {number_text(constant)} off"
        )
        text += f", a linear model {number_text(of_linear)}." if of_linear is not None else "."
        no_better = of_linear is not None and value >= of_linear
    return [text, *(["The network is no better than a linear model."] if no_better else [])]


def _learning_section(facts: RunFacts) -> Section:
    history, kept = facts.run.history, facts.result.get("best_epoch")
    plain = {
        name: values
        for name, values in history.items()
        if values and all(isinstance(value, (int, float)) for value in values)
    }
    best = kept or _smallest_loss(plain)
    figures = []
    names = {"": "training", "val_": "validation", "test_": "test"}
    metrics = dict.fromkeys(name.removeprefix("val_").removeprefix("test_") for name in plain)
    for metric in list(metrics)[:6]:
        lines = {
            rows: plain[f"{prefix}{metric}"]
            for prefix, rows in names.items()
            if f"{prefix}{metric}" in plain and np.isfinite(plain[f"{prefix}{metric}"]).any()
        }
        if lines:
            figures.append(learning_curves(shown(metric, 30), lines, best))
    text = f"{facts.run.epochs} epochs in {facts.run.seconds:.1f} s."
    if kept:
        text += f" The weights are those of epoch {kept}."
    elif best == facts.run.epochs:
        text += " The weights are those of the last epoch, whose validation loss is smallest."
    elif best:
        text += (
            " The weights are those of the last epoch; the validation loss was smallest "
            f"after epoch {best}."
        )
    note = Text(
        "Values of training rows are means over the epoch, while the network still changes; "
        "those of other rows are measured at its end.",
        "note",
    )
    return Section("learning", "Learning curves", [Text(text), *figures, note])


def _smallest_loss(history: Mapping[str, Sequence[float]]) -> int | None:
    """Returns the epoch, from 1, with the smallest validation loss; None without one."""
    losses = np.asarray(history.get("val_loss", ()), np.float64)
    return int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None


def _importance_sections(facts: RunFacts) -> list[Section]:
    answers = facts.watched
    found = column_importance(facts.run, answers) if answers and not facts.picture else []
    if not found or answers is None:
        return []
    top = found[:_IMPORTANCES]
    name = loss_name(facts.run.task)
    figure = bars(
        "Importance of columns",
        f"increase of the {name}: " + ", ".join(f"{e.column} {e.mean:.4g}" for e in top[:5]),
        [each.column for each in top],
        [each.mean for each in top],
        spread=[each.spread for each in top],
        unit=f"increase of the {name}",
    )
    rows: list[list[Cell | str]] = [
        [shown(each.column, 60), number(each.mean), number(each.spread)] for each in found
    ]
    head = ["column", f"increase of the {name}", "standard deviation"]
    table = Table(f"Permutation importance on {answers.noun}", head, rows, sortable=True)
    text = (
        "The loss grows by so much when the cells of one column are shuffled among rows, in "
        "the mean of five shuffles. Columns that tell the same share their importance."
    )
    return [Section("importance", "Importance of columns", [Text(text), figure, table])]


def _findings_section(facts: RunFacts) -> Section:
    tables = [
        _findings_table(title, found)
        for title, found in (
            ("Findings of the checks", facts.run.warnings),
            (
                "Findings while it trained that did not hold at the end",
                facts.run.passed_warnings,
            ),
        )
        if found
    ]
    nothing = [Text("The checks of the data and of the training found nothing.")]
    return Section("findings", "Findings", tables or nothing)


def _findings_table(title: str, found: Sequence[Mapping[str, Any]]) -> Table:
    keys = ("code", "name", "path", "cause", "cure")
    rows: list[list[Cell | str]] = [
        [
            *(shown(finding.get(key) or "", 300) for key in keys),
            str(finding.get("evidence", {}).get("first_epoch", "")),
        ]
        for finding in found
    ]
    head = ["code", "check", "where", "finding", "what to do", "after epoch"]
    return Table(title, head, rows)
