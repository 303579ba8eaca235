"""What a dosage says: dose, route, interval, infusion time, diluent, amount per day; from structure, else from text."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms import dates
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.decode import listed
from fhir_mapping.terms.drugs import DRUGS, is_local, plain
from fhir_mapping.terms.units import MILLIGRAMS_IN, fold, ordered_days
from fhir_mapping.words.fold import compiled
from recommenders.vocabulary.facts import Finding, Reading
from recommenders.vocabulary.records import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.drugs import Identified
    from recommenders.vocabulary.facts import Reason

BIGGEST = Decimal(10) ** 9
A_DAY = Decimal(1440)
"""Minutes; the open end of "at least so long"."""
ONE_PERCENT = Decimal("0.01")
HOURS_IN_DAY = Decimal(24)
DAILY, WEEKLY = (Decimal(1), Decimal(1)), (Decimal(7), Decimal(7))
LOADING_DOSES = 3

BLANK: dict[str, Any] = {entry.name: entry.default for entry in fields(Order) if "kind" in entry.metadata}
"""The parts of an order as unknown facts."""


# --- JSON as it comes ---------------------------------------------------------------------------------------


def number(value: object) -> Decimal | None:
    """Give a JSON number (or a number in a string) exactly; None for anything else, or beyond all sense."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) <= BIGGEST else None


def _inner(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = node.get(name)
    return found if isinstance(found, dict) else {}


def words(value: object) -> str:
    """Give a text without blanks at its ends; empty for anything that is no text."""
    return value.strip() if isinstance(value, str) else ""


# --- amounts ------------------------------------------------------------------------------------------------

Kind = Literal["mg", "mg/m2", "mg/kg", "mL", "piece", "IU"]

_PIECES = frozenset(
    [
        "vial",
        "vials",
        "pill",
        "pills",
        "tab",
        "tabs",
        "tablet",
        "tablets",
        "tbl",
        "cap",
        "caps",
        "capsule",
        "capsules",
        "amp",
        "amps",
        "ampule",
        "ampoule",
        "syringe",
        "syringes",
        "bag",
        "bags",
        "支",
        "片",
        "粒",
        "瓶",
        "袋",
        "枚",
    ]
)
_VOLUMES = {
    "ml": Decimal(1),
    "毫升": Decimal(1),
    "milliliter": Decimal(1),
    "millilitre": Decimal(1),
    "l": Decimal(1000),
}
_INTERNATIONAL = frozenset(["[iu]", "iu", "unt", "u", "unit", "units", "单位", "国际单位"])
_AMOUNT_UNIT = compiled(
    r"(?P<mass>mg|gm|g|ug|mcg|kg|毫克|克|微克|milligrams?|grams?|micrograms?)"
    r"(?P<per>/(?:m2|m\^2|sqm|平方米)|\.m-2|/kg)?"
    r"(?P<time>/(?:d|day|24h|24\.h|\(24\.h\)|24hr|天|日)|\.d-1)?(?:/(?:dose|次))?$"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A dose as written: `low` to `high` in mg (or mL, pieces, IU), per square metre, per kg; `daily` per day."""

    kind: Kind
    low: Decimal
    high: Decimal
    daily: bool = False


def _unit(quantity: Mapping[str, Any]) -> str:
    """Give the folded unit of a quantity: its code when that can be read, else its unit."""
    written = [fold(code_text(quantity.get("code"))), fold(words(quantity.get("unit")))]
    usable = [text for text in written if text and _meaning(text) is not None]
    return usable[0] if usable else next((text for text in written if text), "")


def _meaning(unit: str) -> tuple[Kind, Decimal, bool] | None:
    """Give what a folded unit measures, its factor, and whether it is per day."""
    if hit := _AMOUNT_UNIT.match(unit):
        per = hit["per"]
        kind: Kind = "mg" if per is None else "mg/kg" if per == "/kg" else "mg/m2"
        return kind, MILLIGRAMS_IN[hit["mass"]], hit["time"] is not None
    bare = unit.strip("{}")
    if bare in _VOLUMES:
        return "mL", _VOLUMES[bare], False
    if bare in _INTERNATIONAL:
        return "IU", Decimal(1), False
    if bare in _PIECES:
        return "piece", Decimal(1), False
    return None


def amount(quantity: object) -> Amount | None:
    """Read a dose quantity; None when it has no number, no unit or one that is no amount. Units are not guessed."""
    if not isinstance(quantity, dict) or quantity.get("comparator"):
        return None
    value, meaning = number(quantity.get("value")), _meaning(_unit(quantity))
    if value is None or value < 0 or meaning is None:
        return None
    kind, factor, daily = meaning
    return Amount(kind, value * factor, value * factor, daily)


def _range(value: object) -> Amount | None:
    if not isinstance(value, dict):
        return None
    low, high = amount(value.get("low")), amount(value.get("high"))
    if low is None or high is None or low.kind != high.kind or low.daily != high.daily or low.low > high.high:
        return None
    return Amount(low.kind, low.low, high.high, low.daily)


# --- text ---------------------------------------------------------------------------------------------------

_N = r"(\d+(?:\.\d+)?)"
_TO = r"\s*(?:-|–|~|to|至|到)\s*"
_TEXT_DOSE = compiled(
    rf"(?<![\d.]){_N}(?:{_TO}{_N})?\s*(mg|g|ug|mcg|毫克|克|微克)(?![a-z])"
    r"(?P<area>\s*/\s*(?:m2|m\^2|kg|平方米))?(?P<strength>\s*/\s*(?:ml|毫升))?"
)
_INFUSION = (
    compiled(
        r"(?:over|during|infus\w*(?:\s+time)?(?:\s+(?:over|for|in))?|(?<=ml )in|(?<=mg )in|(?<=iv )in)\s*"
        r"(?:a period of\s*)?"
        rf"(?P<least>at least|no less than|not less than|minimum of|>=|≥|>)?\s*{_N}(?:{_TO}{_N})?\s*"
        r"(?P<unit>minutes?|mins?|hours?|hrs?|h)(?![a-z])"
    ),
    compiled(
        r"(?:静脉滴注|静脉输注|静脉点滴|滴注时间|输注时间|静滴|滴注|输注|点滴|泵入|滴入|ivgtt|持续)\s*(?:时间)?\s*"
        rf"(?P<least>不少于|至少|不短于|大于|>=|≥|>)?\s*{_N}(?:{_TO}{_N})?\s*(?P<unit>分钟|分|小时|min|h)(?P<after>以上)?"
    ),
    compiled(rf"{_N}(?:{_TO}{_N})?\s*(?P<unit>分钟|小时)(?:内)?(?:滴完|输完|滴注|输注|静滴|滴入)(?P<least>)"),
)
_HOURS = ("hour", "hours", "hr", "hrs", "h", "小时")
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
        rf"(?<![a-z])q\s*\.?\s*{_COUNT}(?:{_TO}{_COUNT})?\s*(?P<unit>hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|mo|m|years?|y)(?![a-z])"
    ),
    compiled(
        rf"every\s+{_COUNT}(?:{_TO}{_COUNT})?\s*(?P<unit>hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|mo|years?)(?![a-z])"
    ),
    compiled(rf"每\s*(?:隔)?{_COUNT}(?:{_TO}{_COUNT})?\s*(?:个)?(?P<unit>小时|天|日|周|星期|月|年)"),
)
_UNITS_OF_TIME = {
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
    "m": "mo",
    "mo": "mo",
    "month": "mo",
    "月": "mo",
    "y": "a",
    "year": "a",
    "年": "a",
}
_NAMED_INTERVALS = (
    (
        compiled(r"\b(?:once (?:a|per) day|daily|every day|qd|q\.d\.|once daily)\b|每[天日](?!\s*[2-9二两三四])|qd"),
        Decimal(1),
    ),
    (compiled(r"\b(?:weekly|every week|once (?:a|per) week|qw)\b|每周(?!\s*[2-9二两三四])"), Decimal(7)),
    (compiled(r"\b(?:monthly|every month|once (?:a|per) month|qm)\b|每月|每个月"), Decimal(28)),
    (compiled(r"\b(?:every six months|twice (?:a|per) year|semi-?annually|half[- ]yearly)\b|每半年"), Decimal(168)),
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
_PRN = compiled(r"\b(?:prn|as needed|if needed)\b|必要时|按需")
_LOADING = compiled(r"\bloading\b|负荷")
_ROUTE_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("SC", compiled(r"\b(?:sc|s\.c\.|sq|subq|sub-q|subcut|subcutaneous(?:ly)?)\b|皮下")),
    ("IM", compiled(r"\b(?:im|i\.m\.|intramuscular(?:ly)?)\b|肌注|肌内|肌肉注射")),
    (
        "IV",
        compiled(
            r"\b(?:iv|i\.v\.|ivgtt|iv drip|ivpb|civi?|intravenous(?:ly)?)\b|静滴|静脉|静推|静注|静点|输注|滴注|ivgtt"
        ),
    ),
    ("PO", compiled(r"\b(?:po|p\.o\.|oral(?:ly)?|by mouth)\b|口服|嚼服")),
)
_SALINE = (
    r"(?:0\.9\s*%?\s*)?"
    r"(?:nacl|sodium chloride|normal saline|saline|ns\b|氯化钠|生理盐水|盐水|葡萄糖|glucose|dextrose|d5w)"
)
_DILUENT = (
    compiled(rf"{_SALINE}[^\d%]{{0,12}}?{_N}(?:{_TO}{_N})?\s*(?P<unit>ml|毫升|l)(?![a-z])"),
    compiled(rf"{_N}(?:{_TO}{_N})?\s*(?P<unit>ml|毫升|l)\s*(?:of\s+|的)?\s*{_SALINE}"),
    compiled(
        rf"(?:diluted? in|dissolved? in|in|溶于|溶入|加入|稀释至|稀释于|加至)\s*{_N}(?:{_TO}{_N})?\s*"
        r"(?P<unit>ml|毫升|l)(?![a-z])"
    ),
)


def _number_word(text: str) -> Decimal:
    if text in _CHINESE:
        return Decimal(_CHINESE[text])
    if text in _ENGLISH:
        return Decimal(_ENGLISH[text])
    return Decimal(text)


def text_amounts(text: str) -> tuple[Amount, ...]:
    """Give the different doses that a text names; a concentration ("70 mg/mL") is none."""
    found: dict[Amount, None] = {}
    for hit in _TEXT_DOSE.finditer(plain(text).replace("µ", "u").replace("μ", "u")):
        if hit["strength"]:
            continue
        area = re.sub(r"\s", "", hit["area"] or "")
        kind: Kind = "mg" if not area else "mg/kg" if area == "/kg" else "mg/m2"
        factor = MILLIGRAMS_IN[hit[3]]
        low = Decimal(hit[1]) * factor
        high = Decimal(hit[2]) * factor if hit[2] else low
        if low <= high:
            found[Amount(kind, low, high)] = None
    return tuple(found)


def text_infusion(text: str) -> tuple[Decimal, Decimal] | None:
    """Read an infusion time in minutes ("over 15 min", "静滴2-4小时", "滴注不少于15分钟"); None when none is told."""
    folded = plain(text)
    for pattern in _INFUSION:
        if hit := pattern.search(folded):
            factor = Decimal(60) if hit["unit"] in _HOURS else Decimal(1)
            numbers = [Decimal(group) * factor for group in hit.groups() if group and re.fullmatch(r"[\d.]+", group)]
            low, high = numbers[0], numbers[-1]
            if hit["least"] or hit.groupdict().get("after"):
                high = max(high, A_DAY)
            return (low, high) if low <= high else None
    return None


def text_interval(text: str) -> tuple[Decimal, Decimal] | None:
    """Read an interval in days ("q4w", "every 28 days", "每3-4周", "每月"); None when none is told."""
    folded = plain(text)
    if _PRN.search(folded):
        return None
    for pattern, times in _TIMES_A_DAY:
        if pattern.search(folded):
            return Decimal(1) / times, Decimal(1) / times
    for pattern in _EVERY:
        if hit := pattern.search(folded):
            written = hit["unit"]
            unit = _UNITS_OF_TIME.get(written) or _UNITS_OF_TIME[written.rstrip("s")]
            numbers = [ordered_days(_number_word(group), unit) for group in (hit[1], hit[2]) if group]
            low, high = numbers[0], numbers[-1]
            if low is not None and high is not None and Decimal(0) < low <= high:
                return low, high
    for pattern, days in _NAMED_INTERVALS:
        if pattern.search(folded):
            return days, days
    return None


def text_times_a_day(text: str) -> Decimal | None:
    """Read at how many hours of a day something is given ("at 0, 4 and 8 h"); None when no hours are listed."""
    hit = _AT_HOURS.search(plain(text))
    if hit is None:
        return None
    hours = [int(part) for part in re.findall(r"\d+", hit[1])]
    rising = all(earlier < later for earlier, later in itertools.pairwise(hours))
    return Decimal(len(hours)) if rising and hours[-1] < HOURS_IN_DAY else None


def text_days(text: str) -> Decimal | None:
    """Read for how many days in all ("x 3 days", "for 3 days", "连用3天"); None when it is not told."""
    hit = _FOR_DAYS.search(plain(text))
    return Decimal(hit[1]) if hit else None


def text_route(text: str) -> str | None:
    """Read a route ("IV", "静滴", "皮下"); None when none or more than one is named."""
    folded = plain(text)
    found = [route for route, pattern in _ROUTE_WORDS if pattern.search(folded)]
    return found[0] if len(found) == 1 else None


def text_diluent(text: str) -> tuple[Decimal, Decimal] | None:
    """Read the volume of saline ("in 100 mL", "0.9%氯化钠 100 ml", "溶于500-1000ml"); None when none is told."""
    folded = plain(text)
    for pattern in _DILUENT:
        if hit := pattern.search(folded):
            factor = Decimal(1000) if hit["unit"] == "l" else Decimal(1)
            numbers = [Decimal(group) * factor for group in hit.groups() if group and re.fullmatch(r"[\d.]+", group)]
            if numbers and numbers[0] <= numbers[-1]:
                return numbers[0], numbers[-1]
    return None


def replace_route(text: str, words_: str) -> str:
    """Give a text with its route written anew."""
    any_route = "|".join(pattern.pattern for _, pattern in _ROUTE_WORDS)
    return re.sub(f"(?:{any_route})+", lambda _: words_, text, flags=re.IGNORECASE)


def replace_interval(text: str, words_: str) -> str:
    """Give a text with its interval written anew."""
    patterns = [
        *_EVERY,
        *(pattern for pattern, _ in _TIMES_A_DAY),
        *(pattern for pattern, _ in _NAMED_INTERVALS),
    ]
    return _replace_first(text, patterns, words_, tail=r"(?:\s*[1一]次)?")


def replace_infusion(text: str, words_: str) -> str:
    """Give a text with its infusion time written anew."""
    return _replace_first(text, _INFUSION, words_)


def replace_diluent(text: str, words_: str) -> str:
    """Give a text with its volume of saline written anew."""
    return _replace_first(text, _DILUENT, words_)


def _replace_first(text: str, patterns: Iterable[re.Pattern[str]], words_: str, tail: str = "") -> str:
    for pattern in patterns:
        changed, hits = re.subn(
            f"(?:{pattern.pattern}){tail}", lambda _: words_, text, count=1, flags=re.IGNORECASE | re.ASCII
        )
        if hits:
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
_ROUTES = {
    "route_subcutaneous": "SC",
    "route_intravenous": "IV",
    "route_oral": "PO",
    "route_intramuscular": "IM",
}
_MINUTES = {
    "s": Decimal(1) / 60,
    "min": Decimal(1),
    "h": Decimal(60),
    "d": A_DAY,
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
    node = _inner(instruction, "timing")
    repeat = _inner(node, "repeat")
    prn = instruction.get("asNeededBoolean") is True or isinstance(instruction.get("asNeededCodeableConcept"), dict)
    stamps = [dates.parse(event, context.timezone) for event in _as_list(node.get("event"))]
    days = tuple(sorted(stamp.day for stamp in stamps if stamp))
    bounds = _inner(repeat, "boundsPeriod")
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
        return None if value is None else ordered_days(value, _time_unit(duration))
    if told.starts and told.ends:
        return Decimal((told.ends - told.starts).days + 1)
    return None


def _time_unit(quantity: Mapping[str, Any]) -> str | None:
    for name in ("code", "unit"):
        folded = fold(words(quantity.get(name)))
        unit = _UNITS_OF_TIME.get(folded) or _UNITS_OF_TIME.get(folded.rstrip("s"))
        if folded in {"min", "mins", "minute", "minutes", "分钟"}:
            return "min"
        if unit:
            return unit
    return None


# --- one dosage ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One dosage instruction as read: its possible doses, route, timing, infusion and the words it came with."""

    amount: Amount | None
    amounts: tuple[Amount, ...]
    route: str | None
    timing: Timing
    infusion: tuple[Decimal, Decimal] | None
    diluent: tuple[Decimal, Decimal] | None
    sequence: Decimal | None
    text: str
    from_text: frozenset[str]
    contradictory: bool = False
    unreadable: bool = False
    is_local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dosing:
    """
    What a medication order says about dosing, as the parts of an `Order`.

    `starts` and `events` are the planned days; `reasons` what a reader should know of how it was read.
    """

    dose_mg: Reading = BLANK["dose_mg"]
    largest_dose_mg: Reading = BLANK["largest_dose_mg"]
    daily_mg: Reading = BLANK["daily_mg"]
    daily_iu: Reading = field(default_factory=lambda: Reading(name="order.daily_iu", unit="[iU]/d", decimals=0))
    dose_mg_m2: Reading = BLANK["dose_mg_m2"]
    route: Finding = BLANK["route"]
    interval_days: Reading = BLANK["interval_days"]
    infusion_min: Reading = BLANK["infusion_min"]
    diluent_ml: Reading = BLANK["diluent_ml"]
    loading: bool = False
    local: bool = False
    first: Amount | None = None
    times_a_day: Decimal | None = None
    starts: dt.date | None = None
    ends: dt.date | None = None
    events: tuple[dt.date, ...] = ()
    text: str = ""
    reasons: tuple[str, ...] = ()


def read(
    instructions: object,
    product: Identified,
    *,
    context: ReadingContext,
    resource: str = "",
    notes: Iterable[str] = (),
) -> Dosing:
    """
    Read the dosage instructions of one order (or the `dosage` of an administration or statement).

    The first step is the dose at hand, the largest of all single doses goes into `largest_dose_mg`. What the
    structure does not say is looked for in the instruction's text, then in `notes`.
    """
    extra = tuple(note for note in notes if note)
    ordered = sorted(enumerate(listed(instructions)), key=lambda pair: (number(pair[1].get("sequence")) or 0, pair[0]))
    steps = [_step(instruction, product, context, extra) for _, instruction in ordered]
    if not steps:
        steps = [_step({}, product, context, extra)]
    return _joined(steps, product, context, resource)


def _step(instruction: Mapping[str, Any], product: Identified, context: ReadingContext, notes: Sequence[str]) -> Step:
    told = [words(instruction.get("text")), words(instruction.get("patientInstruction")), *_sig(instruction)]
    told += [text for extra in listed(instruction.get("additionalInstruction")) for text in texts_of(extra)]
    own = "; ".join(dict.fromkeys(text for text in told if text))
    text = own or "; ".join(notes)
    from_text: set[str] = set()
    when = timing(instruction, context)
    if _PRN.search(plain(own)):
        when = replace(when, prn=True, interval=None)
    chosen, contradictory, every = _structured_dose(instruction)
    spoken = text_amounts(text)
    if chosen is None and not contradictory and spoken:
        from_text.add("dose")
        every = spoken
        contradictory = len(spoken) > 1
        chosen = spoken[0] if len(spoken) == 1 else None
    if when.interval is None and not when.prn and not when.once and (found := text_interval(text)):
        from_text.add("interval")
        when = replace(when, interval=found, times_a_day=when.times_a_day or _a_day(found))
    if when.times_a_day is None and (hours := text_times_a_day(text)):
        when = replace(when, times_a_day=hours)
    route = _route(instruction, context)
    if route is None and (spoken_route := text_route(own or text)):
        from_text.add("route")
        route = spoken_route
    diluent = text_diluent(text)
    infusion = _structured_infusion(instruction, chosen, diluent, product)
    if infusion is None and (told_time := text_infusion(text)):
        from_text.add("infusion")
        infusion = told_time
    return Step(
        chosen,
        every,
        route,
        when,
        infusion,
        diluent,
        number(instruction.get("sequence")),
        text,
        frozenset(from_text),
        contradictory,
        is_local=any(is_local(said) for said in texts_of(instruction.get("route"))),
        unreadable=chosen is None and any(_has_dose(rate) for rate in _rates(instruction)),
    )


def _sig(instruction: Mapping[str, Any]) -> list[str]:
    """Some feeds put the order's line into an extension or a bare `sig`."""
    found = [words(instruction.get("sig"))]
    found += [words(extension.get("valueString")) for extension in listed(instruction.get("extension"))]
    return found


def _structured_dose(instruction: Mapping[str, Any]) -> tuple[Amount | None, bool, tuple[Amount, ...]]:
    """Give the dose ordered, whether several contradict each other, and every dose that stands there."""
    doses: list[tuple[str, Amount]] = []
    for rate in _rates(instruction):
        quantity = rate.get("doseQuantity")
        found = amount(quantity if quantity is not None else rate.get("dose")) or _range(rate.get("doseRange"))
        if found is None:
            daily = amount(rate.get("rateQuantity"))
            found = daily if daily is not None and daily.daily else None  # a continuous infusion per day
        if found is not None:
            kind = next((code_text(coding.get("code")) for coding in codings(rate.get("type"))), "")
            doses.append((kind, found))
    if not doses:
        return None, False, ()
    ranked = {"ordered": 0, "": 1, "calculated": 2}
    best = min(ranked.get(kind, 1) for kind, _ in doses)
    chosen = tuple(dict.fromkeys(found for kind, found in doses if ranked.get(kind, 1) == best))
    if len(chosen) == 1:
        return chosen[0], False, chosen
    # the same dose said as milligrams and as millilitres is no contradiction
    masses = [found for found in chosen if found.kind == "mg"]
    if len(masses) == 1:
        return masses[0], False, tuple(masses)
    return None, True, chosen


def _rates(instruction: Mapping[str, Any]) -> list[dict[str, Any]]:
    return listed(instruction.get("doseAndRate")) or [dict(instruction)]  # an administration's `dosage` is flat


def _has_dose(rate: Mapping[str, Any]) -> bool:
    return any(isinstance(rate.get(name), dict) for name in ("doseQuantity", "doseRange", "dose"))


def _route(instruction: Mapping[str, Any], context: ReadingContext) -> str | None:
    node = instruction.get("route")
    found = {_ROUTES[match.concept] for match in context.concepts(node) if match.concept in _ROUTES}
    if len(found) == 1:
        return found.pop()
    if found:
        return None
    said = {route for text in texts_of(node) if (route := text_route(text))}
    if len(said) == 1:
        return said.pop()
    method = {route for text in texts_of(instruction.get("method")) if (route := text_route(text))}
    if len(method) == 1 and not texts_of(node):
        return method.pop()
    return "other" if texts_of(node) or any(code_text(c.get("code")) for c in codings(node)) else None


def _structured_infusion(
    instruction: Mapping[str, Any],
    dose: Amount | None,
    diluent: tuple[Decimal, Decimal] | None,
    product: Identified,
) -> tuple[Decimal, Decimal] | None:
    repeat = _inner(_inner(instruction, "timing"), "repeat")
    duration, longest = number(repeat.get("duration")), number(repeat.get("durationMax"))
    factor = _MINUTES.get(words(repeat.get("durationUnit")))
    if duration is not None and factor is not None:
        return duration * factor, max(longest or duration, duration) * factor
    volume = _volume(instruction, dose, diluent, product)
    for rate in _rates(instruction):
        if found := _rate_minutes(rate, volume, dose):
            return found
    return None


def _volume(
    instruction: Mapping[str, Any],
    dose: Amount | None,
    diluent: tuple[Decimal, Decimal] | None,
    product: Identified,
) -> Decimal | None:
    """Give the volume to run in: the saline, else the dose in mL; a product's own volume is only the drug's."""
    if diluent is not None and diluent[0] == diluent[1]:
        return diluent[0]
    if dose is not None and dose.kind == "mL" and dose.low == dose.high:
        return dose.low
    for rate in listed(instruction.get("doseAndRate")):
        found = amount(rate.get("doseQuantity"))
        if found is not None and found.kind == "mL":
            return found.low
    ready = product.strength.mg_per_ml
    if dose is not None and dose.kind == "mg" and ready and dose.low == dose.high:
        return (
            dose.low / ready if ready <= Decimal("0.1") else None
        )  # a ready-to-use bag (4 mg in 100 mL), no concentrate
    return None


def _rate_minutes(
    rate: Mapping[str, Any], volume: Decimal | None, dose: Amount | None
) -> tuple[Decimal, Decimal] | None:
    quantity = rate.get("rateQuantity")
    if isinstance(quantity, dict):
        value = number(quantity.get("value"))
        unit = fold(code_text(quantity.get("code")) or words(quantity.get("unit")))
        over, _, under = unit.partition("/")
        minutes = _MINUTES.get(_UNITS_OF_TIME.get(under.rstrip("s"), under)) if under != "min" else Decimal(1)
        if value and minutes:
            if over in _VOLUMES and volume is not None:
                time = volume / (value * _VOLUMES[over]) * minutes
                return time, time
            if over in MILLIGRAMS_IN and dose is not None and dose.kind == "mg" and dose.low == dose.high:
                time = dose.low / (value * MILLIGRAMS_IN[over]) * minutes
                return time, time
    ratio = rate.get("rateRatio")
    if isinstance(ratio, dict):
        above, below = ratio.get("numerator"), ratio.get("denominator")
        if isinstance(above, dict) and isinstance(below, dict):
            return _ratio_minutes(above, below, volume)
    return None


def _ratio_minutes(
    above: Mapping[str, Any], below: Mapping[str, Any], volume: Decimal | None
) -> tuple[Decimal, Decimal] | None:
    run, span = amount(above), number(below.get("value"))
    minutes = _MINUTES.get(_time_unit(below) or "")
    if run is None or run.kind != "mL" or not run.low or not span or minutes is None:
        return None
    whole = span * minutes
    if volume is not None:
        time = volume / run.low * whole
        return time, time
    # "100 mL in 15 min" without another volume is the whole infusion; "400 mL in 1 h" is a rate and tells nothing
    return (whole, whole) if span != 1 else None


# --- all steps together -------------------------------------------------------------------------------------


def _joined(steps: Sequence[Step], product: Identified, context: ReadingContext, resource: str) -> Dosing:
    first = steps[0]
    maker = _Maker(product, context, resource, context.today)
    reasons: list[str] = []
    if first.contradictory:
        reasons.append("several-doses")
    from_text = frozenset(part for step in steps for part in step.from_text)
    if from_text:
        reasons.append("from-text")
    spoken = text_amounts(first.text)
    single = maker.mg(first.amount)
    said = maker.mg(spoken[0]) if len(spoken) == 1 and "dose" not in first.from_text else None
    if single and said and (said[1] < single[0] or said[0] > single[1]):
        reasons.append("text-differs-from-dose")
    doses = [dose for step in steps for found in step.amounts if (dose := maker.mg(found))]
    largest = max(doses, key=lambda dose: (dose[1], dose[0]), default=None)
    flags = ("from-text",) if "dose" in first.from_text else ()
    why, lacks = _why_unknown(first)
    daily, times = _daily(steps, maker)
    per_area = first.amount if first.amount is not None and first.amount.kind == "mg/m2" else None
    return Dosing(
        dose_mg=maker.reading("dose_mg", single, flags, why, lacks),
        largest_dose_mg=maker.reading("largest_dose_mg", largest, flags, why, lacks),
        daily_mg=maker.reading("daily_mg", daily, flags, why, lacks),
        daily_iu=maker.iu(first, times),
        dose_mg_m2=maker.reading("dose_mg_m2", (per_area.low, per_area.high) if per_area else None, flags),
        route=maker.route(first),
        interval_days=maker.reading("interval_days", first.timing.interval, _flag(first, "interval")),
        infusion_min=maker.reading("infusion_min", first.infusion, _flag(first, "infusion")),
        diluent_ml=maker.reading("diluent_ml", first.diluent, ("from-text",) if first.diluent else ()),
        loading=any(_LOADING.search(plain(step.text)) for step in steps) or _is_daily_loading(first, product),
        local=product.local or first.is_local,
        first=first.amount,
        times_a_day=times,
        starts=min((step.timing.starts for step in steps if step.timing.starts), default=None),
        ends=max((step.timing.ends for step in steps if step.timing.ends), default=None),
        events=tuple(sorted({day for step in steps for day in step.timing.events})),
        text="; ".join(dict.fromkeys(step.text for step in steps if step.text)),
        reasons=tuple(reasons),
    )


def _flag(step: Step, part: str) -> tuple[str, ...]:
    return ("from-text",) if part in step.from_text else ()


def _why_unknown(step: Step) -> tuple[Reason, tuple[str, ...]]:
    """Tell why a dose that is not known is unknown, and which body size it would need."""
    if step.contradictory:
        return "contradictory", ()
    if step.amount is None:
        return ("unit" if step.unreadable else "missing"), ()
    if step.amount.kind == "mg/m2":
        return "inputs", ("patient.bsa",)
    if step.amount.kind == "mg/kg":
        return "inputs", ("patient.weight",)
    return "unit", ()


def _is_daily_loading(step: Step, product: Identified) -> bool:
    """Ibandronate once a day for at most three days is its loading scheme."""
    doses = step.timing.doses or text_days(step.text)
    daily = step.timing.interval == DAILY
    return "ibandronate" in product.drugs and daily and doses is not None and doses <= LOADING_DOSES


def _daily(steps: Sequence[Step], maker: _Maker) -> tuple[tuple[Decimal, Decimal] | None, Decimal | None]:
    """Give the mg on a day of treatment and the doses on it; steps of one sequence are given together."""
    together = [step for step in steps if step.sequence == steps[0].sequence]
    low = high = times = Decimal(0)
    for step in together:
        a_day = step.timing.times_a_day
        if step.amount is not None and step.amount.daily:
            a_day = Decimal(1)
        elif a_day is None and len(together) > 1 and not step.timing.prn:
            a_day = Decimal(1)  # several lines of one order, each given once
        dose = maker.mg(step.amount)
        if a_day is None or step.timing.prn:
            return None, None
        times += a_day
        if dose is None:
            return None, times if len(together) == 1 else None
        low, high = low + dose[0] * a_day, high + dose[1] * a_day
    return (low, high), times


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes readings of one order: they share its day and its reference."""

    product: Identified
    context: ReadingContext
    resource: str
    today: dt.date

    def mg(self, found: Amount | None) -> tuple[Decimal, Decimal] | None:
        """Give an amount in mg, with body size and the product's strength where they are known."""
        if found is None:
            return None
        if found.kind == "mg":
            return found.low, found.high
        factor: tuple[Decimal, Decimal] | None = None
        strength = self.product.strength
        if found.kind == "mg/m2":
            factor = _ends(self.context.bsa)
        elif found.kind == "mg/kg":
            factor = _ends(self.context.weight)
        elif found.kind == "mL" and strength.mg_per_ml:
            factor = strength.mg_per_ml, strength.mg_per_ml
        elif found.kind == "piece" and strength.mg_per_piece:
            factor = strength.mg_per_piece, strength.mg_per_piece
        if factor is None:
            return None
        return self._labelled(found.low * factor[0]), self._labelled(found.high * factor[1])

    def _labelled(self, mg: Decimal) -> Decimal:
        """1.7 mL of 70 mg/mL are 119 mg by arithmetic and 120 mg by label."""
        products = DRUGS[self.product.drugs[0]].products if len(self.product.drugs) == 1 else {}
        told = products.get(self.product.product or "")
        nominal = told.mg if told else None
        return nominal if nominal is not None and abs(mg - nominal) <= nominal * ONE_PERCENT else mg

    def reading(
        self,
        part: str,
        ends: tuple[Decimal, Decimal] | None,
        flags: tuple[str, ...] = (),
        why: Reason = "missing",
        lacks: tuple[str, ...] = (),
    ) -> Reading:
        """Give the order's part with its value, or unknown with the reason."""
        blank: Reading = BLANK[part]
        day, names = self.today, (self.resource,) if self.resource else ()
        if ends is None:
            return replace(blank, reason=why, lacks=lacks, resources=names if why != "missing" else ())
        return replace(blank, low=ends[0], high=ends[1], reason=None, flags=flags, date=day, resources=names)

    def iu(self, step: Step, times: Decimal | None) -> Reading:
        """Give the international units a day, when the dose is told in them."""
        blank = Reading(name="order.daily_iu", unit="[iU]/d", decimals=0)
        if step.amount is None or step.amount.kind != "IU" or times is None:
            return blank
        low, high = step.amount.low * times, step.amount.high * times
        return replace(blank, low=low, high=high, reason=None, date=self.today, resources=(self.resource,))

    def route(self, step: Step) -> Finding:
        """Give the route: as written, else as the product leaves no choice."""
        blank: Finding = BLANK["route"]
        names = (self.resource,) if self.resource else ()
        if step.route is not None:
            flags = ("from-text",) if "route" in step.from_text else ()
            return replace(blank, value=step.route, reason=None, flags=flags, date=self.today, resources=names)
        only = self._only_route()
        if only is None:
            return blank
        return replace(blank, value=only, reason=None, flags=("from-product",), date=self.today, resources=names)

    def _only_route(self) -> str | None:
        product = self.product
        if len(product.drugs) == 1 and (route := DRUGS[product.drugs[0]].route):
            return route
        if product.product == "oral":
            return "PO"
        if product.product == "injection":
            return "IV" if product.drugs == ("melphalan",) else None
        if product.oral and not product.injected and not product.local:
            return "PO"
        return None


def _ends(reading: Reading) -> tuple[Decimal, Decimal] | None:
    if not reading.is_known or reading.low is None or reading.high is None:
        return None
    return reading.low, reading.high
