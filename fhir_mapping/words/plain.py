"""A text as names are looked for in."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST_NAME = 4000
"""Characters of a text in which names are looked for: a longer one is no name, and must neither hold up a call nor fill
a cache."""


def plain(text: str) -> str:
    """Give a text as names are looked for in: NFKC, lower case, no accents on Latin letters, single blanks."""
    return _plain(text[:LONGEST_NAME])


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    # A row of digits as long as that is no number, and patterns that look for one would try it from every digit on.
    shown = re.sub(r"[0-9]{20,}", "#", _without_accents(text))
    return re.sub(r"\s+", " ", shown).strip().lower()


def _without_accents(text: str) -> str:
    """Zolédronique is zoledronique; the marks of kana and hangul are letters of their own and stay."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))


_ACCENTS = re.compile(r"[\u0300-\u036f]")
