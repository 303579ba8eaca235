"""Vertebral levels in words: T10, D10, 胸10, 第10胸椎, "tenth thoracic vertebra", L3/4, T8-T10."""

from __future__ import annotations

import re

from fhir_mapping.words.fold import compiled

LARGEST = {"C": 7, "T": 12, "L": 5, "S": 5}
"""Letter of a vertebra -> how many there are."""

_LETTERS = {"颈": "c", "胸": "t", "腰": "l"}
_REGIONS = {"cervical": "c", "thoracic": "t", "dorsal": "t", "lumbar": "l"}
_ORDINALS = (
    [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
    ],
    ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"],
)
_NUMBERS = {word: str(place) for words in _ORDINALS for place, word in enumerate(words, 1)}
_HAN = r"十[一二]?|[一二三四五六七八九]"
_NO_COUNT = r"(?![\d.]|\s*(?:cm|mm|c?gy|戈瑞|fx|fr|f|天|日|月|年|周|次|个|区|岁|点|时|分|%|导联))"

_ORDINAL = compiled(
    rf"\b(\d{{1,2}}(?:st|nd|rd|th)|{'|'.join(_ORDINALS[0])}) ({'|'.join(_REGIONS)})"
    r"(?: (?:vertebral?(?: body)?|spine|segment))?\b"
)
_NUMBERED = compiled(
    rf"\b({'|'.join(_REGIONS)}) (?:vertebra |vertebral body |level )(?:no\.? ?)?(\d{{1,2}})\b{_NO_COUNT}"
)
_COUNTED = compiled(rf"第?\s*(\d{{1,2}}|{_HAN})\s*(?:节|个)?\s*([颈胸腰])椎体?")
_LETTERED = compiled(rf"([颈胸腰])(?:椎体?)?\s*第?\s*(\d{{1,2}}|{_HAN}){_NO_COUNT}(?:椎体?|节段?)?")
_LETTER = r"(?:th|[ctdl])"
_ONE = rf"{_LETTER}-?\d{{1,2}}{_NO_COUNT}(?![a-z])"
_NEXT = (
    rf"(?:\s*(?:-|–|~|/|、|to|至|到)\s*(?:{_LETTER}|s)?\d{{1,2}}{_NO_COUNT}(?![a-z])"
    rf"|\s*(?:,|and|&|和|及)\s*(?:{_ONE}|s[1-5](?![a-z\d])))"
)
LEVELS = compiled(rf"(?<![a-z0-9\-.])(?:{_ONE}{_NEXT}*)")
"""Levels in canonical words, as a run: "t8-t10", "l3/4", "c7, t1"."""

_PART = re.compile(r"(-|–|~|to|至|到|/|、|,|and|&|和|及)?\s*(th|[ctdls])?-?(\d{1,2})", re.ASCII)
_THROUGH = frozenset({"-", "–", "~", "to", "至", "到"})


def canonical(folded: str) -> str:
    """Give folded words with each level that is spelled out written as a letter and a number."""
    found = _ORDINAL.sub(lambda hit: f" {_REGIONS[hit[2]]}{_number(hit[1])} ", folded)
    found = _NUMBERED.sub(lambda hit: f" {_REGIONS[hit[1]]}{hit[2]} ", found)
    found = _LETTERED.sub(lambda hit: f" {_LETTERS[hit[1]]}{_number(hit[2])} ", found)
    found = _COUNTED.sub(lambda hit: f" {_LETTERS[hit[2]]}{_number(hit[1])} ", found)
    return re.sub(r" +", " ", found).strip()


def _number(said: str) -> str:
    return _NUMBERS.get(said) or re.sub(r"\D", "", said)


def level_of(run: str) -> str | None:
    """Give a run of levels as one word ("T8-T10", "C7,T1"); None where a number is none of the spine's."""
    found: list[str] = []
    letter = ""
    for separator, named, number in _PART.findall(run):
        letter = (named[:1] or letter).upper().replace("D", "T")
        if not 1 <= int(number) <= LARGEST[letter]:
            return None
        joint = ("-" if separator in _THROUGH else ",") if found else ""
        found.append(f"{joint}{letter}{int(number)}")
    return "".join(found) or None
