"""A length of time told in words: "life expectancy 3–6 months", 预计生存期不足3个月."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.results import NUMBER
from fhir_mapping.words.targets import TARGETS

_SPAN_UNITS = (
    (compiled(r"^\s*(?:个月|月|months?\b|mos?\b)"), "mo"),
    (compiled(r"^\s*(?:周|weeks?\b|wks?\b)"), "wk"),
    (compiled(r"^\s*(?:年|years?\b|yrs?\b)"), "a"),
    (compiled(r"^\s*(?:天|日|days?\b)"), "d"),
)
_SPAN = compiled(
    r"(?P<lead>(?:\b(?:not|no)\s+|不)?"
    r"(?:小于|不足|少于|低于|less than|under|<|≤|超过|大于|多于|高于|more than|over|greater than|>|≥|至少|at least"
    r"|最多|at most|up to)?\s*(?:约|大约|about|approximately)?\s*)"
    + NUMBER
    + r"(?:\s*(?:-|–|~|to|至|到)\s*"
    + NUMBER
    + r")?"
)
_LESS = compiled(r"小于|不足|少于|低于|less than|under|<|≤|最多|at most|up to")
_MORE = compiled(r"大于|超过|多于|高于|more than|over|greater than|>|≥|至少|at least")
_WITH_EDGE = compiled(r"≤|≥|至少|at least|最多|at most|up to")
_ROUGH = compiled(r"约|大约|about|approximately|左右")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time read from text: numbers as written, UCUM unit, comparator, and whether it was "about"."""

    low: str
    high: str
    unit: str
    comparator: str = ""
    rough: bool = False


def time_span(text: str) -> Span | None:
    """Read the length of time after "life expectancy" / 预计生存期 (or alone); None without a number and unit."""
    folded = fold(text)
    anchor = TARGETS["life_expectancy"].pattern.search(folded)
    rest = folded[anchor.end() :] if anchor else folded
    found = _SPAN.search(rest[:60])
    if found is None:
        return None
    tail = rest[found.end() :]
    unit, behind = next(((name, hit.end()) for pattern, name in _SPAN_UNITS if (hit := pattern.match(tail))), (None, 0))
    if unit is None:
        return None
    low, high = found.group(2), found.group(3) or found.group(2)
    comparator = _comparator(found["lead"]) or ("" if low != high else _after_span(tail[behind:]))
    return Span(low, high, unit, comparator, _ROUGH.search(folded) is not None)


def _comparator(lead: str) -> str:
    """Give the comparator of the words before a number; "not less than" and 不少于 turn it round, edge included."""
    denied = re.match(r"\s*(?:not|no|不(?!足))", lead) is not None
    less, more = _LESS.search(lead) is not None, _MORE.search(lead) is not None
    if not less and not more:
        return ""
    edge = denied or _WITH_EDGE.search(lead) is not None
    return ("<" if less != denied else ">") + ("=" if edge else "")


def _after_span(tail: str) -> str:
    """Give the comparator of the words behind a length of time ("6 months or more", 3个月以内)."""
    if re.match(r"\s*(?:及?以上|\+|or (?:more|longer|above))", tail):
        return ">="
    return "<=" if re.match(r"\s*(?:及?以[内下]|之内|内|or (?:less|shorter|fewer|below))", tail) else ""
