"""Finds the worst mistakes of a run, as pictures or as rows with their columns."""

from __future__ import annotations

import math

import numpy as np

from kfc.preprocessing import NumberColumn
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
from kfc.reporting.decoded_cells import MISSING, decoded_cells
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
    text = _sentence(facts, answers, rows)
    if facts.picture and task.classification:
        return Section(
            "mistakes", title, [Text(text), _pictures(facts, facts.picture, answers, rows)]
        )
    return Section("mistakes", title, [Text(text), _table(facts, answers, rows)])


def _numbers_in_data(facts: RunFacts, answers: Answers) -> np.ndarray | None:
    """Returns the number of each row in the data; None where the part is a source's own."""
    if answers.part != "test" or facts.prepared is None:
        return None
    return facts.prepared.test_numbers


def _sentence(facts: RunFacts, answers: Answers, rows: np.ndarray) -> str:
    classification = facts.run.task.classification
    of_data = _numbers_in_data(facts, answers) is not None
    counted = f"Rows of the {'data' if of_data else answers.noun} are counted from\u00a00."
    if not classification:
        worst = f"The {len(rows)} {answers.noun} with the largest errors, the worst first."
        return f"{worst} {counted}"
    wrong = int((answers.predicted != answers.y).sum())
    shown_rows = f"the {len(rows)} surest" if wrong > len(rows) else "all"
    return (
        f"{wrong:,} of {len(answers.y):,} {answers.noun} have a wrong answer. Here are "
        f"{shown_rows} of them: first those that give the true class the least probability. "
        f"{counted}"
    )


def _pictures(
    facts: RunFacts, shape: tuple[int, int, int], answers: Answers, rows: np.ndarray
) -> Pictures:
    task, predictions = facts.run.task, answers.predictions
    uris = row_pictures(np.asarray(answers.x[rows]), shape)
    numbers = _numbers_in_data(facts, answers)
    found = []
    for row, uri in zip(rows, uris, strict=True):
        truth = shown(task.class_names[int(answers.y[row])], 24)
        said = shown(predictions.label[row], 24)
        number_of_row = row if numbers is None else numbers[row]
        alt = f"row {number_of_row}: {truth}, taken for {said}"
        of_true = predictions.probabilities[row, answers.y[row]]
        sure = (
            f"{100 * of_true:.1f}\u00a0→\u00a0{100 * predictions.probability[row]:.1f}\u00a0%"
        )
        found.append(Picture(uri, alt, [f"{truth} → {said}", sure, f"row {number_of_row}"]))
    return Pictures("True class → answer, and the probabilities of both", found)


def _table(facts: RunFacts, answers: Answers, rows: np.ndarray) -> Table:
    task, predictions = facts.run.task, answers.predictions
    head, columns = _raw_columns(facts, answers, rows)
    numbers = _numbers_in_data(facts, answers)
    lines: list[list[Cell | str]] = []
    for place, row in enumerate(rows):
        own: list[Cell | str] = [count(int(row if numbers is None else numbers[row]))]
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
        lines.append([*own, *(column[place] for column in columns)])
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
) -> tuple[list[str], list[list[Cell | str]]]:
    """Returns the names of the columns, and their cells in the rows."""
    task, x = facts.run.task, np.asarray(answers.x[rows])
    if task.encoding is not None:
        names = [column.name for column in task.encoding.columns][:_COLUMNS]
        numbers = {c.name for c in task.encoding.columns if isinstance(c, NumberColumn)}
        cells = decoded_cells(task.encoding, x)
        found: list[list[Cell | str]] = [
            [
                _number_cell(text) if name in numbers else shown(text, 60)
                for text in cells[name]
            ]
            for name in names
        ]
        return [shown(name, 60) for name in names], found
    flat = x.reshape(len(x), -1)[:, :_COLUMNS]
    names = [*task.feature_names] or [f"input {place}" for place in range(flat.shape[1])]
    texts: list[list[Cell | str]] = [
        [Cell(f"{value:.6g}", float(value)) for value in column] for column in flat.T
    ]
    return [shown(name, 60) for name in names[: flat.shape[1]]], texts


def _number_cell(text: str) -> Cell:
    """Returns a cell that is sorted by its number; a missing one comes last."""
    return Cell(text, math.nan if text == MISSING else float(text))
