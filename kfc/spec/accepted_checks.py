"""Checks the names and codes of checks that a spec accepts."""

from __future__ import annotations

from kfc.check_table import CHECKS
from kfc.errors import Finding
from kfc.registry import CHECK_PLUGINS
from kfc.spec.messages import findings_error
from kfc.spec.plain_values import shown_value
from kfc.spec.suggestions import suggested_word


def acceptable_checks() -> list[str]:
    """Returns the names, then the codes, of the built-in checks that a spec may accept."""
    rows = [check for check in CHECKS if check.acceptable]
    return [check.name for check in rows] + [check.code for check in rows]


def check_accepted(name: str) -> str:
    """Checks that a spec may accept a check, as a validator of its key."""
    known = acceptable_checks()
    if name in known or name in CHECK_PLUGINS.names():
        return name
    expected = "the name or code of a check that may be accepted"
    remedy = suggested_word(name, known).strip() or "See docs/findings.md."
    raise findings_error(Finding("", expected, shown_value(name), remedy))
