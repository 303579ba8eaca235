"""Monitoring during bone protection: dental, calcium, kidneys, jaw, supplements."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recommenders.patient.advice import Advice, ChangedOrder, Label, Phrase, Proposal, ProposedMedication, Why
from recommenders.patient.bone_agents import PROPOSED, dental_check, start_advised, start_pressed
from recommenders.patient.courses import (
    ZOLEDRONIC,
    at_hand,
    being_ordered,
    bma,
    bma_orders,
    days_since_dose,
    first_dose,
    given_doses,
    is_active,
    is_given,
    on_antiresorptive,
    on_treatment,
)
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.precautions import (
    bare,
    both_supplements,
    calcium_tablets,
    calcium_too_high_for_supplements,
    jaw_at_risk,
    kidneys_failing,
    may_be_normal,
    recent_dental_check,
    uncorrected,
    vitamin_d_tablets,
)
from recommenders.patient.renal import GUIDANCE as RENAL
from recommenders.patient.services import ask_together, asked_lately, not_asked_lately
from recommenders.vocabulary.facts import Moment, known
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, all_of, any_of, documented, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Service
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("monitoring")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    meds = case.facts.meds
    yield from case.asked(teeth, "MON-001", "MON-002", where=lambda: protected_or_to_be(case) | start_advised(case))
    yield from case.asked(calcium_schedule, "MON-003", where=lambda: on_antiresorptive(case))
    yield from case.asked(low_calcium, "MON-004", where=lambda: on_antiresorptive(case))
    yield from case.asked(jaw, "MON-006", where=lambda: on_antiresorptive(case))
    yield from case.asked(jaw_risk, "MON-011", where=lambda: on_treatment(case))
    yield from case.asked(dental_work, "MON-013", where=lambda: on_antiresorptive(case))
    yield from case.asked(regular_tests, "MON-005", "MON-007", "MON-008", "MON-009", where=lambda: on_treatment(case))
    yield from case.asked(infusion, "MON-010", "MON-012", where=lambda: being_ordered(case))
    yield from case.asked(supplements, "SUPP-001", "SUPP-003", where=lambda: protected_or_to_be(case))
    yield from case.asked(too_much_calcium, "SUPP-002", where=lambda: meds.calcium | meds.vitd)


def protected_or_to_be(case: Case) -> Criterion:
    """Tell whether a bone-modifying agent is current, or being ordered now."""
    return on_treatment(case) | being_ordered(case)


# --- teeth and jaw ------------------------------------------------------------------------------------------


def teeth(case: Case) -> Iterator[Advice]:
    """MON-001 and MON-002: dental examinations, before the first dose and every 6 months."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    drugs, bad_teeth = case.once(bma), facts.dental.unrestorable_teeth

    checked = recent_dental_check(case)
    seen_to = checked | asked_lately(case, "dental-examination")
    teeth_in_order = seen_to & ~bad_teeth
    examine = tuple(dental_check(case, "dental-examination"))

    high_calcium = documented(facts.lab.ca_corr > case.limits(COMMON).hypercalcaemia)
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="MON-001",
            because=start_advised(case),
            unless=teeth_in_order,
            holds={
                "does-not-wait": high_calcium | ~documented(start_pressed(case)),
                "bad-teeth": documented(bad_teeth),
                "no-indication": NO,
            },
            proposals=examine,
        )
    for order in bma_orders(case):
        for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
        yield Advice(
            rule="MON-001",
            because=first_dose(case, order),
            unless=teeth_in_order,
            holds={
                "does-not-wait": high_calcium | for_hypercalcaemia,
                "bad-teeth": documented(bad_teeth),
                "no-indication": ~known(order.indication),
            },
            proposals=examine,
            order=order.reference,
        )

    if not case.may_hold(drugs.current.any()):
        return
    long_use = documented(drugs.months >= limits.long_use)
    last = facts.dental.last_exam
    yield Advice(
        rule="MON-002",
        because=drugs.current.any(),
        unless=seen_to,
        holds={
            "long-use": long_use,
            "lapsed": known(last),
            "risk-factor": long_use | documented(facts.meds.glucocorticoid | facts.meds.antiangiogenic),
        },
        fill={"dental_date": last.date} if last.date else {},
        proposals=examine,
    )


def jaw(case: Case) -> Iterator[Advice]:
    """MON-006: osteonecrosis of the jaw, or signs of it."""
    facts, drugs, orders = case.cautious(), case.once(bma), bma_orders(case)

    at_risk = jaw_at_risk(facts)
    of_the_jaw = on_antiresorptive(case) & (at_risk | facts.dental.signs)
    if not case.may_hold(of_the_jaw):
        return
    ordered = given(bool(orders))
    order_stands = given(any(is_active(course) for course in drugs.any.courses))
    confirmed = documented(facts.onj.status.is_("confirmed"))
    sent_to_surgeon = asked_lately(case, "oral-surgery-consultation")
    yield Advice(
        rule="MON-006",
        because=of_the_jaw,
        unless=sent_to_surgeon & ~ordered,
        holds={
            "confirmed-on-treatment": all_of((confirmed, ~ordered, order_stands)),
            "past-dose-only": all_of((documented(at_risk), ~ordered, ~order_stands)),
            "suspected": documented(at_risk) & ~confirmed,
            "only-signs": ~documented(at_risk),
            "on-treatment": order_stands | ordered,
        },
        fill={
            "onj.status": Phrase("confirmed" if confirmed.yes else "suspected"),
            "jaw_sign": Phrase("jaw-sign"),
        },
        order=orders[0].reference if orders else None,
        beside=tuple(order.reference for order in orders[1:]),
        proposals=() if sent_to_surgeon.yes else (ask_together("oral-surgery", "oral-surgery-consultation"),),
    )


def jaw_risk(case: Case) -> Iterator[Advice]:
    """MON-011: what makes osteonecrosis of the jaw more likely."""
    facts, limits, drugs = case.cautious(), case.limits(GUIDANCE), case.once(bma)
    used_for_long = drugs.months >= limits.long_use
    yield Advice(
        rule="MON-011",
        because=drugs.current.any() & (used_for_long | facts.meds.glucocorticoid | facts.meds.antiangiogenic),
    )


def dental_work(case: Case) -> Iterator[Advice]:
    """MON-013: dental work is planned."""
    facts, drugs, orders = case.cautious(), case.once(bma), bma_orders(case)
    planned = on_antiresorptive(case) & facts.dental.invasive_planned
    if not case.may_hold(planned):
        return
    dosed = given(bool(given_doses(case, DENOSUMAB | BISPHOSPHONATES)))
    first = any_of(documented(first_dose(case, order)) for order in orders)
    about = at_hand(case, "invasive-dental") or tuple(order.reference for order in orders)
    yield Advice(
        rule="MON-013",
        because=planned,
        holds={"before-first-dose": all_of((first, ~dosed, ~documented(drugs.any.any()))), "dosed": dosed},
        fill={"dental_procedure": Phrase("dental-procedure"), **antiresorptives(case)},
        order=about[0] if about else None,
        beside=about[1:],
    )


def antiresorptives(case: Case) -> Mapping[str, Fill]:
    """Name the antiresorptives on record, else those being ordered: the order at hand may be a tooth's."""
    drugs: tuple[str, ...] = tuple(dict.fromkeys(course.drug for course in case.once(bma).any.courses))
    drugs = drugs or tuple(dict.fromkeys(order.drug for order in bma_orders(case) if order.drug))
    return {"drug": drugs} if drugs else {}


# --- calcium ------------------------------------------------------------------------------------------------


def denosumab_ordered(case: Case) -> Criterion:
    """Tell whether denosumab is being ordered now; never unknown."""
    return given(any(order.drug in DENOSUMAB for order in bma_orders(case)))


def calcium_schedule(case: Case) -> Iterator[Advice]:
    """MON-003: the calcium schedule after denosumab."""
    drugs, ordered = case.once(bma), denosumab_ordered(case)
    schedule = calcium_after_denosumab(case)
    yield Advice(
        rule="MON-003",
        because=(drugs.current.includes(DENOSUMAB) | ordered) & schedule.overdue,
        unless=asked_lately(case, "calcium"),
        holds={"kidneys-failing": kidneys_failing(case), "assumed": given(schedule.assumed is not None)},
        fill={
            "days": schedule.days_overdue,
            "check": Phrase(f"check-{schedule.check}"),
            **({"ordered": schedule.assumed} if schedule.assumed else {}),
        },
        proposals=(ask_together("calcium", "calcium", "albumin"),),
    )


def low_calcium(case: Case) -> Iterator[Advice]:
    """MON-004: calcium is low."""
    limits, careful = case.limits(GUIDANCE), case.cautious("lowest")
    drugs, orders = case.once(bma), bma_orders(case)
    corrected, as_measured = careful.lab.ca_corr, case.facts.lab.ca_corr
    low = (drugs.any.any() | given(bool(orders))) & (corrected < limits.hypocalcaemia)
    if not case.may_hold(low):
        return
    may_be_wrong = may_be_normal(as_measured, limits.uncorrected_may_be_normal_from)
    on_denosumab = documented(drugs.any.includes(DENOSUMAB)) | denosumab_ordered(case)
    treat = all_of((on_denosumab, known(as_measured), ~may_be_wrong))
    contradictory = {case.facts.lab.ca_total.reason, case.facts.lab.albumin.reason} & {"contradictory"}
    yield Advice(
        rule="MON-004",
        because=low,
        holds={
            "may-be-normal": may_be_normal(corrected, limits.uncorrected_may_be_normal_from),
            "agent-ordered": given(bool(orders)),
            "bisphosphonate": ~on_denosumab,
            "treat": treat,
            "contradictory": given(bool(contradictory)),
        },
        fill={"ca_corrected_mmol_l": bare(corrected)},
        order=orders[0].reference if orders else None,
        beside=tuple(order.reference for order in orders[1:]),
        proposals=(
            *((ask_together("albumin", "albumin"),) if uncorrected(corrected).yes else ()),
            ask_together("repeat", "calcium", "magnesium"),
            *((CALCIUM_GLUCONATE,) if treat.yes else ()),
        ),
    )


CALCIUM_GLUCONATE = Proposal(
    button="gluconate",
    items=(ProposedMedication(drug="calcium-gluconate-iv", route="IV"),),
    reasons=("lab.ca_total",),
)


Check = Literal["week", "month", "quarter"]
"""Which check: after the first week, after the first month, or one of those every three months."""


@dataclass(frozen=True, slots=True)
class CalciumSchedule:
    """
    Whether a calcium check after denosumab is overdue, which one, and for how many days.

    `assumed`: no dose is on record, and the first is taken to be of this day, that of the order.
    """

    overdue: Criterion
    days_overdue: int = 0
    check: Check = "quarter"
    assumed: dt.date | None = None


def calcium_after_denosumab(case: Case) -> CalciumSchedule:
    """
    Compare the calcium results with the schedule: 1 week, 1 month, then every 3 months from the first dose.

    Overdue when a window has passed and no calcium lies inside or after it. Where no dose is on record, the day of
    the order is taken for the first. Unknown when older doses were not delivered (unless nothing was measured for
    longer than any round of the schedule); and when no results came at all.
    """
    facts = case.facts
    courses = [course for course in facts.courses if course.drug in DENOSUMAB]
    newest = max(courses, key=lambda course: course.started or dt.date.min, default=None)
    if newest is None:
        return CalciumSchedule(NO if facts.courses.delivered else _open("bma.last_dose_date"))
    known_doses = [dose for dose in newest.doses if is_given(newest, dose)]
    all_told = "medicationAdministrations" not in {*facts.unavailable, *facts.cut}
    doses = known_doses or [dose for dose in newest.doses if all_told and dose.date <= facts.as_of]
    if not doses or newest.status in {"reported", "unknown"}:
        return CalciumSchedule(_open("bma.last_dose_date"))
    first = min(doses, key=lambda dose: dose.date)
    checks = [(day - first.date).days for day in calcium_days(facts)]
    if "observations" in facts.cut or (not checks and "observations" in facts.unavailable):
        return CalciumSchedule(_open("lab.ca_total"))
    start = Moment(name="bma.start_date", date=first.date, reason=None, resources=first.resources)
    days, last_check = (facts.as_of - first.date).days, max(checks, default=-1)
    if newest.truncated and known_doses:
        return _without_the_first_dose(case, start, days, last_check)
    missed = [
        (place, ends) for place, (begins, ends) in enumerate(windows(case, days)) if ends < days and last_check < begins
    ]
    overdue = leaf(Condition(start.name, "is", OVERDUE, start, bool(missed)))
    if not missed:
        return CalciumSchedule(overdue)
    place, ends = missed[0]
    checks_in_turn: tuple[Check, ...] = ("week", "month", "quarter")
    assumed = None if known_doses else first.date
    return CalciumSchedule(overdue, days - ends, checks_in_turn[min(place, 2)], assumed)


OVERDUE = "calcium check overdue"


def _without_the_first_dose(case: Case, start: Moment, days: int, last_check: int) -> CalciumSchedule:
    """Tell whether so much time passed without a check that one is overdue whenever the first dose was."""
    limits = case.limits(GUIDANCE)
    longest_round = int(limits.later_calcium_every.value + 2 * limits.later_calcium_tolerance.value)
    unchecked = days - max(last_check, 0)
    if unchecked <= longest_round:
        return CalciumSchedule(_open(start.name))
    return CalciumSchedule(leaf(Condition(start.name, "is", OVERDUE, start, True)), unchecked - longest_round)


def _open(lacking: str) -> Criterion:
    return leaf(Condition(lacking, "is", OVERDUE, Moment(name=lacking, reason="missing"), None))


def windows(case: Case, days: int) -> Iterator[tuple[int, int]]:
    """Yield the windows in which calcium is due, as days after the first dose, up to so many days after it."""
    limits = case.limits(GUIDANCE)
    yield int(limits.first_calcium_from.value), int(limits.first_calcium_to.value)
    yield int(limits.second_calcium_from.value), int(limits.second_calcium_to.value)
    every, tolerance = int(limits.later_calcium_every.value), int(limits.later_calcium_tolerance.value)
    for due in range(every, days + 1, every):
        yield due - tolerance, due + tolerance


def calcium_days(facts: Facts) -> Iterator[dt.date]:
    """Yield the days on which calcium was measured: also results that are too old, or contradict each other."""
    results: tuple[Reading, ...] = (*facts.series.get("lab.ca_total", ()), facts.lab.ca_total, facts.lab.ca_corr)
    for result in results:
        if result.date and (result.is_known or result.reason in {"stale", "contradictory"}):
            yield result.date


# --- other tests --------------------------------------------------------------------------------------------


def regular_tests(case: Case) -> Iterator[Advice]:
    """MON-005 and MON-007 to MON-009: kidneys, electrolytes, bone markers, disease activity."""
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    dx, lab, drugs = facts.dx, facts.lab, case.once(bma)

    creatinine = lab.creatinine
    without_a_day = creatinine.date is None and not facts.series.get("lab.creatinine")
    never_measured = given(without_a_day and creatinine.reason in {None, "missing"})
    yield Advice(
        rule="MON-005",
        because=drugs.current.includes(BISPHOSPHONATES) & ~long_before_the_next_dose(case),
        unless=creatinine.within(limits.creatinine_check, facts.as_of) | asked_lately(case, "creatinine"),
        holds={
            "spaced": drugs.interval_days > limits.spaced_dosing_above,
            "never-measured": never_measured,
            "not-told": given(without_a_day),
        },
        fill=_since_creatinine(facts),
        proposals=(ask_together("creatinine", "creatinine"),),
    )

    treated = on_treatment(case)
    electrolytes: tuple[tuple[Service, Reading], ...] = (("phosphate", lab.phosphate), ("magnesium", lab.magnesium))
    due = not_asked_lately(case, (service for service, result in electrolytes if not result.is_known))
    yield Advice(
        rule="MON-007",
        because=treated,
        unless=all_of(known(result) | asked_lately(case, service) for service, result in electrolytes),
        fill={"items": tuple(Label(f"lab.{service}") for service in due)},
        proposals=(ask_together("tests", *due),) if due else (),
    )

    treated_myeloma = (dx.mm | dx.smm) & treated
    yield Advice(rule="MON-008", because=treated_myeloma, unless=known(facts.bone.ctx))
    yield Advice(rule="MON-009", because=treated_myeloma, unless=known(facts.mm.m_protein) & known(facts.mm.flcr))


def _since_creatinine(facts: Facts) -> dict[str, Fill]:
    """Give how long ago creatinine was measured, or why nobody knows."""
    creatinine = facts.lab.creatinine
    if creatinine.date is None:
        return {"why": Why(creatinine)}
    return {"creatinine_days": (facts.as_of - creatinine.date).days}


def long_before_the_next_dose(case: Case) -> Criterion:
    """Tell whether the next dose is more than a week away, by last dose and interval; never unknown."""
    interval = case.once(bma).interval_days.rounded
    if interval is None:
        return NO
    since = days_since_dose(case, BISPHOSPHONATES)
    return documented(since < interval - case.limits(GUIDANCE).creatinine_lead.value)


def infusion(case: Case) -> Iterator[Advice]:
    """MON-010 and MON-012: what to know when an order is being signed."""
    limits, crcl = case.limits(GUIDANCE), case.facts.lab.crcl
    for order in bma_orders(case):
        if order.drug in BISPHOSPHONATES:
            zoledronic, ibandronate = given(order.drug in ZOLEDRONIC), given(order.drug == "ibandronate")
            yield Advice(
                rule="MON-010",
                because=~documented(is_tablet(order)),
                unless=known(order.infusion_min),
                holds={
                    "zoledronic-acid": zoledronic,
                    "ibandronate-weak-kidneys": ibandronate & (crcl < case.limits(RENAL).ibandronate_full_dose_from),
                    "ibandronate": ibandronate,
                    "incadronate": given(order.drug == "incadronate"),
                    "ibandronate-4-mg": ibandronate & order.dose_mg.equals(limits.ibandronate_chinese_label),
                },
                proposals=(fifteen_minutes(order),) if zoledronic.yes else (),
                order=order.reference,
            )
        yield Advice(rule="MON-012", because=first_dose(case, order), order=order.reference)


def fifteen_minutes(order: Order) -> Proposal:
    """Give the draft with the infusion time of zoledronic acid."""
    change = ChangedOrder(order=order.reference, infusion_min=PROPOSED["infusion_minutes"])
    return Proposal(button="fifteen-minutes", items=(change,))


def is_tablet(order: Order) -> Criterion:
    """Tell whether an order is for tablets."""
    weekly = given(order.drug == "other-bisphosphonate") & ~documented(
        order.route.is_("IV")
    )  # alendronate and its like
    return order.route.is_("PO") | given(order.drug == "ibandronate-oral") | weekly


# --- supplements --------------------------------------------------------------------------------------------


def supplements(case: Case) -> Iterator[Advice]:
    """SUPP-001 and SUPP-003: calcium and vitamin D beside a bone-modifying agent."""
    limits, careful = case.limits(GUIDANCE), case.cautious("highest")
    meds, drugs = careful.meds, case.once(bma)

    treated = on_treatment(case)
    allowed = ~calcium_too_high_for_supplements(case)
    both_taken = meds.calcium & meds.vitd
    if case.hook in CHART_HOOKS:
        yield lacking_supplements(case, treated & allowed, drugs.current.includes(DENOSUMAB))
    for order in bma_orders(case):
        yield lacking_supplements(case, allowed, given(order.drug in DENOSUMAB), order)

    little_calcium = meds.calcium_daily < limits.calcium_supplement
    little_vitamin_d = meds.vitd_daily < limits.vitamin_d_supplement
    below: list[Fill] = []
    if little_calcium.yes:
        below.append(Phrase("below", {"daily": meds.calcium_daily, "limit": limits.calcium_supplement.value}))
    if little_vitamin_d.yes:
        below.append(Phrase("below-vitamin-d", {"daily": meds.vitd_daily, "limit": limits.vitamin_d_supplement.value}))
    yield Advice(
        rule="SUPP-003",
        because=treated & both_taken & (little_calcium | little_vitamin_d) & allowed,
        fill={"below": tuple(below)},
    )


def too_much_calcium(case: Case) -> Iterator[Advice]:
    """SUPP-002: calcium or vitamin D is taken although calcium is high."""
    careful = case.cautious("highest")
    meds, corrected = careful.meds, careful.lab.ca_corr
    supplement_orders = at_hand(case, "calcium", "vitamin-d")
    yield Advice(
        rule="SUPP-002",
        because=(meds.calcium | meds.vitd) & (corrected > case.limits(COMMON).hypercalcaemia),
        holds={"supplement-ordered": given(bool(supplement_orders))},
        fill={
            "ca_corrected_mmol_l": bare(corrected),
            "supplements": tuple(Label(fact.name) for fact in (meds.calcium, meds.vitd) if documented(fact).yes),
        },
        order=supplement_orders[0] if supplement_orders else None,
        beside=supplement_orders[1:],
    )


def lacking_supplements(case: Case, because: Criterion, on_denosumab: Criterion, order: Order | None = None) -> Advice:
    """
    SUPP-001: calcium and vitamin D, of which at least one is not taken.

    On the day on which denosumab is ordered at the chart they were offered with it: it leads no card yet.
    """
    careful = case.cautious("highest")
    meds = careful.meds
    calcium_missing, vitamin_d_missing = ~documented(meds.calcium), ~documented(meds.vitd)
    dosed = documented(days_since_dose(case, DENOSUMAB) >= 1)
    denosumab = documented(on_denosumab) & (dosed | given(order is not None))
    both = both_supplements(case)
    lists_came = given(case.facts.courses.delivered)
    return Advice(
        rule="SUPP-001",
        because=because,
        unless=meds.calcium & meds.vitd,
        holds={
            "denosumab-neither": all_of((denosumab, calcium_missing, vitamin_d_missing)),
            "denosumab-calcium": denosumab & calcium_missing,
            "denosumab-vitamin-d": denosumab & vitamin_d_missing,
            "calcium-missing": calcium_missing & ~vitamin_d_missing,
            "vitamin-d-missing": vitamin_d_missing & ~calcium_missing,
            "calcium-unknown": ~known(careful.lab.ca_corr),
            "none-listed": all_of((lists_came, calcium_missing, vitamin_d_missing)),
        },
        proposals=(
            *((Proposal(button="supplements", items=both),) if both else ()),
            *((Proposal(button="calcium", items=(calcium_tablets(case),)),) if calcium_missing.yes else ()),
            *((Proposal(button="vitamin-d", items=(vitamin_d_tablets(case),)),) if vitamin_d_missing.yes else ()),
        ),
        order=order.reference if order is not None else None,
    )
