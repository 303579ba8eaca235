"""Orders for patients of extreme weight: what the clearance and the body surface by adjusted weight would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.ordering.parts import GUIDANCE, filled, pieces, shown
from recommenders.patient.advice import Advice
from recommenders.patient.body_size import BodySize, adjusted_clearance, body_size
from recommenders.patient.melphalan import MelphalanOrder, by_actual_surface, melphalan_orders
from recommenders.patient.order_intent import intent_of
from recommenders.patient.renal import ibandronate_dose, zoledronic_dose
from recommenders.patient.services import ask_together
from recommenders.vocabulary.facts import round_half_up
from recommenders.vocabulary.logic import NO, Criterion, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Order

JUDGED_BY_CLEARANCE = frozenset({"zoledronic", "ibandronate", "pamidronate"})


def extreme_weight(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what an extreme weight means for a drug that is dosed by clearance or body surface; adults only."""
    if order.drug in JUDGED_BY_CLEARANCE or "ifosfamide" in order.kinds:
        yield from _by_clearance(case, order)
        return
    for melphalan in case.once(melphalan_orders):
        if melphalan.order is order:
            yield _by_surface(case, melphalan)


def _adult(case: Case) -> Criterion:
    return case.facts.patient.age >= case.limits(GUIDANCE).adult_age


def _too_heavy(case: Case, size: BodySize | None) -> Criterion:
    """Tell whether the weight is above 130 % of the ideal one; no where it cannot be told: nothing hangs on it."""
    return given(size is not None and size.percent_of_ideal > case.limits(GUIDANCE).extreme_weight.value)


def _by_clearance(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    crcl, size = facts.lab.crcl, body_size(case)
    adjusted = None if size is None else adjusted_clearance(case, size)
    calculated = given("calculated" in crcl.flags)
    heavy = _too_heavy(case, size) & given(adjusted is not None)
    wasted = documented(facts.patient.weight < limits.low_weight) & documented(
        facts.lab.creatinine < limits.low_creatinine
    )
    if not case.may_hold(calculated & (heavy | wasted)):
        return
    dose, adjusted_dose = _table_doses(case, order, crcl, adjusted)
    crossed = _crossed_limit(case, order, crcl, adjusted)
    elsewhere = intent_of(case, order).elsewhere if order.is_bma else NO
    dose_changes = heavy & given(dose != adjusted_dose and adjusted_dose is not None) & given(crossed is None)
    yield Advice(
        rule="DOSE-032",
        because=_adult(case) & calculated & (heavy | wasted) & ~elsewhere,
        holds={
            "limit-crossed": heavy & given(crossed is not None),
            "dose-changes": dose_changes,
            "wasted": wasted & ~heavy,
            "melphalan": NO,
            "bisphosphonate": dose_changes | (heavy & given(crossed is not None)),
        },
        fill=filled(
            {
                "weight_pct": None if size is None else round_half_up(size.percent_of_ideal, 0),
                "crcl_adjusted_ml_min": None if adjusted is None else shown(adjusted),
                "dose_adjusted_mg": adjusted_dose,
                "crossed_limit": crossed,
                "weight_kg": shown(facts.patient.weight),
                "creatinine_umol_l": shown(facts.lab.creatinine),
            }
        ),
        proposals=(ask_together("clearance", "creatinine-clearance"),),
        values=pieces({"crcl_ml_min": crcl.rounded}),
        order=order.reference,
    )


def _table_doses(
    case: Case, order: Order, crcl: Reading, adjusted: Reading | None
) -> tuple[Decimal | None, Decimal | None]:
    """Give the table's dose by the actual and by the adjusted weight; None for a drug without a table."""
    table = {"zoledronic": zoledronic_dose, "ibandronate": ibandronate_dose}.get(order.drug or "")
    if table is None or adjusted is None:
        return None, None
    return table(case, crcl), table(case, adjusted)


def _crossed_limit(case: Case, order: Order, crcl: Reading, adjusted: Reading | None) -> Decimal | None:
    """Give the limit, mL/min, that only the clearance by adjusted weight falls below: 30, for ifosfamide also 60."""
    limits = case.limits(GUIDANCE)
    edges = [limits.severe_renal_impairment]
    if "ifosfamide" in order.kinds:
        edges.append(limits.ifosfamide_clearance)
    if adjusted is None:
        return None
    crossed = [edge for edge in edges if (crcl >= edge).yes and (adjusted < edge).yes]
    return min((edge.value for edge in crossed), default=None)


def _by_surface(case: Case, melphalan: MelphalanOrder) -> Advice:
    size, per_m2 = body_size(case), melphalan.mg_m2.value
    dose = None if size is None or per_m2 is None else round_half_up(per_m2 * size.adjusted_surface_m2, 0)
    speaks = _too_heavy(case, size) & given(dose is not None) & by_actual_surface(case, melphalan)
    return Advice(
        rule="DOSE-032",
        because=_adult(case) & melphalan.high_dose & speaks,
        holds={
            "limit-crossed": NO,
            "dose-changes": NO,
            "wasted": NO,
            "melphalan": speaks,
            "bisphosphonate": NO,
        },
        fill=filled(
            {
                "weight_pct": None if size is None else round_half_up(size.percent_of_ideal, 0),
                "bsa_m2": None if size is None else round_half_up(size.surface_m2, 2),
                "bsa_adjusted_m2": None if size is None else round_half_up(size.adjusted_surface_m2, 2),
                "melphalan_adjusted_mg": dose,
            }
        ),
        order=melphalan.order.reference,
    )
