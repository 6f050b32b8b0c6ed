"""Asks for the page of a finished run, cross-validation or search.

The page is made by `kfc.reporting`, which knows all three, so that none of them can import it:
it is named here by its module, as a check is in `kfc.findings`.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from kfc.errors import KfcError, one_line

if TYPE_CHECKING:
    from rich.console import Console

FILE = "report.html"

SWITCH = "KFC_REPORT"
"""Environment variable; `off` writes no pages, for scripts that call `fit` many times."""


def has_page(wanted: bool) -> bool:
    """Returns whether a result gets a page.

    Args:
        wanted: Key `report` of its spec.
    """
    return wanted and os.environ.get(SWITCH) != "off"


def write_page(result: Any, console: Console, **known: Any) -> None:
    """Writes `report.html` into the folder of a result, unless its spec has `report: false`.

    A page that cannot be written is a line on the console: the result itself is complete, and
    `kfc report` writes the page later.

    Args:
        result: Finished run, ensemble, cross-validation or search.
        console: Console of the progress.
        **known: Values that the page needs and that are in memory, such as `prepared`.
    """
    if not has_page(result.spec.report):
        return
    try:
        importlib.import_module("kfc.reporting.report_page").write_finished(result, **known)
    except Exception as error:
        cause = error.findings[0].cause if isinstance(error, KfcError) else repr(error)
        line = f"no report.html: {cause}; `kfc report` tries again"
        console.print(one_line(line), soft_wrap=True)
