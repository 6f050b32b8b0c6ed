"""Prints progress and results to standard streams that may be closed, full or broken.

Progress that cannot be printed is dropped, and the training continues. A result that cannot
be printed is an error.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

from kfc.errors import DiskError, Finding

if TYPE_CHECKING:
    from rich.console import Console


class _Stream:
    """A text stream that reports a failed write to a function.

    Nothing stays in a buffer, because Python would write the buffer again when it ends, fail
    again and change the exit code to 120.

    Args:
        find: Function that returns the stream to write to, or None if there is none.
        failed: Function that is called with the error of the operating system.
    """

    def __init__(
        self, find: Callable[[], TextIO | None], failed: Callable[[OSError], None]
    ) -> None:
        self._find, self._failed = find, failed

    def write(self, text: str) -> int:
        """Writes a text without buffering; returns its length."""
        if stream := self._find():
            try:
                _write_through(stream, text)
            except OSError as error:
                self._failed(error)
            except ValueError as error:
                if not stream.closed:
                    raise
                self._failed(OSError(str(error)))
        return len(text)

    def flush(self) -> None:
        """Writes the text that is in the buffer of the stream."""
        self.write("")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


def _write_through(stream: TextIO, text: str) -> None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    stream.flush()
    if not isinstance(raw, io.FileIO):  # the stream of a notebook or a test
        stream.write(text)
        stream.flush()
        return
    rest = memoryview(text.encode(stream.encoding, stream.errors or "strict"))
    while rest:
        rest = rest[raw.write(rest) or 0 :]


def _stderr() -> TextIO | None:
    # While rich shows a progress bar, `sys.stderr` prints through the console that calls this
    # function; the stream behind it is needed.
    return getattr(sys.stderr, "rich_proxied_file", sys.stderr)


def _drop(error: OSError) -> None:
    """Drops the text that could not be written."""


def _refuse(error: OSError) -> None:
    raise DiskError(
        Finding(
            "standard output",
            "a place that can be written",
            error.strerror or str(error),
            "Free disk space, or let the reader of a pipe read to its end.",
        )
    ) from error


def progress_console(verbose: bool | int = True) -> Console:
    """Returns a console on stderr, which drops text that cannot be written.

    Args:
        verbose: Whether the console prints; 2 for lines only, without a bar that moves.
    """
    from rich.console import Console

    stream: Any = _Stream(_stderr, _drop)
    lines = False if verbose == 2 else None  # None: bars where the stream is a terminal
    return Console(
        file=stream, quiet=not verbose, highlight=False, markup=False, force_interactive=lines
    )


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Checks every write to the standard streams within the `with` block.

    Raises:
        DiskError: If a result cannot be written to stdout. Text that cannot be written to
            stderr is dropped.
    """
    out, err = sys.stdout, sys.stderr
    # Without a stream, `print` does nothing.
    results: Any = _Stream(lambda: out, _refuse) if out else out
    progress: Any = _Stream(lambda: err, _drop) if err else err
    with redirect_stdout(results), redirect_stderr(progress):
        yield


def prepare_streams() -> None:
    """Makes the standard streams usable where one is missing or cannot encode a letter.

    A service may have no stderr; the null device takes its place. A letter that the encoding
    of a stream lacks is written as an escape with its number.
    """
    open_standard_streams()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end
            setattr(sys, name, null)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_standard_streams() -> None:
    """Opens the null device on each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file that the process opens gets such a number, and with number 2 the
    lines that TensorFlow writes to stderr.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
