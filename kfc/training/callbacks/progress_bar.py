"""Bars that show a training: a line of at most 60 columns, or an element of a notebook."""

from __future__ import annotations

import html
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

_COLUMNS = 60
_BAR = (4, 20)
"""Smallest and largest width of the bar itself."""


class Bar(Protocol):
    """Shows how far a training is."""

    def move(self, epochs: str, step: int, seconds: float, metrics: Sequence[str]) -> None:
        """Shows a step of the training.

        Args:
            epochs: Epoch and number of epochs, such as `3/40`.
            step: Number of steps done, from the first one of the training.
            seconds: Seconds of the training until then.
            metrics: Metrics with their values, such as `loss 0.0843`.
        """

    def stop(self) -> None:
        """Removes the bar."""


def start_bar(console: Console, total: int | None, samples: int | None) -> Bar | None:
    """Starts the bar for a console; None for a pipe, a file and a quiet console.

    Args:
        console: Console of the training.
        total: Number of steps of the training; None where nobody knows it.
        samples: Rows of the training, all epochs together; None where nobody knows them.
    """
    if console.quiet:
        return None
    if console.is_jupyter:
        return _NotebookBar(total, samples)
    return _TerminalBar(console, total, samples) if console.is_interactive else None


def headline(logs: Mapping[str, float]) -> list[str]:
    """Returns the loss and the first other metric, each of held-out rows if they have it.

    Args:
        logs: Metrics of an epoch.
    """
    plain = [name for name in logs if not name.startswith(("val_", "test_"))]
    shown = []
    for name in ([n for n in plain if n == "loss"] + [n for n in plain if n != "loss"])[:2]:
        value = logs.get(f"val_{name}", logs.get(f"test_{name}", logs[name]))
        shown.append(f"{name} {short_number(value)}")
    return shown


def short_number(value: float) -> str:
    """Returns a number as in Keras's progress bar: a learning rate may be very small."""
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.2e}"


def _facts(
    step: int, total: int | None, samples: int | None, seconds: float
) -> tuple[float, list[str]]:
    """Returns the share that is done, then the speed and the time left as texts."""
    if not total or seconds <= 0 or not step:
        return 0.0, []
    share = min(step / total, 1.0)
    left = seconds * (1 - share) / share
    clock = f"{int(left) // 60}:{int(left) % 60:02d} left"
    if left >= 3600:
        clock = f"{left / 3600:.1f} h left"
    speed = f"{_short_count(samples * share / seconds)}/s" if samples else ""
    return share, [each for each in (speed, clock) if each]


def _short_count(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


class _TerminalBar:
    """A line of a terminal: epoch, bar, loss, metric, samples per second, time left."""

    def __init__(self, console: Console, total: int | None, samples: int | None) -> None:
        self._total, self._samples = total, samples
        self._ascii = not console.encoding.lower().startswith("utf")
        self._width = min(_COLUMNS, console.width)
        self._live = Live(
            Text(""), console=console, transient=True, auto_refresh=True, refresh_per_second=10
        )
        self._live.start()

    def move(self, epochs: str, step: int, seconds: float, metrics: Sequence[str]) -> None:
        """Shows a step of the training."""
        share, facts = _facts(step, self._total, self._samples, seconds)
        self._live.update(Text(self.line(epochs, share, [*metrics, *facts])))

    def line(self, epochs: str, share: float, parts: Sequence[str]) -> str:
        """Returns the line; parts that do not fit are left out from the end.

        Args:
            epochs: Epoch and number of epochs.
            share: Share that is done, in [0, 1].
            parts: Texts in the order of their importance.
        """
        kept, forms = list(parts), [(f"epoch {epochs}", "  "), (f"epoch {epochs}", " ")]
        forms.append((epochs, " "))
        while len(forms) > 1 and self._rest(forms[0][0], kept, forms[0][1]) < _BAR[0]:
            del forms[0]
        epochs, space = forms[0]
        while kept and self._rest(epochs, kept, space) < _BAR[0]:
            kept.pop()
        cells = max(0, min(_BAR[1], self._rest(epochs, kept, space)))
        done = round(cells * share)
        full, empty = ("#", ".") if self._ascii else ("━", "╌")
        return space.join([epochs, full * done + empty * (cells - done), *kept])

    def _rest(self, epochs: str, kept: Sequence[str], space: str) -> int:
        """Returns the columns that are left for the bar."""
        return self._width - len(space.join([epochs, *kept])) - len(space)

    def stop(self) -> None:
        """Removes the line."""
        self._live.stop()


class _NotebookBar:
    """A progress element and a line of text in the output of a notebook's cell."""

    def __init__(self, total: int | None, samples: int | None) -> None:
        self._total, self._samples = total, samples
        # A notebook's kernel has IPython; kfc itself does not need it.
        self._display: Any = importlib.import_module("IPython.display")
        self._handle = self._display.display(self._shown("", 0.0, []), display_id=True)

    def _shown(self, epochs: str, share: float, parts: Sequence[str]) -> Any:
        text = html.escape("  ".join([epochs, *parts]))
        bar = f'<progress value="{share:.4f}" max="1" aria-label="training"></progress>'
        return self._display.HTML(f"{bar} <code>{text}</code>")

    def move(self, epochs: str, step: int, seconds: float, metrics: Sequence[str]) -> None:
        """Shows a step of the training."""
        share, facts = _facts(step, self._total, self._samples, seconds)
        self._handle.update(self._shown(epochs, share, [*metrics, *facts]))

    def stop(self) -> None:
        """Leaves the last state, as notebooks do."""
