"""Shows the progress of a training on a terminal, in a notebook or in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from kfc.system import progress_console
from kfc.training.callbacks.logs import Log, Logs
from kfc.training.callbacks.progress_bar import Bar, headline, short_number, start_bar
from kfc.training.history_values import numbers

_HELD_OUT = ("val", "test")
_COLUMNS = 80


class Terminal(Log):
    """Shows a bar where someone watches, and prints a line for each epoch elsewhere.

    A console that is a terminal, or a notebook, has the bar alone: the lines of epochs go to
    the file. A console that is neither, such as a pipe, has a line for each epoch, and so has
    one with `force_interactive=False`. Lines of log steps are printed on all of them.

    Args:
        every: Number of steps between lines within an epoch, at least 1; None for epochs
            only.
        log: File that gets the same lines, or None.
        console: Console to print on, by default stderr. With a quiet console, only the file
            is written.
        notes: Lines that are printed once, before the first epoch.
    """

    def __init__(
        self,
        every: int | None = None,
        log: Path | None = None,
        console: Console | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(log)
        self._notes = notes
        self.console = console or progress_console()
        self.log, self._lines_every = log, every
        self.called_every = "execution"
        self._bar: Bar | None = None
        self._shown: list[str] = []
        self._epoch_began = 0.0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Prints the notes, and starts the bar where someone watches."""
        super().on_train_begin(logs)
        for note in self._notes:
            self._say(note)
        steps = self.params.get("steps")
        total = self.params["epochs"] * steps if steps else None
        self._bar = start_bar(self.console, total, self.params.get("samples"))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Records the epoch and the second at which it begins."""
        super().on_epoch_begin(epoch, logs)
        self._epoch_began = self._seconds()

    def get_state(self) -> dict[str, Any]:
        """Returns the state of the log, and the second at which the epoch began."""
        return {**super().get_state(), "epoch_began": self._epoch_began}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `get_state` has returned."""
        super().set_state(state)
        self._epoch_began = float(state["epoch_began"])

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Moves the bar, and prints a line if one is due."""
        step = self._step(batch)
        if self._bar:
            self._bar.move(self._epochs(), step, self._now(), self._shown)
        evaluated = any(key.startswith(("val_", "test_")) for key in logs or {})
        if evaluated or (self._lines_every and step % self._lines_every == 0):
            self._print(f"  step {step:,}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Prints the epoch's line; where there is a bar, only the file gets it."""
        width = len(str(self.params["epochs"]))
        seconds = self._seconds() - self._epoch_began
        title = f"epoch {epoch + 1:{width}}/{self.params['epochs']}"
        self._print(title, logs, f"{seconds:.2f} s", in_file=self._bar is not None)
        if self._bar:
            self._shown = headline(numbers(logs))
            self._bar.move(self._epochs(), self._steps_done(), self._seconds(), self._shown)

    def _epochs(self) -> str:
        return f"{self._epoch + 1}/{self.params['epochs']}"

    def on_train_end(self, logs: Logs = None) -> None:
        """Removes the bar."""
        self.close()

    def close(self) -> None:
        """Removes the bar, also when training ends with an error."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _print(self, title: str, logs: Logs, end: str = "", *, in_file: bool = False) -> None:
        for line in _lines(title, [*_parts(numbers(logs)), *([end] if end else [])]):
            self._say(line, in_file=in_file)

    def _say(self, line: str, *, in_file: bool = False) -> None:
        if not self.console.quiet and not in_file:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        if self.log:
            self._append(self.log, line)


def _parts(logs: Mapping[str, float]) -> list[str]:
    """Returns each metric with its held-out value, as in `loss 0.5123 (val 0.6134)`."""
    parts = []
    for name, value in logs.items():
        part, _, metric = name.partition("_")
        if part in _HELD_OUT and metric in logs:
            continue  # it is printed beside the metric of the training rows
        beside = "".join(
            f" ({held_out} {short_number(logs[f'{held_out}_{name}'])})"
            for held_out in _HELD_OUT
            if f"{held_out}_{name}" in logs
        )
        parts.append(f"{name} {short_number(value)}{beside}")
    return parts


def _lines(title: str, parts: Sequence[str]) -> list[str]:
    """Returns a title and parts in lines of at most 80 columns, the later ones indented."""
    lines = [title]
    for part in parts:
        if len(lines[-1]) + 2 + len(part) > _COLUMNS and lines[-1].strip():
            lines.append(" " * len(title))
        lines[-1] += f"  {part}"
    return lines
