"""Ibandronate, incadronate, pamidronate and other bisphosphonates ordered: dose, time, volume, interval, kidneys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.ordering.parts import (
    GUIDANCE,
    WITHOUT_DOSING_RULE,
    by_mouth,
    filled,
    is_drug,
    only,
    overdose,
    pieces,
    shortest_infusion,
    shown_time,
)
from recommenders.patient.advice import Advice, ChangedOrder, Proposal
from recommenders.patient.order_intent import intent_of
from recommenders.patient.remarks import plain
from recommenders.patient.renal import GUIDANCE as RENAL
from recommenders.patient.renal import ibandronate_dose
from recommenders.vocabulary.logic import any_of, documented, given, known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.logic import Criterion
    from recommenders.vocabulary.records import Order


# --- ibandronate --------------------------------------------------------------------------------------------


def ibandronate(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what is said of one ibandronate order at hand."""
    intent = intent_of(case, order)
    judged = ~documented(order.route.is_("PO")) & ~intent.elsewhere
    yield _ibandronate_as_labelled(case, order, judged)
    yield _ibandronate_by_clearance(case, order, judged, intent.open)


def _ibandronate_as_labelled(case: Case, order: Order, judged: Criterion) -> Advice:
    limits, renal, crcl = case.limits(GUIDANCE), case.limits(RENAL), case.cautious().lab.crcl
    shortest = shortest_infusion(case, order) or limits.ibandronate_infusion
    normal_kidneys = crcl >= renal.ibandronate_full_dose_from
    too_fast = order.infusion_min < shortest
    other_dose = normal_kidneys & order.dose_mg.differs_from(limits.ibandronate_dose)
    too_often = (order.interval_days < limits.bisphosphonate_interval) & ~order.loading
    too_much = overdose(case, order)
    rest = too_fast | too_often
    site_label_dose = order.dose_mg.equals(limits.ibandronate_site_label_dose)
    dose_only = only(other_dose, too_fast, too_often)
    offers = {
        "dose": (
            other_dose & ~site_label_dose,
            ChangedOrder(order=order.reference, dose_mg=limits.ibandronate_dose.value),
        ),
        "infusion": (
            too_fast & normal_kidneys,
            ChangedOrder(order=order.reference, infusion_min=int(shortest.value)),
        ),
        "interval": (too_often, ChangedOrder(order=order.reference, interval_days=int(limits.every_four_weeks.value))),
    }
    return Advice(
        rule="DOSE-006",
        because=judged & (rest if too_much.yes and not rest.no else other_dose | rest),
        superseded=too_much.yes and rest.no,
        holds={
            "infusion-only": only(too_fast, other_dose, too_often),
            "site-label-dose": dose_only & site_label_dose,
            "dose-only": dose_only,
            "four-mg": order.dose_mg.equals(limits.ibandronate_chinese_dose),
            "interval-only": only(too_often, other_dose, too_fast),
            "daily": order.interval_days.equals(1),
        },
        fill={"min_infusion": shown_time(shortest.value)},
        proposals=_offered(offers),
        values=pieces({"crcl_ml_min": crcl.rounded}),
        order=order.reference,
    )


def _offered(offers: dict[str, tuple[Criterion, ChangedOrder]]) -> tuple[Proposal, ...]:
    return tuple(Proposal(button=key, items=(change,)) for key, (holds, change) in offers.items() if holds.yes)


def _ibandronate_by_clearance(case: Case, order: Order, judged: Criterion, no_indication: Criterion) -> Advice:
    facts, limits, renal = case.cautious(), case.limits(GUIDANCE), case.limits(RENAL)
    crcl, dialysis = facts.lab.crcl, facts.other.dialysis
    weak_kidneys = crcl < renal.ibandronate_full_dose_from
    very_weak = crcl < renal.ibandronate_lowest_clearance
    above_reduced_dose = order.dose_mg > renal.ibandronate_reduced_dose
    above_lowest_dose = order.dose_mg > renal.ibandronate_lowest_dose
    fast = order.infusion_min <= limits.ibandronate_infusion
    too_high = (weak_kidneys & above_reduced_dose) | ((very_weak | dialysis) & above_lowest_dose)
    recommended = ibandronate_dose(case, crcl)
    return Advice(
        rule="DOSE-007",
        because=judged & (too_high | (weak_kidneys & fast)),
        holds={
            "very-weak-kidneys": very_weak & above_lowest_dose & ~documented(dialysis),
            "dialysis": documented(dialysis) & above_lowest_dose,
            "fast-very-weak-kidneys": very_weak & fast & ~documented(above_lowest_dose),
            "fast-weak-kidneys": weak_kidneys & fast & ~documented(too_high),
            "time-short-or-open": documented(fast) | ~known(order.infusion_min),
            "no-indication": no_indication,
        },
        fill=filled({"ibandronate_recommended_dose_mg": recommended}),
        proposals=_ibandronate_reduced(case, order, recommended),
        values=pieces({"crcl_ml_min": crcl.rounded, "ibandronate_recommended_dose_mg": recommended}),
        order=order.reference,
    )


def _ibandronate_reduced(case: Case, order: Order, recommended: Decimal | None) -> tuple[Proposal, ...]:
    """The reduced dose; none when the infusion is too short as well, for no longer time is verified."""
    if recommended is None or (order.infusion_min <= case.limits(GUIDANCE).ibandronate_infusion).yes:
        return ()
    if not (order.dose_mg > recommended).yes:
        return ()
    fill: dict[str, Fill] = {"ibandronate_recommended_dose_mg": plain(recommended)}
    change = ChangedOrder(order=order.reference, dose_mg=recommended)
    return (Proposal(button="dose", items=(change,), recommended=True, fill=fill),)


# --- incadronate --------------------------------------------------------------------------------------------


def incadronate_maximum(case: Case) -> Decimal | None:
    """Give the largest single dose of incadronate for this patient's age, mg; None while the age is not known."""
    age, limits = case.facts.patient.age, case.limits(GUIDANCE)
    if not (age >= limits.adult_age).yes:
        return None
    elderly = age > limits.incadronate_elderly_age
    if elderly.unknown:
        return None
    return (limits.incadronate_elderly_dose if elderly.yes else limits.incadronate_dose).value


def incadronate(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what is said of one incadronate order at hand."""
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    elderly = facts.patient.age > limits.incadronate_elderly_age
    too_much = (elderly & (order.dose_mg > limits.incadronate_elderly_dose)) | (order.dose_mg > limits.incadronate_dose)
    maximum = incadronate_maximum(case)
    fill = filled({"incadronate_max_dose_mg": limits.incadronate_dose.value if maximum is None else maximum})
    reduced = ChangedOrder(order=order.reference, dose_mg=maximum)
    offered = maximum is not None and (order.dose_mg > maximum).yes
    yield Advice(
        rule="DOSE-008",
        because=~intent_of(case, order).elsewhere & too_much,
        superseded=overdose(case, order).yes,
        holds={"elderly": elderly & (order.dose_mg > limits.incadronate_elderly_dose)},
        fill=fill,
        proposals=(Proposal(button="dose", items=(reduced,), recommended=True, fill=fill),) if offered else (),
        values=pieces({"incadronate_max_dose_mg": maximum}),
        order=order.reference,
    )
    yield _incadronate_infusion(case, order)


def _incadronate_infusion(case: Case, order: Order) -> Advice:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    crcl = facts.lab.crcl
    too_fast = order.infusion_min < limits.incadronate_shortest_infusion
    too_slow = order.infusion_min > limits.incadronate_longest_infusion
    other_volume = (order.diluent_ml < limits.incadronate_least_volume) | (
        order.diluent_ml > limits.incadronate_greatest_volume
    )
    too_often = order.interval_days < limits.bisphosphonate_interval
    offers = {
        "infusion": (
            too_fast,
            ChangedOrder(order=order.reference, infusion_min=int(limits.incadronate_shortest_infusion.value)),
        ),
        "volume": (
            other_volume,
            ChangedOrder(order=order.reference, diluent_ml=int(limits.incadronate_least_volume.value)),
        ),
        "interval": (too_often, ChangedOrder(order=order.reference, interval_days=int(limits.every_four_weeks.value))),
    }
    return Advice(
        rule="DOSE-009",
        because=any_of((too_fast, too_slow, other_volume, too_often)),
        holds={
            "too-fast-only": only(too_fast, other_volume, too_often),
            "too-slow-only": only(too_slow, other_volume, too_often),
            "volume-only": only(other_volume, too_fast, too_slow, too_often),
            "interval-only": only(too_often, too_fast, too_slow, other_volume),
            "weak-kidneys": documented(crcl < limits.incadronate_renal_question),
        },
        proposals=_offered(offers),
        values=pieces({"crcl_ml_min": crcl.rounded}),
        order=order.reference,
    )


# --- pamidronate and the rest -------------------------------------------------------------------------------


def without_dosing_rule(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what is said of a bisphosphonate whose dose the sources do not give."""
    facts, limits, intent = case.cautious(), case.limits(GUIDANCE), intent_of(case, order)
    dialysis = documented(facts.other.dialysis)
    weak = facts.lab.crcl < limits.severe_renal_impairment
    into_a_vein = ~by_mouth(order)
    pamidronate = given(order.drug == "pamidronate")
    not_recommended = pamidronate & into_a_vein & (weak | dialysis)
    yield Advice(
        rule="DOSE-020",
        because=is_drug(order, WITHOUT_DOSING_RULE),
        holds={
            "weak-kidneys": pamidronate & into_a_vein & weak & ~dialysis,
            "dialysis": pamidronate & into_a_vein & dialysis,
            "other-agent": ~pamidronate & into_a_vein & (weak | dialysis),
            "not-recommended": not_recommended,
            "no-indication": not_recommended & intent.open,
        },
        values=pieces({"crcl_ml_min": facts.lab.crcl.rounded}),
        order=order.reference,
    )
    if order.drug == "pamidronate":
        yield _pamidronate(case, order, intent.hypercalcaemia)


def _pamidronate(case: Case, order: Order, for_hypercalcaemia: Criterion) -> Advice:
    limits = case.limits(GUIDANCE)
    too_much = overdose(case, order)
    too_fast = order.infusion_min < limits.pamidronate_infusion
    for_myeloma = case.facts.dx.mm & ~for_hypercalcaemia
    fast_for_myeloma = for_myeloma & (order.infusion_min < limits.pamidronate_myeloma_infusion)
    hours = limits.pamidronate_myeloma_infusion if for_myeloma.yes else limits.pamidronate_infusion
    offers = {
        "dose": (too_much, ChangedOrder(order=order.reference, dose_mg=limits.pamidronate_dose.value)),
        "two-hours" if hours is limits.pamidronate_infusion else "four-hours": (
            too_fast | fast_for_myeloma,
            ChangedOrder(order=order.reference, infusion_min=int(hours.value)),
        ),
    }
    return Advice(
        rule="DOSE-029",
        because=~by_mouth(order) & any_of((too_much, too_fast, fast_for_myeloma)),
        holds={
            "too-fast": too_fast & ~documented(too_much),
            "too-fast-for-myeloma": fast_for_myeloma & ~documented(too_much),
        },
        proposals=_offered(offers),
        order=order.reference,
    )
