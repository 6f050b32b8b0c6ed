"""Stores the events of a search in an append-only file that survives a killed process.

Each event is one line of JSON with the CRC-32 of its bytes:

    {"crc32":"0a1b2c3d","event":{"kind":"started","seed":0}}

A line is on the disk before `append` returns. If a process is killed while it writes a
line, the incomplete line is cut off when the journal is opened again. Damage to any earlier
line is refused, because the later events depend on it.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from kfc.errors import CheckpointError, Finding
from kfc.system import atomic
from kfc.tuning.trial import Proposal, Trial

_LINE = re.compile(rb'\{"crc32":"([0-9a-f]{8})","event":(\{.*\})\}')
_MAPPINGS = ("point", "values", "metrics")

Record = TypeVar("Record", Proposal, Trial)


class Journal:
    """Journal of one search, opened for writing.

    Only the process that holds the lock of the search's folder may open it. Other processes
    call `read_events`.

    Args:
        path: Journal file; the first `append` creates it.

    Raises:
        CheckpointError: If a line before the last one is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _, complete, size = _read(path)
        if complete < size:
            atomic.truncate_file(path, complete)

    def events(self) -> list[dict[str, Any]]:
        """Returns all events, in the order in which they were appended.

        Raises:
            CheckpointError: If the file has been damaged since it was opened.
        """
        return read_events(self.path)

    def append(self, event: Mapping[str, Any]) -> None:
        """Appends an event; it is on the disk when the method returns.

        Args:
            event: Key -> value of a type that JSON has: text, finite numbers, booleans,
                None, lists and dicts of these.

        Raises:
            ValueError: If JSON would change the event: a tuple, a NaN, a key that is no
                text.
            DiskError: If the event cannot be written; the journal is then unchanged.
        """
        body = json.dumps(dict(event), allow_nan=False, separators=(",", ":"))
        if json.loads(body) != event:
            raise ValueError(f"JSON would change this event: {event!r}")
        crc32 = zlib.crc32(body.encode())
        atomic.append_synced(self.path, f'{{"crc32":"{crc32:08x}","event":{body}}}\n')


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a journal that another process may be writing.

    An incomplete last line is ignored, and the file is not changed.

    Args:
        path: Journal file; a missing one has no events.

    Raises:
        CheckpointError: If a line before the last one is damaged.
    """
    return _read(path)[0]


def event_from(kind: str, record: Proposal | Trial) -> dict[str, Any]:
    """Returns an event that holds a proposal or a trial without loss.

    Args:
        kind: Kind of event, stored under the key `kind`.
        record: Proposal or trial, whose fields become the other keys.
    """
    event: dict[str, Any] = {"kind": kind}
    for field in fields(record):
        value = getattr(record, field.name)
        event[field.name] = dict(value) if field.name in _MAPPINGS else value
    if isinstance(record, Trial):
        # A diverged training may have NaN or infinite metrics, which JSON does not have.
        event["metrics"] = {
            name: value if math.isfinite(value) else str(float(value))
            for name, value in record.metrics.items()
        }
    return event


def proposal_from_event(event: Mapping[str, Any]) -> Proposal:
    """Returns the proposal that `event_from` stored in an event.

    Args:
        event: Event of the journal.

    Raises:
        CheckpointError: If a field is missing.
    """
    return _record(Proposal, event)


def trial_from_event(event: Mapping[str, Any]) -> Trial:
    """Returns the trial that `event_from` stored in an event.

    Args:
        event: Event of the journal.

    Raises:
        CheckpointError: If a field is missing.
    """
    metrics = event.get("metrics", {})
    finite = {
        name: float(value) if isinstance(value, str) else value
        for name, value in metrics.items()
    }
    return _record(Trial, {**event, "metrics": finite})


def _record(kind: type[Record], event: Mapping[str, Any]) -> Record:
    known = fields(kind)
    missing = [
        field.name
        for field in known
        if field.name not in event
        and field.default is MISSING
        and field.default_factory is MISSING
    ]
    if missing:
        raise CheckpointError(
            Finding(
                f"event {event.get('kind')!r} of the journal",
                f"a {kind.__name__.lower()}",
                f"no {' and no '.join(missing)}",
                "Continue with the version of kfc that started the search.",
            )
        )
    return kind(**{field.name: event[field.name] for field in known if field.name in event})


def _read(path: Path) -> tuple[list[dict[str, Any]], int, int]:
    """Returns the events, the size of their lines in bytes, and the size of the file."""
    try:
        data = atomic.read_bytes(path)
    except FileNotFoundError:
        return [], 0, 0
    except OSError as error:
        raise _damaged(path, 1, error.strerror or str(error)) from error
    *lines, rest = data.split(b"\n")
    complete, events = 0, []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(_event(line))
        except ValueError as error:
            # Only the last line may be incomplete: it is then ignored.
            if number < len(lines) or rest or _is_joined(line):
                raise _damaged(path, number, str(error)) from error
            break
        complete += len(line) + 1
    if _is_joined(rest):
        raise _damaged(path, len(lines) + 1, "two lines in one")
    return events, complete, len(data)


def _event(line: bytes) -> dict[str, Any]:
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError("a line that kfc did not write")
    if zlib.crc32(match[2]) != int(match[1], 16):
        raise ValueError("a wrong checksum")
    try:
        event: dict[str, Any] = json.loads(match[2])
    except RecursionError as error:
        raise ValueError("a value that is nested too deep") from error
    return event


def _is_joined(last: bytes) -> bool:
    """Returns whether a damaged last line is a complete line followed by another one.

    The newline between the two was damaged, so cutting the line off would lose both.
    """
    try:
        _, end = json.JSONDecoder().raw_decode(last.decode("utf-8", "replace"))
        _event(last[:end])
    except ValueError:
        return False
    return len(last) > end + 1  # or only its own newline was damaged


def _damaged(path: Path, number: int, got: str) -> CheckpointError:
    return CheckpointError(
        Finding(
            str(path),
            "an undamaged journal",
            got,
            "Restore the file from a copy, or start a new search in another folder.",
            f"line {number}",
        )
    )
