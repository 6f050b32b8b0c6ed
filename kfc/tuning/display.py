"""What is known of a running search -> the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live

from kfc.tuning.ranking import ranked
from kfc.tuning.tables import line, rich_table
from kfc.tuning.trial import Trial

_ROWS = 10


class Display:
    """Shows the best trials on a terminal, and a line for each trial elsewhere.

    Args:
        console: Where to print; a quiet one prints nothing.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> Display:
        """Begins to show."""
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
        """Leaves the terminal as it was."""
        if self._live:
            self._live.stop()
            self._live = None

    def show(
        self, newest: Trial, trials: Sequence[Trial], objective: str, *, repeat: bool = False
    ) -> None:
        """Shows a result.

        Args:
            newest: What was just done.
            trials: All that are done, it among them, without repeats.
            objective: What is searched for.
            repeat: Whether it is a finalist's training on a fresh seed.
        """
        if self._live:
            table = rich_table(ranked(trials, objective), objective, limit=_ROWS)
            table.title = f"trials: {len(trials)}" + (", finals" if repeat else "")
            self._live.update(table, refresh=True)
            return
        name = f"trial {newest.number}" + (f", seed {newest.seed}" if repeat else "")
        self._console.print(f"{name}  {line(newest, objective)}", soft_wrap=True)
