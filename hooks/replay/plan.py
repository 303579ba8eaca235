"""What a run asks: which moments, hooks and settings, over which input; its hash is the run's name."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hooks.replay.errors import ReplayError
from recommenders.vocabulary.guidance import CHART_HOOKS, ORDER_HOOKS, content_hash, edition

if TYPE_CHECKING:
    from hooks.settings import Settings
    from recommenders.vocabulary.guidance import Hook

SCHEMA = 1
"""Of the tables; a change of columns makes it another one."""

DEFAULT_ARM = "default"
_EVERY = re.compile(r"(\d{1,4})([dwm])")
_DAYS_IN = {"d": 1, "w": 7, "m": 30}
MOST_DAYS = 3_700
CALLS = ("encounters", "orders")


@dataclass(frozen=True, slots=True)
class Plan:
    """
    One run.

    `days` are asked of every patient (day mode); with `calls` the chart's own past calls between the first and the
    last of `days` are asked instead. `transaction` is when the export was made: from then on nothing need be taken
    back. `arms` are the settings that are compared; they share one mapping. `delivered` are the types that came.
    """

    days: tuple[dt.date, ...]
    hooks: tuple[Hook, ...]
    arms: Mapping[str, Settings]
    calls: tuple[str, ...] = ()
    transaction: dt.datetime | None = None
    guidance_day: dt.date | None = None
    all_patients: bool = False
    sample: int | None = None
    seed: int = 0
    input: str = ""
    delivered: frozenset[str] = field(default_factory=frozenset)

    @property
    def main(self) -> Settings:
        """The settings of the first arm: mapping, time zone and services' pharmacists come from there."""
        return next(iter(self.arms.values()))

    @property
    def zone(self) -> dt.tzinfo:
        """The zone whose days count."""
        return self.main.zone

    def question(self) -> str:
        """
        Give the hash of what is asked of which input, without by whom it is answered.

        Results of two editions or two settings can be compared when this is the same.
        """
        told = {
            "days": [day.isoformat() for day in self.days],
            "hooks": self.hooks,
            "calls": self.calls,
            "sample": [self.sample, self.seed if self.sample is not None else 0],
            "input": self.input,
            "zone": self.main.timezone,
            "mapping": hash_of(self.main.mapping),
        }
        return hash_of(told)

    def run(self) -> str:
        """Give the run's name: the question with settings, editions and the day of the guidance."""
        told = {
            "question": self.question(),
            "arms": [[name, arm_hash(settings)] for name, settings in self.arms.items()],
            "editions": editions(),
            "guidance_day": str(self.guidance_day),
            "everybody": self.all_patients,
            "seed": self.seed,
            "schema": SCHEMA,
        }
        return hash_of(told)

    def moment(self, day: dt.date) -> dt.datetime:
        """Give the moment at which a day is asked: its end, in the site's zone."""
        return dt.datetime.combine(day, dt.time(23, 59, 59), self.zone)

    def is_now(self, moment: dt.datetime) -> bool:
        """Tell whether the export was made no later: the chart then is as it was delivered."""
        return self.transaction is not None and moment >= self.transaction


def hash_of(told: Any) -> str:  # noqa: ANN401 - JSON
    """Give 12 hexadecimal digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]


def arm_hash(settings: Settings) -> str:
    """Give the hash of what of the settings can change a card."""
    told = {
        "site": {key: str(value.normalize()) for key, value in settings.site.items()},
        "services": [one.model_dump() for one in settings.services or ()] if settings.services is not None else None,
        "pharmacists": settings.pharmacists,
    }
    return hash_of(told)


def editions() -> dict[str, str]:
    """Give what answers: the guidance and its code, the mapping, and the cards."""
    return {
        "guidance": edition(),
        "mapping": content_hash("fhir_mapping"),
        "cards": content_hash("hooks.cards"),
        "replay": content_hash("hooks.replay"),
    }


def days_of(
    day: dt.date | None, span: str | None, every: str | None, today: dt.date, calls: Sequence[str]
) -> tuple[dt.date, ...]:
    """
    Give the days that `--day`, or `--days A..B --every 1w`, ask for; without either today, or the year before it.

    Raises ReplayError for a span that is none, that runs backwards, or that has more than ten years of days.
    """
    if day is not None and span is not None:
        raise ReplayError("--day and --days: give one of them.")
    if span is None:
        if calls:
            return (today - dt.timedelta(365), day or today)
        return (day or today,)
    first, separator, last = span.partition("..")
    try:
        begin, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    except ValueError:
        begin, end, separator = dt.date.max, dt.date.min, ""
    if not separator or begin > end:
        raise ReplayError("--days: write the first and the last day, such as 2026-01-01..2026-06-30.")
    if calls:
        return (begin, end)
    found = _EVERY.fullmatch(every or "1w")
    if found is None or not int(found[1]):
        raise ReplayError("--every: write a number and d, w or m (30 days), such as 1w.")
    step = int(found[1]) * _DAYS_IN[found[2]]
    if (end - begin).days // step >= MOST_DAYS:
        raise ReplayError(f"--days: these are more than {MOST_DAYS} days; ask for fewer, or with a longer --every.")
    return tuple(begin + dt.timedelta(number * step) for number in range((end - begin).days // step + 1))


def hooks_of(told: Sequence[Hook], calls: Sequence[str]) -> tuple[Hook, ...]:
    """
    Give the hooks that are asked: those told, else the opening of the chart and, for orders, their signing.

    Raises ReplayError for a hook that nothing in the data would call.
    """
    if not told:
        wanted: list[Hook] = [] if calls == ("orders",) else ["patient-view"]
        return tuple(wanted + (["order-sign"] if "orders" in calls else []))
    if ORDER_HOOKS & set(told) and "orders" not in calls:
        raise ReplayError("--hook: an order hook needs orders; add --calls orders.")
    if CHART_HOOKS & set(told) and calls == ("orders",):
        raise ReplayError("--hook: a chart hook needs days or encounters; add encounters to --calls.")
    return tuple(dict.fromkeys(told))


def calls_of(told: str | None) -> tuple[str, ...]:
    """Give the past calls that `--calls encounters,orders` asks for; raise ReplayError for others."""
    found = tuple(dict.fromkeys(part.strip() for part in (told or "").split(",") if part.strip()))
    if wrong := [one for one in found if one not in CALLS]:
        raise ReplayError(f"--calls: {wrong[0]!r} is none; write encounters, orders, or both with a comma.")
    return tuple(sorted(found))
