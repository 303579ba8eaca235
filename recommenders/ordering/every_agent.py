"""What is asked of every drug that rules look at: too early, too much, age and pregnancy, allergy, route, push."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.ordering.denosumab import judged_by_cancer_doses
from recommenders.ordering.other_agents import incadronate_maximum
from recommenders.ordering.parts import (
    GUIDANCE,
    ZOLEDRONIC,
    by_mouth,
    filled,
    is_drug,
    largest_dose,
    maximum_dose,
    overdose,
    pieces,
    removal,
    shortest_infusion,
    shown,
    shown_day,
    shown_time,
)
from recommenders.ordering.zoledronic import zoledronic_table
from recommenders.patient.advice import Advice, ChangedOrder, Phrase, Proposal
from recommenders.patient.allergies import allergies_against
from recommenders.patient.earlier_doses import (
    DENOSUMAB_MONTHLY,
    day_of,
    days_since,
    given_before,
    last_dose,
    same_family,
)
from recommenders.patient.order_intent import cancer_in_bone, intent_of
from recommenders.patient.renal import ibandronate_dose
from recommenders.vocabulary.facts import replace, round_half_up
from recommenders.vocabulary.logic import NO, any_of, documented, given, known
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.patient.earlier_doses import LastDose
    from recommenders.patient.order_intent import OrderIntent
    from recommenders.vocabulary.guidance import Limit, Limits
    from recommenders.vocabulary.logic import Criterion
    from recommenders.vocabulary.records import Order

INFUSED = frozenset({"zoledronic", "zoledronic-5", "pamidronate", "ibandronate", "incadronate"})
"""Bone-modifying agents that go into a vein, slowly."""


# --- too early ----------------------------------------------------------------------------------------------


def too_early(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether the last dose of the ordered drug is too recent."""
    limits, intent = case.limits(GUIDANCE), intent_of(case, order)
    interval = _shortest_interval(order, limits, intent)
    if interval is None:
        return
    minimum, tolerance = interval
    last = last_dose(case, order.drug)
    since = days_since(last, day_of(case, order))
    # without a dated dose: no dose at all is not too early, one of unknown date is open
    may_be_early = given_before(case, same_family(order.drug)) & (since < _less(minimum, tolerance))
    if not case.may_hold(~order.loading & may_be_early):
        return
    next_due = None if last is None else last.dose.date + _days(minimum)
    was_ordered = last is not None and last.dose.kind == "order-date" and not last.is_real
    yield Advice(
        rule="DOSE-017",
        because=~order.loading & may_be_early,
        holds={
            "just-given": (since < limits.just_given) & given(last is not None and last.is_real),
            "only-ordered": given(was_ordered),
            "hypercalcaemia": intent.hypercalcaemia & given(order.drug in ZOLEDRONIC),
            "maybe-hypercalcaemia": given(order.drug in ZOLEDRONIC)
            & (since >= limits.hypercalcaemia_retreatment)
            & intent.open,
        },
        fill=filled(_last_dose_shown(last, next_due)),
        proposals=_later(order, next_due),
        values=pieces({"days_since_last_bma": days_since(last, case.facts.as_of).rounded}),
        order=order.reference,
    )


def _shortest_interval(order: Order, limits: Limits, intent: OrderIntent) -> tuple[Limit, Decimal] | None:
    """Give the least number of days between two doses of the ordered drug, and the tolerance; None without a rule."""
    if order.drug in DENOSUMAB_MONTHLY:
        if (intent.hypercalcaemia | intent.giant_cell_tumour).yes:  # the label's extra doses on days 8 and 15
            return limits.denosumab_loading_interval, Decimal(0)
        return limits.denosumab_interval, limits.denosumab_tolerance.value
    if intent.hypercalcaemia.yes:
        return (limits.hypercalcaemia_retreatment, Decimal(0)) if order.drug in ZOLEDRONIC else None
    if order.drug in ZOLEDRONIC | {"ibandronate", "incadronate"} and not by_mouth(order).yes:
        return limits.bisphosphonate_interval, limits.bisphosphonate_tolerance.value
    return None


def _less(limit: Limit, by: Decimal) -> Limit:
    return replace(limit, value=limit.value - by)


def _days(limit: Limit) -> dt.timedelta:
    return dt.timedelta(int(limit.value))


def _last_dose_shown(last: LastDose | None, next_due: dt.date | None) -> dict[str, Fill | None]:
    if last is None:
        return {}
    return {"last_dose": shown_day(last.dose.date), "next_due": shown_day(next_due)}


def _later(order: Order, day: dt.date | None) -> tuple[Proposal, ...]:
    if day is None:
        return ()
    change = ChangedOrder(order=order.reference, starts=day)
    return (Proposal(button="later", items=(change,), recommended=True, fill={"next_due": shown_day(day)}),)


# --- too much -----------------------------------------------------------------------------------------------


def overdosed(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether a single dose is above the agent's maximum (pamidronate has a rule of its own)."""
    intent = intent_of(case, order)
    maximum = maximum_dose(case, order, for_bone_loss=intent.bone_loss.yes)
    if maximum is None or order.drug == "pamidronate":
        return
    dose = largest_dose(order)
    too_much = overdose(case, order, for_bone_loss=intent.bone_loss.yes)
    if not case.may_hold(too_much):
        return
    wrong_product = is_drug(order, {"zoledronic-5"}) & documented(cancer_in_bone(case)) & ~intent.bone_loss
    table_dose = _table_dose(case, order, maximum)
    offered = table_dose is not None and not wrong_product.yes and not intent.hypercalcaemia.yes
    fill = filled({"table_dose_mg": table_dose})
    change = ChangedOrder(order=order.reference, dose_mg=table_dose)
    yield Advice(
        rule="DOSE-019",
        because=too_much,
        holds={"wrong-product": wrong_product, "twofold": dose >= _times(maximum, 2)},
        fill=filled(
            {"order.dose_mg": shown(dose), "max_dose_mg": maximum.value, "times": _how_many_times(dose.value, maximum)}
        ),
        proposals=(Proposal(button="dose", items=(change,), recommended=True, fill=fill),) if offered else (),
        order=order.reference,
    )


def _times(limit: Limit, factor: int) -> Limit:
    return replace(limit, value=limit.value * factor)


def _how_many_times(dose: Decimal | None, maximum: Limit) -> Fill:
    """Give how many times the maximum a dose is: whole from twice on, else with one decimal."""
    if dose is None:
        return Phrase("several")
    ratio = dose / maximum.value
    return round_half_up(ratio, 0 if ratio >= 2 else 1)


def _table_dose(case: Case, order: Order, maximum: Limit) -> Decimal | None:
    """Give the dose that the table has now, mg: by clearance where one is needed, for incadronate by age."""
    crcl = case.cautious().lab.crcl
    if order.drug in ZOLEDRONIC:
        return zoledronic_table(case, crcl).exact
    if order.drug == "ibandronate":
        return ibandronate_dose(case, crcl)
    return incadronate_maximum(case) if order.drug == "incadronate" else maximum.value


# --- age, pregnancy, allergy --------------------------------------------------------------------------------


def child_or_pregnancy(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether the patient is a child (bone-modifying agents), or pregnancy is on record."""
    patient, dx, limits = case.facts.patient, case.facts.dx, case.limits(GUIDANCE)
    pregnant = documented(patient.pregnant)
    child = patient.age < limits.adult_age if order.is_bma else NO
    if not case.may_hold(child | pregnant):
        return
    bisphosphonate = given(order.drug in BISPHOSPHONATES)
    yield Advice(
        rule="DOSE-021",
        because=child | pregnant,
        holds={
            "pregnant-harmful": pregnant & ~bisphosphonate,
            "pregnant-bisphosphonate": pregnant & bisphosphonate,
            "pregnant": pregnant,
            "adolescent": given(order.drug in DENOSUMAB)
            & documented(child)
            & documented(patient.age >= limits.adolescent_age)
            & ~documented(dx.osteosarcoma | dx.sts),
        },
        fill={"pregnancy_day": shown_day(patient.pregnant.date)},
        order=order.reference,
    )


def allergic(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether an allergy to the ordered drug is on record (ifosfamide's is SARC-014's)."""
    found = allergies_against(case, order)
    if found is None or not case.may_hold(found.recorded):
        return
    yield Advice(
        rule="DOSE-024",
        because=found.recorded,
        holds={
            "same-class": found.other_of_class & ~found.intolerance,
            "intolerance": found.intolerance,
            "allergy": ~found.intolerance,
        },
        fill=found.shown,
        proposals=removal(order),
        order=order.reference,
    )


# --- route and speed ----------------------------------------------------------------------------------------


def wrong_route(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether the order goes where the product must not go; a route that is not told never does."""
    if order.drug in DENOSUMAB:
        told_elsewhere = documented(judged_by_cancer_doses(case, intent_of(case, order)))  # DOSE-001 says it then
        because = documented(order.route.one_of("IV", "IM", "ID")) & ~told_elsewhere
        change = ChangedOrder(order=order.reference, route="SC")
        button = "subcutaneous"
    elif order.drug in INFUSED:
        because = documented(order.route.one_of("IM", "SC", "ID"))
        change = ChangedOrder(order=order.reference, route="IV")
        button = "infusion"
    else:
        return
    if not case.may_hold(because):
        return
    yield Advice(
        rule="DOSE-025",
        because=because,
        holds={"denosumab": given(order.drug in DENOSUMAB)},
        proposals=(Proposal(button=button, items=(change,), recommended=True),),
        order=order.reference,
    )


def pushed(case: Case, order: Order) -> Iterator[Advice]:
    """
    Yield whether an infusion is ordered as a push, in seconds, or faster than its label where no other rule says so.

    Ibandronate 3 mg for osteoporosis is a push by its label; it has no shortest infusion.
    """
    shortest = shortest_infusion(case, order)
    if shortest is None:
        return
    minutes, limits = order.infusion_min, case.limits(GUIDANCE)
    in_seconds = given(minutes.value is not None and minutes.value < limits.one_minute.value)  # 30 s is no minute
    told_elsewhere = given(order.drug in INFUSED)  # DOSE-002, -006, -009, -029 speak of a number of minutes
    told_as_minutes = ~told_elsewhere & (minutes < shortest) & known(minutes)
    too_fast = ~by_mouth(order) & any_of((documented(order.push), documented(in_seconds), told_as_minutes))
    if not case.may_hold(too_fast):
        return
    change = ChangedOrder(order=order.reference, infusion_min=int(shortest.value))
    yield Advice(
        rule="DOSE-026",
        because=too_fast,
        fill={"infusion_words": _how_fast(order, pushed_in=in_seconds), "min_infusion": shown_time(shortest.value)},
        proposals=(
            Proposal(
                button="infusion",
                items=(change,),
                recommended=True,
                fill={"min_infusion": shown_time(shortest.value)},
            ),
        ),
        order=order.reference,
    )


def _how_fast(order: Order, *, pushed_in: Criterion) -> Fill:
    minutes = order.infusion_min.value
    if documented(order.push).yes or minutes is None:
        return Phrase("push")
    if pushed_in.yes:
        return Phrase("seconds", {"n": round_half_up(minutes * 60, 0)})
    return shown_time(minutes)
