"""Puts words to what the clinic says, in the reader's language."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from recommenders.patient.advice import Label, Phrase
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS, ORDER_COMPONENTS
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.guidance import Limit, Wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.advice import Advice, Fill, Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Guidance
    from recommenders.vocabulary.logic import Condition
    from recommenders.vocabulary.records import Order

Language = Literal["en", "zh-CN"]
LANGUAGES: tuple[Language, ...] = ("en", "zh-CN")
LONGEST_SUMMARY = 139
LONGEST_QUOTED = 100
OPEN_END = 600
"""From here on the upper end of an interval only says "or more", in every unit that is shown."""
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "=", "in": "not in", "is": "is not"}
"""What is true when a comparison is false: an exemption rests on "not below", and is shown so."""

SIGNS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "=": "=", "!=": "≠"}
UNITS: Mapping[str, str | Mapping[str, str]] = {
    "umol/L": "µmol/L",
    "1": "",
    "{score}": "",
    "{count}": "",
    "a": {"en": "y", "zh-CN": "岁"},
    "mo": {"en": "months", "zh-CN": "个月"},
    "d": {"en": "days", "zh-CN": "天"},
    "m2": "m²",
    "mg/m2": "mg/m²",
    "10*9/L": "×10⁹/L",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "mg/(24.h)": "mg/24 h",
    "nmol/mmol{creat}": "nmol/mmol creatinine",
    "[iU]/d": "IU/d",
}
_BRACES = re.compile(r"\{([^{}]*)\}")
_NAMES = {spec.name: path for path, spec in reversed(DICTIONARY.items())} | {path: path for path in DICTIONARY}
"""Where a name of the specification sits; of two facts of one name (albumin now, at diagnosis) the plain one."""
_ORDER_NAMES = {spec.name: attribute for attribute, spec in ORDER_COMPONENTS.items()}


@cache
def _frame() -> Mapping[str, Mapping[str, Wording]]:
    data = tomllib.loads(resources.files("hooks.cards").joinpath("phrases.toml").read_text(encoding="utf-8"))
    return {
        part: {key: Wording.model_validate(value) for key, value in entries.items()} for part, entries in data.items()
    }


def frame(key: str, language: Language, part: str = "phrases") -> str:
    """
    Give a frame phrase (`phrases.toml`) as it stands.

    Raises KeyError for a phrase that is not there.
    """
    return _frame()[part][key].text(language)


def has_phrase(key: str) -> bool:
    """Tell whether there is a frame phrase of that name."""
    return key in _frame()["phrases"]


def word(value: str, language: Language) -> str:
    """Give an enumeration's word in the reader's language; grades, stages and codes as they are."""
    found = _frame()["words"].get(value)
    return found.text(language) if found else escape(value)


def label(fact: str, language: Language) -> str:
    """Give a fact's label."""
    en, zh = LABELS.get(fact, (fact, fact))
    return zh if language == "zh-CN" else en


def escape(text: str) -> str:
    """
    Make text from data harmless in Markdown and HTML.

    Control and bidirectional characters go; what Markdown or HTML would read as markup is escaped; a text that is no
    value any more but a page is cut.
    """
    text = text if len(text) <= LONGEST_QUOTED else f"{text[: LONGEST_QUOTED - 1]}…"
    kept = "".join(char for char in text if char.isprintable() and not "\u202a" <= char <= "\u202e")
    kept = "".join(char for char in kept if not "\u2066" <= char <= "\u2069")
    kept = kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", kept)


def number(value: Decimal | int) -> str:
    """Write a number without needless zeros and without exponent."""
    text = format(Decimal(value), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def fixed(reading: Reading) -> str:
    """Write a reading's number with the decimals it is compared with; an interval as `a–b`, `≥ a` or `< b`."""
    if not reading.is_known or reading.low is None or reading.high is None:
        return ""
    if reading.rounded is not None:
        return number(reading.rounded) if reading.decimals is None else format(reading.rounded, f".{reading.decimals}f")
    low, high = number(round(reading.low, 2)), number(round(reading.high, 2))
    if reading.low == 0:
        return f"{'<' if reading.high_open else '≤'} {high}"
    if reading.high >= OPEN_END:
        return f"{'>' if reading.low_open else '≥'} {low}"
    return f"{low}–{high}"


def unit(ucum: str, language: Language) -> str:
    """Write a unit for people."""
    shown = UNITS.get(ucum, ucum)
    return shown if isinstance(shown, str) else shown[language]


class Speaker:
    """Fills in and says the sentences of one assessment in one language."""

    def __init__(self, assessment: Assessment, language: Language) -> None:
        self.assessment = assessment
        self.facts: Facts = assessment.facts
        self.language = language

    # --- single things ---------------------------------------------------------------------------------

    def frame(self, key: str, **fill: str) -> str:
        """Say a frame phrase, filled in with ready text."""
        text = frame(key, self.language)
        return _BRACES.sub(lambda match: fill.get(match[1], match[0]), text) if fill else text

    def listed(self, parts: tuple[str, ...] | list[str]) -> str:
        """Join a list the way the language does."""
        return frame("list_separator", self.language).join(parts)

    def labels(self, facts: tuple[str, ...]) -> str:
        """Name some facts."""
        return self.listed(tuple(dict.fromkeys(label(fact, self.language) for fact in facts)))

    def value(self, fact: Fact, *, with_unit: bool = True) -> str:
        """Write a fact's value."""
        if isinstance(fact, Reading):
            text = fixed(fact)
            if not text:
                return frame("unknown", self.language)
            shown = unit(fact.unit, self.language) if with_unit else ""
            return f"{text} {shown}".strip() if shown != "%" else f"{text}%"
        if isinstance(fact, Moment):
            return fact.date.isoformat() if fact.is_known and fact.date else frame("unknown", self.language)
        if isinstance(fact, Finding) and fact.is_known:
            if isinstance(fact.value, bool):
                return frame("yes" if fact.value else "no", self.language)
            return word(str(fact.value), self.language)
        return frame("unknown", self.language)

    def limit(self, limit: object) -> str:
        """Write what a fact was compared with."""
        if isinstance(limit, Limit):
            shown = unit(limit.unit, self.language)
            return f"{number(limit.value)}{'' if shown == '%' else ' '}{shown}".strip()
        if isinstance(limit, tuple):
            return self.listed(tuple(word(str(part), self.language) for part in limit))
        if isinstance(limit, int | Decimal) and not isinstance(limit, bool):
            return number(limit)
        return word(str(limit), self.language)

    # --- sentences -------------------------------------------------------------------------------------

    def say(self, wording: Wording, guidance: Guidance, advice: Advice | None = None, **extra: Fill) -> str:
        """Say a wording, with its braces filled from the advice, the computed values and the facts."""
        text = wording.text(self.language)
        if "{" not in text:
            return text
        return _BRACES.sub(lambda match: self._brace(match[1], guidance, advice, extra), text)

    def _brace(self, name: str, guidance: Guidance, advice: Advice | None, extra: Mapping[str, Fill]) -> str:
        for source in (extra, advice.fill if advice else {}, advice.values if advice else {}, self.assessment.values):
            if name in source:
                return self.fill(source[name], guidance, advice)
        order = self._order(advice)
        if order is not None and name in _ORDER_NAMES:
            return self.value(getattr(order, _ORDER_NAMES[name]), with_unit=False)
        if name in _NAMES:
            return self.value(self.facts.fact(_NAMES[name]), with_unit=False)
        return frame("unknown", self.language)

    def _order(self, advice: Advice | None) -> Order | None:
        if advice is None or advice.order is None:
            return None
        return next((order for order in self.facts.orders if order.reference == advice.order), None)

    def fill(self, value: Fill | Value, guidance: Guidance, advice: Advice | None = None) -> str:
        """Write what fills a brace."""
        if isinstance(value, tuple):
            return self.listed([self.fill(part, guidance, advice) for part in value])
        if isinstance(value, Phrase):
            return self.phrase(value, guidance, advice)
        if isinstance(value, Label):
            return label(value.fact, self.language)
        if isinstance(value, Reading):
            return self.value(value)
        if isinstance(value, Decimal | int):
            return number(value)
        return word(value, self.language)

    def phrase(self, phrase: Phrase, guidance: Guidance, advice: Advice | None = None) -> str:
        """Say one of the topic's own phrases."""
        return self.say(guidance.phrases[phrase.key], guidance, advice, **phrase.fill)

    def summary(self, advice: Advice, guidance: Guidance) -> str:
        """Say a rule's summary, at most 139 characters: what is too long is cut in its list, ending in "…"."""
        wording = guidance.rules[advice.rule].summary
        fill: dict[str, Fill] = dict(advice.fill)
        if advice.summary is not None:
            wording = guidance.phrases[advice.summary.key]
            fill |= advice.summary.fill
        text = self.say(wording, guidance, advice, **fill)
        while len(text) > LONGEST_SUMMARY:
            name, longest = max(
                ((key, value) for key, value in fill.items() if isinstance(value, tuple)),
                key=lambda pair: len(pair[1]),
                default=("", ()),
            )
            kept = tuple(part for part in longest if part != "…")[:-1]
            if not kept:
                return shortened(text)
            fill[name] = (*kept, "…")
            text = self.say(wording, guidance, advice, **fill)
        return text

    # --- facts -----------------------------------------------------------------------------------------

    def named(self, name: str) -> Fact | None:
        """Give the fact of that name; None for lists, orders and what is no single fact."""
        return self.facts.fact(_NAMES[name]) if name in _NAMES else None

    def condition(self, condition: Condition) -> str:
        """Say one condition of a rule: label, value, flags, date, sign and limit."""
        fact = condition.evidence
        name = label(condition.fact, self.language)
        colon = frame("label_separator", self.language)
        if not isinstance(fact, Fact):
            return name
        text = f"{name}{colon}{self.value(fact)}"
        details = [frame(flag, self.language) for flag in fact.flags if has_phrase(flag)]
        if fact.sent and fact.is_known and isinstance(fact, Reading) and not _same_number(fact):
            details.insert(0, escape(fact.sent))
        if fact.date and not isinstance(fact, Moment):
            details.append(fact.date.isoformat())
        if details:
            text += f" ({self.listed(details)})" if self.language == "en" else f"（{self.listed(details)}）"
        if isinstance(fact, Reading) and condition.relation in SIGNS and fact.is_known:
            relation = OPPOSITE[condition.relation] if condition.holds is False else condition.relation
            text += f", {SIGNS[relation]} {self.limit(condition.limit)}"
        return text

    def why_unknown(self, fact: Fact) -> str | None:
        """Say why a fact that was sent cannot be used; None when nothing was sent."""
        if fact.reason is None or not has_phrase(fact.reason):
            return None
        values = ""
        if isinstance(fact, Reading) and fact.rivals:
            shown = unit(fact.unit, self.language)
            values = self.listed([f"{number(rival)} {shown}".strip() for rival in sorted(fact.rivals)])
        day = fact.date.isoformat() if fact.date else frame("unknown", self.language)
        sent = escape(fact.sent) if fact.sent else label(fact.name, self.language)
        return self.frame(
            fact.reason,
            fact=label(fact.name, self.language),
            values=values,
            value=sent,
            day=day,
            where=", ".join(fact.resources),
        )


def _same_number(reading: Reading) -> bool:
    """Whether the value as sent is the value as shown, in the same unit: no need to say it twice."""
    return reading.sent_unit in {reading.unit, None} and reading.sent_value == reading.value


def shortened(text: str, longest: int = LONGEST_SUMMARY) -> str:
    """Cut a summary at a word or list boundary, ending in an ellipsis, when it is too long."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    at = max(cut.rfind(mark) for mark in (", ", "、", "，", "; ", " "))
    return f"{cut[:at] if at > longest // 2 else cut}…"
