"""Shows the progress of a running search on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import ranked
from kfc.tuning.search_tables import finalists_table, fit_width, rich_table, trial_line
from kfc.tuning.trial import Trial

_ROWS = 10


class Display:
    """Shows a table of the best trials on a terminal, else one line for each trial.

    Args:
        console: Console to print on; a quiet one prints nothing.
        objective: Recorded metric, such as `val_accuracy`.
    """

    def __init__(self, console: Console, objective: str) -> None:
        self._console, self._objective = console, objective
        self._live: Live | None = None

    def __enter__(self) -> Display:
        """Starts the live table on a terminal."""
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the live table."""
        if self._live:
            self._live.stop()
            self._live = None

    def show_start(self, text: str) -> None:
        """Shows a line before the first result."""
        if self._live:
            self._live.update(Text(fit_width(text)), refresh=True)
        else:
            self._console.print(fit_width(text), soft_wrap=True)

    def show_trial(
        self, newest: Trial, trials: Sequence[Trial], count: str, time_left: str
    ) -> None:
        """Shows the result of a trial.

        Args:
            newest: Trial that has just ended.
            trials: All finished trials, with this one.
            count: Number of finished trials, such as `3 of 41`.
            time_left: Text such as `about 3 min left`; may be empty.
        """
        if self._live:
            self._live.update(self._table(trials, count, time_left), refresh=True)
        else:
            self._print(f"trial {newest.number} ({count})", newest, time_left)

    def show_repeat(
        self,
        newest: Trial,
        trials: Sequence[Trial],
        finalists: Sequence[Finalist],
        count: str,
        time_left: str,
    ) -> None:
        """Shows the result of a finalist's training on a fresh seed.

        Args:
            newest: Training that has just ended.
            trials: All trials, without repeats.
            finalists: Finalists with their finished repeats.
            count: Number of finished repeats, such as `3 of 20`.
            time_left: Text such as `about 3 min left`; may be empty.
        """
        if self._live:
            table = finalists_table(finalists, self._objective)
            table.title = _joined("finalists", f"training {count}", time_left)
            best = self._table(trials, f"{len(trials)}", "")
            self._live.update(Group(best, table), refresh=True)
        else:
            head = f"finalist {newest.number}, seed {newest.seed} ({count})"
            self._print(head, newest, time_left)

    def _table(self, trials: Sequence[Trial], count: str, time_left: str) -> Table:
        table = rich_table(ranked(trials, self._objective), self._objective, limit=_ROWS)
        table.title = _joined(f"trials: {count}", time_left)
        return table

    def _print(self, head: str, newest: Trial, time_left: str) -> None:
        text = trial_line(newest, self._objective, head=head, time_left=time_left)
        self._console.print(text, soft_wrap=True)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
