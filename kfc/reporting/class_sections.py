"""The sections about classes: confusion, scores per class, curves and calibration."""

from __future__ import annotations

import numpy as np

from kfc.reporting.blocks import Cell, Section, Table, Text, count, number, shown
from kfc.reporting.class_numbers import (
    class_scores,
    confusion,
    precision_recall_curves,
    reliability,
    roc_curves,
)
from kfc.reporting.curves import class_curves, reliability_figure
from kfc.reporting.run_facts import Answers

_MATRIX = 20
"""Classes up to which all of the confusion matrix is shown."""
_PAIRS = 30


def class_sections(
    names: tuple[str, ...], answers: Answers, *, calibrated: bool
) -> list[Section]:
    """Returns the sections about classes.

    Args:
        names: Names of all classes.
        answers: Answers for held-out rows.
        calibrated: Whether the probabilities were calibrated.
    """
    return [
        _confusion_section(answers, names),
        _per_class_section(answers, names),
        _curve_section(answers, names),
        _calibration_section(answers, calibrated),
    ]


def _confusion_section(answers: Answers, names: tuple[str, ...]) -> Section:
    counts = confusion(answers.y, answers.predicted, len(names))
    wrong = [
        (int(counts[i, j]), i, j)
        for i, j in np.argwhere(counts)
        if i != j  # rows of class i that were taken for class j
    ]
    wrong.sort(key=lambda each: -each[0])
    blocks: list[Text | Table] = []
    if wrong:
        most, truth, said = wrong[0]
        blocks.append(
            Text(
                f"The most frequent mistake: {most:,} rows of the class {shown(names[truth])} "
                f"are taken for {shown(names[said])}."
            )
        )
    if len(names) <= _MATRIX:
        # Right answers are shaded by their share of the class, mistakes beside the worst one.
        shares = counts / max(wrong[0][0] if wrong else 1, 1)
        np.fill_diagonal(shares, counts.diagonal() / np.maximum(counts.sum(axis=1), 1))
        rows: list[list[Cell | str]] = [
            [
                shown(names[i], 30),
                *(
                    Cell(f"{counts[i, j]:,}", float(counts[i, j]), float(shares[i, j]), i == j)
                    for j in range(len(names))
                ),
            ]
            for i in range(len(names))
        ]
        head = ["true class", *(shown(name, 30) for name in names)]
        caption = f"Number of {answers.noun} by true class and answer"
        blocks.append(Table(caption, head, rows, corner="answer"))
    if len(names) > _MATRIX:
        pairs: list[list[Cell | str]] = [
            [shown(names[i], 60), shown(names[j], 60), count(most)]
            for most, i, j in wrong[:_PAIRS]
        ]
        caption = f"The {len(pairs)} most frequent mistakes on {answers.noun}"
        blocks.append(Table(caption, ["true class", "answer", "rows"], pairs, sortable=True))
    return Section("confusion", "Confusion", blocks)


def _per_class_section(answers: Answers, names: tuple[str, ...]) -> Section:
    found = class_scores(answers.y, answers.predicted, len(names))
    rows: list[list[Cell | str]] = [
        [
            shown(name, 60),
            number(each.precision),
            number(each.recall),
            number(each.f1),
            count(each.support),
        ]
        for name, each in zip(names, found, strict=True)
    ]
    head = ["class", "precision", "recall", "F1", "rows"]
    table = Table(f"Scores of each class on {answers.noun}", head, rows, sortable=True)
    text = (
        "Precision is the share of right answers among the answers of a class, recall the "
        "share of its rows that are found; F1 is their harmonic mean."
    )
    return Section("classes", "Scores per class", [Text(text), table])


def _curve_section(answers: Answers, names: tuple[str, ...]) -> Section:
    probabilities = answers.predictions.probabilities
    roc = roc_curves(answers.y, probabilities)
    if not roc:
        text = f"All {answers.noun} are of one class, so that there are no curves."
        return Section("curves", "ROC and precision-recall", [Text(text, "note")])
    recall = precision_recall_curves(answers.y, probabilities)
    figures = [
        class_curves(
            roc,
            names,
            title="ROC, area in parentheses",
            axes_names=("false positive rate", "true positive rate"),
            area="area",
            diagonal=True,
        ),
        class_curves(
            recall,
            names,
            title="Precision-recall, average precision in parentheses",
            axes_names=("recall", "precision"),
            area="average precision",
        ),
    ]
    blocks: list[object] = [*figures]
    if len(roc) > 1:
        blocks.insert(
            0,
            Text(
                "Each class against all others. The three with the smallest areas have names."
            ),
        )
        rows: list[list[Cell | str]] = [
            [shown(names[a.of_class], 60), number(a.area), number(b.area)]
            for a, b in zip(roc, recall, strict=True)
        ]
        head = ["class", "area under ROC", "average precision"]
        blocks.append(Table(f"Areas on {answers.noun}", head, rows, sortable=True))
    return Section("curves", "ROC and precision-recall", blocks)


def _calibration_section(answers: Answers, calibrated: bool) -> Section:
    found = reliability(answers.y, answers.predictions.probabilities)
    mean = float(answers.predictions.probability.mean())
    right = float((answers.predicted == answers.y).mean())
    kind = "too sure of itself" if mean > right else "not sure enough"
    text = (
        f"On average the network gives its answer a probability of {100 * mean:.1f} %, and "
        f"{100 * right:.1f} % of its answers for {answers.noun} are right: it is {kind} by "
        f"{100 * abs(mean - right):.1f} points. The expected calibration error is "
        f"{found.error:.4f}."
    )
    blocks: list[object] = [Text(text)]
    if not calibrated and found.error > 0.02:
        blocks.append(
            Text("The key training.calibrate: temperature may make it smaller.", "note")
        )
    return Section("calibration", "Calibration", [*blocks, reliability_figure(found)])
