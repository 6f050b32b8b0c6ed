"""Writes `findings.md`, a section for each check, from the text inside the package.

    python docs/findings_page.py

Run it after a change of `kfc/check_table.py` or `kfc/diagnosing/findings.md`; a test compares
the page with what this module returns.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from kfc.check_table import CHECKS
from kfc.diagnosing import sections, when

PAGE = Path(__file__).with_name("findings.md")

_HEAD = """# Findings

This page is written by `python docs/findings_page.py` from the text that
`kfc doctor --explain` prints. A code never changes its meaning. An error refuses; a
warning is printed and kept with the run. `accept: [KFC263]` in a spec, or the name of the
check, leaves a check out where the section says so. [The doctor](doctor.md) says how to
find what is wrong.
"""
_THEMES = {
    "spec": "KFC1xx: the spec",
    "data": "KFC2xx: the data",
    "first steps": "KFC3xx: the first steps",
    "while training": "KFC4xx: while training",
}


def page() -> str:
    """Returns the text of the page."""
    parts = [_HEAD]
    rows = sorted(CHECKS, key=lambda check: check.code)
    for theme, checks in groupby(rows, key=lambda check: when(check.code)):
        parts.append(f"## {_THEMES[theme]}\n")
        for check in checks:
            accepted = ", may be accepted" if check.acceptable else ""
            title = f"### {check.code} {check.name} {{ #{check.code} }}"
            parts.append(
                f"{title}\n\n*{check.severity}{accepted}*\n\n{sections()[check.code]}\n"
            )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
