"""The section that says on which rows, columns and classes a run was trained."""

from __future__ import annotations

import numpy as np

from kfc.preprocessing import CategoryColumn, ColumnEncoding, NumberColumn
from kfc.reporting.blocks import Cell, Section, Table, Text, count, shown
from kfc.reporting.run_facts import RunFacts

_CLASSES, _COLUMNS = 50, 200
_NAMES = {"train": "training", "val": "validation", "test": "test"}


def data_section(facts: RunFacts) -> Section:
    """Returns the section about the data of a run.

    Args:
        facts: The run.
    """
    run = facts.run
    task, data = run.task, run.spec.data
    inputs = " x ".join(map(str, task.input_shape))
    text = f"Source: {shown(data.source or 'rows given in Python')}. "
    if task.table is not None:
        text += f"{len(task.table.encoding.columns)} columns, {inputs} inputs of the network. "
        targets = task.targets or (task.table.target or f"{task.outputs} numbers",)
        text += f"Target: {shown(', '.join(targets))}. "
    else:
        text += f"A row is {inputs} numbers ({task.input_dtype}). "
    text += f"Scaling of inputs: {data.scale}."
    blocks: list[object] = [Text(text), *_parts(facts)]
    if task.table is not None:
        rows = [_column(facts, column) for column in task.table.encoding.columns[:_COLUMNS]]
        head = ["column", "type", "in training rows", "encoded as"]
        blocks.append(Table("Columns that the network takes", head, rows, wide=True))
    return Section("data", "Data", blocks)


def _parts(facts: RunFacts) -> list[object]:
    """Returns a table of the rows of each part, and for classes of each class."""
    counts, task = facts.run.num_rows, facts.run.task
    head = ["rows", *(_NAMES.get(part, part) for part in counts)]
    rows: list[list[Cell | str]] = [["all", *(count(value) for value in counts.values())]]
    blocks: list[object] = []
    if facts.prepared is not None and task.classification:
        parts = {"train": facts.prepared.train, **facts.prepared.held_out}
        of_class = {
            part: np.bincount(each.y, minlength=len(task.class_names))
            for part, each in parts.items()
            if part in counts
        }
        for place, name in list(enumerate(task.class_names))[:_CLASSES]:
            rows.append([shown(name, 60), *(count(of_class[part][place]) for part in counts)])
        if len(task.class_names) > _CLASSES:
            text = f"The first {_CLASSES} of {len(task.class_names)} classes are shown."
            blocks.append(Text(text, "note"))
    elif task.classification:
        blocks.append(Text(f"Classes: {shown(', '.join(task.class_names), 900)}."))
    noun = "and class" if len(rows) > 1 else "of the data"
    return [Table(f"Rows by part {noun}", head, rows), *blocks]


def _column(facts: RunFacts, column: ColumnEncoding) -> list[Cell | str]:
    table = facts.run.task.table
    kind = table.columns[column.name].type if table else ""
    gaps = "some missing" if column.gaps else "none missing"
    encoded = _inputs(column.num_features)
    if isinstance(column, CategoryColumn):
        gaps = f"{len(column.vocabulary):,} categories, {gaps}"
        code = column.codes[0]
        how = "one-hot" if code.embedding_size is None else "an embedding"
        encoded = f"{_inputs(code.num_inputs)}, {how}"
    elif isinstance(column, NumberColumn):
        encoded = "1 input" if column.num_features == 1 else "1 input and a flag"
    return [shown(column.name, 60), kind, gaps, encoded]


def _inputs(number: int) -> str:
    return f"{number} input" if number == 1 else f"{number} inputs"
