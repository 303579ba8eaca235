"""The reader's language: the best match of `Accept-Language` among English and Chinese."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooks.cards.wording import Language

_RANGE = re.compile(
    r"\s*(\*|[A-Za-z]{1,8})((?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_PRIMARY: dict[str, Language] = {"en": "en", "zh": "zh-CN"}


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
