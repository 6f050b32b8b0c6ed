"""The sections about predicted numbers: against the true ones, residuals and deciles."""

from __future__ import annotations

from kfc.reporting.blocks import Cell, Section, Table, Text, count, number_text, shown
from kfc.reporting.curves import predicted_against_true, residual_figure
from kfc.reporting.run_facts import Answers
from kfc.reporting.value_numbers import deciles

_TARGETS = 5


def value_sections(names: list[str], answers: Answers) -> list[Section]:
    """Returns the sections about predicted values, for at most five targets.

    Args:
        names: Names of the targets, or of one that stands for all.
        answers: Answers for held-out rows.
    """
    outputs = answers.y.shape[1]
    if len(names) != outputs:
        names = [f"target {place}" for place in range(outputs)]
    figures: list[object] = []
    tables: list[object] = []
    for place, name in enumerate(names[:_TARGETS]):
        y, value = answers.y[:, place], answers.predictions.value[:, place]
        label = shown(name, 24)
        figures += [predicted_against_true(y, value, label), residual_figure(y, value, label)]
        head = ["true " + label, "rows", "mean absolute error", "RMSE", "bias"]
        rows: list[list[Cell | str]] = [
            [
                Cell(f"{number_text(each.low, 3)} to {number_text(each.high, 3)}", each.low),
                count(each.rows),
                *(
                    Cell(number_text(value, 3), value)
                    for value in (each.mae, each.rmse, each.bias)
                ),
            ]
            for each in deciles(y, value)
        ]
        caption = f"Errors in each tenth of the {answers.noun}, by the true {label}"
        tables.append(Table(caption, head, rows))
    if len(names) > _TARGETS:
        tables.append(Text(f"The first {_TARGETS} of {len(names)} targets are shown.", "note"))
    bias = Text("The bias is the mean of predicted minus true. Units are those of the target.")
    return [
        Section("predicted", "Predicted and true values", figures),
        Section("deciles", "Errors by decile", [bias, *tables]),
    ]
