"""Reads the names and options of all components without importing Keras.

`signatures.json` has the default of each option by kind, name and option. A test compares the
file with the installed Keras; `python tests/spec/installed_signatures.py` writes the file.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

REQUIRED = "<required>"
UNREAD = "<unread>"  # the default of an option of a plug-in, which is not imported yet


@functools.cache
def signatures(kind: str) -> dict[str, dict[str, Any]]:
    """Returns the default of each option by name and option, for a kind such as `loss`."""
    text = resources.files("kfc.spec").joinpath("signatures.json").read_text("utf-8")
    table: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    return table.get(kind, {})
