"""Puts words to what the clinic says, in the reader's language."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, NamedTuple

from recommenders.assessing.topics import RECOMMENDERS
from recommenders.patient.advice import Label, Phrase, Why
from recommenders.patient.faces import variant_of
from recommenders.patient.fills import FILLS
from recommenders.patient.fills import GUIDANCE as SHARED
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS, ORDER_COMPONENTS
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.guidance import Limit, Wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.advice import Advice, Fill, Value
    from recommenders.patient.reasons import Reason
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Guidance, Recommender
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
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BRACES = re.compile(r"\{([^{}]*)\}")
_NAMES = {spec.name: path for path, spec in reversed(DICTIONARY.items())} | {path: path for path in DICTIONARY}
"""Where a name of the specification sits; of two facts of one name (albumin now, at diagnosis) the plain one."""
_MEASURED_IN = sorted({spec.unit for spec in DICTIONARY.values() if spec.unit} | {*UNITS}, key=len, reverse=True)
_ORDER_NAMES = {spec.name: attribute for attribute, spec in ORDER_COMPONENTS.items()}


class Ready(str):
    """Words that are ready to stand in a sentence: they came from our own tables, in the reader's language."""

    __slots__ = ()


@cache
def _frame() -> Mapping[str, Mapping[str, Wording]]:
    data = tomllib.loads(resources.files("hooks.cards").joinpath("phrases.toml").read_text(encoding="utf-8"))
    return {
        part: {key: Wording.model_validate(value) for key, value in entries.items()} for part, entries in data.items()
    }


@cache
def frame(key: str, language: Language, part: str = "phrases") -> str:
    """
    Give a frame phrase (`phrases.toml`) as it stands.

    Raises KeyError for a phrase that is not there.
    """
    return _frame()[part][key].text(language)


class Gap(NamedTuple):
    """
    One `{name}` of a sentence, with the text before it.

    `units` are those that the sentence says itself right after it ("{life} months").
    """

    before: str
    name: str
    units: tuple[str, ...]


class Template(NamedTuple):
    """A sentence, taken apart at its braces."""

    gaps: tuple[Gap, ...]
    end: str


@cache
def template(text: str, language: Language) -> Template:
    """Take a sentence apart, once: there are as many as the files of words have."""
    gaps: list[Gap] = []
    since = 0
    for match in _BRACES.finditer(text):
        following = text[match.end() :].lstrip()
        units = tuple(shown for shown in _units(language) if following.startswith(shown))
        gaps.append(Gap(text[since : match.start()], match[1], units))
        since = match.end()
    return Template(tuple(gaps), text[since:])


@cache
def _units(language: Language) -> tuple[str, ...]:
    return tuple(shown for ucum in _MEASURED_IN if (shown := unit(ucum, language)))


def recommender_title(name: Recommender, language: Language) -> str:
    """Name a recommender."""
    return RECOMMENDERS[name].title.text(language)


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
    if (rounded := reading.rounded) is not None:
        return number(rounded) if reading.decimals is None else format(rounded, f".{reading.decimals}f")
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
        if not fill:
            return text
        gaps, end = template(text, self.language)
        return "".join([part for gap in gaps for part in (gap.before, fill.get(gap.name, f"{{{gap.name}}}"))]) + end

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
            return self.day(fact.date) if fact.is_known and fact.date else frame("unknown", self.language)
        if isinstance(fact, Finding) and fact.is_known:
            if isinstance(fact.value, bool):
                return frame("yes" if fact.value else "no", self.language)
            return word(str(fact.value), self.language)
        return frame("unknown", self.language)

    def day(self, day: dt.date) -> str:
        """Write a day as people do, with the year only where it is another one ("12 Nov", 11月12日)."""
        other = day.year != self.assessment.as_of.year
        if self.language == "zh-CN":
            return f"{f'{day.year}年' if other else ''}{day.month}月{day.day}日"
        return f"{day.day} {MONTHS[day.month - 1]}{f' {day.year}' if other else ''}"

    def day_of_assessment(self) -> str:
        """Write the day that a card speaks of, with its year ("22 Nov 2026", 2026年11月22日)."""
        day = self.assessment.as_of
        return f"{day.year}年{self.day(day)}" if self.language == "zh-CN" else f"{self.day(day)} {day.year}"

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

    def can_say(self, wording: Wording, guidance: Guidance, advice: Advice, **extra: Fill) -> bool:
        """Tell whether every brace of a wording has something to be filled with."""
        return self.told(wording, guidance, advice, **extra) is not None

    def told(self, wording: Wording, guidance: Guidance, advice: Advice, **extra: Fill) -> str | None:
        """Say a wording as `say` does; None where a brace has nothing to be filled with."""
        text = wording.text(self.language)
        return self._filled(text, guidance, advice, extra, whole=True) if "{" in text else text

    def say(self, wording: Wording, guidance: Guidance, advice: Advice | None = None, **extra: Fill) -> str:
        """Say a wording, with its braces filled from the advice, the computed values and the facts."""
        text = wording.text(self.language)
        return self._filled(text, guidance, advice, extra) or "" if "{" in text else text

    def _filled(
        self, text: str, guidance: Guidance, advice: Advice | None, extra: Mapping[str, Fill], *, whole: bool = False
    ) -> str | None:
        nothing = {frame("unknown", self.language), ""} if whole else ()
        gaps, end = template(text, self.language)
        parts: list[str] = []
        for before, name, units in gaps:
            said = self._brace(name, guidance, advice, extra)
            if said in nothing:
                return None
            parts += (before, _without(said, units))
        return "".join(parts) + end

    def _brace(self, name: str, guidance: Guidance, advice: Advice | None, extra: Mapping[str, Fill]) -> str:
        for source in (extra, advice.fill if advice else {}, advice.values if advice else {}, self.assessment.values):
            if name in source:
                return self.fill(source[name], guidance, advice)
        order = self._order(advice)
        if order is not None and name in _ORDER_NAMES:
            return self.plain(getattr(order, _ORDER_NAMES[name]))
        if name in _NAMES:
            return self.value(self.facts.fact(_NAMES[name]), with_unit=False)
        if name in FILLS and advice is not None:
            shared = FILLS[name](self.assessment.case, advice)
            if shared is not None:
                return self.fill(shared, SHARED, advice)
        return frame("unknown", self.language)

    def _order(self, advice: Advice | None) -> Order | None:
        if advice is None or advice.order is None:
            return None
        return next((order for order in self.facts.orders if order.reference == advice.order), None)

    def fill(self, value: Fill | Value | Fact, guidance: Guidance, advice: Advice | None = None) -> str:
        """Write what fills a brace."""
        if isinstance(value, tuple):
            return self.listed([self.fill(part, guidance, advice) for part in value])
        if isinstance(value, Phrase):
            return self.phrase(value, guidance, advice)
        if isinstance(value, Why):
            return self.short_reason(value.fact)
        if isinstance(value, Label):
            return label(value.fact, self.language)
        if isinstance(value, Ready):
            return str(value)
        if isinstance(value, Reading):
            return self.compact(value)
        if isinstance(value, Fact):
            return self.value(value)
        if isinstance(value, dt.date):
            return self.day(value)
        if isinstance(value, Decimal | int):
            return number(value)
        return word(value, self.language)

    def phrase(self, phrase: Phrase, guidance: Guidance, advice: Advice | None = None) -> str:
        """Say one of the topic's own phrases, else one that many topics share."""
        own = guidance if phrase.key in guidance.phrases else SHARED
        return self.say(own.phrases[phrase.key], guidance, advice, **phrase.fill)

    def headline(self, wording: Wording, guidance: Guidance, advice: Advice) -> str:
        """Say a headline, at most 139 characters: what is too long is cut in its longest list, ending in "…"."""
        fill: dict[str, Fill] = dict(advice.fill)
        text = capital(self.say(wording, guidance, advice, **fill))
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
            text = capital(self.say(wording, guidance, advice, **fill))
        return text

    def summary(self, advice: Advice, guidance: Guidance) -> str:
        """Say a rule's headline: that of its variant that holds, else its own."""
        info = guidance.rules[advice.rule]
        variant = variant_of(info, advice, self.assessment.hook)
        return self.headline((variant and variant.summary) or info.summary, guidance, advice)

    # --- facts -----------------------------------------------------------------------------------------

    def named(self, name: str) -> Fact | None:
        """Give the fact of that name; None for lists, orders and what is no single fact."""
        return self.facts.fact(_NAMES[name]) if name in _NAMES else None

    def reason(self, reason: Reason, guidance: Guidance, advice: Advice) -> str:
        """Say one fact of a card's first line: label, value, and in brackets its day and the limit it crossed."""
        name = label(reason.label, self.language)
        value = reason.value
        details = [self.day(reason.day)] if reason.day is not None and not isinstance(value, Moment) else []
        if isinstance(value, Finding) and isinstance(value.value, bool):
            text = name if value.value else self.frame("not_so", fact=name)
        elif isinstance(value, Reading) and value.reason == "contradictory":
            text = f"{name} {' / '.join(self._rivals(value))}"
        elif isinstance(value, Reading):
            text = f"{name} {self.compact(value)}"
        elif value is None:
            text = name
        else:
            text = f"{name} {self.fill(value, guidance, advice)}"
        if reason.limit is not None:
            details.append(self.frame("limit", value=_as_precise(reason.limit.value, value)))
        joined = frame("detail_separator", self.language).join(details)
        return self.frame("in_brackets", text=text, details=joined) if details else text

    def compact(self, reading: Reading) -> str:
        """Write a reading without needless zeros: 45 mL/min, 4 mg, but 2.30 mmol/L."""
        shown = unit(reading.unit, self.language)
        if (reading.decimals == 1 or reading.unit.startswith("mg")) and (rounded := reading.rounded) is not None:
            return f"{number(rounded)} {shown}".strip() if shown != "%" else f"{number(rounded)}%"
        return self.value(reading)

    def plain(self, fact: Fact) -> str:
        """Write a fact's value for a sentence that has its unit: 4, not 4.00."""
        if isinstance(fact, Reading) and (rounded := fact.rounded) is not None:
            return number(rounded)
        return self.value(fact, with_unit=False)

    def _rivals(self, reading: Reading) -> list[str]:
        if reading.rivals_sent:  # two laboratories, two units: the reader knows the numbers as they were sent
            return [escape(rival) for rival in reading.rivals_sent]
        shown = unit(reading.unit, self.language)
        return [f"{number(rival)} {shown}".strip() for rival in sorted(reading.rivals)]

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

    def short_reason(self, fact: Fact) -> str:
        """Say in a word or two why a fact is not known ("too old, 3 Aug")."""
        key = f"short_{fact.reason or 'missing'}"
        text = self.frame(key if has_phrase(key) else "short_missing")
        return f"{text}, {self.day(fact.date)}" if fact.date and fact.reason in {"stale", "contradictory"} else text

    def why_unknown(self, fact: Fact) -> str | None:
        """Say why a fact that was sent cannot be used; None when nothing was sent."""
        if fact.reason is None or not has_phrase(fact.reason):
            return None
        values = ""
        if isinstance(fact, Reading) and fact.rivals:
            values = self.listed(self._rivals(fact))
        day = self.day(fact.date) if fact.date else frame("unknown", self.language)
        sent = escape(fact.sent) if fact.sent else label(fact.name, self.language)
        return self.frame(
            fact.reason,
            fact=label(fact.name, self.language),
            values=values,
            value=sent,
            day=day,
            where=", ".join(fact.resources),
        )


def _without(said: str, units: tuple[str, ...]) -> str:
    """Leave the unit of a number to the sentence where the sentence says it itself ("{life} months")."""
    if units and said[:1].isdigit():
        for shown in units:
            if said.endswith(shown):
                return said.removesuffix(shown).rstrip()
    return said


def _as_precise(limit: Decimal, value: object) -> str:
    """Write a limit with as many decimals as the value beside it: 2.10 beside 2.02."""
    decimals = value.decimals if isinstance(value, Reading) else None
    return format(limit, f".{decimals}f") if decimals == 2 and limit % 1 else number(limit)


def _same_number(reading: Reading) -> bool:
    """Whether the value as sent is the value as shown, in the same unit: no need to say it twice."""
    return reading.sent_unit in {reading.unit, None} and reading.sent_value == reading.value


def capital(text: str) -> str:
    """Begin with a capital letter, whatever fills the first brace."""
    return text[:1].upper() + text[1:]


def shortened(text: str, longest: int = LONGEST_SUMMARY) -> str:
    """Cut a summary at a word or list boundary, ending in an ellipsis, when it is too long."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    at = max(cut.rfind(mark) for mark in (", ", "、", "，", "; ", " "))
    return f"{cut[:at] if at > longest // 2 else cut}…"
