"""The background of each finding, which the command and the documentation print."""

from __future__ import annotations

import functools
import re
from importlib import metadata, resources

from kfc.check_plugins import CheckPlugin
from kfc.check_table import CHECKS
from kfc.errors import Finding, SpecError, nearest, nearest_name
from kfc.findings import find_check
from kfc.registry import CHECK_PLUGINS

FILE = "findings.md"
_SECTION = re.compile(r"^## (KFC\d+) (\w+)\n", re.MULTILINE)


def background(code: str) -> str:
    """Returns the background of a finding: its cause, its cure and the sources.

    Examples:
        >>> print(kfc.diagnosing.background("KFC323").splitlines()[0])
        KFC323 units_identical (error, first steps)

    Args:
        code: Code such as `KFC323`, or name of the check, also of a plug-in.

    Raises:
        SpecError: If there is no such check.
    """
    check = find_check(code if not code.lower().startswith("kfc") else code.upper())
    if check is None and code in CHECK_PLUGINS.names():
        plugin = CHECK_PLUGINS.get(code)
        CHECK_PLUGINS.require(plugin, CheckPlugin, code)
        return (
            f"{plugin.code} {code} ({plugin.severity}, {plugin.stage})\n\n{plugin.background}"
        )
    if check is None:
        expected = "the code of a check"
        raise SpecError(Finding("--explain", expected, repr(code), _nearest_check(code)))
    about = f"{check.severity}, {when(check.code)}"
    title, page = f"{check.code} {check.name} ({about})", page_address(check.code)
    text = f"{title}\n\n{sections()[check.code]}"
    return f"{text}\n\nPage: {page}" if page else text


def _nearest_check(code: str) -> str:
    """Returns a remedy with the name or the code that is closest to one that no check has."""
    known = [each.name for each in CHECKS] + CHECK_PLUGINS.names()
    known += [each.code for each in CHECKS]
    if remedy := nearest(code, known):
        return remedy.strip()
    # No name is close as a whole, and a word of one may be.
    words = {word: name for name in known for word in name.split("_")}
    given = code.lower().replace("-", "_").split("_")
    close = [name for word in given if (name := words.get(nearest_name(word, words), ""))]
    if close:
        return f"Did you mean {close[0]!r}?"
    codes = sorted(check.code for check in CHECKS)
    return f"Use a code from {codes[0]} to {codes[-1]}, or a name such as {CHECKS[0].name}."


def page_address(code: str) -> str:
    """Returns the address of a finding's page; an empty text where the docs have no site.

    Examples:
        >>> kfc.diagnosing.page_address("KFC323")
        ''

    Args:
        code: Code of a check, such as `KFC323`.
    """
    try:
        addresses = metadata.metadata("keras-fully-connected").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # the folder of a clone, which is not installed
        addresses = []
    for name, _, site in (each.partition(", ") for each in addresses):
        if name == "Documentation":
            return f"{site.rstrip('/')}/findings/{code}/"
    return ""


def when(code: str) -> str:
    """Returns when a problem shows, by the first digit of its code."""
    return {"1": "spec", "2": "data", "3": "first steps", "4": "while training"}[code[3]]


@functools.lru_cache
def sections() -> dict[str, str]:
    """Returns the text of each section of the background by its code."""
    text = resources.files("kfc.diagnosing").joinpath(FILE).read_text("utf-8")
    parts = _SECTION.split(text)[1:]  # code, name, text, code, ...
    return {code: body.strip() for code, body in zip(parts[::3], parts[2::3], strict=True)}
