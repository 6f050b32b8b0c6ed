"""Steps of an encoding that one process makes for all of those that share the work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kfc.data.row_parts import RowParts
from kfc.errors import Finding
from kfc.system import SharedWork, atomic


def share_facts(
    work: SharedWork | None, find_hash: Callable[[], str], choose: Callable[[], RowParts]
) -> tuple[str, RowParts]:
    """Returns the hash of all rows and the rows of each part, which two processes may find.

    Args:
        work: Work that processes share; None to find both here.
        find_hash: Function that reads all rows.
        choose: Function that chooses the rows of each part.

    Raises:
        DataError: If a part would be empty, or would lack a class.
    """
    if work is None:
        return find_hash(), choose()

    def write_rows(path: Path) -> None:
        chosen = vars(choose())
        with path.open("r+b") as file:
            np.savez(file, **{name: rows for name, rows in chosen.items() if rows is not None})

    def write_hash(path: Path) -> None:
        path.write_text(json.dumps(find_hash()))

    files = work.made({"sha256": write_hash, "rows": write_rows})
    with np.load(files["rows"]) as rows:
        return json.loads(atomic.read_text(files["sha256"])), RowParts(**rows)


def share_findings(
    work: SharedWork | None, check: Callable[[], tuple[Finding, ...]]
) -> tuple[Finding, ...]:
    """Returns the findings of checks that one process runs.

    Args:
        work: Work that processes share; None to run the checks here.
        check: Function that runs the checks.

    Raises:
        DataError: If a check refuses the rows.
    """
    if work is None:
        return check()
    (found,) = work.values({"checks": lambda: [dataclasses.asdict(each) for each in check()]})
    return tuple(Finding(**each) for each in found)
