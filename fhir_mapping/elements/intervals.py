"""When and how often: the interval between doses, doses a day, from timing or from text."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.amounts import TO, inner, number, words
from fhir_mapping.terms import dates
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.units import fold, ordered_days
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain, rewritten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext

HOURS_IN_DAY = Decimal(24)
DAILY, WEEKLY = (Decimal(1), Decimal(1)), (Decimal(7), Decimal(7))
_CHINESE = {
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
    "十二": 12,
}
_ENGLISH = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "twelve": 12,
}
_COUNT = r"(\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|twelve|十二|[一二两三四五六七八九十])"
_EVERY = (
    compiled(
        rf"(?<![a-z])q\s*\.?\s*{_COUNT}(?:{TO}{_COUNT})?\s*(?P<unit>hours?|hrs?|h|days?|d|weekly|weeks?|wks?|w|monthly|months?|mo|m|years?|y)(?![a-z])"
    ),
    compiled(
        rf"every\s+{_COUNT}(?:st|nd|rd|th)?(?:{TO}{_COUNT})?\s*(?P<unit>hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|mo|years?)(?![a-z])"
    ),
    compiled(rf"(?:每|q)\s*(?:隔)?{_COUNT}(?:{TO}{_COUNT})?\s*(?:个)?(?P<unit>小时|天|日|周|星期|月|年)"),
    compiled(rf"{_COUNT}(?:{TO}{_COUNT})?\s*(?:个)?(?P<unit>天|日|周|星期|月|年)\s*(?:1|一)\s*次"),
    compiled(rf"(?:1|一)\s*次\s*/\s*(?:每)?\s*{_COUNT}(?:{TO}{_COUNT})?\s*(?:个)?(?P<unit>天|日|d|周|星期|w|月|年)"),
    compiled(rf"{_COUNT}(?:{TO}{_COUNT})?\s*(?:个)?(?P<unit>天|日|d|周|星期|w|月|年)\s*/\s*次"),
    compiled(rf"间隔\s*(?:为)?\s*{_COUNT}(?:{TO}{_COUNT})?\s*(?:个)?(?P<unit>天|日|周|星期|月)"),
    compiled(rf"(?<![a-z0-9.]){_COUNT}(?:{TO}{_COUNT})?\s*-?\s*(?P<unit>day|week|month)s?\s+intervals?(?![a-z])"),
    compiled(rf"(?<![a-z0-9.]){_COUNT}(?:{TO}{_COUNT})?\s*-?\s*(?P<unit>week|month)ly(?![a-z])"),
)
_CYCLE = compiled(
    rf"(?<![a-z0-9.]){_COUNT}(?:{TO}{_COUNT})?\s*-?\s*(?P<unit>days?|d|weeks?|wks?|天|日|周)\s*(?:为|作为)?\s*(?:1|一)?\s*个?\s*"
    r"(?:cycles?\b|周期|疗程)"
)
_SEVERAL_DAYS = compiled(
    r"\b(?:d|days?)\s*1\s*(?:,|、|/|&|and|-|~|to)\s*(?:d|day)?\s*\d{1,2}(?!\d?\s*-?\s*(?:天|日|d\b|day|week|周))|第?1\s*(?:、|,|和|及|-|~|至|到)\s*第?\d+\s*[天日]"
)
"""Several days of a cycle: then its length is not the interval between doses."""
_SO_OFTEN = (
    compiled(rf"(?:每|一)\s*(?P<unit>周|星期|月|年)\s*{_COUNT}\s*次"),
    compiled(rf"{_COUNT}\s*次\s*/\s*(?P<unit>周|星期|月|年)"),
    compiled(r"(?P<often>twice|three times|two times)\s*(?:a|per|each)?\s*(?P<unit>week|month|year)(?:ly)?(?![a-z])"),
)
"""So many times in a span of time."""

_OFTEN = {"twice": 2, "two times": 2, "three times": 3}
_BIWEEKLY = compiled(r"(?<![a-z])bi-?\s?(?:weekly|monthly)(?![a-z])")
"""Every other week, or twice a week: nobody can tell."""
UNITS_OF_TIME = {
    "h": "h",
    "hour": "h",
    "hr": "h",
    "小时": "h",
    "d": "d",
    "day": "d",
    "天": "d",
    "日": "d",
    "w": "wk",
    "week": "wk",
    "wk": "wk",
    "周": "wk",
    "星期": "wk",
    "weekly": "wk",
    "monthly": "mo",
    "m": "mo",
    "mo": "mo",
    "month": "mo",
    "月": "mo",
    "y": "a",
    "year": "a",
    "年": "a",
}
_NAMED_INTERVALS = (
    (compiled(r"\b(?:every other day|qod)\b|隔[天日]"), Decimal(2)),
    (compiled(r"\b(?:every other week|every second week|fortnightly)\b|隔周|双周"), Decimal(14)),
    (
        compiled(
            r"\b(?:once (?:a|per) day|daily|every day|qd|q\.d\.|once daily|1 ?x ?/ ?d(?:ay)?)\b"
            r"|每[天日](?!\s*[2-9二两三四])|qd|(?:1|一)\s*次\s*/\s*[天日]"
        ),
        Decimal(1),
    ),
    (
        compiled(
            r"\b(?:weekly|every week|once (?:a|per) week|q ?w(?:eek)?|1 ?x ?/ ?w(?:ee)?k)\b|每周(?!\s*[2-9二两三四])"
        ),
        Decimal(7),
    ),
    (compiled(r"(?:1|一)\s*次\s*/\s*(?:周|星期)|周\s*(?:1|一)\s*次"), Decimal(7)),
    (compiled(r"(?:1|一)\s*次\s*/\s*月|月\s*(?:1|一)\s*次"), Decimal(28)),
    (compiled(r"\bquarterly\b|每个?季度?"), Decimal(84)),
    (compiled(r"(?:1|一)\s*次\s*/\s*年"), Decimal(365)),
    (
        compiled(r"\b(?:monthly|every month|once (?:a|per) month|q ?m(?:onth)?|1 ?x ?/ ?mo(?:nth)?)\b|每月|每个月"),
        Decimal(28),
    ),
    (compiled(r"\b(?:every six months|semi-?annual(?:ly)?|biannual(?:ly)?|half[- ]yearly)\b|半年"), Decimal(168)),
    (compiled(r"\b(?:yearly|annually|every year|once (?:a|per) year)\b|每年"), Decimal(365)),
)
_TIMES_A_DAY = (
    (compiled(r"\b(?:bid|b\.i\.d\.?|twice (?:a day|daily))\b|每[天日]\s*(?:2|二|两)次"), 2),
    (compiled(r"\b(?:tid|t\.i\.d\.?|three times (?:a day|daily))\b|每[天日]\s*(?:3|三)次"), 3),
    (compiled(r"\b(?:qid|q\.i\.d\.?|four times (?:a day|daily))\b|每[天日]\s*(?:4|四)次"), 4),
)
_AT_HOURS = compiled(
    r"(?<![\d.])(\d{1,2}(?:\s*(?:,|、|/|and|和|&|h|小时)\s*\d{1,2})+)\s*(?:h|hours?|hrs?|小时)(?![a-z])"
)
_FOR_DAYS = compiled(r"(?:for|x|×|\*|连用|连续|共)\s*(\d{1,3})\s*(?:consecutive\s+)?(?:days?|d|天|日)(?![a-z])")
_NUMBERED_DAYS = compiled(
    r"(?:\bd(?:ays?)?\s*|第)(?P<first>-?\d{1,2})(?P<rest>(?:\s*(?:,|、|/|and|&|和|及|-|~|to|至|到)\s*(?:\bd(?:ay)?\s*|第)?-?\d{1,2})+)(?!\d|\s*-?\s*(?:days?|周|week))"
)
"""Days of a cycle by their numbers: a range, or a list ("days 1-2", "d1, d2", 第1、2天)."""
_PRN = compiled(r"\b(?:prn|as needed|if needed)\b|必要时|按需")


def _number_word(text: str) -> Decimal:
    if text in _CHINESE:
        return Decimal(_CHINESE[text])
    if text in _ENGLISH:
        return Decimal(_ENGLISH[text])
    return Decimal(text)


def text_interval(text: str) -> tuple[Decimal, Decimal] | None:
    """
    Read an interval in days ("q4w", "every 28 days", "每3-4周", "28天一次", "twice yearly").

    None when none is told, when it changes ("weekly, then monthly"), and for "biweekly", which means two things.
    """
    folded = plain(text)
    if _PRN.search(folded) or _BIWEEKLY.search(folded):
        return None
    told = {found for part in _CHANGES.split(folded) if (found := _interval(part))}
    return told.pop() if len(told) == 1 else None


_CHANGES = compiled(
    r"\bthen\b|\bfollowed by\b|\bthereafter\b|\bsubsequently\b|\bafter that\b|然后|随后|此后|之后|以后|后改"
)


def _interval(folded: str) -> tuple[Decimal, Decimal] | None:
    if times := next((times for pattern, times in _TIMES_A_DAY if pattern.search(folded)), None):
        return Decimal(1) / times, Decimal(1) / times
    for pattern in _SO_OFTEN:
        if (hit := pattern.search(folded)) and (days := _share(hit)):
            return days, days
    for pattern in _EVERY:
        if (hit := pattern.search(folded)) and (found := _span(hit)):
            return found
    if (hit := _CYCLE.search(folded)) and not _SEVERAL_DAYS.search(folded):
        return _span(hit)
    named = next((days for pattern, days in _NAMED_INTERVALS if pattern.search(folded)), None)
    return None if named is None else (named, named)


def is_ambiguous_interval(text: str) -> bool:
    """Tell whether a text says "biweekly": every other week to one reader, twice a week to another."""
    return _BIWEEKLY.search(plain(text)) is not None


def _span(hit: re.Match[str]) -> tuple[Decimal, Decimal] | None:
    numbers = [ordered_days(_number_word(group), _time_named(hit["unit"])) for group in (hit[1], hit[2]) if group]
    low, high = numbers[0], numbers[-1]
    return (low, high) if low is not None and high is not None and Decimal(0) < low <= high else None


def _share(hit: re.Match[str]) -> Decimal | None:
    """The days between doses that are given so many times a week, month or year; one time is no share."""
    often = hit.groupdict().get("often")
    count = Decimal(_OFTEN[often]) if often else _number_word(next(g for g in hit.groups() if g and g != hit["unit"]))
    whole = ordered_days(Decimal(1), _time_named(hit["unit"]))
    return whole / count if whole is not None and count > 1 else None


def _time_named(written: str) -> str:
    return UNITS_OF_TIME.get(written) or UNITS_OF_TIME[written.rstrip("s")]


def text_times_a_day(text: str) -> Decimal | None:
    """Read at how many hours of a day something is given ("at 0, 4 and 8 h"); None when no hours are listed."""
    hit = _AT_HOURS.search(plain(text))
    if hit is None:
        return None
    hours = [int(part) for part in re.findall(r"\d+", hit[1])]
    rising = all(earlier < later for earlier, later in itertools.pairwise(hours))
    return Decimal(len(hours)) if rising and hours[-1] < HOURS_IN_DAY else None


def text_days(text: str) -> Decimal | None:
    """Read for how many days in all ("x 3 days", "连用3天", "days 1-3", "d1, d2"); None when it is not told."""
    folded = plain(text)
    if hit := _FOR_DAYS.search(folded):
        return Decimal(hit[1])
    return _numbered(hit) if (hit := _NUMBERED_DAYS.search(folded)) else None


def _numbered(hit: re.Match[str]) -> Decimal | None:
    """Count days that are told by their numbers; None unless they follow each other."""
    rest = [
        (sign, int(day))
        for sign, day in re.findall(r"(,|、|/|and|&|和|及|-|~|to|至|到)\s*(?:d(?:ay)?\s*|第)?(-?\d{1,2})", hit["rest"])
    ]
    days = [int(hit["first"]), *(day for _, day in rest)]
    if len(days) == 2 and rest[0][0] in {"-", "~", "to", "至", "到"}:
        return Decimal(days[1] - days[0] + 1) if days[1] > days[0] else None
    follows = all(later == earlier + 1 for earlier, later in itertools.pairwise(days))
    return Decimal(len(days)) if follows else None


def replace_interval(text: str, words_: str) -> str:
    """Give a text with its interval written anew."""
    patterns = [
        *_EVERY,
        *(pattern for pattern, _ in _TIMES_A_DAY),
        *(pattern for pattern, _ in _NAMED_INTERVALS),
    ]
    return replace_first(text, patterns, words_, tail=r"(?:\s*[1一]次)?")


def replace_first(text: str, patterns: Iterable[re.Pattern[str]], words_: str, tail: str = "") -> str:
    for pattern in patterns:
        changed = rewritten(text, f"(?:{pattern.pattern}){tail}", words_, count=1)
        if changed != text:
            return changed
    return text


# --- structure ----------------------------------------------------------------------------------------------

_CODED_TIMING = {
    "QD": Decimal(1),
    "AM": Decimal(1),
    "PM": Decimal(1),
    "BED": Decimal(1),
    "QOD": Decimal(2),
    "WK": Decimal(7),
    "MO": Decimal(28),
    "BID": Decimal(1) / 2,
    "TID": Decimal(1) / 3,
    "QID": Decimal(1) / 4,
}


@dataclass(frozen=True, slots=True)
class Timing:
    """When: `interval` in days as (shortest, longest), `times_a_day`, `doses` in all, `once`, `starts`, `days` told."""

    interval: tuple[Decimal, Decimal] | None = None
    times_a_day: Decimal | None = None
    doses: Decimal | None = None
    once: bool = False
    starts: dt.date | None = None
    ends: dt.date | None = None
    events: tuple[dt.date, ...] = ()
    prn: bool = False


def timing(instruction: Mapping[str, Any], context: ReadingContext) -> Timing:
    """Read one dosage's timing: repeat, then coded or worded timing, then listed times."""
    node = inner(instruction, "timing")
    repeat = inner(node, "repeat")
    prn = instruction.get("asNeededBoolean") is True or isinstance(instruction.get("asNeededCodeableConcept"), dict)
    stamps = [dates.parse(event, context.timezone) for event in _as_list(node.get("event"))]
    days = tuple(sorted(stamp.day for stamp in stamps if stamp))
    bounds = inner(repeat, "boundsPeriod")
    start, end = (dates.parse(bounds.get(name), context.timezone) for name in ("start", "end"))
    starts = start.day if start else days[0] if days else None
    count = number(repeat.get("countMax")) or number(repeat.get("count"))
    base = Timing(doses=count, starts=starts, ends=end.day if end else None, events=days, prn=prn)
    interval, a_day = _repeated(repeat)
    if interval is None:
        interval = _coded(node.get("code"))
    if interval is None and len(set(days)) > 1:
        gaps = [(later - earlier).days for earlier, later in itertools.pairwise(sorted(set(days)))]
        middle = Decimal(str(median(gaps)))
        interval = (middle, middle)
    if days:
        a_day = a_day or Decimal(max(days.count(day) for day in set(days)))
        base = replace(base, doses=base.doses or Decimal(len(days)))
    length = _bounds_in_days(repeat, base)
    if base.doses is None and length is not None and interval is not None and interval[1] > 0:
        base = replace(base, doses=length / interval[1])
    if interval is not None and a_day is None:
        a_day = _a_day(interval)
    once = interval is None and (count == 1 or len(days) == 1)
    return replace(base, interval=None if prn else interval, times_a_day=a_day if not once else Decimal(1), once=once)


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _repeated(repeat: Mapping[str, Any]) -> tuple[tuple[Decimal, Decimal] | None, Decimal | None]:
    """Give the interval in days and the doses per day of a `timing.repeat`."""
    unit = words(repeat.get("periodUnit"))
    period, longest = number(repeat.get("period")), number(repeat.get("periodMax"))
    often, most = number(repeat.get("frequency")) or Decimal(1), number(repeat.get("frequencyMax"))
    hours = _as_list(repeat.get("timeOfDay")) or _as_list(repeat.get("when"))
    weekdays = {day for day in _as_list(repeat.get("dayOfWeek")) if isinstance(day, str)}
    low = ordered_days(period, unit) if period else None
    high = ordered_days(longest, unit) if longest else low
    interval: tuple[Decimal, Decimal] | None = None
    if low is not None and high is not None and often > 0:
        interval = (low / max(often, most or often), high / often)
    if weekdays and (interval is None or interval == WEEKLY):
        interval = (Decimal(7) / len(weekdays), Decimal(7) / len(weekdays))
    if hours:
        a_day = Decimal(len(hours))
        if interval is None or interval == DAILY:
            interval = (1 / a_day, 1 / a_day)
        return interval, a_day
    return interval, None


def _a_day(interval: tuple[Decimal, Decimal]) -> Decimal | None:
    """Give the doses on a day of treatment: one when days lie between doses, unknown when the interval varies."""
    low, high = interval
    if low >= 1:
        return Decimal(1)
    return _tidy(1 / low) if low == high else None


def _tidy(value: Decimal) -> Decimal:
    """Undo the thirds of a day: 0.9999… is 1."""
    return value.quantize(Decimal("0.0001")).normalize() if value else value


def _coded(code: object) -> tuple[Decimal, Decimal] | None:
    for coding in codings(code):
        written = code_text(coding.get("code")).upper()
        if written in _CODED_TIMING:
            return _CODED_TIMING[written], _CODED_TIMING[written]
        if found := text_interval(written):
            return found
    for text in texts_of(code):
        if found := text_interval(text):
            return found
    return None


def _bounds_in_days(repeat: Mapping[str, Any], told: Timing) -> Decimal | None:
    duration = repeat.get("boundsDuration")
    if isinstance(duration, dict):
        value = number(duration.get("value"))
        return None if value is None else ordered_days(value, time_unit(duration))
    if told.starts and told.ends:
        return Decimal((told.ends - told.starts).days + 1)
    return None


def time_unit(quantity: Mapping[str, Any]) -> str | None:
    for name in ("code", "unit"):
        folded = fold(words(quantity.get(name)))
        unit = UNITS_OF_TIME.get(folded) or UNITS_OF_TIME.get(folded.rstrip("s"))
        if folded in {"min", "mins", "minute", "minutes", "分钟"}:
            return "min"
        if unit:
            return unit
    return None
