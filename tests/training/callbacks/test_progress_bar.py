"""The bar of a terminal and of a notebook, and where lines of epochs are printed."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from kfc.training.callbacks.progress_bar import headline, start_bar
from kfc.training.callbacks.terminal_log import Terminal
from kfc.training.checkpoints import Progress


def on_terminal(**options):
    text = io.StringIO()
    return text, Console(file=text, force_terminal=True, force_jupyter=False, **options)


def shown(text):
    """The lines that a terminal got, without its escapes."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text.getvalue()))


def test_a_terminal_has_a_bar_and_no_line_per_epoch(problem, tmp_path):
    text, console = on_terminal(width=200)
    terminal = Terminal(console=console, log=tmp_path / "run.log")
    problem().loop([terminal]).run(Progress())
    assert "epoch 1/3" not in text.getvalue()
    assert any(
        re.match(r"epoch 3/3 +\S+ +loss \d\.\d{4} .*/s +0:00 left", line)
        for line in shown(text)
    )
    assert (tmp_path / "run.log").read_text("utf-8").count("epoch ") == 3


@pytest.mark.parametrize("columns", [60, 40, 200])
def test_the_bar_fits_sixty_columns(columns):
    text, console = on_terminal(width=columns)
    bar = start_bar(console, total=2000, samples=54_000_000)
    try:
        bar.move("1000/1000", 1999, 12_345.6, ["loss 12345.6789", "accuracy 0.9792"])
    finally:
        bar.stop()
    lines = [line.rstrip() for line in shown(text) if "1000/1000" in line]
    assert lines
    assert max(map(len, lines)) <= min(columns, 60)


def test_a_pipe_and_a_terminal_that_asks_for_lines_have_no_bar():
    assert start_bar(Console(file=io.StringIO()), 10, 100) is None
    _, console = on_terminal(force_interactive=False)
    assert start_bar(console, 10, 100) is None
    _, console = on_terminal(quiet=True)
    assert start_bar(console, 10, 100) is None


def test_a_bar_without_colours_where_no_color_is_set(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text, console = on_terminal()
    bar = start_bar(console, 10, 100)
    bar.move("1/2", 5, 1.0, ["loss 0.5"])
    bar.stop()
    assert not re.search(r"\x1b\[[\d;]*m", text.getvalue())


def test_a_notebook_has_an_element_of_its_own(monkeypatch):
    outputs = []

    def display(value, display_id):
        outputs.append(value)
        return SimpleNamespace(update=outputs.append)

    module = SimpleNamespace(display=display, HTML=str)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    console = Console(file=io.StringIO(), force_jupyter=True)
    bar = start_bar(console, 10, 100)
    bar.move("1/2", 5, 2.0, ["loss 0.5", "<b>"])
    bar.stop()
    assert outputs[-1] == (
        '<progress value="0.5000" max="1" aria-label="training"></progress> '
        "<code>1/2  loss 0.5  &lt;b&gt;  25/s  0:02 left</code>"
    )


def test_a_bar_names_held_out_values():
    logs = {"accuracy": 0.5, "loss": 1.0, "val_loss": 2.0, "val_accuracy": 0.25}
    assert headline(logs) == ["loss 2.0000", "accuracy 0.2500"]
    assert headline({}) == []
