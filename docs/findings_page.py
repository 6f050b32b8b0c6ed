"""Writes `findings.md`, an index, and `findings/CODE.md`, a page for each check.

    python docs/findings_page.py

Their text is that inside the package. Run it after a change of `kfc/check_table.py` or
`kfc/diagnosing/findings.md`; a test compares the pages with what this module returns.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from kfc.check_table import CHECKS, Check
from kfc.diagnosing import sections, when

INDEX = Path(__file__).with_name("findings.md")
FOLDER = Path(__file__).with_name("findings")

_HEAD = """# Findings

Each check has a code, which never changes its meaning, and a page with its background, which
`kfc doctor --explain CODE` prints too. An error refuses; a warning is printed and kept with
the run. `accept: [KFC263]` in a spec, or the name of the check, leaves out a check that may
be accepted. [The doctor](doctor.md) says how to find what is wrong.

`python docs/findings_page.py` writes this page and those of the codes.
"""
_THEMES = {
    "spec": "KFC1xx: the spec",
    "data": "KFC2xx: the data",
    "first steps": "KFC3xx: the first steps",
    "while training": "KFC4xx: while training",
}
_PAGE = """# {code} {name}

*{kind}*

{text}

[All findings](../findings.md). `kfc doctor --explain {code}` prints this page.
"""


def index() -> str:
    """Returns the text of the index: a table of the checks of each theme."""
    parts = [_HEAD]
    rows = sorted(CHECKS, key=lambda check: check.code)
    for theme, checks in groupby(rows, key=lambda check: when(check.code)):
        parts.append(f"## {_THEMES[theme]}\n")
        lines = ["| code | name | kind |", "|---|---|---|"]
        for check in checks:
            link = f"[{check.code}](findings/{check.code}.md)"
            lines.append(f"| {link} | `{check.name}` | {_kind(check)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Returns the text of every page by its file, the index included."""
    found = {INDEX: index()}
    for check in CHECKS:
        found[FOLDER / f"{check.code}.md"] = _PAGE.format(
            code=check.code,
            name=check.name,
            kind=f"{_kind(check)}, {when(check.code)}",
            text=sections()[check.code],
        )
    return found


def write() -> None:
    """Writes every page, and removes those of codes that no check has."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    for path in {*FOLDER.iterdir()} - pages().keys():
        path.unlink()


def _kind(check: Check) -> str:
    return f"{check.severity}, may be accepted" if check.acceptable else check.severity


if __name__ == "__main__":
    write()
