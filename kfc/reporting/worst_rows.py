"""Finds the worst mistakes of a run, as pictures or as rows with their columns."""

from __future__ import annotations

import numpy as np

from kfc.reporting.blocks import (
    Cell,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    count,
    number,
    number_text,
    shown,
)
from kfc.reporting.decoded_cells import decoded_cells
from kfc.reporting.pictures import row_pictures
from kfc.reporting.run_facts import Answers, RunFacts

MOST = 50
_COLUMNS = 60


def worst_rows(answers: Answers, classification: bool) -> np.ndarray:
    """Returns the numbers of the rows with the largest losses, at most 50, the worst first.

    Of classes only rows with a wrong answer count: those that give the true class the smallest
    probability.

    Args:
        answers: Answers of a run.
        classification: Whether the targets are classes.
    """
    losses = answers.losses
    order = np.argsort(-losses, kind="stable")
    if classification:
        order = order[answers.predicted[order] != answers.y[order]]
    return order[:MOST]


def mistakes_section(facts: RunFacts, answers: Answers) -> Section:
    """Returns the worst mistakes of a run.

    Args:
        facts: The run.
        answers: Its answers.
    """
    task = facts.run.task
    rows = worst_rows(answers, task.classification)
    title = "Worst mistakes"
    if not len(rows):
        return Section("mistakes", title, [Text(f"All {answers.noun} are right.")])
    text = _sentence(answers, rows, task.classification)
    if facts.picture and task.classification:
        return Section(
            "mistakes", title, [Text(text), _pictures(facts, facts.picture, answers, rows)]
        )
    return Section("mistakes", title, [Text(text), _table(facts, answers, rows)])


def _sentence(answers: Answers, rows: np.ndarray, classification: bool) -> str:
    if not classification:
        return f"The {len(rows)} {answers.noun} with the largest errors, the worst first."
    wrong = int((answers.predicted != answers.y).sum())
    shown_rows = f"the {len(rows)} surest" if wrong > len(rows) else "all"
    return (
        f"{wrong:,} of {len(answers.y):,} {answers.noun} have a wrong answer. Here are "
        f"{shown_rows} of them: first those that give the true class the least probability."
    )


def _pictures(
    facts: RunFacts, shape: tuple[int, int, int], answers: Answers, rows: np.ndarray
) -> Pictures:
    task, predictions = facts.run.task, answers.predictions
    uris = row_pictures(np.asarray(answers.x[rows]), shape)
    found = []
    for row, uri in zip(rows, uris, strict=True):
        truth = shown(task.class_names[int(answers.y[row])], 24)
        said = shown(predictions.label[row], 24)
        alt = f"row {row}: {truth}, taken for {said}"
        sure = f"{100 * predictions.probability[row]:.1f} %"
        found.append(Picture(uri, alt, [f"{truth} → {said}", sure]))
    return Pictures("True class → answer, and the probability of the answer", found)


def _table(facts: RunFacts, answers: Answers, rows: np.ndarray) -> Table:
    task, predictions = facts.run.task, answers.predictions
    head, columns = _raw_columns(facts, answers, rows)
    lines: list[list[Cell | str]] = []
    for place, row in enumerate(rows):
        own: list[Cell | str] = [count(int(row))]
        if task.classification:
            of_true = predictions.probabilities[row, answers.y[row]]
            own += [
                shown(task.class_names[int(answers.y[row])], 60),
                shown(predictions.label[row], 60),
                number(float(of_true)),
            ]
        else:
            for output in range(task.outputs):
                truth, value = (
                    float(answers.y[row, output]),
                    float(predictions.value[row, output]),
                )
                own += [_plain(truth), _plain(value), _plain(value - truth)]
        lines.append([*own, *(shown(column[place], 60) for column in columns)])
    names = ["row", *_answer_names(facts), *head]
    return Table(f"The worst of the {answers.noun}", names, lines, sortable=True, wide=True)


def _answer_names(facts: RunFacts) -> list[str]:
    task = facts.run.task
    if task.classification:
        return ["true class", "answer", "probability of the true class"]
    ends = [f" of {shown(name, 40)}" for name in task.targets] or [""]
    if len(ends) != task.outputs:
        ends = [f" {place}" for place in range(task.outputs)]
    return [f"{kind}{end}" for end in ends for kind in ("true", "predicted", "error")]


def _plain(value: float) -> Cell:
    return Cell(number_text(value, 3), value)


def _raw_columns(
    facts: RunFacts, answers: Answers, rows: np.ndarray
) -> tuple[list[str], list[list[str]]]:
    """Returns the names of the columns, and their cells in the rows."""
    task, x = facts.run.task, np.asarray(answers.x[rows])
    if task.encoding is not None:
        cells = decoded_cells(task.encoding, x)
        return [shown(name, 60) for name in cells][:_COLUMNS], [*cells.values()][:_COLUMNS]
    flat = x.reshape(len(x), -1)[:, :_COLUMNS]
    names = task.feature_names or [f"input {place}" for place in range(flat.shape[1])]
    texts = [[f"{value:.6g}" for value in column] for column in flat.T]
    return [shown(name, 60) for name in names[: flat.shape[1]]], texts
