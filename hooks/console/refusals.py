"""Where in a request's text it went wrong: line and column of a refusal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text, counted from 1; `line_text` is the line itself, cut where it is long."""

    line: int
    column: int
    line_text: str


def place_of(text: str, issue: Mapping[str, Any]) -> Place | None:
    """Give where the issue of a refusal is: where the JSON breaks off, else the member that it names; else None."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _place(text, error.pos)
    except RecursionError:
        return None
    named = issue.get("expression") or [""]
    at = _member(text, 0, str(named[0]).split(".")) if named[0] else None
    return _place(text, at) if at is not None else None


def _place(text: str, at: int) -> Place:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : len(text) if end < 0 else end]
    return Place(text.count("\n", 0, at) + 1, at - start + 1, line.strip()[:80])


def _member(text: str, at: int, path: Sequence[str]) -> int | None:
    """Where a member of valid JSON begins; the innermost object on the way where it is not there itself."""
    at = _skip(text, at)
    if text[at : at + 1] != "{":
        return None
    begin, at = at, _skip(text, at + 1)
    while text[at : at + 1] == '"':
        key, after = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, after) + 1)  # over the colon
        if key == path[0]:
            inner = _member(text, value, path[1:]) if len(path) > 1 else None
            return at if inner is None else inner
        _, after = _DECODER.raw_decode(text, value)
        at = _skip(text, _skip(text, after) + 1)  # over the comma
    return begin


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
