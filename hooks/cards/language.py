"""The reader's language, English or Chinese: as a setting, an option or an address names it, or as a browser asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooks.cards.wording import Language

_RANGE = re.compile(
    r"\s*(\*|[A-Za-z]{1,8})((?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_TAG = re.compile(r"([A-Za-z]{1,8})(?:[-_][A-Za-z0-9]{1,8})*")
_PRIMARY: dict[str, Language] = {"en": "en", "zh": "zh-CN"}


def language_of(name: str) -> Language | None:
    """Read the name of a language, with or without region and script: all Chinese is `zh-CN`; None for any other."""
    tag = _TAG.fullmatch(name.strip())
    return _PRIMARY.get(tag[1].lower()) if tag else None


def page_language(asked: str | None, accept: str | None, default: Language) -> Language:
    """Choose the language of a page: the one that its address asks for, else as the browser does."""
    return language_of(asked or "") or reader_language(accept, default)


def reader_language(accept: str | None, default: Language) -> Language:
    """
    Choose `en` or `zh-CN` for an `Accept-Language` header; all Chinese is `zh-CN`.

    The highest q wins, then the order in the header; without any match it is the default. A part that cannot
    be read counts for nothing.
    """
    found: dict[Language, tuple[float, int]] = {}
    other: tuple[float, int] | None = None
    for place, part in enumerate((accept or "").split(",")):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        weight = (float(match[3] or 1), -place)
        if match[1] == "*":
            other = other or weight
        elif language := _PRIMARY.get(match[1].lower()):
            found[language] = max(weight, found.get(language, weight))
    if other is not None:
        for language in _PRIMARY.values():
            found.setdefault(language, other)
    wanted = {language: weight for language, weight in found.items() if weight[0] > 0}
    if not wanted:
        return default
    return max(wanted, key=lambda language: (wanted[language], language == default))
