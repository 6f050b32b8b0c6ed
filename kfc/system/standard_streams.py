"""Standard streams that may be closed, full or broken -> progress and results.

Progress is a courtesy: whoever reads it may go away, and the training goes on without a
word. A result that cannot be printed is an error.
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
    """A text stream that hands a failure to write to a function.

    Nothing stays in a buffer: Python would try to write it again when it ends, and would
    turn the exit code into 120.

    Args:
        find: Returns the stream to write to, or None where there is none.
        failed: Called with the error of the operating system.
    """

    def __init__(
        self, find: Callable[[], TextIO | None], failed: Callable[[OSError], None]
    ) -> None:
        self._find, self._failed = find, failed

    def write(self, text: str) -> int:
        """Writes a text at once; returns its length."""
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
        """Writes what others have left in the buffer of the stream."""
        self.write("")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


def _write_through(stream: TextIO, text: str) -> None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    stream.flush()
    if not isinstance(raw, io.FileIO):  # a notebook's, or a test's
        stream.write(text)
        stream.flush()
        return
    rest = memoryview(text.encode(stream.encoding, stream.errors or "strict"))
    while rest:
        rest = rest[raw.write(rest) or 0 :]


def _stderr() -> TextIO | None:
    # While rich shows a bar, `sys.stderr` prints above it, by the console that asks here.
    return getattr(sys.stderr, "rich_proxied_file", sys.stderr)


def _drop(error: OSError) -> None:
    """Leaves out what a stream does not take."""


def _refuse(error: OSError) -> None:
    raise DiskError(
        Finding(
            "standard output",
            "a place that can be written",
            error.strerror or str(error),
            "Free space, or let the reader of a pipe read to its end.",
        )
    ) from error


def progress_console(verbose: bool = True) -> Console:
    """Returns a console on stderr, which drops what stderr does not take.

    Args:
        verbose: Whether it prints at all.
    """
    from rich.console import Console

    stream: Any = _Stream(_stderr, _drop)
    return Console(file=stream, quiet=not verbose, highlight=False, markup=False)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guards the standard streams of a command.

    Raises:
        DiskError: If stdout does not take a result; what stderr does not take is dropped.
    """
    out, err = sys.stdout, sys.stderr
    # Without a stream, `print` knows by itself that there is nothing to do.
    results: Any = _Stream(lambda: out, _refuse) if out else out
    progress: Any = _Stream(lambda: err, _drop) if err else err
    with redirect_stdout(results), redirect_stderr(progress):
        yield


def prepare_streams() -> None:
    """Lets a command run where a standard stream is missing or lacks letters.

    A service may have no stderr, and the letters of a label may not be in the encoding of
    stdout; they are written by their numbers then, as Python does on stderr.
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

    Otherwise the next file that anybody opens gets the number, and with it the lines that
    TensorFlow writes to descriptor 2.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
