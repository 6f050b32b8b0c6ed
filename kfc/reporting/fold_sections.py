"""The sections of the page of a cross-validation: folds and out-of-fold errors."""

from __future__ import annotations

import numpy as np

from kfc.ensembles import CrossValidation
from kfc.reporting.blocks import (
    Cell,
    CodeText,
    Section,
    Table,
    Text,
    count,
    number,
    number_text,
    shown,
)
from kfc.reporting.class_sections import class_sections
from kfc.reporting.figures import intervals
from kfc.reporting.run_facts import Answers
from kfc.reporting.value_sections import value_sections
from kfc.reporting.worst_rows import worst_rows
from kfc.runs import Predictions
from kfc.spec import dump_spec

_HEADLINE = ("accuracy", "rmse", "loss")
_NONE = np.empty(0)


def fold_sections(found: CrossValidation) -> list[Section]:
    """Returns the sections of the page of a cross-validation.

    Args:
        found: Finished cross-validation.
    """
    task = found.ensemble.runs[0].task
    answers, rows, folds = _out_of_fold(found, task.class_names)
    if task.classification:
        sections = class_sections(
            task.class_names, answers, calibrated=bool(found.uncertainty)
        )
    else:
        name = task.table.target if task.table else "target"
        sections = value_sections([*task.targets] or [name], answers)
    return [
        _mean_section(found),
        _fold_section(found),
        *sections,
        _errors_section(answers, rows, folds, task.class_names),
        Section("spec", "Spec", [CodeText("Spec of all folds", dump_spec(found.spec))]),
    ]


def _out_of_fold(
    found: CrossValidation, class_names: tuple[str, ...]
) -> tuple[Answers, np.ndarray, np.ndarray]:
    """Returns the answers of the first repeat, the numbers of their rows, and their folds."""
    table = found.out_of_fold
    first = table.repeat == 0
    if not class_names:
        value, y = table.value[first], table.target[first].reshape(int(first.sum()), -1)
        predictions = Predictions(_NONE, _NONE, _NONE, value)
        answers = Answers("fold", _NONE, y, value, predictions)
        return answers, table.row[first], table.fold[first]
    numbers = {name: place for place, name in enumerate(class_names)}
    probabilities = table.probabilities[first]
    y = np.array([numbers[str(name)] for name in table.target[first]])
    labels = np.asarray(class_names)[probabilities.argmax(axis=1)]
    predictions = Predictions(labels, probabilities.max(axis=1), probabilities, _NONE)
    return (
        Answers("fold", _NONE, y, probabilities, predictions),
        table.row[first],
        table.fold[first],
    )


def _mean_section(found: CrossValidation) -> Section:
    mean, spread = found.mean, found.spread
    name = next((each for each in _HEADLINE if each in mean), next(iter(mean)))
    text = (
        f"{shown(name)} {number_text(mean[name])} ± {number_text(spread[name])} over "
        f"{len(found.folds)} folds, each measured on rows that its run has not seen."
    )
    constant = {
        name: float(np.mean([fold.baseline.get(name, np.nan) for fold in found.folds]))
        for name in mean
    }
    rows: list[list[Cell | str]] = []
    for each in mean:
        average = found.metrics.get(f"test_{each}")
        rows.append(
            [
                shown(each),
                number(mean[each]),
                number(spread[each]),
                number(found.pooled[each]) if each in found.pooled else Cell(""),
                Cell("") if np.isnan(constant[each]) else number(constant[each]),
                Cell("") if average is None else number(average),
            ]
        )
    head = ["metric", "mean of folds", "spread", "all rows together", "constant"]
    if found.metrics:
        head.append("average of all runs on test rows")
    rows = [row[: len(head)] for row in rows]
    note = Text(
        "The spread is the standard deviation from fold to fold. It is no error of the mean: "
        "folds share training rows.",
        "note",
    )
    return Section("result", "Result", [Text(text), Table("Scores", head, rows), note])


def _fold_section(found: CrossValidation) -> Section:
    mean = found.mean
    names = list(mean)
    several = len({fold.repeat for fold in found.folds}) > 1
    rows: list[list[Cell | str]] = [
        [
            f"{fold.fold}" + (f", repeat {fold.repeat}" if several else ""),
            count(fold.rows["train"]),
            count(fold.rows["test"]),
            *(number(fold.metrics[name]) for name in names),
            count(fold.epochs),
            Cell(f"{fold.seconds:.1f}", fold.seconds),
            shown(fold.folder, 60),
        ]
        for fold in found.folds
    ]
    head = ["fold", "training rows", "held-out rows", *map(shown, names)]
    table = Table(
        "Each fold's run",
        [*head, "epochs", "seconds", "folder"],
        rows,
        sortable=True,
        wide=True,
    )
    name = next((each for each in _HEADLINE if each in mean), names[0])
    values = [fold.metrics[name] for fold in found.folds]
    figure = intervals(
        f"{name} of each fold",
        f"{name} of {len(values)} folds, from {min(values):.4g} to {max(values):.4g}",
        [str(row[0]) for row in rows],
        values,
        unit=name,
        line=mean[name],
        kind="fold",
    )
    return Section("folds", "Folds", [figure, table])


def _errors_section(
    answers: Answers, rows: np.ndarray, folds: np.ndarray, class_names: tuple[str, ...]
) -> Section:
    worst = worst_rows(answers, bool(class_names))
    if not len(worst):
        return Section("mistakes", "Worst mistakes", [Text("All held-out rows are right.")])
    lines: list[list[Cell | str]] = []
    for place in worst:
        line: list[Cell | str] = [count(int(rows[place])), count(int(folds[place]))]
        if class_names:
            of_true = float(answers.predictions.probabilities[place, answers.y[place]])
            line += [shown(class_names[int(answers.y[place])], 60)]
            line += [shown(answers.predictions.label[place], 60), number(of_true)]
        else:
            y, value = float(answers.y[place, 0]), float(answers.predictions.value[place, 0])
            line += [number(y, 3), number(value, 3), number(value - y, 3)]
        lines.append(line)
    head = ["row of the data", "fold"]
    head += ["true class", "answer", "probability of the true class"] if class_names else []
    head += [] if class_names else ["true", "predicted", "error"]
    table = Table("The worst of the held-out rows", head, lines, sortable=True)
    return Section("mistakes", "Worst mistakes", [table])
