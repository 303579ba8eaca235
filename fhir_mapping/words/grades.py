"""
Grades and numbers that reports tell in words: ESCC (Bilsky), SINS, plasma cells in the marrow, SUVmax.

Each passes the judge of assertions, and of several statements the newest about now counts ("previously 3; now 1b" is
1b). Where several are said of now (two levels, aspirate and biopsy), the graver one counts.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.words.assertions import judge_all
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST, Mention

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

MOST = 20
"""Statements of one grade that are looked at."""
ESCC_GRADES = ("0", "1a", "1b", "1c", "2", "3")

_PAST = compiled(
    r"\b(?:previous(?:ly)?|prior|before|earlier|initial(?:ly)?|formerly|was|were|had been|from|baseline"
    r"|last (?:exam|scan|mri|study))\b|既往|之前|此前|以前|原(?:为|先)?|上次|前次|前片|治疗前|放疗前|术前|曾"
)
_NOW = compiled(
    r"\b(?:now|current(?:ly)?|today|at present|present(?:ly)?|new|is|are|to|after|following)\b|->|→"
    r"|现(?:为|在)?|目前|本次|今日?|降至|升至|变为|进展为|治疗后|放疗后|术后"
)
_CLAUSE_ENDS = compiled(r"[,;。\n]|\.(?= |$)")


@dataclass(frozen=True, slots=True)
class Range:
    """A number told in words, from `low` to `high` (equal for one number)."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class _Statement:
    """A grade found at `start:end`, where its value begins at `value`, with its captured words."""

    start: int
    value: int
    end: int
    words: tuple[str | None, ...]


def _about_now(folded: str, statements: Sequence[_Statement], name: str) -> list[_Statement]:
    """Give the statements that are denied, doubted and past no longer; the past ones where nothing else is told."""
    verdicts = judge_all(folded, [Mention(name, one.start, one.end) for one in statements])
    stated = [one for one, verdict in zip(statements, verdicts, strict=True) if verdict in {"present", "historical"}]
    now = [one for one in stated if not _is_past(folded, one)]
    return now or stated


def _is_past(folded: str, one: _Statement) -> bool:
    """Tell whether the last word of time before a value in its clause is one of the past."""
    begin = max(0, one.value - 80)
    for end in _CLAUSE_ENDS.finditer(folded, begin, one.start):
        begin = end.end()
    clause = folded[begin : one.value]
    past = max((hit.end() for hit in _PAST.finditer(clause)), default=-1)
    present = max((hit.end() for hit in _NOW.finditer(clause)), default=-1)
    return past > present


def _statements(folded: str, pattern: re.Pattern[str]) -> list[_Statement]:
    return [
        _Statement(
            hit.start(), hit.start("value"), hit.end(), (hit["value"], *map(hit.groupdict().get, ("upto", "sign")))
        )
        for hit in itertools.islice(pattern.finditer(folded), MOST)
    ]


def _said(folded: str, pattern: re.Pattern[str], name: str, further: re.Pattern[str] | None = None) -> list[_Statement]:
    """Give the statements of a grade that count; `further` finds its later values without the name ("now 1b")."""
    statements = _statements(folded, pattern)
    if statements and further is not None:
        after = statements[0].end
        statements += [one for one in _statements(folded, further) if one.start >= after]
    return _about_now(folded, statements, name)


# --- compression of the cord --------------------------------------------------------------------------------

_GRADE = r"(?P<value>0|1[abc]|[123])[a-c]?(?![\d%]|\.\d)(?: ?[-~/–] ?(?P<upto>1[abc]|[123])(?![\d%/]|\.\d))?"
_NAMED = compiled(r"\bescc\b|\bbilsky\b|硬膜外脊髓压迫分级")
_ESCC = compiled(rf"(?:{_NAMED.pattern})[^\d;。\n]{{0,24}}?{_GRADE}")
_ESCC_LATER = compiled(
    rf"(?:\bnow\b|\bcurrently\b|\b(?:im|pro|re)[a-z]{{3,8}}ed to\b|\b(?:de|in)creased to\b|\bto\b|→|->|现为?|目前为?"
    rf"|降至|升至|变为|进展为) ?(?:grade ?|escc ?|bilsky ?)?{_GRADE}"
)
_BARE = compiled(r" ?(?:grade ?|级 ?)?(0|1[abc]|[123])[a-c]? ?级?")


def escc(said: str, *, of_its_own: bool = False) -> tuple[str, ...]:
    """
    Give the ESCC grades that a text leaves open: one where it is told, three for a bare "1", none where nothing is.

    `of_its_own`: the text is the value of a result called ESCC, so that a bare grade counts ("1b", "previously 3").
    """
    return _escc(said[:LONGEST], of_its_own)


def _escc(said: str, of_its_own: bool) -> tuple[str, ...]:
    folded = fold(said).strip()
    if of_its_own:
        bare = _BARE.fullmatch(folded)
        if bare:
            return _open(bare[1], None)
        folded = folded if _NAMED.search(folded) else f"escc {folded}"
    elif not _NAMED.search(folded):
        return ()
    found = [_open(*one.words) for one in _said(folded, _ESCC, "escc", _ESCC_LATER)]
    return max(found, key=lambda grades: [ESCC_GRADES.index(one) for one in reversed(grades)], default=())


def _open(value: str | None, upto: str | None, _: str | None = None) -> tuple[str, ...]:
    """Give the grades that a written one stands for."""
    first, last = (("1a", "1b", "1c") if one == "1" else (one or "",) for one in (value, upto or value))
    low, high = ESCC_GRADES.index(first[0]), ESCC_GRADES.index(last[-1])
    return ESCC_GRADES[min(low, high) : max(low, high) + 1]


# --- numbers ------------------------------------------------------------------------------------------------

_SINS = compiled(
    r"(?:\bsins\b|\bspin(?:al|e) instability neoplastic score\b|脊柱(?:肿瘤)?不稳定(?:性)?(?:肿瘤)?评分)"
    r"[^\d;。\n]{0,20}?(?P<value>\d{1,2})(?![\d%]|\.\d)"
)
_SHARE = (
    r"(?P<sign>[<>≤≥])?=? ?(?<![\d.])(?P<value>\d{1,3}(?:\.\d+)?) ?%?"
    r"(?: ?(?:-|~|–|to|至|到) ?(?P<upto>\d{1,3}(?:\.\d+)?))? ?%"
)
_MARROW = compiled(rf"(?:\bplasma[- ]?cells?\b|\bplasmacytosis\b|浆细胞)[^\d,;。\n<>≤≥]{{0,28}}?{_SHARE}")
_MARROW_BEFORE = compiled(
    rf"{_SHARE} ?(?:(?:clonal|monoclonal|kappa|lambda|abnormal|neoplastic|atypical|monotypic) )*"
    r"(?:plasma[- ]?cells?\b|浆细胞)"
)
_NO_MARROW = compiled(
    r"\bfish\b|cd\d|nuclei|t ?\(|del|1q|17p|13q|流式|荧光|外周血|peripheral blood|normal (?:range|value)|参考"
)
_SUV = compiled(r"\bsuv ?\(?(?:max)?\)?[^\d;。\n]{0,12}?(?P<value>\d{1,2}(?:\.\d+)?)(?![\d%])")
_LATER = compiled(r"(?:\bnow\b|\bcurrently\b|→|->|现为?|目前为?|降至|升至) ?(?P<value>\d{1,2})(?![\d%]|\.\d)")
SINS_MOST, PERCENT_MOST = 18, 100


def sins(said: str) -> int | None:
    """Give the spinal instability neoplastic score (0 to 18) that a text tells of now."""
    found = [int(one.words[0] or 0) for one in _said(fold(said[:LONGEST]), _SINS, "sins", _LATER)]
    return max((score for score in found if score <= SINS_MOST), default=None)


def marrow(said: str) -> Range | None:
    """Give the share of plasma cells in the marrow (%); of aspirate and biopsy the higher, as IMWG has it."""
    folded = fold(said[:LONGEST])
    found: list[Range] = []
    for pattern in (_MARROW, _MARROW_BEFORE):
        for one in _said(folded, pattern, "marrow"):
            found += [] if _NO_MARROW.search(_clause_before(folded, one)) else _percentages(one)
    return max(found, key=lambda one: (one.high, one.low), default=None)


def _percentages(one: _Statement) -> list[Range]:
    value, upto, sign = one.words
    low, high = Decimal(value or 0), Decimal(upto or value or 0)
    if sign in {"<", "≤"}:
        low = Decimal(0)
    elif sign is not None:
        high = Decimal(PERCENT_MOST)
    return [Range(low, high)] if low <= high <= PERCENT_MOST else []


def _clause_before(folded: str, one: _Statement) -> str:
    begin = max((end.end() for end in _CLAUSE_ENDS.finditer(folded, max(0, one.start - 120), one.start)), default=0)
    return folded[max(begin, one.start - 120) : one.end]


def suv_max(said: str) -> Decimal | None:
    """Give the highest SUVmax that a text tells of now."""
    return max((Decimal(one.words[0] or 0) for one in _said(fold(said[:LONGEST]), _SUV, "suv")), default=None)
