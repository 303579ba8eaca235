"""A text as names are looked for in."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from fhir_mapping.words.fold import SIMPLIFIED

LONGEST_NAME = 4000
"""Characters of a text in which names are looked for: a longer one is no name, and must neither hold up a call nor fill
a cache."""


def plain(text: str) -> str:
    """
    Give a text as names are looked for in.

    NFKC, lower case, traditional Chinese as simplified, no accents on Latin letters, single blanks.
    """
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
    bare = unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return bare.translate(SIMPLIFIED)


_ACCENTS = re.compile(r"[\u0300-\u036f]")


def rewritten(text: str, pattern: str, words: str, *, count: int = 0) -> str:
    """Give a text with what a pattern finds in it written anew (`count` times, 0 for all); the rest as it was."""
    places = [hit.span() for hit in re.finditer(pattern, text.translate(SIMPLIFIED), re.IGNORECASE | re.ASCII)]
    for start, end in reversed(places[: count or None]):
        text = text[:start] + words + text[end:]
    return text
