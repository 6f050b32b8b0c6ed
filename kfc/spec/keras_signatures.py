"""The names and options of every component, readable without importing Keras.

`signatures.json` holds them: kind -> name -> option -> default. A test compares it with
the installed Keras; `python tests/spec/installed_signatures.py` writes it anew.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

REQUIRED = "<required>"
UNREAD = "<unread>"  # the default of a plug-in's option, which is not imported yet


@functools.cache
def signatures(kind: str) -> dict[str, dict[str, Any]]:
    """Returns name -> option -> default for one kind of component."""
    text = resources.files("kfc.spec").joinpath("signatures.json").read_text("utf-8")
    table: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    return table.get(kind, {})
