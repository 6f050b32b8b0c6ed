"""Shows a finished search at the Python prompt and in a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kfc.system import user_paths
from kfc.tuning.search_tables import cells, fit_width, values_text

if TYPE_CHECKING:
    from kfc.tuning.search import Search

_ROWS = 10
_WIDTH = 80


def search_text(search: Search) -> str:
    """Returns at most eight lines of at most 80 columns."""
    count = len(search.trials)
    headline = (
        search.sentences[0] if search.sentences else f"Winner: trial {search.best.number}"
    )
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in search.metrics.items())
    lines = [
        f"Search of {count} trials for the best {search.objective}",
        *textwrap.wrap(
            fit_width(headline, 3 * _WIDTH), _WIDTH - 2, max_lines=3, placeholder=" ..."
        ),
        values_text(search.best),
        metrics,
        f"in {user_paths.shown_path(search.folder)}",
    ]
    first, *others = (line for line in lines if line)
    return "\n".join([first, *(fit_width(f"  {line}") for line in others)])


def search_html(search: Search) -> str:
    """Returns the sentences, the best trials as a table, and the winner's metrics."""
    head, rows = cells(search.trials, search.objective, _ROWS)
    folder = user_paths.shown_path(search.folder)
    shown = f"{len(rows)} of {len(search.trials)} trials, in {folder}"
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in search.sentences)
    metrics = [[name, f"{value:.4f}"] for name, value in search.metrics.items()]
    return (
        f"<div><ul>{reasons}</ul>"
        f"{_table(head, rows, html.escape(shown))}"
        f"{_table(['metric', 'winner'], metrics, '')}</div>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Returns a table of escaped cells; the caption must be HTML already."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    above = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
