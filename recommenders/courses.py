"""Bone-modifying agents over time: which are current, since when, how often, and the last dose."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

from recommenders.facts import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC, Course, Dose, Finding, Moment, Reading, exactly
from recommenders.formulas import DAYS_PER_MONTH
from recommenders.guidance import guidance
from recommenders.logic import Condition, Criterion, Truth, leaf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recommenders.advice import Case
    from recommenders.guidance import Limits

GUIDANCE = guidance("courses")
LONGEST = Decimal(600)
"""Months; the open end of "at least so long"."""


@dataclass(frozen=True, slots=True)
class DrugSet:
    """
    The classes of bone-modifying agents that are, for instance, current.

    `possible` are those that can only be asked about (reported by the patient, history cut short);
    `delivered` is False when no medication list came: then nothing can be ruled out.
    """

    name: str
    courses: tuple[Course, ...] = ()
    possible: tuple[Course, ...] = ()
    delivered: bool = True

    @property
    def classes(self) -> frozenset[str]:
        """The classes that certainly belong."""
        return frozenset(course.drug for course in self.courses)

    def includes(self, classes: Iterable[str]) -> Criterion:
        """Tell whether at least one of these classes belongs to the set."""
        wanted = frozenset(classes)
        found = [course for course in self.courses if course.drug in wanted]
        maybe = [course for course in self.possible if course.drug in wanted]
        holds: Truth = True if found else None if maybe or not self.delivered else False
        shown = found or maybe
        evidence = Finding(
            name=self.name,
            value=", ".join(sorted({course.drug for course in shown})) or "none",
            reason=None if holds is not None else "not-delivered" if not self.delivered else "suspected",
            date=max((course.last_dose.date for course in shown if course.last_dose), default=None),
            resources=tuple(name for course in shown for name in course.resources),
        )
        return leaf(Condition(self.name, "in", tuple(sorted(wanted)), evidence, holds))

    def any(self) -> Criterion:
        """Tell whether the set has any member."""
        return self.includes(DENOSUMAB | BISPHOSPHONATES)


@dataclass(frozen=True, slots=True)
class Bma:
    """
    §1.8: `current` (oncologic strength), `any` (osteoporosis strength too), `overlap` (for duplicates), `past`.

    `start_date`, `months` and `interval_days` are those of the current run of oncologic courses;
    `months` is a lower bound when older history was not delivered.
    """

    current: DrugSet
    any: DrugSet
    overlap: DrugSet
    past: DrugSet
    start_date: Moment
    months: Reading
    interval_days: Reading
    last_dose_date: Moment
    as_of: dt.date
    items: tuple[Course, ...]

    def last_dose(self, classes: Iterable[str]) -> Dose | None:
        """Give the newest dose of these classes, a real one before the mere date of an order."""
        wanted = frozenset(classes)
        doses = [course.last_dose for course in self.items if course.drug in wanted and course.last_dose]
        real = [dose for dose in doses if dose.kind != "order-date"]
        return max(real or doses, key=lambda dose: dose.date, default=None)


def is_active(course: Course) -> bool:
    """Tell whether its newest order stands."""
    return course.status in {"active", "on-hold"}


def bma(case: Case) -> Bma:
    """Work out which bone-modifying agents count as current, and their dates."""
    limits = case.limits(GUIDANCE)
    today = case.facts.as_of
    items = case.facts.courses.items
    delivered = case.facts.courses.delivered

    def drug_set(name: str, chosen: Iterable[Course], possible: Iterable[Course] = ()) -> DrugSet:
        return DrugSet(name, tuple(chosen), tuple(possible), delivered)

    told = [course for course in items if course.status in {"reported", "unknown"}]
    sure = [course for course in items if course not in told]
    lasting = [course for course in sure if _lasts(course, limits, today)]
    oncologic = [course for course in lasting if course.drug in ONCOLOGIC]
    overlapping = [
        course
        for course in lasting
        if is_active(course)
        or course.drug not in ONCOLOGIC
        or _days_since(course.last_dose, today) < limits.overlap_after_stop.value
    ]
    past = [course for course in sure if course.drug in ONCOLOGIC and course not in oncologic]
    run = _run(sure, limits)
    months = _months(run, today, current=bool(oncologic))
    last = max((dose for course in run if (dose := course.last_dose)), key=lambda dose: dose.date, default=None)
    start = min((course.started for course in run if course.started), default=None)
    return Bma(
        current=drug_set("bma.current", oncologic, [c for c in told if c.drug in ONCOLOGIC]),
        any=drug_set("bma.any", lasting, told),
        overlap=drug_set("bma.overlap", overlapping, told),
        past=drug_set("bma.past", past),
        start_date=Moment(
            name="bma.start_date",
            date=start,
            reason=None if start else "missing",
            resources=tuple(name for course in run for name in course.resources),
        ),
        months=months,
        interval_days=_interval(oncologic or run, limits),
        last_dose_date=Moment(
            name="bma.last_dose_date",
            date=last.date if last else None,
            reason=None if last else "missing",
            resources=last.resources if last else (),
        ),
        as_of=today,
        items=items,
    )


def _days_since(dose: Dose | None, today: dt.date) -> Decimal:
    return Decimal((today - dose.date).days) if dose else Decimal("Infinity")


def _lasts(course: Course, limits: Limits, today: dt.date) -> bool:
    if is_active(course):
        return True
    since = _days_since(course.last_dose, today)
    if course.drug == "denosumab-60":
        return since <= limits.denosumab_60_lasts.value
    if course.drug == "zoledronic-5":
        return since <= limits.zoledronic_5_lasts.value
    if course.drug in {"ibandronate-oral", "other-bisphosphonate"}:
        return False  # tablets: only an order that stands counts
    return since <= limits.current_after_last_dose.value


def _run(courses: Iterable[Course], limits: Limits) -> list[Course]:
    """Give the newest run of oncologic courses without a gap of more than 6 months, whatever the agent."""
    dated = sorted(
        (course for course in courses if course.drug in ONCOLOGIC and course.started),
        key=lambda course: course.started or dt.date.min,
        reverse=True,
    )
    run: list[Course] = []
    for course in dated:
        end = max(
            (d for d in (course.ended, course.last_dose.date if course.last_dose else None, course.started) if d),
            default=None,
        )
        earliest = min((c.started for c in run if c.started), default=None)
        if not run or is_active(course) or (end and earliest and (earliest - end).days <= limits.course_gap.value):
            run.append(course)
        else:
            break
    return run


def _months(run: Iterable[Course], today: dt.date, *, current: bool) -> Reading:
    run = list(run)
    blank = Reading(name="bma.months", unit="mo", decimals=0, lacks=("bma.start_date",))
    start = min((course.started for course in run if course.started), default=None)
    if start is None:
        return blank
    ends = [course.last_dose.date for course in run if course.last_dose]
    end = today if current else max([*ends, start])
    months = Decimal(int(Decimal((end - start).days) / DAYS_PER_MONTH))
    names = tuple(name for course in run for name in course.resources)
    found = exactly(blank, months, date=end, resources=names, lacks=())
    if any(course.truncated for course in run):
        return Reading(
            name=found.name,
            unit=found.unit,
            decimals=0,
            low=months,
            high=LONGEST,
            reason=None,
            date=end,
            resources=names,
            flags=("at-least",),
        )
    return found


def _interval(courses: Iterable[Course], limits: Limits) -> Reading:
    blank = Reading(name="bma.interval_days", unit="d", decimals=0)
    newest = sorted(courses, key=lambda course: course.started or dt.date.min)
    for course in reversed(newest):
        if course.interval_days is not None:
            return exactly(blank, course.interval_days, resources=course.resources)
    days = sorted({dose.date for course in newest for dose in course.doses if dose.kind != "order-date"})
    gaps = [(later - earlier).days for earlier, later in itertools.pairwise(days)]
    usual = [gap for gap in gaps if gap <= limits.interval_ignores_gaps_above.value][-3:]
    if not usual:
        return blank
    names = tuple(name for course in newest for name in course.resources)
    return exactly(blank, Decimal(str(median(usual))), resources=names, flags=("from-doses",))
