"""Bone-modifying agents over time: which are current, since when, how often, and the last dose."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import ROUND_CEILING, Decimal
from functools import cache, cached_property
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from recommenders.patient.scope import scope_of
from recommenders.vocabulary.facts import Finding, Moment, Reading, exactly, replace
from recommenders.vocabulary.formulas import DAYS_PER_MONTH
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import Condition, Criterion, Truth, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC, Course, Courses, Dose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Limit, Limits
    from recommenders.vocabulary.records import Event, Order, OrderKind

GUIDANCE = guidance("courses")
LONGEST = Decimal(600)
"""Months; the open end of "at least so long"."""

ZOLEDRONIC: frozenset[str] = frozenset({"zoledronic", "zoledronic-5"})
SAME_DRUG: dict[str, frozenset[str]] = {
    "zoledronic": ZOLEDRONIC,
    "zoledronic-5": ZOLEDRONIC,
    "denosumab-120": frozenset({"denosumab-120", "denosumab-unspecified"}),
    "denosumab-60": frozenset({"denosumab-60", "denosumab-unspecified"}),
    "denosumab-unspecified": DENOSUMAB,
}
"""Classes whose doses count as doses of this class; every other class stands for itself."""

ANY_AGENT = DENOSUMAB | BISPHOSPHONATES


@cache
def _in_order(classes: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(classes))


class DrugSet(msgspec.Struct, frozen=True, dict=True):
    """
    The classes of bone-modifying agents that are, for instance, current.

    `possible` are those that can only be asked about (reported by the patient, history cut short);
    `listed.delivered` is False when no medication list came, or not all of it can be read: nothing is ruled out.
    """

    name: str
    courses: tuple[Course, ...] = ()
    possible: tuple[Course, ...] = ()
    listed: Courses = msgspec.field(default_factory=Courses)

    @property
    def classes(self) -> frozenset[str]:
        """The classes that certainly belong."""
        return frozenset(course.drug for course in self.courses)

    def includes(self, classes: Iterable[str]) -> Criterion:
        """Tell whether at least one of these classes belongs to the set."""
        wanted = frozenset(classes)
        found = [course for course in self.courses if course.drug in wanted]
        maybe = [course for course in self.possible if course.drug in wanted]
        unread = not self.listed.delivered
        holds: Truth = True if found else None if maybe or unread else False
        shown = found or maybe
        evidence = Finding(
            name=self.name,
            value=", ".join(sorted({course.drug for course in shown})) or "none",
            reason=None if holds is not None else self.listed.reason if unread else "suspected",
            date=max((course.last_dose.date for course in shown if course.last_dose), default=None),
            resources=tuple(name for course in shown for name in course.resources) or self.listed.unidentified,
        )
        return leaf(Condition(self.name, "in", _in_order(wanted), evidence, holds))

    def any(self) -> Criterion:
        """Tell whether the set has any member."""
        return self._any

    @cached_property
    def _any(self) -> Criterion:
        return self.includes(ANY_AGENT)


class Bma(msgspec.Struct, frozen=True):
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

    @property
    def last_drug(self) -> str | None:
        """The class of the oncologic agent that was given last; None without a dated one."""
        dated = [
            (dose.date, course.drug) for course in self.items if course.drug in ONCOLOGIC and (dose := course.last_dose)
        ]
        return max(dated, default=(None, None))[1]

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
    listed = case.facts.courses

    def drug_set(name: str, chosen: Iterable[Course], possible: Iterable[Course] = ()) -> DrugSet:
        return DrugSet(name, tuple(chosen), tuple(possible), listed)

    told = [course for course in items if course.status in {"reported", "unknown"}]
    sure = [course for course in items if course not in told]
    lasting = [course for course in sure if _lasts(course, limits, today)]
    oncologic = [course for course in lasting if course.drug in ONCOLOGIC]
    overlapping = [
        course
        for course in lasting
        if is_active(course)
        or course.drug not in ONCOLOGIC
        or _days_since(course.last_dose, today) < overlap_after_stop(course.drug, limits).value
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


def overlap_after_stop(drug: str, limits: Limits) -> Limit:
    """Give how long after the last dose of an ended oncologic course another agent is too early: its own interval."""
    return limits.denosumab_overlap_after_stop if drug in DENOSUMAB else limits.overlap_after_stop


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
    if course.drug == "ibandronate-3":
        return since <= limits.ibandronate_3_lasts.value
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


def on_treatment(case: Case) -> Criterion:
    """Tell whether a bone-modifying agent of oncologic strength is current."""
    return case.once(bma).current.any()


def ever_on_treatment(case: Case) -> Criterion:
    """Tell whether a bone-modifying agent of oncologic strength is current or was given before."""
    return on_treatment(case) | case.once(bma).past.any()


def on_antiresorptive(case: Case) -> Criterion:
    """Tell whether any bone-modifying agent is current or being ordered, of osteoporosis strength too."""
    return case.once(bma).any.any() | being_ordered(case)


# --- orders and doses ---------------------------------------------------------------------------------------


def bma_orders(case: Case) -> tuple[Order, ...]:
    """
    Give the bone-modifying agents being ordered now; none on chart hooks.

    Those of osteoporosis strength count in patients with a diagnosis in scope only (specification §0.7.4).
    """
    if case.hook in CHART_HOOKS:
        return ()
    in_scope = case.once(scope_of).kind == "diagnosis"
    return tuple(order for order in case.orders_at_hand if order.is_bma and (in_scope or order.drug in ONCOLOGIC))


def being_ordered(case: Case) -> Criterion:
    """Tell whether a bone-modifying agent is being ordered now; never unknown."""
    return given(bool(bma_orders(case)))


def at_hand(case: Case, *kinds: OrderKind) -> tuple[str, ...]:
    """Give the draft orders at hand that are of one of these kinds; none at the chart."""
    if case.hook in CHART_HOOKS:
        return ()
    return tuple(order.reference for order in case.orders_at_hand if not set(kinds).isdisjoint(order.kinds))


def same_drug(drug: str | None) -> frozenset[str]:
    """Give the classes whose doses count as doses of this class."""
    return SAME_DRUG.get(drug or "", frozenset({drug or ""}))


def is_given(course: Course, dose: Dose) -> bool:
    """Tell whether a dose counts as given: the date of an order that still stands is a prescription, not a dose."""
    return dose.kind != "order-date" or not is_active(course)


def given_doses(case: Case, classes: Iterable[str]) -> tuple[Dose, ...]:
    """Give the doses of these classes that were given, oldest first; what a patient only reports is left out."""
    wanted = frozenset(classes)
    doses = [
        dose
        for course in case.facts.courses
        if course.drug in wanted and course.status not in {"reported", "unknown"}
        for dose in course.doses
        if is_given(course, dose)
    ]
    return tuple(sorted(doses, key=lambda dose: dose.date))


def first_dose(case: Case, order: Order) -> Criterion:
    """
    Tell whether an order is for the first dose of its drug.

    No after a dose; yes without any course of it; unknown when there is only an order that stands, a course
    told by the patient, or no medication list. A safety rule about later doses asks `~documented(first_dose(…))`.
    """
    wanted = same_drug(order.drug)
    given = given_doses(case, wanted)
    courses = case.facts.courses
    mentioned = any(course.drug in wanted for course in courses)
    holds: Truth = False if given else None if mentioned or not courses.delivered else True
    evidence = Finding(
        name="order.first_dose",
        value=holds,
        reason=None if holds is not None else "missing" if courses.delivered else courses.reason,
        date=given[-1].date if given else None,
        resources=given[-1].resources if given else courses.unidentified,
        lacks=() if holds is not None else ("bma.last_dose_date",),
    )
    return leaf(Condition("order.first_dose", "is", True, evidence, holds))


def days_since_dose(case: Case, classes: Iterable[str]) -> Reading:
    """Give the days since the last dose of these classes that was given; unknown without one."""
    blank = Reading(name="bma.last_dose_date", unit="d", decimals=0)
    given = given_doses(case, classes)
    if not given:
        return blank
    last = given[-1]
    flags = ("order-date",) if last.kind == "order-date" else ()
    return exactly(blank, (case.facts.as_of - last.date).days, date=last.date, resources=last.resources, flags=flags)


def dosed_within(case: Case, classes: Iterable[str], days: Limit) -> Criterion:
    """
    Tell whether a dose of these classes lies at most so many days back.

    Closed (not found is no) when the medication list came; an order that stands without a dose leaves it open.
    """
    wanted = frozenset(classes)
    since = days_since_dose(case, wanted)
    courses = case.facts.courses
    standing = any(
        course.drug in wanted and not any(is_given(course, dose) for dose in course.doses) for course in courses
    )
    if since.is_known and (since <= days).yes:
        holds: Truth = True
    else:
        holds = None if standing or not courses.delivered else False
    return leaf(Condition("bma.last_dose_date", "within", days, since, holds))


def months_into(courses: Iterable[Course], fact: Fact) -> Reading:
    """Give the whole months from the start of these courses to the day of a fact; a lower bound if cut short."""
    blank = Reading(name="bma.months", unit="mo", decimals=0, lacks=("bma.start_date",))
    given = list(courses)
    start = min((course.started for course in given if course.started), default=None)
    if start is None or fact.date is None:
        return blank
    months = Decimal(int(Decimal((fact.date - start).days) / DAYS_PER_MONTH))
    found = exactly(blank, months, date=fact.date, resources=fact.resources, lacks=())
    if any(course.truncated for course in given):
        return replace(found, high=LONGEST, flags=("at-least",))
    return found


def milestone(case: Case, months: Limit) -> dt.date | None:
    """Give the day on which the current run of bone agents reached so many months; None without a certain start."""
    drugs = case.once(bma)
    start = drugs.start_date.date
    if start is None or "at-least" in drugs.months.flags:
        return None
    return start + dt.timedelta(int((months.value * DAYS_PER_MONTH).to_integral_value(ROUND_CEILING)))


def event_during_bma(case: Case) -> Event | None:
    """Give the newest skeletal event on or after the start of the bone-modifying agent."""
    start = case.once(bma).start_date.date
    during = [event for event in case.facts.sre if event.date and start and event.date >= start]
    return max(during, key=lambda event: event.date or dt.date.min, default=None)


def sre_during_bma(case: Case) -> Criterion:
    """
    Tell whether a skeletal-related event is dated on or after the start of the bone-modifying agent (§1.4).

    Closed: no event on record is no. Unknown when an event, or the start of the drug, has no date.
    """
    drugs, events = case.once(bma), case.facts.skeletal_events
    start = drugs.start_date.date
    during = [event for event in events if event.date and start and event.date >= start]
    undated = any(event.date is None for event in events)
    start_open = bool(events) and (start is None or "at-least" in drugs.months.flags)
    undelivered = bool((case.facts.unavailable | case.facts.cut) & {"conditions", "procedures"})
    holds: Truth = True if during else None if undated or start_open or undelivered else False
    first = min(during, key=lambda event: event.date or dt.date.max, default=None)
    evidence = Moment(
        name="sre[].date",
        date=first.date if first else None,
        reason=None if first else "not-delivered" if undelivered and not events else "missing",
        resources=first.resources if first else (),
        lacks=() if holds is not None else ("bma.start_date",) if start_open and not undated else ("sre[].date",),
    )
    return leaf(Condition("sre[].date", "is", "during treatment", evidence, holds))
