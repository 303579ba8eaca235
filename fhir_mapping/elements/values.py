"""One value of an Observation (or of its component) as a fact: number, yes/no or word, with unit, bounds and flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms import dictionary, units
from fhir_mapping.terms.codes import code_text, codings, text_of, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import assertions, grades, results
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.facts import Finding, Reading, Reason, replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.dictionary import ReadingRule

OWN_UNIT = "*"
"""Stands for the fact's own unit: zero is zero in every unit."""
MASKED = frozenset({"masked", "not-permitted"})


@dataclass(frozen=True, slots=True)
class Number:
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
    value = Decimal(str(quantity["value"]))
    unit = units.ucum(quantity, context.site.unit_aliases)
    shown = units.shown(quantity, context.site.unit_aliases)
    comparator = quantity.get("comparator")
    written = f"{comparator or ''}{quantity['value']} {shown}".strip()
    number = _compared(value, comparator if isinstance(comparator, str) else "", unit, written)
    worded = units.ucum({"unit": quantity.get("unit")}, context.site.unit_aliases)
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
    least = Decimal(str(low["value"])) if isinstance(low, dict) and low in ends else None
    most = Decimal(str(high["value"])) if isinstance(high, dict) and high in ends else None
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
    exact = number.low if number.low is not None and number.low == number.high else None
    sent |= {"sent_value": exact, "sent_unit": number.unit or None}
    ends: list[Decimal | None] = []
    for end in (number.low, number.high):
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
    if any(end is not None and not rule.low <= end <= rule.high for end in ends):
        return replace(blank, reason="implausible", **sent)
    low, high = ends
    if low is not None and high is not None and low > high:
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


# --- the laboratory's own range -----------------------------------------------------------------------------

_SEX = {
    "male": frozenset({"male", "m", "248153007", "男", "男性"}),
    "female": frozenset({"female", "f", "248152002", "女", "女性"}),
}
_RANGE_TEXT = compiled(r"^\s*(\d+(?:\.\d+)?)\s*(?:-|–|~|至|to)\s*(\d+(?:\.\d+)?)\s*(\D.*)?$")
_LIMIT_TEXT = compiled(r"^\s*(<=?|≤|>=?|≥)\s*(\d+(?:\.\d+)?)\s*(\D.*)?$")


def own_range(
    reading: Reading, observation: Mapping[str, Any], rule: ReadingRule, context: ReadingContext, sex: str | None = None
) -> tuple[Decimal | None, Decimal | None]:
    """
    Give the laboratory's own range (low, high) for a reading, in the fact's unit.

    Several ranges that nothing tells apart (other sex or age) are no range; there is never a default.
    """
    entries = [entry for entry in observation.get("referenceRange", ()) if isinstance(entry, dict) and _normal(entry)]
    plain = [entry for entry in entries if not entry.get("appliesTo") and not entry.get("age")]
    if not plain and sex in _SEX:
        plain = [entry for entry in entries if _applies(entry, sex) and not entry.get("age")]
    if len(plain) != 1:
        return None, None
    return _limits(plain[0], reading, rule, context)


def _normal(entry: Mapping[str, Any]) -> bool:
    kinds = {code_text(coding.get("code")) for coding in codings(entry.get("type"))}
    return not kinds or "normal" in kinds


def _applies(entry: Mapping[str, Any], sex: str) -> bool:
    told = {code_text(c.get("code")).lower() for c in codings(entry.get("appliesTo"))}
    told |= {fold(said).strip() for said in texts_of(entry.get("appliesTo"))}
    return bool(told & _SEX[sex])


def _limits(
    entry: Mapping[str, Any], reading: Reading, rule: ReadingRule, context: ReadingContext
) -> tuple[Decimal | None, Decimal | None]:
    found: list[Decimal | None] = []
    for name in ("low", "high"):
        end = entry.get(name)
        if not isinstance(end, dict) or not is_number(end.get("value")):
            found.append(None)
            continue
        unit = units.ucum(end, context.site.unit_aliases)
        found.append(
            _in_unit(Decimal(str(end["value"])), unit if unit != "" else reading.sent_unit or "", rule, reading)
        )
    if found != [None, None] or not isinstance(entry.get("text"), str):
        return found[0], found[1]
    return _limits_in_words(entry["text"], reading, rule)


def _limits_in_words(said: str, reading: Reading, rule: ReadingRule) -> tuple[Decimal | None, Decimal | None]:
    folded = fold(said)
    both = _RANGE_TEXT.match(folded)
    if both:
        unit = units.spelled(both[3]) if both[3] and both[3].strip() else reading.sent_unit or ""
        return _in_unit(Decimal(both[1]), unit, rule, reading), _in_unit(Decimal(both[2]), unit, rule, reading)
    one = _LIMIT_TEXT.match(folded)
    if one:
        unit = units.spelled(one[3]) if one[3] and one[3].strip() else reading.sent_unit or ""
        edge = _in_unit(Decimal(one[2]), unit, rule, reading)
        return (None, edge) if one[1][0] in "<≤" else (edge, None)
    return None, None


def _in_unit(number: Decimal, unit: str | None, rule: ReadingRule, reading: Reading) -> Decimal | None:
    converted = units.convert(number, unit, reading.unit, rule.analyte)
    return converted.value if converted else None


# --- yes, no, words -----------------------------------------------------------------------------------------

Answer = Literal["positive", "negative", "inconclusive"]
_INTERPRETED: dict[str, Answer] = {
    "POS": "positive",
    "DET": "positive",
    "A": "positive",
    "NEG": "negative",
    "ND": "negative",
    "N": "negative",
    "IND": "inconclusive",
}


def answer_of(element: Mapping[str, Any], context: ReadingContext, *, presence: bool = True) -> Answer | Reason:  # noqa: C901 - one answer in each of the forms that FHIR has
    """Give what a presence-type result says; the reason when it says nothing."""
    if isinstance(element.get("valueBoolean"), bool):
        return "positive" if element["valueBoolean"] else "negative"
    words: list[str] = []
    if coded := element.get("valueCodeableConcept"):
        concepts = {match.concept for match in context.concepts(coded, "Observation")}
        told: list[Answer] = [answer for concept, answer in _ANSWERS.items() if concept in concepts]
        if len(told) == 1:
            return told[0]
        if told:
            return "inconclusive"
        words += texts_of(coded)
    if isinstance(element.get("valueString"), str):
        words.append(element["valueString"])
    for said in words:
        if results.is_no_value(said):
            return "no-value"
        polarity = results.polarity(said, presence=presence)
        if polarity:
            return polarity
    for coding in codings(element.get("interpretation")):
        if (interpreted := _INTERPRETED.get(code_text(coding.get("code")))) is not None:
            return interpreted
    return absence(element) or "no-value"


_ANSWERS: dict[str, Answer] = {
    "result_positive": "positive",
    "result_negative": "negative",
    "result_inconclusive": "inconclusive",
}


def finding_of(element: Mapping[str, Any], path: str, context: ReadingContext, blank: Finding | None = None) -> Finding:  # noqa: C901 - one answer in each of the forms that FHIR has
    """
    Give a yes/no or a word of the fact's list from an Observation or component.

    Words are accepted as code, display, text or string; an unknown word leaves it unknown (`no-value`).
    """
    if blank is None:
        blank = dictionary.blank_finding(path)
    allowed = _words_of(path)
    if not allowed:
        return _yes_or_no(element, blank, context)
    said = [element["valueString"]] if isinstance(element.get("valueString"), str) else []
    coded = element.get("valueCodeableConcept")
    said += [code_text(coding.get("code")) for coding in codings(coded)]
    said += texts_of(coded)
    if is_number(element.get("valueInteger")):
        said.append(str(element["valueInteger"]))
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict) and is_number(quantity.get("value")):
        said.append(f"{Decimal(str(quantity['value'])).normalize():f}")
    if path == "spine.escc":
        grade = _escc(said, blank)
        return replace(_no_word(element, blank), sent=said[0] if said else None) if grade is None else grade
    for one in said:
        word = dictionary.word_of(path, allowed, one)
        if word is not None:
            return replace(blank, value=word, reason=None, sent=one)
    if path == "mm.response":
        spoken = [(one, word) for one in said if (word := imwg_response(one)) is not None]
        if spoken:
            return replace(blank, value=spoken[0][1], reason=None, sent=spoken[0][0], flags=("from-text",))
    if path == "mm.mrd" and (residual := _residual_disease(said)) is not None:
        return replace(blank, value=residual, reason=None, sent=said[0], flags=("from-text",))
    if {"positive", "negative"} <= set(allowed):
        answer = answer_of(element, context)
        if answer in {"positive", "negative"}:
            return replace(blank, value=answer, reason=None, sent=said[0] if said else None)
    return _no_word(element, blank)


_RESPONSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("sCR", compiled(r"\bscr\b(?!\s*\d)|stringent complete (?:response|remission)|严格意义的?完全缓解")),
    ("VGPR", compiled(r"\bvgpr\b|very good partial (?:response|remission)|(?:非常|很)好的?部分缓解")),
    ("CR", compiled(r"\bcr\b|complete (?:response|remission)|完全缓解")),
    ("PR", compiled(r"\bpr\b|partial (?:response|remission)|部分缓解")),
    ("MR", compiled(r"\bmr\b|minimal response|微小缓解")),
    ("SD", compiled(r"\bsd\b|stable disease|疾病稳定")),
    ("PD", compiled(r"\bpd\b|progressive disease|疾病进展")),
)
_ANSWER_LENGTH = 400
"""An answer is short; of a longer text only the beginning is looked at."""
_NOT_REACHED = compiled(
    r"\bnear(?:ly|[- ]?)?\s*$|\bnot\b|\bno\b|\bless than\b|\bwithout\b|\bat least\b|<\s*$|≥\s*$|>=\s*$"
    r"|接近|近似|未达|未获|不足|至少"
)


def imwg_response(said: str) -> str | None:
    """
    Give the IMWG response category that a text names; None for none, for several, or for one that was not reached.

    "near CR" is no CR, "at least PR" and "VGPR or better" leave the category open.
    """
    rest = fold(said[:_ANSWER_LENGTH])
    found: list[tuple[str, bool]] = []
    for word, pattern in _RESPONSES:
        for hit in pattern.finditer(rest):
            clear = assertions.judge(rest, hit.start(), hit.end()) == "present"
            reached = not _NOT_REACHED.search(rest[max(0, hit.start() - 12) : hit.start()])
            exact = not re.match(r"\s*(?:or better|or more|及以上|以上)", rest[hit.end() :])
            found.append((word, clear and reached and exact))
        rest = pattern.sub(lambda hit: " " * len(hit.group()), rest)
    words = {word for word, _ in found}
    return words.pop() if len(words) == 1 and all(clear for _, clear in found) else None


_RESIDUAL = compiled(
    r"(?:\bmrd\b|residual disease|微小残留病?灶?)[\s:：,-]*(?:(?:status|is|was|test|检测|结果|为|呈|已)[\s:：,-]*)*"
    r"(?P<word>negativ\w*|neg\b|undetectable|not detected|阴性|未检出|转阴|\(-\)|positiv\w*|pos\b|阳性|\(\+\))"
    r"|(?P<before>\bnegative|\bpositive|\bundetectable|\bno (?:detectable )?)\s*(?:for )?"
    r"(?:\bmrd\b|(?:minimal|measurable) residual disease)"
)


def _residual_disease(said: list[str]) -> str | None:
    """Give what a text says of residual disease; a test that was not done, or several answers, say nothing."""
    found: set[str] = set()
    for one in said:
        folded = fold(one[:_ANSWER_LENGTH])
        if results.is_no_value(folded):
            return None
        for hit in _RESIDUAL.finditer(folded):
            word = hit["word"] or hit["before"]
            found.add("positive" if word.startswith(("pos", "阳", "(+")) else "negative")
    return found.pop() if len(found) == 1 else None


def _words_of(path: str) -> tuple[str, ...]:
    if path.startswith("lesions[]."):
        return LESION_COMPONENTS[path.removeprefix("lesions[].")].words
    return DICTIONARY[path].words


def _no_word(element: Mapping[str, Any], blank: Finding) -> Finding:
    return replace(blank, value=None, reason=absence(element) or "no-value")


def _yes_or_no(element: Mapping[str, Any], blank: Finding, context: ReadingContext) -> Finding:
    answer = answer_of(element, context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None)
    if is_number(element.get("valueInteger")) and element["valueInteger"] in {0, 1}:
        return replace(blank, value=element["valueInteger"] == 1, reason=None)
    return replace(blank, value=None, reason="masked" if answer == "masked" else "no-value")


def _escc(said: list[str], blank: Finding) -> Finding | None:
    """Read the ESCC grade; a `1` without its letter leaves 1a to 1c open."""
    for one in said:
        found = grades.escc(one, of_its_own=True)
        if len(found) == 1:
            return replace(blank, value=found[0], reason=None, sent=one)
        if found:
            return replace(blank, value=None, possible=found, reason="no-value", sent=one)
    return None
