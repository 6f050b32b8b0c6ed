"""Steps of an encoding that one process makes for all of those that share the work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data.row_parts import RowParts
from kfc.errors import Finding, SpecError
from kfc.preprocessing import InputScaling, scaling_from_config
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


def share_checks(
    work: SharedWork | None,
    check: Callable[[], tuple[Finding, ...]],
    fit: Callable[[], InputScaling],
) -> tuple[tuple[Finding, ...], InputScaling | None]:
    """Returns the findings of checks and the scaling of inputs, which two processes may make.

    Args:
        work: Work that processes share; None to run the checks here, and to fit no scaling.
        check: Function that runs the checks.
        fit: Function that fits the scaling. Where it refuses to, the scaling is None, so that
            the encoded rows are kept before the refusal.

    Raises:
        DataError: If a check refuses the rows.
    """
    if work is None:
        return check(), None

    def scaling() -> dict[str, Any] | None:
        with suppress(SpecError):
            return fit().get_config()
        return None

    def findings() -> list[dict[str, Any]]:
        return [dataclasses.asdict(each) for each in check()]

    found, config = work.values({"checks": findings, "scaling": scaling})
    return (
        tuple(Finding(**each) for each in found),
        None if config is None else scaling_from_config(config),
    )
