"""One number of an Observation (or of its component) as a fact, with unit, bounds and flags."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from fhir_mapping.terms import dictionary, exact, units
from fhir_mapping.terms.codes import code_text, codings, text_of, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import grades, results
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Reading, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.dictionary import ReadingRule

OWN_UNIT = "*"
"""Stands for the fact's own unit: zero is zero in every unit."""
MASKED = frozenset({"masked", "not-permitted"})


class Number(msgspec.Struct, frozen=True, gc=False):
    """
    A number as sent: its ends, which of them are open, the UCUM unit (`""` none, None unreadable), the words.

    `worded` is the UCUM unit that the words beside a coded unit mean, where they mean one.
    """

    low: Decimal | None
    high: Decimal | None
    unit: str | None
    low_open: bool = False
    high_open: bool = False
    written: str = ""
    flags: tuple[str, ...] = ()
    worded: str | None = None


# --- numbers ------------------------------------------------------------------------------------------------


def absence(element: Mapping[str, Any]) -> Reason | None:
    """Tell why a result has no value, when it says so: withheld on purpose, or simply none."""
    found = {code_text(coding.get("code")) for coding in codings(element.get("dataAbsentReason"))}
    said = [text_of(element.get("dataAbsentReason"))]
    for holder in [element.get(name) for name in element if name.startswith("_value")] + [element.get("valueQuantity")]:
        for extension in holder.get("extension", ()) if isinstance(holder, dict) else ():
            if isinstance(extension, dict):
                found.add(code_text(extension.get("valueCode")))
                found |= {code_text(c.get("code")) for c in codings(extension.get("valueCodeableConcept"))}
    found.discard("")
    if found & (MASKED | {"MSK"}):
        return "masked"
    return "no-value" if found or any(said) else None


def number_of(
    element: Mapping[str, Any], context: ReadingContext, *, negative_is_zero: bool = False
) -> Number | Reason:
    """Give the number an Observation or component holds, in whatever shape; the reason when it holds none."""
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict) and is_number(quantity.get("value")):
        return _from_quantity(quantity, context)
    if is_number(element.get("valueInteger")):
        number = Decimal(str(element["valueInteger"]))
        return Number(number, number, "", written=str(number))
    if isinstance(element.get("valueRange"), dict):
        return _from_range(element["valueRange"], context)
    if isinstance(element.get("valueRatio"), dict):
        return _from_ratio(element["valueRatio"], context)
    words = [element["valueString"]] if isinstance(element.get("valueString"), str) else []
    if coded := element.get("valueCodeableConcept"):
        concepts = {match.concept for match in context.concepts(coded, "Observation")}
        if negative_is_zero and "result_negative" in concepts:
            return Number(Decimal(0), Decimal(0), OWN_UNIT, written=text_of(coded))
        words += texts_of(coded)
    for said in words:
        if (found := _from_words(said, context, negative_is_zero=negative_is_zero)) is not None:
            return found
    return absence(element) or "no-value"


def _from_quantity(quantity: Mapping[str, Any], context: ReadingContext) -> Number:
    unit, shown, worded = units.written(quantity, context.site.unit_aliases)
    comparator = quantity.get("comparator")
    written = f"{comparator or ''}{quantity['value']} {shown}".strip()
    number = _compared(
        exact.number(quantity["value"]), comparator if isinstance(comparator, str) else "", unit, written
    )
    return replace(number, worded=worded) if worded and worded != unit else number


def _compared(value: Decimal, comparator: str, unit: str | None, written: str, *flags: str) -> Number:
    if comparator in {"<", "<="}:
        return Number(None, value, unit, high_open=comparator == "<", written=written, flags=flags)
    if comparator in {">", ">="}:
        return Number(value, None, unit, low_open=comparator == ">", written=written, flags=flags)
    return Number(value, value, unit, written=written, flags=flags)


def _from_range(given: Mapping[str, Any], context: ReadingContext) -> Number | Reason:
    low, high = given.get("low"), given.get("high")
    ends = [end for end in (low, high) if isinstance(end, dict) and is_number(end.get("value"))]
    if not ends:
        return "no-value"
    spelled = {units.ucum(end, context.site.unit_aliases) for end in ends} - {""}
    unit = spelled.pop() if len(spelled) == 1 else "" if not spelled else None
    least = exact.number(low["value"]) if isinstance(low, dict) and low in ends else None
    most = exact.number(high["value"]) if isinstance(high, dict) and high in ends else None
    shown = next((said for end in ends if (said := units.shown(end, context.site.unit_aliases))), "")
    edges = f"{'' if least is None else least}–{'' if most is None else most}"
    return Number(least, most, unit, written=f"{edges} {shown}".strip())


def _from_ratio(given: Mapping[str, Any], context: ReadingContext) -> Number | Reason:
    top, bottom = given.get("numerator"), given.get("denominator")
    if not isinstance(top, dict) or not is_number(top.get("value")):
        return "no-value"
    over = Decimal(str(top["value"]))
    under, under_unit = Decimal(1), ""
    if isinstance(bottom, dict):
        if is_number(bottom.get("value")):
            under = Decimal(str(bottom["value"]))
        under_unit = units.ucum(bottom, context.site.unit_aliases) or ""
    if under <= 0:
        return "no-value"
    over_unit = units.ucum(top, context.site.unit_aliases)
    unit = "1" if over_unit in {"", "1", under_unit} else over_unit if under_unit in {"", "1"} else None
    return Number(over / under, over / under, unit, written=f"{over}:{under}")


def _from_words(said: str, context: ReadingContext, *, negative_is_zero: bool) -> Number | Reason | None:
    if results.is_no_value(said):
        return "no-value"
    if (count := _count(said, context)) is not None:
        return count
    spoken = results.quantity(said)
    if spoken is not None:
        unit = ""
        if spoken.unit:
            unit = context.site.unit_aliases.get(units.fold(spoken.unit)) or units.spelled(spoken.unit) or ""
            if not unit:
                return Number(Decimal(spoken.low), Decimal(spoken.high), None, written=said, flags=("from-text",))
        if spoken.low != spoken.high:
            return Number(Decimal(spoken.low), Decimal(spoken.high), unit, written=said, flags=("from-text",))
        return _compared(Decimal(spoken.low), spoken.comparator, unit, said, "from-text")
    if negative_is_zero and (
        results.polarity(said) == "negative" or re.search(r"\bno (?:m-?\s?spike|monoclonal)|未见", fold(said), re.ASCII)
    ):
        return Number(Decimal(0), Decimal(0), OWN_UNIT, written=said, flags=("from-text",))
    return None


_COUNT = compiled(
    r"(<=|>=|<|>|≤|≥)?\s*(\d+(?:\.\d+)?)(?:\s*[-–~]\s*(\d+(?:\.\d+)?))?\s+(10\s*(?:\*{1,2}|\^|e)?\s*\d{1,2}\s*/.{1,20})"
)
"""A count whose unit begins with a number too ("6.0 10*9/L", "150 10^3/uL", "6.0 10⁹/L")."""


def _count(said: str, context: ReadingContext) -> Number | None:
    """Read a count written as text with its unit."""
    found = _COUNT.fullmatch(fold(said).strip())
    if found is None:
        return None
    comparator, low, high, written = found.groups()
    unit = context.site.unit_aliases.get(units.fold(written)) or units.spelled(written)
    if high is not None:
        return Number(Decimal(low), Decimal(high), unit, written=said, flags=("from-text",))
    comparator = {"≤": "<=", "≥": ">="}.get(comparator or "", comparator or "")
    return _compared(Decimal(low), comparator, unit, said, "from-text")


def reading_of(element: Mapping[str, Any], rule: ReadingRule, context: ReadingContext) -> Reading:
    """
    Give the reading of an Observation or component by a rule of `facts.toml`.

    Unknown with its reason (`no-value`, `masked`, `unit`, `implausible`) when there is no usable number; the
    value as sent stays with it.
    """
    blank = dictionary.blank_reading(rule.fact)
    number = number_of(element, context, negative_is_zero=rule.negative_is_zero)
    if isinstance(number, str):
        return _marrow_in_words(element, blank) or replace(blank, reason=number)
    return measured(number, rule, blank)


def _marrow_in_words(element: Mapping[str, Any], blank: Reading) -> Reading | None:
    """Read the plasma cells of a marrow that are told in a sentence (浆细胞占35%)."""
    said = element.get("valueString")
    found = grades.marrow(said) if blank.name == "mm.bmpc" and isinstance(said, str) else None
    if found is None:
        return None
    return replace(blank, low=found.low, high=found.high, reason=None, sent=said, flags=("from-text",))


_PLAIN = re.compile(r"[\w\s<>≤≥=＜＞.,，。、/*^%µ°·()（）\[\]{}+:∶：~–-]{1,60}")
_ODD = re.compile(r"%[0-9A-Fa-f]{2}|\w+-\w+[:：]|<\s*/?[A-Za-z]")
"""What stands in no result: encoded characters, the name of a header, a tag."""


def as_sent(number: Number) -> str | None:
    """Give the words of a result as people may be shown them; of words that are no plain result only the number."""
    if _PLAIN.fullmatch(number.written) and not _ODD.search(number.written):
        return number.written
    ends = [str(end) for end in dict.fromkeys((number.low, number.high)) if end is not None]
    return "–".join(ends) or None


def measured(number: Number, rule: ReadingRule, blank: Reading) -> Reading:
    """Give a number in the fact's unit: converted, tested for plausibility, an interval where it is a bound."""
    sent: dict[str, Any] = {"sent": as_sent(number), "flags": number.flags}
    if number.unit == OWN_UNIT:
        return replace(blank, low=Decimal(0), high=Decimal(0), reason=None, **sent)
    is_one = number.low is number.high
    is_exact = is_one or number.low == number.high
    sent |= {"sent_value": number.low if is_exact else None, "sent_unit": number.unit or None}
    ends: list[Decimal | None] = []
    for end in (number.low,) if is_one else (number.low, number.high):
        if end is None:
            ends.append(None)
            continue
        converted = units.convert(end, number.unit, blank.unit, rule.analyte)
        if converted is None:
            return replace(blank, reason="unit", **sent)
        if number.worded:
            as_worded = units.convert(end, number.worded, blank.unit, rule.analyte)
            if as_worded is None or as_worded.value != converted.value:
                sent["flags"] = tuple(dict.fromkeys((*number.flags, "unit-differs")))
        ends.append(converted.value)
    for end in ends:
        if end is not None and not rule.low <= end <= rule.high:
            return replace(blank, reason="implausible", **sent)
    low, high = ends[0], ends[-1]
    if low is not high and low is not None and high is not None and low > high:
        return replace(blank, reason="no-value", **sent)
    return replace(
        blank,
        low=rule.low if low is None else low,
        high=rule.high if high is None else high,
        low_open=number.low_open or (low is None and rule.low == 0 and blank.name in _NEVER_ZERO),
        high_open=number.high_open,
        reason=None,
        **sent,
    )


_NEVER_ZERO = frozenset({"mm.kappa", "mm.lambda", "mm.flc_ratio_kl"})
"""A chain "below the limit" is somewhere above nothing, never nothing."""
