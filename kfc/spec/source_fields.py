"""Checks the name of a source, such as `sklearn:digits`, without reading the source."""

from __future__ import annotations

import re

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kfc.errors import Finding, RegistryError, nearest
from kfc.registry import ALL_SOURCES
from kfc.spec.messages import findings_error
from kfc.spec.plain_values import shown_value

OWN = "own"
"""Value of `data.validation` for the validation rows that are part of the data."""

NO_TEST = "none"
"""Value of `data.test` where no rows are set aside for the test."""
_LONGEST = 4096  # characters, the limit of a path


class SourceSchema:
    """Adds the installed kinds of sources to the JSON Schema of a source's name.

    Args:
        words: Values that are no names of sources.
    """

    def __init__(self, *words: str) -> None:
        self._words = words

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns a schema whose pattern has the same meaning in ECMA 262 and Python."""
        kinds = "|".join(re.escape(kind) for kind in ALL_SOURCES.names())
        schema = handler(core_schema)
        named = {**schema, "pattern": f"^({kinds}):.", "maxLength": _LONGEST}
        return {"anyOf": [named, {"enum": [*self._words]}]} if self._words else named


def check_source_name(value: str) -> str:
    """Checks that `value` has the form `kind:argument`, and that the kind is known."""
    kind, colon, argument = value.partition(":")
    if not colon or not argument:
        close = "" if kind in ALL_SOURCES.names() else nearest(value, ALL_SOURCES.names())
        raise findings_error(
            Finding(
                "",
                "kind:argument, such as sklearn:digits",
                shown_value(value),
                f"{close}Known kinds: {', '.join(ALL_SOURCES.names())}.",
            )
        )
    if not value.isprintable() or len(value) > _LONGEST:
        expected = f"at most {_LONGEST} printable characters"
        raise findings_error(
            Finding("", expected, shown_value(value), "Rename the file or data set.")
        )
    try:
        ALL_SOURCES.check(kind)
    except RegistryError as error:
        finding = error.findings[0]
        raise findings_error(
            Finding("", finding.expected, finding.got, finding.remedy)
        ) from error
    return value


def check_test(value: str) -> str:
    """Checks the name of the source of test rows, or `none`."""
    return value if value == NO_TEST else check_source_name(value)


def check_validation(value: str) -> str:
    """Checks the name of the source of validation rows, or `own`."""
    if value == OWN:
        return value
    if ":" not in value:
        raise findings_error(
            Finding(
                "",
                f"a share such as 0.1, a source as kind:argument, or {OWN}",
                shown_value(value),
                "Write 10 % as 0.1, without quotes.",
            )
        )
    return check_source_name(value)
