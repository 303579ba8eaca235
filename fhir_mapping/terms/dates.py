"""FHIR dates and times with their precision, read as days in the service's own time zone."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

from fhir_mapping.terms import units
from fhir_mapping.terms.exact import is_number

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?\s*"
    r"(?P<zone>Z|z|[+-]\d{2}:?\d{2})?)?)?)?$"
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", re.ASCII)
"""The form of most times, which Python reads at once."""
_A_DAY = dt.timedelta(hours=24)
_EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
STATUS_RANK = {"final": 1, "amended": 2, "corrected": 3, "appended": 2}
"""Same time, several results: corrected before amended before final."""


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """
    When something was: `day` its first possible day, `last` its last, `moment` the time when one was told.

    A month counts as its first day for staleness and reaches to its last; `moment` is timezone-aware.
    """

    day: dt.date
    last: dt.date
    moment: dt.datetime | None = None
    precision: Literal["year", "month", "day", "time"] = "day"
    minute: dt.datetime | None = None
    """The time to the minute, in UTC: two results of the same minute are of the same time."""

    def is_future(self, now: dt.datetime) -> bool:
        """Tell whether it lies more than 24 hours after `now`; a month that has begun is not in the future."""
        if self.moment is not None:
            return self.moment > now + _A_DAY
        return self.day > (now + _A_DAY).date()


def parse(value: object, timezone: dt.tzinfo) -> Stamp | None:
    """
    Read a FHIR date, dateTime or instant; None when it is none.

    `timezone` is that of the service: the day is the day there, and a time without zone is a time there.
    """
    if not isinstance(value, str):
        return None
    if len(value) <= LONGEST:
        return _parse(value, timezone)
    text = value.strip()
    return _parse(text, timezone) if len(text) <= LONGEST else None


MONTHS_IN_YEAR = 12
LONGEST = 40
"""Characters of a date-time; a longer text is none, and must fill no cache."""


@lru_cache(maxsize=8192)
def _parse(text: str, timezone: dt.tzinfo) -> Stamp | None:
    text = text.strip()
    if _INSTANT.fullmatch(text):
        try:
            return _at(dt.datetime.fromisoformat(text).astimezone(timezone))
        except (ValueError, OverflowError):
            pass  # a leap second, or no time at all
    found = _DATE.match(text) if text.isascii() else None
    if found is None:
        return None
    year, month, day = found["year"], found["month"], found["day"]
    try:
        if month is None:
            return Stamp(dt.date(int(year), 1, 1), dt.date(int(year), 12, 31), None, "year")
        if day is None:
            first = dt.date(int(year), int(month), 1)
            return Stamp(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]), None, "month")
        date = dt.date(int(year), int(month), int(day))
        if found["hour"] is None:
            return Stamp(date, date)
        second = min(int(found["second"] or 0), 59)  # a leap second is the end of its minute
        local = dt.datetime(date.year, date.month, date.day, int(found["hour"]), int(found["minute"]), second)  # noqa: DTZ001 - the zone is added next
        zone = _zone(found["zone"]) or timezone
        return _at(local.replace(tzinfo=zone).astimezone(timezone))
    except (ValueError, OverflowError):
        return None


def _at(moment: dt.datetime) -> Stamp:
    day = moment.date()
    return Stamp(day, day, moment, "time", moment.astimezone(dt.UTC).replace(second=0))


_WRITTEN = re.compile(
    r"(\d{4})\s*[年/.-]\s*(?:(\d{1,2})\s*(?:月|[/.-]|$)\s*(?:(\d{1,2})\s*[日号]?)?)?"
    r"(?:[T\s]*(\d{1,2}):(\d{2})(?::(\d{2}))?)?\s*$"
)
_PACKED = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?(?:\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?$")
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3})[a-z]*\.?,?[ -](\d{4})$")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3})[a-z]*\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$")
_IN_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})$")
"""Day or month first: read only where one of them can be no month."""


def written(said: str, timezone: dt.tzinfo) -> Stamp | None:
    """Read a date as people and other systems write it (2026年3月5日, 2026/3, 20260305); None for anything else."""
    text = unicodedata.normalize("NFKC", said).strip() if len(said) <= LONGEST else ""
    found = _WRITTEN.match(text) or _PACKED.match(text)
    if found is None:
        return parse(_year_first(text) or said, timezone)
    year, month, day, hour, minute, second, *zone = found.groups()
    date = "-".join(part.zfill(2) for part in (year, month, day) if part)
    time = f"T{hour.zfill(2)}:{minute}:{second or '00'}" if hour and day else ""
    if time and zone and zone[0]:
        time += zone[0] if len(zone[0]) != 5 else f"{zone[0][:3]}:{zone[0][3:]}"
    return parse(date + time, timezone)


def _year_first(text: str) -> str | None:
    """Give a date that ends with its year ("18 Nov 2026", "18.11.2026", "11/18/2026") as FHIR has it."""
    if hit := _DAY_FIRST.match(text):
        day, month, year = hit[1], _MONTHS.get(hit[2].capitalize()), hit[3]
    elif hit := _MONTH_FIRST.match(text):
        day, month, year = hit[2], _MONTHS.get(hit[1].capitalize()), hit[3]
    elif (hit := _IN_NUMBERS.match(text)) and (int(hit[1]) > MONTHS_IN_YEAR) != (int(hit[3]) > MONTHS_IN_YEAR):
        day, month = (hit[1], int(hit[3])) if int(hit[1]) > MONTHS_IN_YEAR else (hit[3], int(hit[1]))
        year = hit[4]
    else:
        return None
    return f"{year}-{month:02d}-{day.zfill(2)}" if month else None


def as_fhir(stamp: Stamp) -> str:
    """Write a date or time as FHIR has it, as exactly as it is known."""
    if stamp.moment is not None:
        return stamp.moment.isoformat()
    return stamp.day.isoformat()[: {"year": 4, "month": 7}.get(stamp.precision, 10)]


def at_age(born: Stamp, quantity: Mapping[str, Any]) -> Stamp | None:
    """
    Give when a patient was of an age (a FHIR Age in years or months); a year or a month long, never a day.

    `born` may itself be only a year; the span then reaches from the first to the last day that is possible.
    """
    value, unit = quantity.get("value"), units.ucum(quantity)
    if not is_number(value) or unit not in {"a", "mo"}:
        return None
    months = int(Decimal(str(value)) * (12 if unit == "a" else 1))
    if not 0 <= months <= 12 * 130:
        return None
    first = _months_later(born.day, months)
    last = _months_later(born.last, months + (12 if unit == "a" else 1)) - dt.timedelta(1)
    return Stamp(first, last, None, "year" if unit == "a" else "month")


def _months_later(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _zone(text: str | None) -> dt.tzinfo | None:
    if not text:
        return None
    if text in {"Z", "z"}:
        return dt.UTC
    digits = text[1:].replace(":", "")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def with_zone(value: object, timezone: dt.tzinfo) -> object:
    """Give a FHIR dateTime that has a zone, for a model that insists on one; anything else as it came."""
    if not isinstance(value, str) or "T" not in value:
        return value
    stamp = parse(value, timezone)
    return value if stamp is None or stamp.moment is None else stamp.moment.isoformat()


def order(stamp: Stamp | None, status: object = None, issued: Stamp | None = None, name: str = "") -> tuple[Any, ...]:
    """
    Give the sort key of "the newest wins"; the largest wins, whatever the order of arrival.

    Time first (a mere day stands before the times of that day; `same_time` compares the two by day), then
    status (corrected, amended, final), then when it was issued, then the name.
    """
    return (
        stamp.day if stamp else dt.date.min,
        (stamp.minute or _EARLIEST) if stamp else _EARLIEST,
        STATUS_RANK.get(status, 0) if isinstance(status, str) else 0,
        (issued.moment or _EARLIEST) if issued else _EARLIEST,
        name,
    )


def same_time(one: Stamp | None, other: Stamp | None) -> bool:
    """Tell whether two results are of the same time: the same minute, or the same day when one has only a day."""
    if one is None or other is None:
        return one is None and other is None
    if one.minute is not None and other.minute is not None:
        return one.minute == other.minute
    return one.day == other.day
