"""The name of a source, as a spec writes it -> checked; nothing is read."""

from __future__ import annotations

import re

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kfc.errors import Finding, RegistryError, nearest
from kfc.registry import SOURCES
from kfc.spec.messages import findings_error
from kfc.spec.plain_values import shown_value

OWN = "own"
"""Word of `data.validation` for validation rows that the data themselves bring."""
_LONGEST = 4096  # characters, which is what a path may have


class SourceSchema:
    """Annotates the name of a source with its JSON Schema: the kinds that are installed."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns a string with a pattern that ECMA 262 and Python read alike."""
        kinds = "|".join(re.escape(kind) for kind in SOURCES.names())
        schema = handler(core_schema)
        return {**schema, "pattern": f"^({kinds}):.", "maxLength": _LONGEST}


def check_source_name(value: str) -> str:
    """Checks that `value` reads `kind:argument`, with a kind that somebody offers."""
    kind, colon, argument = value.partition(":")
    if not colon or not argument:
        close = "" if kind in SOURCES.names() else nearest(value, SOURCES.names())
        raise findings_error(
            Finding(
                "",
                "kind:argument, such as sklearn:digits",
                shown_value(value),
                f"{close}Known kinds: {', '.join(SOURCES.names())}.",
            )
        )
    if not value.isprintable() or len(value) > _LONGEST:
        expected = f"at most {_LONGEST} printable characters"
        raise findings_error(
            Finding("", expected, shown_value(value), "Name the file or set anew.")
        )
    try:
        SOURCES.check(kind)
    except RegistryError as error:
        finding = error.findings[0]
        raise findings_error(
            Finding("", finding.expected, finding.got, finding.remedy)
        ) from error
    return value


def check_validation(value: str) -> str:
    """Checks the name of a source where a share may stand too, which text is not."""
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
