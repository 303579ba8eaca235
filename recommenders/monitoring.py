"""Monitoring during bone protection: dental, calcium, kidneys, jaw, supplements."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase, Proposal, ProposedMedication, ProposedService
from recommenders.patient.courses import bma, bma_orders, first_dose, is_given
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.precautions import (
    DENTAL_EXAMINATION,
    applying,
    bare,
    calcium_tablets,
    calcium_too_high_for_supplements,
    jaw_at_risk,
    noted,
    recent_dental_check,
    vitamin_d_tablets,
)
from recommenders.vocabulary.facts import Moment, known
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, documented, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Service
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.logic import Logical
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("monitoring")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from teeth(case)
    yield from calcium(case)
    yield from jaw(case)
    yield from regular_tests(case)
    yield from infusion(case)
    yield from supplements(case)


# --- teeth and jaw ------------------------------------------------------------------------------------------


def teeth(case: Case) -> Iterator[Advice]:
    """MON-001 and MON-002: dental examinations, before the first dose and every 6 months."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    drugs = case.once(bma)

    checked = recent_dental_check(case)
    bad_teeth = facts.dental.unrestorable_teeth
    teeth_in_order = checked & ~bad_teeth
    only_the_teeth = checked & bad_teeth
    examine = () if checked.yes else (Proposal(action=0, items=(DENTAL_EXAMINATION,)),)
    said_of_teeth = Phrase("teeth") if only_the_teeth.yes else None

    start_recommended = case.fired("BP-001") | case.fired("BP-020")
    start_considered = case.fired("BP-021")
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="MON-001",
            because=start_recommended | start_considered,
            unless=teeth_in_order,
            indicator="warning" if start_recommended.yes else "info",
            summary=said_of_teeth,
            proposals=examine,
        )
    for order in bma_orders(case):
        for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
        yield Advice(
            rule="MON-001",
            because=first_dose(case, order),
            unless=teeth_in_order,
            indicator="info" if for_hypercalcaemia.yes else "warning",
            summary=said_of_teeth,
            proposals=examine,
            order=order.reference,
        )

    pressing = facts.dental.signs | (drugs.months >= limits.long_use)
    yield Advice(
        rule="MON-002",
        because=drugs.current.any(),
        unless=checked,
        indicator="warning" if pressing.yes else "info",
        proposals=examine,
    )


def jaw(case: Case) -> Iterator[Advice]:
    """MON-006, MON-011 and MON-013: osteonecrosis of the jaw, its risk, and planned dental work."""
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    drugs = case.once(bma)

    being_ordered = given(bool(bma_orders(case)))
    on_antiresorptive = drugs.any.any() | being_ordered
    confirmed_and_ordered = facts.onj.status.is_("confirmed") & being_ordered
    yield Advice(
        rule="MON-006",
        because=on_antiresorptive & (jaw_at_risk(facts) | facts.dental.signs),
        indicator="critical" if confirmed_and_ordered.yes else "warning",
        proposals=(tests(0, "oral-surgery-consultation"),),
    )

    used_for_long = drugs.months >= limits.long_use
    yield Advice(
        rule="MON-011",
        because=drugs.current.any() & (used_for_long | facts.meds.glucocorticoid | facts.meds.antiangiogenic),
    )
    yield Advice(rule="MON-013", because=on_antiresorptive & facts.dental.invasive_planned)


# --- calcium ------------------------------------------------------------------------------------------------


def calcium(case: Case) -> Iterator[Advice]:
    """MON-003 and MON-004: the calcium schedule after denosumab, and low calcium."""
    limits = case.limits(GUIDANCE)
    careful = case.cautious("lowest")
    drugs, orders = case.once(bma), bma_orders(case)

    denosumab_ordered = given(any(order.drug in DENOSUMAB for order in orders))
    schedule = calcium_after_denosumab(case)
    overdue_for_long = given(schedule.days_overdue > limits.overdue_for_long.value)
    weak_kidneys = careful.lab.crcl < limits.severe_renal_impairment
    yield Advice(
        rule="MON-003",
        because=(drugs.current.includes(DENOSUMAB) | denosumab_ordered) & schedule.overdue,
        indicator="warning" if (overdue_for_long | weak_kidneys).yes else "info",
        notes=schedule.notes,
        proposals=(tests(0, "calcium", "albumin"),),
    )

    on_antiresorptive = drugs.any.any() | given(bool(orders))
    corrected = careful.lab.ca_corr
    low_calcium = corrected < limits.hypocalcaemia
    uncorrected = given("uncorrected" in corrected.flags)
    corrected_may_be_normal = uncorrected & (corrected >= limits.uncorrected_may_be_normal_from)
    as_measured = case.facts.lab.ca_corr
    measured_uncorrected = given("uncorrected" in as_measured.flags)
    certain_enough_to_treat = known(as_measured) & (
        ~measured_uncorrected | (as_measured < limits.uncorrected_may_be_normal_from)
    )
    yield Advice(
        rule="MON-004",
        because=on_antiresorptive & low_calcium,
        indicator="warning" if corrected_may_be_normal.yes else "critical",
        points=applying(0, 1, 2, (3, uncorrected), 4),
        fill={"ca_corrected_mmol_l": bare(corrected)},
        notes=caveats(corrected),
        proposals=(
            *((CALCIUM_GLUCONATE,) if certain_enough_to_treat.yes else ()),
            *((tests(1, "albumin"),) if uncorrected.yes else ()),
            tests(2, "calcium", "magnesium"),
        ),
    )


CALCIUM_GLUCONATE = Proposal(
    action=0,
    items=(ProposedMedication(drug="calcium-gluconate-iv", route="IV"),),
    reasons=("lab.ca_total",),
)


@dataclass(frozen=True, slots=True)
class CalciumSchedule:
    """Whether the calcium check after denosumab is overdue, for how many days, and what to say of it."""

    overdue: Criterion
    days_overdue: int = 0
    notes: tuple[Phrase, ...] = ()


def calcium_after_denosumab(case: Case) -> CalciumSchedule:
    """
    Compare the calcium results with the schedule: 1 week, 1 month, then every 3 months from the first dose.

    Overdue when a window has passed and no calcium lies inside or after it. Unknown when no dose is on record,
    only an order; when older doses were not delivered (unless nothing was measured for longer than any round
    of the schedule); and when no results came at all.
    """
    facts = case.facts
    courses = [course for course in facts.courses if course.drug in DENOSUMAB]
    newest = max(courses, key=lambda course: course.started or dt.date.min, default=None)
    if newest is None:
        return CalciumSchedule(NO if facts.courses.delivered else _open("bma.last_dose_date"))
    doses = [dose for dose in newest.doses if is_given(newest, dose)]
    if not doses or newest.status in {"reported", "unknown"}:
        return CalciumSchedule(_open("bma.last_dose_date"))
    first = min(doses, key=lambda dose: dose.date)
    checks = [(day - first.date).days for day in calcium_days(facts)]
    if "observations" in facts.cut or (not checks and "observations" in facts.unavailable):
        return CalciumSchedule(_open("lab.ca_total"))
    start = Moment(name="bma.start_date", date=first.date, reason=None, resources=first.resources)
    days, last_check = (facts.as_of - first.date).days, max(checks, default=-1)
    if newest.truncated:
        return _without_the_first_dose(case, start, days, last_check)
    missed = [(begins, ends) for begins, ends in windows(case, days) if ends < days and last_check < begins]
    overdue = leaf(Condition(start.name, "is", OVERDUE, start, bool(missed)))
    if not missed:
        return CalciumSchedule(overdue)
    begins, ends = missed[0]
    said = Phrase("overdue_since", {"days": days - ends, "window": Phrase("window", {"from": begins, "to": ends})})
    return CalciumSchedule(overdue, days - ends, (said,))


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

    on_bisphosphonate = drugs.current.includes(BISPHOSPHONATES)
    creatinine_checked = lab.creatinine.within(limits.creatinine_check, facts.as_of)
    dosed_rarely = drugs.interval_days > limits.spaced_dosing_above
    yield Advice(
        rule="MON-005",
        because=on_bisphosphonate,
        unless=creatinine_checked,
        indicator="info" if dosed_rarely.yes else "warning",
        proposals=(tests(0, "creatinine"),),
    )

    on_treatment = drugs.current.any()
    yield Advice(
        rule="MON-007",
        because=on_treatment,
        unless=known(lab.phosphate) & known(lab.magnesium),
        proposals=(tests(0, "phosphate", "magnesium", "dxa"),),
    )

    treated_myeloma = (dx.mm | dx.smm) & on_treatment
    yield Advice(rule="MON-008", because=treated_myeloma, unless=known(facts.bone.ctx))
    yield Advice(rule="MON-009", because=treated_myeloma, unless=known(facts.mm.m_protein) & known(facts.mm.flcr))


def infusion(case: Case) -> Iterator[Advice]:
    """MON-010 and MON-012: what to know when an order is being signed."""
    for order in bma_orders(case):
        if order.drug in BISPHOSPHONATES:
            yield Advice(
                rule="MON-010",
                because=~documented(is_tablet(order)),
                unless=known(order.infusion_min),
                order=order.reference,
            )
        yield Advice(rule="MON-012", because=first_dose(case, order), order=order.reference)


def is_tablet(order: Order) -> Criterion:
    """Tell whether an order is for tablets."""
    return order.route.is_("PO") | given(order.drug == "ibandronate-oral")


# --- supplements --------------------------------------------------------------------------------------------


def supplements(case: Case) -> Iterator[Advice]:
    """SUPP-001 to SUPP-003: calcium and vitamin D."""
    limits = case.limits(GUIDANCE)
    careful = case.cautious("highest")
    meds, corrected, drugs = careful.meds, careful.lab.ca_corr, case.once(bma)

    on_treatment = drugs.current.any()
    allowed = ~calcium_too_high_for_supplements(case)
    both_taken = meds.calcium & meds.vitd
    check_calcium_first = ~known(careful.lab.ca_corr)
    lacking = tuple(
        Proposal(action=place, items=(tablets,))
        for place, taken, tablets in (
            (0, meds.calcium, calcium_tablets(case)),
            (1, meds.vitd, vitamin_d_tablets(case)),
        )
        if not documented(taken).yes
    )
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="SUPP-001",
            because=on_treatment & allowed,
            unless=both_taken,
            summary=what_is_lacking(case),
            points=applying(0, (1, check_calcium_first), 2),
            proposals=lacking,
        )
    for order in bma_orders(case):
        yield Advice(
            rule="SUPP-001",
            because=allowed,
            unless=both_taken,
            indicator="warning" if order.drug in DENOSUMAB else "info",
            summary=what_is_lacking(case),
            points=applying(0, (1, check_calcium_first), 2),
            proposals=lacking,
            order=order.reference,
        )

    too_high = corrected > case.limits(COMMON).hypercalcaemia
    yield Advice(
        rule="SUPP-002",
        because=(meds.calcium | meds.vitd) & too_high,
        fill={"ca_corrected_mmol_l": bare(corrected)},
        notes=caveats(corrected),
    )

    too_little = (meds.calcium_daily < limits.calcium_supplement) | (meds.vitd_daily < limits.vitamin_d_supplement)
    yield Advice(rule="SUPP-003", because=on_treatment & both_taken & too_little & allowed)


def what_is_lacking(case: Case) -> Phrase | None:
    """Give the summary that names the one supplement that is missing; None when both are."""
    meds = case.facts.meds
    if documented(meds.calcium & ~meds.vitd).yes:
        return Phrase("only_vitamin_d_missing")
    if documented(meds.vitd & ~meds.calcium).yes:
        return Phrase("only_calcium_missing")
    return None


# --- how it is said -----------------------------------------------------------------------------------------


@cache  # made of closed lists: a few, for all patients
def tests(action: int, *services: Service) -> Proposal:
    """Give some tests or a consultation as one suggestion."""
    return Proposal(action=action, items=tuple(ProposedService(service=service) for service in services))


def caveats(corrected: Reading) -> tuple[Phrase, ...]:
    """Give the extra lines that a corrected calcium needs: not corrected, or the less safe of two."""
    flags = corrected.flags
    kinds: tuple[tuple[str, Logical], ...] = (
        ("uncorrected", given("uncorrected" in flags)),
        ("less_safe_value", given("less-safe-value" in flags)),
    )
    return noted(*kinds)
