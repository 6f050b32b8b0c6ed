"""Shows trials as tables: CSV for spreadsheets, and lines for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from kfc.errors import one_line
from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import format_scores, ranked
from kfc.tuning.trial import Trial

_COLUMNS = (
    *("number", "seed", "status", "score", "epochs", "seconds", "weights", "cause"),
    "folder",
)
_MAX_CELL_WIDTH = 24  # in a terminal
_FORMULA_STARTS = ("=", "+", "-", "@", "\t")  # a spreadsheet reads such text as a formula


def csv_text(trials: Sequence[Trial]) -> str:
    """Returns a CSV table with a row for each training, repeats included.

    The columns are the fields of a trial, then dotted paths, then metrics. Lists, booleans
    and None are written as JSON. Text is written as one line, with an apostrophe in front if
    a spreadsheet would read it as a formula.

    Args:
        trials: Trainings, in the order of the rows.
    """
    paths, metrics = keys_of(trials, "values"), keys_of(trials, "metrics")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_cell(name) for name in (*_COLUMNS, *paths, *metrics))
    for trial in trials:
        facts = [_cell(getattr(trial, name)) for name in _COLUMNS]
        values = [_cell(trial.values.get(path, "")) for path in paths]
        numbers = [_cell(trial.metrics.get(name, "")) for name in metrics]
        writer.writerow([*facts, *values, *numbers])
    return text.getvalue()


def cells(
    trials: Sequence[Trial], objective: str, limit: int | None = None
) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of the ranking, the best trial first.

    Args:
        trials: Trials of one search, in any order.
        objective: Recorded metric, such as `val_accuracy`.
        limit: Largest number of rows; None for all.
    """
    # A path that only trial 0 sets, such as its initialiser, has no column.
    paths = keys_of([trial for trial in trials if trial.number] or trials, "values")
    head = ["trial", *short_names(paths), objective, "epochs", "seconds", "status"]
    rows = []
    for trial in ranked(trials, objective)[:limit]:
        status = trial.cause or trial.status
        if trial.number == 0:
            status = f"the spec: {status}" if trial.cause else "the spec itself"
        rows.append(
            [
                str(trial.number),
                *(short_value(trial.values[p]) if p in trial.values else "" for p in paths),
                "diverged" if trial.status == "diverged" else format_scores(trial.score)[0],
                str(trial.epochs),
                f"{trial.seconds:.1f}",
                status,
            ]
        )
    return [one_line(name) for name in head], [[one_line(cell) for cell in r] for r in rows]


def rich_table(trials: Sequence[Trial], objective: str, limit: int | None = None) -> Table:
    """Returns the ranking as a table for the terminal, the best trial first.

    The cause of a divergence is cut at the width of the terminal; `csv_text` has all of it.

    Args:
        trials: Trials of one search, in any order.
        objective: Recorded metric, such as `val_accuracy`.
        limit: Largest number of rows; None for all.
    """
    head, rows = cells(trials, objective, limit)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in head[:-1]:
        table.add_column(
            _text(name),
            justify="right",
            no_wrap=True,
            overflow="ellipsis",
            max_width=_MAX_CELL_WIDTH,
        )
    table.add_column(_text(head[-1]))  # the one that is cut on a narrow terminal
    for row in rows:
        *facts, status = map(_text, row)
        status.no_wrap, status.overflow = True, "ellipsis"
        table.add_row(*facts, status)
    if len(trials) > table.row_count:
        table.caption = f"{table.row_count} of {len(trials)} trials"
    return table


def finalists_table(finalists: Sequence[Finalist], objective: str) -> Table:
    """Returns a table with the mean of each finalist over its finished seeds.

    Args:
        finalists: Finalists, in the order of the rows.
        objective: Recorded metric, such as `val_accuracy`.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trial", "seeds", f"mean {objective}", "diverged"):
        table.add_column(_text(name), justify="right", no_wrap=True)
    for finalist in finalists:
        mean, low, high = "", finalist.low, finalist.high
        if low is not None and high is not None:
            mean = " +- ".join(format_scores(finalist.mean, (high - low) / 2))
        elif finalist.repeats and not finalist.diverged:
            mean = format_scores(finalist.mean)[0]
        number, seeds = str(finalist.trial.number), str(len(finalist.repeats))
        table.add_row(number, seeds, mean, str(finalist.diverged))
    return table


def trial_line(trial: Trial, objective: str, *, head: str = "", time_left: str = "") -> str:
    """Returns one line about a trial, of at most 80 columns.

    Args:
        trial: Finished trial.
        objective: Recorded metric, such as `val_accuracy`.
        head: Beginning of the line.
        time_left: Text such as `about 3 min left`; may be empty.
    """
    diverged = trial.status == "diverged"
    outcome = "diverged" if diverged else f"{objective} {format_scores(trial.score)[0]}"
    parts = [head, outcome, f"{trial.seconds:.1f} s", time_left]
    parts.append(trial.cause if diverged else values_text(trial))
    return fit_width("  ".join(part for part in parts if part))


def values_text(trial: Trial) -> str:
    """Returns the values of a trial with short names, such as `learning_rate 0.1`."""
    paths = list(trial.values)
    pairs = zip(paths, short_names(paths), strict=True)
    return "  ".join(f"{name} {short_value(trial.values[path])}" for path, name in pairs)


def fit_width(text: str, width: int = 80) -> str:
    """Returns text as one line of at most `width` columns, cut if it is longer."""
    text = one_line(text)
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, width - 3)}..."


def keys_of(trials: Sequence[Trial], field: str) -> list[str]:
    """Returns the keys of a field of all trials, in the order of their first appearance.

    Args:
        trials: Trials.
        field: Field that is a mapping: `values` or `metrics`.
    """
    return list(dict.fromkeys(key for trial in trials for key in getattr(trial, field)))


def short_names(paths: Sequence[str]) -> list[str]:
    """Returns the shortest unique end of each dotted path, such as `learning_rate`."""
    names = []
    for path in paths:
        parts = path.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [f".{other}" for other in paths if other != path]
        unique = (
            end for end in ends if not any(other.endswith(f".{end}") for other in others)
        )
        names.append(next(unique, path))
    return names


def _cell(value: Any) -> Any:
    """Returns a value as a CSV cell."""
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text}" if value.lstrip(" \r\n").startswith(_FORMULA_STARTS) else text
    if isinstance(value, Real) and not isinstance(value, bool):
        return value
    return json.dumps(value)


def short_value(value: Any) -> str:
    """Returns a value as short text, for example `64-32` for the widths of layers."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return "-".join(map(str, value))  # widths of layers
    if isinstance(value, Mapping) and list(value) == ["name"]:
        return str(value["name"])
    return value if isinstance(value, str) else json.dumps(value)


def _text(text: str, **options: Any) -> Text:
    """Returns text without markup and control characters, which a value may contain."""
    return Text(one_line(text), **options)
