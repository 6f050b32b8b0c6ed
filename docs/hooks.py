"""Adapts the pages to the site: links to files outside of `docs` are no links there.

On GitHub and in a clone, a page links to experiments and tests by a relative path. A site has
no such files, so it shows the path as text, or links to the repository of `repo_url`.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Replaces each link to a file outside of `docs`; mkdocs calls this for every page."""
    if config.repo_url:
        return _OUTSIDE.sub(rf"[\1]({config.repo_url.rstrip('/')}/blob/HEAD/\2)", markdown)
    return _OUTSIDE.sub(lambda link: _as_text(link[1], link[2]), markdown)


def _as_text(text: str, path: str) -> str:
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
