"""Scores that need more than their number: ECOG and Karnofsky, pain, and how long a patient is expected to live."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements import values
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import durations
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Reading, exactly, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Slot
    from fhir_mapping.terms.dictionary import ReadingRule


@dataclass(frozen=True, slots=True)
class Score:
    """
    A result that is a score, and the rule by which it is read.

    `element` holds the value: the Observation (`resource`) or one of its components; `tell` notes why it is not used.
    """

    element: Mapping[str, Any]
    resource: Mapping[str, Any]
    slot: Slot
    rule: ReadingRule
    context: ReadingContext
    tell: Callable[[str], None]

    @property
    def blank(self) -> Reading:
        """The unknown number that it may tell."""
        return dictionary.blank_reading(self.rule.fact)


def read(score: Score) -> Reading | None:
    """Give the reading of a score; None when it is none at all (a goal, a grade that is denied)."""
    return _READERS[score.rule.reader](score)


# --- ECOG and Karnofsky -------------------------------------------------------------------------------------


def _ecog(score: Score) -> Reading | None:
    """ECOG from its number, its answer or its words; Karnofsky is converted and flagged so."""
    concept, element, blank = score.slot.concept, score.element, score.blank
    karnofsky = concept == "karnofsky_ps"
    if concept.startswith("ecog_answer_"):  # the code itself is the grade
        if element.get("valueBoolean") is False:
            return None
        grade = concept.removeprefix("ecog_answer_")[0]
        return exactly(blank, Decimal(grade), sent=f"grade {grade}")
    number = values.number_of(element, score.context)
    if isinstance(number, values.Number) and concept != "ecog_ps_interpretation":
        return _karnofsky(number, blank) if karnofsky else _whole_grade(values.measured(number, score.rule, blank))
    found = _answered_grade(score, karnofsky=karnofsky)
    if found is None and not karnofsky:
        found = _grade_by_number(element, blank) or _grade_in_words(element, blank)
    return found or replace(blank, reason=values.absence(element) or "no-value")


def _answered_grade(score: Score, *, karnofsky: bool) -> Reading | None:
    for source in ("valueCodeableConcept", "interpretation"):
        for match in score.context.concepts(score.element.get(source), "Observation"):
            answer = _graded(match.concept, karnofsky=karnofsky)
            if answer is not None:
                flags = ("converted",) if karnofsky else ()
                return exactly(score.blank, Decimal(answer), sent=match.display, flags=flags)
    return None


def _grade_by_number(element: Mapping[str, Any], blank: Reading) -> Reading | None:
    """Read a grade whose code, of whatever system, is its number: national oncology data sets have code lists so."""
    numbers = {code for one in codings(element.get("valueCodeableConcept")) if (code := code_text(one.get("code")))}
    grades = numbers & _GRADES
    return exactly(blank, Decimal(grade := grades.pop()), sent=f"grade {grade}") if len(grades) == 1 else None


_GRADES = frozenset("012345")


def _grade_in_words(element: Mapping[str, Any], blank: Reading) -> Reading | None:
    for said in _words(element):
        if (found := _spoken_grade(said)) is not None:
            low, high = found
            return replace(blank, low=Decimal(low), high=Decimal(high), reason=None, sent=said, flags=("from-text",))
    return None


def _words(element: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the value of a result says in words."""
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        if isinstance(said, str):
            yield said


_KARNOFSKY = ((100, 100, 0), (80, 90, 1), (60, 70, 2), (40, 50, 3), (10, 30, 4), (0, 0, 5))
"""From, to, ECOG grade (specification §1.1)."""


def _karnofsky(number: values.Number, blank: Reading) -> Reading:
    value = number.low if number.low == number.high else None
    for least, most, grade in _KARNOFSKY:
        if value is not None and least <= value <= most and number.unit in {"", "1", "%", "{score}"}:
            return exactly(blank, Decimal(grade), sent=number.written, flags=("converted",))
    return replace(blank, reason="implausible" if value is not None else "no-value", sent=number.written)


def _whole_grade(found: Reading) -> Reading:
    """ECOG grades are whole: 1.5 is none of them."""
    if found.value is not None and found.value != found.value.to_integral_value():
        return replace(found, low=None, high=None, reason="no-value")
    return found


def _graded(concept: str, *, karnofsky: bool) -> int | None:
    if concept == "ecog_answer_5_kps_0":
        return 5  # LA9627-6 stands for both scales; Karnofsky 0 is ECOG 5 as well
    if karnofsky:
        return {"kps_answer_100": 0, "kps_answer_90": 1}.get(concept)
    return int(concept[-1]) if concept.startswith("ecog_answer_") and concept[-1].isdigit() else None


_GRADE = compiled(r"(?:ecog|zubrod|\bps\b|体能)?\D{0,12}?([0-5])(?:\s*[-–~]\s*([0-5]))?\s*(?:分|级)?\s*$")


def _spoken_grade(said: str) -> tuple[str, str] | None:
    folded = fold(said).strip()
    if re.search(r"karnofsky|kps|lansky|\d\d", folded):
        return None
    found = _GRADE.fullmatch(folded)
    return (found[1], found[2] or found[1]) if found else None


# --- pain ---------------------------------------------------------------------------------------------------


def _pain(score: Score) -> Reading | None:
    """A pain score of 0 to 10; scales that the code leaves open must say so themselves."""
    said = " ".join(fold(one) for one in texts_of(score.resource.get("code")))
    if re.search(r"\bgoal\b|\bacceptable\b|目标", said, re.ASCII):
        score.tell("a pain goal is no pain score")
        return None
    number = values.number_of(_without_ten(score.element), score.context)
    if not isinstance(number, values.Number):
        return _spoken_pain(score.element, score.blank)
    code = score.slot.code
    if code == "38221-8" and _range_tops_at_five(score.element):
        return replace(score.blank, reason="unit", sent=number.written)
    if code == "38214-3" and number.unit in {"mm", "cm"}:
        number = _along_the_line(number)
    return values.measured(number, score.rule, score.blank)


def _along_the_line(number: values.Number) -> values.Number:
    """Read the mark on a line of ten centimetres as the score it stands for."""
    over = 10 if number.unit == "mm" else 1
    low, high = (None if end is None else end / over for end in (number.low, number.high))
    return replace(number, low=low, high=high, unit="{score}")


_OF_TEN = compiled(r"(\d+(?:\.\d+)?)\s*(?:/|out of|of)\s*10")


def _without_ten(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read "7/10" as 7: the scale of the pain scores is 0 to 10."""
    said = element.get("valueString")
    found = _OF_TEN.fullmatch(fold(said).strip()) if isinstance(said, str) else None
    return {**element, "valueString": found[1]} if found else element


_PAIN_WORDS = (
    ("none", 0),
    ("no pain", 0),
    ("无", 0),
    ("mild", 2),
    ("轻", 2),
    ("moderate", 5),
    ("中", 5),
    ("severe", 8),
    ("重", 8),
)


def _spoken_pain(element: Mapping[str, Any], blank: Reading) -> Reading:
    for said in _words(element):
        folded = fold(said).strip()
        for word, score in _PAIN_WORDS:
            if folded.startswith(word):
                return exactly(blank, score, sent=said, flags=("from-words",))
    return replace(blank, reason=values.absence(element) or "no-value")


def _range_tops_at_five(element: Mapping[str, Any]) -> bool:
    for entry in element.get("referenceRange", ()):
        high = entry.get("high") if isinstance(entry, dict) else None
        if isinstance(high, dict) and is_number(high.get("value")) and Decimal(str(high["value"])) == 5:
            return True
    return False


# --- how long a patient is expected to live -----------------------------------------------------------------


def _life_expectancy(score: Score) -> Reading | None:
    """Months, exact or an interval; words without a number stay unknown, never short by inference."""
    element, blank = score.element, score.blank
    number = values.number_of(element, score.context)
    if isinstance(number, values.Number) and number.unit not in {"", None}:
        return values.measured(number, score.rule, blank)
    said = list(_words(element))
    notes = (note.get("text") for note in score.resource.get("note", ()) if isinstance(note, dict))
    said += [one for one in notes if isinstance(one, str)]
    for one in said:
        if (spoken := _span_in_words(one)) is not None:
            return values.measured(spoken, score.rule, blank)
    if isinstance(number, values.Number):
        return replace(blank, reason="unit", sent=number.written)
    if any(said):
        score.tell("limited prognosis documented without a number: ask for it")
    return replace(blank, reason=number if number == "masked" else "no-value")


def _span_in_words(said: str) -> values.Number | None:
    span = durations.time_span(said)
    if span is None:
        return None
    return values.Number(
        None if span.comparator.startswith("<") else Decimal(span.low),
        None if span.comparator.startswith(">") else Decimal(span.high),
        span.unit,
        low_open=span.comparator == ">",
        high_open=span.comparator == "<",
        written=said,
        flags=("from-text", "approximate") if span.rough else ("from-text",),
    )


_READERS: Mapping[str, Callable[[Score], Reading | None]] = {
    "ecog": _ecog,
    "pain": _pain,
    "life-expectancy": _life_expectancy,
}
