"""Earlier doses of an ordered drug: the last one, how long ago, and the chart without what the drafts replace."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.advice import Case
from recommenders.patient.courses import ZOLEDRONIC, Bma, bma
from recommenders.vocabulary.facts import Finding, Reading, exactly, replace

if TYPE_CHECKING:
    from recommenders.vocabulary.logic import Criterion
    from recommenders.vocabulary.records import Course, Dose, Order

DENOSUMAB_MONTHLY = frozenset({"denosumab-120", "denosumab-unspecified"})


@dataclass(frozen=True, slots=True)
class LastDose:
    """The newest dose of a drug, and the course it belongs to."""

    dose: Dose
    course: Course

    @property
    def is_real(self) -> bool:
        """Whether it went in: an administration or billed dose, or the date of an order that was completed."""
        return self.dose.kind in {"administration", "billed"} or self.course.status == "completed"


def day_of(case: Case, order: Order) -> dt.date:
    """Give the day on which an order is to be given first: as it says, else today."""
    return max(order.starts or case.facts.as_of, case.facts.as_of)


def days_since(last: LastDose | None, day: dt.date) -> Reading:
    """Give the days from the last dose to a day; unknown without a dated one."""
    blank = Reading(name="bma.last_dose_date", unit="d", decimals=0)
    if last is None:
        return blank
    days = (day - last.dose.date).days
    return exactly(blank, days, date=last.dose.date, resources=last.dose.resources)


def same_family(drug: str | None) -> frozenset[str]:
    """Give the classes whose doses are doses of this one: both strengths of zoledronic acid, denosumab of 120 mg."""
    for classes in (DENOSUMAB_MONTHLY, ZOLEDRONIC):
        if drug in classes:
            return classes
    return frozenset({str(drug)})


def last_dose(case: Case, drug: str | None) -> LastDose | None:
    """Give the newest dose of the drug, a real one before the mere date of an order; none in the future."""
    chart = case.once(chart_without_drafts)
    found = [
        LastDose(dose, course)
        for course in chart.items
        if course.drug in same_family(drug) and course.status not in {"reported", "unknown"}
        for dose in course.doses
        if dose.date <= case.facts.as_of
    ]
    real = [last for last in found if last.dose.kind != "order-date"]
    return max(real or found, key=lambda last: last.dose.date, default=None)


def given_before(case: Case, classes: frozenset[str]) -> Criterion:
    """Tell whether there was an earlier dose of these classes; unknown when there may have been one."""
    courses = case.once(chart_without_drafts).items
    mine = [course for course in courses if course.drug in classes]
    doses = [
        dose
        for course in mine
        if course.status not in {"reported", "unknown"}
        for dose in course.doses
        if dose.date <= case.facts.as_of
    ]
    maybe = [course for course in mine if course.status != "stopped"]
    unknown = maybe or not case.facts.courses.delivered
    evidence = Finding(
        name="bma.last_dose_date",
        value=bool(doses) if doses or not unknown else None,
        reason=None if doses or not unknown else "missing",
        date=max((dose.date for dose in doses), default=None),
        resources=tuple(name for dose in doses for name in dose.resources),
    )
    return evidence.criterion()


def chart_without_drafts(case: Case) -> Bma:
    """
    Give the courses on the chart, without what the drafts take the place of.

    A draft that is saved already (same id) or replaces an order is not a second drug beside it: that order no
    longer counts as standing, and its date of writing is no dose. Doses that went in still count.
    """
    names = {name for order in case.facts.orders if order.is_bma for name in (order.reference, *order.replaces)}
    if not any(names.intersection(course.resources) for course in case.facts.courses):
        return case.once(bma)
    items = tuple(_no_longer_ordered(course, names) for course in case.facts.courses)
    courses = replace(case.facts.courses, items=items)
    return bma(Case(replace(case.facts, courses=courses), case.hook, case.site, guidance_day=case.guidance_day))


def _no_longer_ordered(course: Course, names: set[str]) -> Course:
    if not names.intersection(course.resources):
        return course
    written = [dose for dose in course.doses if dose.kind == "order-date"]
    replaced = [dose for dose in written if names.intersection(dose.resources)]
    if written and not replaced:
        replaced = [max(written, key=lambda dose: dose.date)]
    doses = tuple(dose for dose in course.doses if dose not in replaced)
    return replace(course, status="stopped", doses=doses)
