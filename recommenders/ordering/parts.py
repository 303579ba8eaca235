"""What the rules on orders share: which drug it is, its route and infusion, the largest dose, how parts are shown."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase, Proposal, ProposedMedication
from recommenders.patient.courses import is_active
from recommenders.patient.remarks import plain
from recommenders.patient.services import asked
from recommenders.vocabulary.facts import Finding, replace
from recommenders.vocabulary.guidance import ORDER_HOOKS, guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, all_of, documented, given, leaf
from recommenders.vocabulary.records import DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.guidance import Limit, Limits
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("order_safety")

ZOLEDRONIC = frozenset({"zoledronic", "zoledronic-5"})
WITHOUT_DOSING_RULE = frozenset({"pamidronate", "clodronate", "other-bisphosphonate"})
MINUTES_IN_AN_HOUR = 60


def is_drug(order: Order, classes: Iterable[str]) -> Criterion:
    """Tell whether the order is for one of these; as a condition, so that the draft shows among the reasons."""
    wanted = tuple(sorted(classes))
    evidence = Finding(name="order.drug", value=order.drug, reason=None, resources=(order.reference,))
    return leaf(Condition("order.drug", "in", wanted, evidence, order.drug in wanted))


def by_mouth(order: Order) -> Criterion:
    """Tell whether it is a tablet; never unknown."""
    return documented(order.route.is_("PO")) | given(order.drug == "ibandronate-oral")


def largest_dose(order: Order) -> Reading:
    """Give the largest single dose of an order, else its dose."""
    return order.largest_dose_mg if order.largest_dose_mg.is_known else order.dose_mg


def maximum_dose(case: Case, order: Order, *, for_bone_loss: bool) -> Limit | None:
    """Give the largest single dose that is meant for the ordered agent, mg; None for an agent without one."""
    limits = case.limits(GUIDANCE)
    if order.drug in DENOSUMAB:
        return limits.denosumab_dose
    if order.drug in ZOLEDRONIC:
        return limits.zoledronic_osteoporosis_dose if for_bone_loss else limits.zoledronic_dose
    if order.drug == "ibandronate":
        return limits.ibandronate_dose
    if order.drug == "incadronate":
        return limits.incadronate_dose
    return limits.pamidronate_dose if order.drug == "pamidronate" else None


def overdose(case: Case, order: Order, *, for_bone_loss: bool = False) -> Criterion:
    """Tell whether a single dose is above 110 % of the agent's maximum; tablets and agents without one never are."""
    maximum = maximum_dose(case, order, for_bone_loss=for_bone_loss)
    if maximum is None:
        return NO
    return ~by_mouth(order) & (largest_dose(order) > overdose_limit(maximum, case.limits(GUIDANCE)))


def overdose_limit(maximum: Limit, limits: Limits) -> Limit:
    """Give the dose above which a single dose is an overdose: the maximum with its margin."""
    return replace(maximum, value=maximum.value * limits.overdose_factor.value)


def shortest_infusion(case: Case, order: Order) -> Limit | None:
    """Give the shortest infusion of the ordered drug, min; None for one that is not infused."""
    limits = case.limits(GUIDANCE)
    if "ifosfamide" in order.kinds:
        return limits.ifosfamide_infusion
    if order.drug == "ibandronate":
        follows_chinese_labels = limits.ibandronate_site_label_dose.value != limits.ibandronate_dose.value
        return limits.ibandronate_chinese_infusion if follows_chinese_labels else limits.ibandronate_infusion
    return {
        "zoledronic": limits.zoledronic_infusion,
        "zoledronic-5": limits.zoledronic_infusion,
        "incadronate": limits.incadronate_shortest_infusion,
        "pamidronate": limits.pamidronate_infusion,
    }.get(order.drug or "")


def only(part: Criterion, *others: Criterion) -> Criterion:
    """Tell whether just this part of an order differs, as far as the others are told."""
    return all_of((part, *(~documented(other) for other in others)))


def pieces(found: Mapping[str, Value | None]) -> dict[str, Value]:
    """Give the computed values that there are."""
    return {key: value for key, value in found.items() if value is not None}


def filled(found: Mapping[str, Fill | None]) -> dict[str, Fill]:
    """Give the fills that there are, numbers without needless zeros."""
    return {
        key: plain(value) if isinstance(value, Decimal) else value for key, value in found.items() if value is not None
    }


def shown(reading: Reading) -> Fill:
    """Give a reading's number for a sentence that has the unit already."""
    if not reading.is_known or reading.low is None or reading.high is None:
        return Phrase("not-told")
    if reading.rounded is not None:
        return plain(reading.rounded)
    return Phrase("range", {"low": plain(reading.low), "high": plain(reading.high)})


def shown_day(day: dt.date | None) -> Fill:
    """Give a day for a sentence; "undated" without one."""
    return Phrase("undated") if day is None else day


def shown_time(minutes: Decimal) -> Phrase:
    """Give an infusion time for a sentence: in minutes, from two hours on in hours."""
    hours = minutes / MINUTES_IN_AN_HOUR
    if hours >= 2 and hours == hours.to_integral_value():
        return Phrase("hours", {"n": plain(hours)})
    return Phrase("minutes", {"n": plain(minutes)})


def drug_name(drug: str | None) -> Phrase:
    """Name a class of bone-modifying agents in the reader's language."""
    return Phrase(f"drug-{drug or 'other-bisphosphonate'}")


def asked_for(case: Case, *services: Service) -> Criterion:
    """Tell whether one of these tests was ordered lately, or is drafted beside; never unknown."""
    since = case.facts.as_of - dt.timedelta(int(case.limits(GUIDANCE).test_is_pending.value))
    return asked(case, *services, since=since)


# --- what is suggested --------------------------------------------------------------------------------------


def removal(order: Order, button: str = "remove") -> tuple[Proposal, ...]:
    """Suggest to take a draft out of the order; nothing for a draft that has no id to be named by."""
    return (Proposal(button=button, items=(), replaces=order.reference),) if order.has_id else ()


def denosumab_instead(case: Case, order: Order, button: str) -> tuple[Proposal, ...]:
    """Suggest denosumab 120 mg in the place of a draft; nothing where it runs or is drafted, or the draft has no id."""
    others = [other.drug for other in case.facts.orders if other is not order]
    others += [course.drug for course in case.facts.courses if is_active(course)]
    if not order.has_id or case.hook not in ORDER_HOOKS or "denosumab-120" in others:
        return ()
    limits, dx = case.limits(GUIDANCE), case.facts.dx
    denosumab = ProposedMedication(
        drug="denosumab",
        dose=limits.denosumab_dose.value,
        route="SC",
        interval_days=int(limits.denosumab_interval.value),
    )
    reasons = tuple(finding.name for finding in (dx.bone_met, dx.mm, dx.smm) if finding.value is True)
    return (Proposal(button=button, items=(denosumab,), replaces=order.reference, reasons=reasons),)
