"""Text as all patterns expect it: one width, one case, simplified Chinese, no accents, single blanks."""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

_BLANKS = re.compile(r"[ \t\r\f\v]+")
_LEADERS = re.compile(r"(?<=[^\s.])[ ]?\.(?:[ ]?\.){3,}")
"""Dots that lead from a name to its result, as forms print them; three are an ellipsis."""


def compiled(words: str) -> re.Pattern[str]:
    """Compile a pattern for mixed text: a Latin word ends where a Chinese one begins ("MRD阴性", "T12椎体")."""
    return re.compile(words, re.ASCII)


def _simplified() -> dict[int, str]:
    lines = files("fhir_mapping.words").joinpath("traditional.txt").read_text("utf-8").splitlines()
    traditional, simplified = (line for line in lines if not line.startswith("#"))
    return dict(zip(map(ord, traditional), simplified, strict=True))


def _plain_latin() -> dict[int, str]:
    """Latin letters with an accent, each by its letter alone; other scripts keep their signs."""
    found: dict[int, str] = {}
    for number in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        letters = "".join(one for one in unicodedata.normalize("NFKD", chr(number)) if not unicodedata.combining(one))
        if len(letters) == 1 and letters.isascii() and letters.isalpha():
            found[number] = letters.lower()
    return found


SIMPLIFIED = _simplified()
"""Traditional Chinese characters, each with its simplified one."""
_FOLDED = {**SIMPLIFIED, **_plain_latin()}


def fold(text: str) -> str:
    """
    Give text as the patterns expect it.

    NFKC (full-width forms become usual ones), leading dots as a colon, lower case, traditional Chinese as simplified,
    accents dropped, single blanks. Line ends stay: they end a sentence.
    """
    if "...." in text or ". . . ." in text:
        text = _LEADERS.sub(": ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_FOLDED)
    return _BLANKS.sub(" ", text.lower())
