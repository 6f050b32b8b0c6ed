"""Describes a result by a few facts, as text for a terminal or as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Mapping

from kfc.errors import one_line

_TEMPLATE = """<table>
<caption style="caption-side: top; text-align: left"><b>{{ title }}</b></caption>
<tbody>
{%- for name, value in facts.items() %}
<tr><th scope="row" style="text-align: left">{{ name }}</th>
<td style="text-align: left">
{%- if name in links %}<a href="{{ links[name] }}">{{ value }}</a>
{%- else %}{{ value }}{% endif -%}
</td></tr>
{%- endfor %}
</tbody>
</table>"""


def described(title: str, facts: Mapping[str, str]) -> str:
    """Returns a title and one line for each fact.

    Names and values may come from data, so characters that steer a terminal are escaped.

    Args:
        title: Kind and name of the result.
        facts: Name -> value, at most seven facts.
    """
    width = max(map(len, facts), default=0)
    lines = [f"  {one_line(name):{width}}  {one_line(value)}" for name, value in facts.items()]
    return "\n".join([one_line(title), *lines])


def described_as_html(
    title: str, facts: Mapping[str, str], links: Mapping[str, str] | None = None
) -> str:
    """Returns a title and facts as an HTML table in which every text is escaped.

    Args:
        title: Kind and name of the result.
        facts: Name -> value, at most seven facts.
        links: Name of a fact -> relative address to which it leads.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(title=title, facts=facts, links=links or {})
