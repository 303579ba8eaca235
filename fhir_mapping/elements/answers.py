"""What a result says in a word: yes or no, positive or negative, or one of a fact's own words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.elements.values import absence
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import assertions, grades, results
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.facts import Finding, Reason, replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext

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


def answer_of(element: Mapping[str, Any], context: ReadingContext, *, presence: bool = True) -> Answer | Reason:
    """Give what a presence-type result says; the reason when it says nothing."""
    if isinstance(element.get("valueBoolean"), bool):
        return "positive" if element["valueBoolean"] else "negative"
    words: list[str] = []
    if coded := element.get("valueCodeableConcept"):
        if (told := _coded_answer(coded, context)) is not None:
            return told
        words += texts_of(coded)
    if isinstance(element.get("valueString"), str):
        words.append(element["valueString"])
    return _answer_in_words(words, presence=presence) or _interpreted(element) or absence(element) or "no-value"


def _coded_answer(coded: object, context: ReadingContext) -> Answer | None:
    concepts = {match.concept for match in context.concepts(coded, "Observation")}
    told = [answer for concept, answer in _ANSWERS.items() if concept in concepts]
    if len(told) > 1:
        return "inconclusive"
    return told[0] if told else None


def _answer_in_words(words: Sequence[str], *, presence: bool) -> Answer | Reason | None:
    for said in words:
        if results.is_no_value(said):
            return "no-value"
        if polarity := results.polarity(said, presence=presence):
            return polarity
    return None


def _interpreted(element: Mapping[str, Any]) -> Answer | None:
    told = (_INTERPRETED.get(code_text(coding.get("code"))) for coding in codings(element.get("interpretation")))
    return next((answer for answer in told if answer is not None), None)


_ANSWERS: dict[str, Answer] = {
    "result_positive": "positive",
    "result_negative": "negative",
    "result_inconclusive": "inconclusive",
}


def finding_of(element: Mapping[str, Any], path: str, context: ReadingContext, blank: Finding | None = None) -> Finding:
    """
    Give a yes/no or a word of the fact's list from an Observation or component.

    Words are accepted as code, display, text or string; an unknown word leaves it unknown (`no-value`).
    """
    if blank is None:
        blank = dictionary.blank_finding(path)
    allowed = _words_of(path)
    if not allowed:
        return _yes_or_no(element, blank, context)
    said = _everything_said(element)
    if path == "spine.escc":
        grade = _escc(said, blank)
        return replace(_no_word(element, blank), sent=said[0] if said else None) if grade is None else grade
    for one in said:
        if (word := dictionary.word_of(path, allowed, one)) is not None:
            return replace(blank, value=word, reason=None, sent=one)
    if (spoken := _word_in_text(path, said)) is not None:
        return replace(blank, value=spoken[0], reason=None, sent=spoken[1], flags=("from-text",))
    if {"positive", "negative"} <= set(allowed):
        answer = answer_of(element, context)
        if answer in {"positive", "negative"}:
            return replace(blank, value=answer, reason=None, sent=said[0] if said else None)
    return _no_word(element, blank)


def _everything_said(element: Mapping[str, Any]) -> list[str]:
    """Give all that may be one of a fact's words: text, codes, displays, a whole number."""
    said = [element["valueString"]] if isinstance(element.get("valueString"), str) else []
    coded = element.get("valueCodeableConcept")
    said += [code_text(coding.get("code")) for coding in codings(coded)]
    said += texts_of(coded)
    if is_number(element.get("valueInteger")):
        said.append(str(element["valueInteger"]))
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict) and is_number(quantity.get("value")):
        said.append(f"{Decimal(str(quantity['value'])).normalize():f}")
    return said


def _word_in_text(path: str, said: Sequence[str]) -> tuple[str, str] | None:
    """Give the word that a longer text tells of response or residual disease, and the text."""
    if path == "mm.response":
        spoken = ((imwg_response(one), one) for one in said)
        return next(((word, one) for word, one in spoken if word is not None), None)
    if path == "mm.mrd" and (residual := _residual_disease(said)) is not None:
        return residual, said[0]
    return None


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


def _residual_disease(said: Sequence[str]) -> str | None:
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
