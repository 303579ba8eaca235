"""Makes HTML of Markdown and JSON that may hold anything."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import nh3
from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

TAGS = {
    "p",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "code",
    "pre",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "a",
    "h3",
    "h4",
    "hr",
}


SECRETS = frozenset({"access_token", "id_token", "refresh_token"})
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+!|~])")


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - a process that shows no page needs none

    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")


def markdown(text: object) -> Markup:
    """Render Markdown: no HTML, no images, https links only."""
    cleaned = nh3.clean(
        _parser().render(str(text)),
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"https"},
        link_rel="noopener noreferrer",
    )
    return Markup(cleaned)  # noqa: S704 - cleaned right above


def ours(page: str) -> Markup:
    """Take a part of a page as it is: our own templates wrote it and escaped what came from a chart."""
    return Markup(page)  # noqa: S704 - written and escaped by our own templates


def plain(text: str) -> str:
    """Take back what made a text harmless in Markdown: the template makes it harmless in HTML."""
    return html.unescape(_ESCAPED.sub(r"\1", text))


def pretty(text: str) -> str:
    """Indent JSON, with access tokens blacked out; anything else as it is (the template escapes it)."""
    try:
        return indented(_without_secrets(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def indented(value: object) -> str:
    """Write JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_number)


def _number(value: Any) -> int | float:  # noqa: ANN401 - a Decimal, as our own cards hold them
    return int(value) if value == value.to_integral_value() else float(value)


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {key: "…" if key in SECRETS else _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value
