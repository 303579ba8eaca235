"""What the form sends back, checked: each answer as a fact of the dictionary."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hooks.dossier.form.questions import QUESTIONS, SPANS, Question, item_of
from hooks.errors import Refused
from recommenders.assessing.decisive import SIDE
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Finding, Moment, Reading, exactly, replace, stated
from recommenders.vocabulary.records import Lesion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recommenders.assessing.decisive import Item
    from recommenders.vocabulary.facts import Fact

MOST_ANSWERS = 200
MOST_DIGITS = 12
LONGEST_LIFE = Decimal(600)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question; `fact` is None where the answer is "unknown"."""

    item: Item
    question: Question
    fact: Fact | None

    @property
    def is_unknown(self) -> bool:
        """Whether the answer is that nobody knows."""
        return self.fact is None


def read_answers(given: Sequence[Any], today: dt.date) -> tuple[Answer, ...]:
    """
    Read `[{"item": linkId, "value": …}]`; null is "unknown".

    Values: true/false, a word, a number, a day (2026-11-22), or months as a code of `[[spans]]` or as
    `{"low": …, "high": …}`. Raises Refused (400) naming the item, never the value.
    """
    if len(given) > MOST_ANSWERS:
        raise Refused(400, f"answers: more than {MOST_ANSWERS}.", field="answers")
    found: dict[Item, Answer] = {}
    for one in given:
        link = one.get("item") if isinstance(one, dict) else None
        item = item_of(link) if isinstance(link, str) else None
        if item is None or not isinstance(one, dict) or "value" not in one:
            raise Refused(400, "answers: each needs `item`, one of the questions, and `value`.", field="answers")
        question = QUESTIONS[item.path]
        try:
            fact = None if one["value"] is None else _fact(question, one["value"], today)
        except (ValueError, TypeError, ArithmeticError):
            raise Refused(400, f"answers: {link}: the value cannot be one of its answers.", field="answers") from None
        found[item] = Answer(item, question, fact)
    return tuple(found.values())


def _fact(question: Question, value: Any, today: dt.date) -> Fact:  # noqa: ANN401 - JSON
    blank = _blank(question)
    if question.kind == "date" and isinstance(blank, Moment):
        day = dt.date.fromisoformat(value)
        if day > today:
            raise ValueError("in the future")
        return replace(blank, date=day, reason=None)
    if isinstance(blank, Finding):
        if question.kind == "yes-no":
            if not isinstance(value, bool):
                raise ValueError("neither yes nor no")
        elif value not in question.options:
            raise ValueError("not an offered word")
        return stated(replace(blank, possible=()), value, date=today)
    if not isinstance(blank, Reading):
        raise TypeError("no such kind")
    if question.kind == "span":
        return _span(blank, value, today)
    number = _number(value, whole=question.kind in {"score", "count"})
    if not (question.low or 0) <= number <= (number if question.high is None else question.high):
        raise ValueError("out of range")
    return exactly(blank, number, date=today)


def _blank(question: Question) -> Fact:
    if question.component == SIDE.path:
        return Finding(name=SIDE.name)
    if question.component:
        found: Fact = getattr(Lesion(), question.component)
        return found
    return Facts(as_of=dt.date.min).fact(question.path)


def _number(value: object, *, whole: bool = False) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str) or len(str(value)) > MOST_DIGITS:
        raise ValueError("no number")
    number = Decimal(str(value))
    if not number.is_finite() or (whole and number != number.to_integral_value()):
        raise ValueError("no such number")
    return number.to_integral_value() if whole else number


def _span(blank: Reading, value: object, today: dt.date) -> Reading:
    if isinstance(value, str):
        span = SPANS.get(value)
        if span is None:
            raise ValueError("not an offered span")
        low, high, low_open, high_open = span.low, span.high, span.low_open, span.high_open
    else:
        if not isinstance(value, dict) or not set(value) <= {"low", "high"}:
            raise ValueError("no span")
        ends = {key: _number(end) for key, end in value.items() if end is not None}
        low, high = ends.get("low"), ends.get("high")
        low_open = high_open = False
    if low is None and high is None:
        raise ValueError("an empty span")
    least, most = low or Decimal(0), LONGEST_LIFE if high is None else high
    if not 0 <= least <= most <= LONGEST_LIFE:
        raise ValueError("out of range")
    return replace(blank, low=least, high=most, low_open=low_open, high_open=high_open, reason=None, date=today)
