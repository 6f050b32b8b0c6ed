"""What a search did -> an append-only file that a killed process cannot spoil, and back.

Each event is a line of JSON with the CRC-32 of its bytes:

    {"crc32":"0a1b2c3d","event":{"kind":"started","seed":0}}

A line is on the disk before `append` returns. What a process that was killed while it
wrote left of its line is cut off when the journal is opened next. Damage anywhere else is
refused, since the events after it would tell another story without it.
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
    """The journal of one search, opened to go on with it.

    Only the one process that holds the search's folder may open it; who only looks on
    calls `read_events`.

    Args:
        path: The file, made by the first `append`.

    Raises:
        CheckpointError: If a line before the last one is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _, whole, size = _read(path)
        if whole < size:
            atomic.truncate_file(path, whole)

    def events(self) -> list[dict[str, Any]]:
        """Returns every event, in the order they were appended.

        Raises:
            CheckpointError: If the file was damaged meanwhile.
        """
        return read_events(self.path)

    def append(self, event: Mapping[str, Any]) -> None:
        """Adds an event, which is on the disk when this returns.

        Args:
            event: Text -> what JSON can hold: text, finite numbers, booleans, None, lists
                and dicts of these.

        Raises:
            ValueError: If JSON would change it: a tuple, a NaN, a key that is no text.
            DiskError: If it cannot be written; the journal is then as it was.
        """
        body = json.dumps(dict(event), allow_nan=False, separators=(",", ":"))
        if json.loads(body) != event:
            raise ValueError(f"JSON would change this event: {event!r}")
        crc32 = zlib.crc32(body.encode())
        atomic.append_synced(self.path, f'{{"crc32":"{crc32:08x}","event":{body}}}\n')


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a journal that another process may be writing.

    A last line that is not whole is left out and left alone.

    Raises:
        CheckpointError: If a line before the last one is damaged.
    """
    return _read(path)[0]


def event_of(kind: str, record: Proposal | Trial) -> dict[str, Any]:
    """Returns an event that holds a record without loss.

    Args:
        kind: Says what happened, under the key `kind`.
        record: Its fields become the other keys.
    """
    event: dict[str, Any] = {"kind": kind}
    for field in fields(record):
        value = getattr(record, field.name)
        event[field.name] = dict(value) if field.name in _MAPPINGS else value
    if isinstance(record, Trial):
        # A training that diverged may have metrics for which JSON has no number.
        event["metrics"] = {
            name: value if math.isfinite(value) else str(float(value))
            for name, value in record.metrics.items()
        }
    return event


def proposal_of(event: Mapping[str, Any]) -> Proposal:
    """Returns the proposal of which `event_of` made an event.

    Raises:
        CheckpointError: If it is no such event.
    """
    return _record(Proposal, event)


def trial_of(event: Mapping[str, Any]) -> Trial:
    """Returns the trial of which `event_of` made an event.

    Raises:
        CheckpointError: If it is no such event.
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
                "Go on with the version of kfc that began the search.",
            )
        )
    return kind(**{field.name: event[field.name] for field in known if field.name in event})


def _read(path: Path) -> tuple[list[dict[str, Any]], int, int]:
    """Returns the events, the bytes of their lines, and the bytes of the file."""
    try:
        data = atomic.read_bytes(path)
    except FileNotFoundError:
        return [], 0, 0
    except OSError as error:
        raise _damaged(path, 1, error.strerror or str(error)) from error
    *lines, rest = data.split(b"\n")
    whole, events = 0, []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(_event(line))
        except ValueError as error:
            if number < len(lines) or rest or _is_joined(line):
                raise _damaged(path, number, str(error)) from error
            break
        whole += len(line) + 1
    if _is_joined(rest):
        raise _damaged(path, len(lines) + 1, "two lines in one")
    return events, whole, len(data)


def _event(line: bytes) -> dict[str, Any]:
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError("what kfc did not write")
    if zlib.crc32(match[2]) != int(match[1], 16):
        raise ValueError("a wrong checksum")
    try:
        event: dict[str, Any] = json.loads(match[2])
    except RecursionError as error:
        raise ValueError("what is nested too deep") from error
    return event


def _is_joined(last: bytes) -> bool:
    """Says whether a broken last line is an intact one and, without a newline, more.

    Then the newline of the line before was damaged, and cutting would lose both.
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
            "a journal as it was written",
            got,
            "Put a copy of the file back, or search anew in another folder.",
            f"line {number}",
        )
    )
