"""What fills the braces that many rules share: a drug, a bone, a day, the kidneys in one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Label, Phrase
from recommenders.patient.bone_words import BONE_FILLS
from recommenders.patient.courses import bma
from recommenders.patient.lesions import imaging
from recommenders.patient.reasons import order_of
from recommenders.patient.remarks import plain
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.records import ONCOLOGIC

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from recommenders.patient.advice import Advice, Case, Fill
    from recommenders.vocabulary.facts import Reading

GUIDANCE = guidance("fills")
"""The phrases of this module; their placeholders are facts or given here."""


def drug(case: Case, advice: Advice) -> Fill | None:
    """Give the drug of the draft order; at the chart the current bone agent, else the last one."""
    order = order_of(case, advice)
    if order is not None:
        return order.drug or order.label or None
    drugs = case.once(bma)
    members = drugs.current.courses or drugs.past.courses or drugs.any.courses
    return tuple(dict.fromkeys(course.drug for course in members)) or None


def last_dose_date(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the day of the last dose of the bone agent."""
    fact = case.once(bma).last_dose_date
    return fact.date if fact.is_known else None


def bone_met_date(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the day since when the bone metastasis is known: that of the diagnosis, else of the first image."""
    fact = case.facts.dx.bone_met
    if fact.date is not None:
        return fact.date
    return min((study.date for study in imaging(case.facts) if study.date), default=None)


def osteoporosis_drug(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Name the current antiresorptive of osteoporosis strength."""
    weak = [course for course in case.once(bma).any.courses if course.drug not in ONCOLOGIC]
    return tuple(dict.fromkeys(course.drug for course in weak)) or None


def renal(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Say dialysis, else the creatinine clearance."""
    if case.facts.other.dialysis.value is True:
        return Phrase("dialysis")
    crcl = case.facts.lab.crcl
    return Phrase("clearance", {"crcl": crcl}) if crcl.is_known else None


def renal_creatinine(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Say dialysis, else the creatinine."""
    if case.facts.other.dialysis.value is True:
        return Phrase("dialysis")
    creatinine = case.facts.lab.creatinine
    return Phrase("creatinine", {"creatinine": creatinine}) if creatinine.is_known else None


def life_expectancy(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the life expectancy in months, as a bare number or range."""
    fact = case.facts.status.life_expectancy
    return Phrase("bare", {"value": fact}) if fact.is_known else None


def bone_disease(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Name the bone disease: metastasis, myeloma, smouldering myeloma."""
    dx = case.facts.dx
    diseases = {"bone-metastasis": dx.bone_met, "myeloma": dx.mm, "smouldering-myeloma": dx.smm}
    return next((Phrase(key) for key, fact in diseases.items() if fact.value is True), None)


def route(case: Case, advice: Advice) -> Fill | None:
    """Give the route as ordered."""
    order = order_of(case, advice)
    return Phrase(f"route-{order.route.value}") if order is not None and order.route.is_known else None


def as_ordered(case: Case, advice: Advice) -> Fill | None:
    """Give dose, route and interval of the order, as far as they are written."""
    order = order_of(case, advice)
    if order is None:
        return None
    parts: list[Fill] = []
    if order.dose_mg.is_known:
        parts.append(Phrase("dose", {"dose": _bare(order.dose_mg)}))
    if order.route.is_known:
        parts.append(Phrase(f"route-{order.route.value}"))
    if order.interval_days.is_known:
        parts.append(Phrase("interval", {"days": order.interval_days}))
    if order.infusion_min.is_known:
        parts.append(Phrase("infusion", {"minutes": order.infusion_min}))
    return tuple(parts) or None


def _bare(reading: Reading) -> Fill:
    """Give a reading's number without needless zeros where there is one number."""
    return reading if reading.rounded is None else plain(reading.rounded)


def nephrotoxic_drugs(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Name the current drugs that harm the kidney, as far as the chart says which."""
    meds = case.facts.meds
    found = [Label(fact.name) for fact in (meds.nephrotoxic, meds.nsaid) if fact.value is True]
    return tuple(found) or None


def _last(case: Case, path: str) -> Fill | None:
    earlier = [reading for reading in case.facts.series.get(path, ()) if reading.is_known and reading.date]
    newest = max(earlier, key=lambda reading: reading.date or case.facts.as_of, default=None)
    fact = case.facts.fact(path)
    if newest is None:
        return Phrase("value-sent", {"value": fact.sent, "day": fact.date}) if fact.sent and fact.date else None
    return Phrase("value-of-day", {"value": newest, "day": _day(newest.date)})


def _day(day: dt.date | None) -> dt.date | str:
    return day if day is not None else ""


def creatinine_last(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the last creatinine with its day, although it is too old."""
    return _last(case, "lab.creatinine")


def ca_last(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the last total calcium with its day, although it is too old."""
    return _last(case, "lab.ca_total")


def cancer(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Name the cancer on record."""
    dx = case.facts.dx
    for fact in (dx.lung_cancer, dx.mm, dx.other_solid_cancer):
        if fact.value is True:
            return Label(fact.name)
    return None


FILLS: Mapping[str, Callable[[Case, Advice], Fill | None]] = dict(BONE_FILLS) | {
    function.__name__: function
    for function in (
        drug,
        last_dose_date,
        bone_met_date,
        osteoporosis_drug,
        renal,
        renal_creatinine,
        life_expectancy,
        bone_disease,
        route,
        as_ordered,
        nephrotoxic_drugs,
        creatinine_last,
        ca_last,
        cancer,
    )
}
"""Placeholder -> what fills it; None where the chart does not say."""
