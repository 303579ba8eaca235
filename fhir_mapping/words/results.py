"""What a result's own words say: positive or negative, no value at all, or a number with its comparator and unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fhir_mapping.words.fold import compiled, fold

NUMBER = r"(\d+(?:\.\d+)?)"
_COMPARATOR = {
    "<": "<",
    "<=": "<=",
    "≤": "<=",
    ">": ">",
    ">=": ">=",
    "≥": ">=",
    "gt": ">",
    "lt": "<",
    "ge": ">=",
    "le": "<=",
}
_QUANTITY = compiled(
    r"^\s*(?:约|大约|approximately|approx\.?|about|~)?\s*(<=|>=|<|>|≤|≥|gt|lt|ge|le)?\s*"
    rf"{NUMBER}(?:\s*(?:-|–|to|~|至|到)\s*{NUMBER})?\s*([^\d\s].{{0,30}})?\s*$"
)
_MARK = r"(?:[↑↓▲▼*★]+|\((?:hh?|ll?|high|low|abnormal|normal|[↑↓]+|偏?[高低]|异常|正常)\))"
_MARKED = compiled(rf"^\s*{_MARK}\s*|(?<=\d)\s*{_MARK}(?!\s*\d)\s*|\s*{_MARK}\s*$|\s(?:hh?|ll?|high|low|偏?[高低])\s*$")
"""What a laboratory prints beside a number that is out of range: an arrow, a star, H or L."""
_RANGE_BESIDE = compiled(
    rf"\s*[(\[]\s*(?:ref(?:erence)?\.?(?: (?:range|interval))?|normal|nl|参考(?:值|范围|区间)?)?[: ]*"
    rf"{NUMBER}\s*[-–~]+\s*{NUMBER}[^()\[\]\d]{{0,16}}[)\]]\s*$"
)
_THOUSANDS = compiled(r"(?<![\d.,])(\d{1,3}),(\d{3})(?=\s*(?:/|cells|个))")
_DECIMAL_COMMA = compiled(r"(?<![\d.,])(\d+),(\d{1,2})(?![\d,])")
_NO_VALUE = compiled(
    r"see (?:comment|note|report|below)|\btnp\b|test not performed|not (?:done|performed|reported)|未做|未查"
    r"|未测(?!出)|未检测(?!到)|no (?:result|sample|specimen|material)\b|无(?:法|结果)"
    r"|ha?emoly[sz]ed|溶血|insufficient|\bqns\b|clotted|clumped|cancel|pending|待回|标本|failed|失败"
    r"|too small to quantif|unable"
)
_NEGATIVE = compiled(
    r"^\s*(?:阴性|未(?:检出|检测到|测出|检到|发现|见)|不存在|正常|\(-\)|neg(?:ative)?\b"
    r"|not (?:detected|identified|found|seen|present|observed)|none|absent|no\b|nil|undetect(?:ed|able)|否|无)"
)
_POSITIVE = compiled(r"^\s*(?:阳性|检出|\(\+\)|[1-4]\+|\+{1,4}$|pos(?:itive)?\b|detected|present|yes|是|有)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A number written as text: `low` to `high` (equal for one number), comparator and written unit."""

    low: str
    high: str
    comparator: str = ""
    unit: str = ""


def quantity(text: str) -> Spoken | None:
    """Read a number written as text (`>90`, `GT 45`, `<0.2 mg/dL`, `10-15 %`, `１.２`); None if it is none."""
    found = _QUANTITY.match(_bare(fold(text)))
    if found is None:
        return None
    comparator, low, high, unit = found.groups()
    return Spoken(low, high or low, _COMPARATOR.get(comparator or "", ""), (unit or "").strip())


def _bare(folded: str) -> str:
    """Take away what stands beside a number and is not of it: marks, the laboratory's own range, a comma's meaning."""
    plain = _MARKED.sub(" ", _RANGE_BESIDE.sub("", folded))
    return _DECIMAL_COMMA.sub(r"\1.\2", _THOUSANDS.sub(r"\1\2", plain)).strip()


def is_no_value(text: str) -> bool:
    """Tell whether a result text says that there is no result ("see comment", "hemolyzed", "未做")."""
    return _NO_VALUE.search(fold(text)) is not None


def polarity(text: str, *, presence: bool = False) -> Literal["positive", "negative"] | None:
    """
    Tell whether a result text says positive or negative.

    A bare `-` is negative only under a presence-type code (`presence`); elsewhere it is a placeholder.
    """
    folded = fold(text).strip()
    if folded in {"-", "－", "—"}:
        return "negative" if presence else None
    if _NEGATIVE.match(folded):
        return "negative"
    if _POSITIVE.match(folded):
        return "positive"
    return None
