"""Zoledronic acid ordered: infusion time, dose by clearance, kidneys that forbid it, interval, both strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.ordering.parts import (
    GUIDANCE,
    ZOLEDRONIC,
    denosumab_instead,
    filled,
    is_drug,
    overdose,
    pieces,
    removal,
    shown,
)
from recommenders.patient.advice import Advice, ChangedOrder, Phrase, Proposal
from recommenders.patient.courses import bma, dosed_within
from recommenders.patient.earlier_doses import given_before, last_dose
from recommenders.patient.order_intent import cancer_in_bone, intent_of
from recommenders.patient.preparation import zoledronic_preparation
from recommenders.patient.remarks import plain
from recommenders.patient.renal import GUIDANCE as RENAL
from recommenders.patient.renal import renal_deterioration, zoledronic_dose
from recommenders.patient.services import ask_together
from recommenders.vocabulary.facts import Reading, exactly, replace
from recommenders.vocabulary.logic import NO, Criterion, documented, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.guidance import Limit
    from recommenders.vocabulary.records import Order


def zoledronic(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what is said of one zoledronic acid order at hand."""
    yield from case.asked(_too_fast, "DOSE-002", of=order)
    yield from case.asked(_dose_by_clearance, "DOSE-003", of=order)
    yield from case.asked(_kidneys_too_weak, "DOSE-004", of=order)
    yield from case.asked(_creatinine_risen, "DOSE-005", of=order)
    yield from case.asked(_interval_or_low_dose, "DOSE-018", of=order)
    yield from case.asked(_hypercalcaemia_and_kidneys, "DOSE-028", of=order)
    yield from case.asked(_osteoporosis_strength_and_kidneys, "DOSE-030", of=order)


def _too_fast(case: Case, order: Order) -> Iterator[Advice]:
    limits = case.limits(GUIDANCE)
    change = ChangedOrder(order=order.reference, infusion_min=int(limits.zoledronic_infusion.value))
    yield Advice(
        rule="DOSE-002",
        because=order.infusion_min < limits.zoledronic_infusion,
        proposals=(Proposal(button="infusion", items=(change,), recommended=True),),
        order=order.reference,
    )


def _dose_by_clearance(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits, renal = case.cautious(), case.limits(GUIDANCE), case.limits(RENAL)
    crcl, intent = facts.lab.crcl, intent_of(case, order)
    reduced_kidneys = (crcl >= renal.zoledronic_lowest_clearance) & (crcl <= renal.zoledronic_full_dose_above)
    if not case.may_hold(reduced_kidneys):
        return
    table = zoledronic_table(case, crcl)
    above, agrees = _compared_with_table(order, table, limits.dose_rounding, renal.zoledronic_fourth_dose)
    preparation = zoledronic_preparation(case, table.exact)
    form, drawn = order.product_form, given(preparation is not None)
    yield Advice(
        rule="DOSE-003",
        because=~intent.elsewhere & ~documented(facts.other.dialysis) & reduced_kidneys & (above | agrees),
        unless=agrees,
        superseded=overdose(case, order).yes,
        holds={
            "concentrate": drawn & ~documented(form.is_("ready-to-use")),
            "ready-bag": drawn & ~documented(form.is_("concentrate")),
            "no-indication": intent.open,
        },
        fill={"zoledronic_recommended_dose_mg": table.shown, "crcl_ml_min": shown(crcl)}
        | filled(
            {
                "prep_concentrate_ml": preparation.concentrate_ml if preparation else None,
                "prep_replace_ml": preparation.replaced_ml if preparation else None,
            }
        ),
        proposals=_reduced(order, table),
        values=pieces({"crcl_ml_min": crcl.rounded, "zoledronic_recommended_dose_mg": table.exact}),
        order=order.reference,
    )


def _kidneys_too_weak(case: Case, order: Order) -> Iterator[Advice]:
    facts, renal, intent = case.cautious(), case.limits(RENAL), intent_of(case, order)
    weak = (facts.lab.crcl < renal.zoledronic_lowest_clearance) | facts.other.dialysis
    if not case.may_hold(weak):
        return
    suits = _denosumab_suits(case, order)
    yield Advice(
        rule="DOSE-004",
        because=~intent.hypercalcaemia & ~intent.bone_loss & weak,
        holds={
            "dialysis": documented(facts.other.dialysis),
            "no-indication": intent.open,
            "denosumab-suits": suits,
        },
        proposals=(
            *(denosumab_instead(case, order, "denosumab") if (suits & _free_for_denosumab(case)).yes else ()),
            *(() if facts.lab.ca_corr.is_known else (ask_together("calcium", "calcium", "albumin"),)),
        ),
        values=pieces({"crcl_ml_min": facts.lab.crcl.rounded}),
        order=order.reference,
    )


def _denosumab_suits(case: Case, order: Order) -> Criterion:
    """Tell whether denosumab can be named: cancer in bone on record, no denosumab running, drafted or forbidden."""
    on_denosumab = case.once(bma).any.includes(DENOSUMAB) | given(
        any(other.drug in DENOSUMAB for other in case.facts.orders)
    )
    return (
        documented(cancer_in_bone(case))
        & ~documented(order.indication.one_of("osteoporosis", "paget"))
        & ~documented(on_denosumab)
        & ~documented(case.facts.allergy.denosumab)
    )


def _free_for_denosumab(case: Case) -> Criterion:
    """Tell whether calcium is known and not low, and no bisphosphonate was given within its own interval."""
    limits = case.limits(GUIDANCE)
    lately = dosed_within(case, BISPHOSPHONATES, _less_one_day(limits.bisphosphonate_interval))
    return documented(case.cautious().lab.ca_corr >= limits.hypocalcaemia) & ~documented(lately)


def _less_one_day(limit: Limit) -> Limit:
    return replace(limit, value=limit.value - 1)


def _creatinine_risen(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits, meds = case.cautious(), case.limits(GUIDANCE), case.facts.meds
    lab, because = facts.lab, given_before(case, ZOLEDRONIC) & renal_deterioration(case, facts)
    if not case.may_hold(because):
        return
    baseline = lab.creatinine_baseline.value
    resume = None if baseline is None else int(baseline * (1 + limits.creatinine_back_within.value / 100))
    yield Advice(
        rule="DOSE-005",
        because=because,
        holds={"nephrotoxic-drugs": meds.nephrotoxic | meds.nsaid},
        fill=filled({"creatinine_rise_umol_l": shown(lab.creatinine_rise), "resume_umol_l": resume}),
        proposals=(ask_together("creatinine", "creatinine"),),
        values=pieces({"creatinine_rise_umol_l": lab.creatinine_rise.rounded}),
        order=order.reference,
    )


def _interval_or_low_dose(case: Case, order: Order) -> Iterator[Advice]:
    limits, renal, crcl = case.limits(GUIDANCE), case.limits(RENAL), case.cautious().lab.crcl
    intent = intent_of(case, order)
    shortest = limits.hypercalcaemia_retreatment if intent.hypercalcaemia.yes else limits.bisphosphonate_interval
    too_often = order.interval_days < shortest
    low_for_normal_kidneys = (crcl > renal.zoledronic_full_dose_above) & (order.dose_mg < limits.zoledronic_dose)
    low = low_for_normal_kidneys & ~intent.elsewhere
    if not case.may_hold(too_often | low):
        return
    change: ChangedOrder | None = None
    before = _reduced_before(case, order)
    if too_often.yes:
        change = ChangedOrder(order=order.reference, interval_days=int(limits.every_four_weeks.value))
    elif low.yes and not before.yes:
        change = ChangedOrder(order=order.reference, dose_mg=limits.zoledronic_dose.value)
    yield Advice(
        rule="DOSE-018",
        because=too_often | low,
        holds={
            "low-dose": low & ~documented(too_often),
            "reduced-before": before,
            "maybe-hypercalcaemia": documented(too_often)
            & documented(order.interval_days >= limits.hypercalcaemia_retreatment)
            & intent.open,
        },
        proposals=()
        if change is None
        else (Proposal(button="interval" if change.interval_days else "dose", items=(change,)),),
        values=pieces({"crcl_ml_min": crcl.rounded}),
        order=order.reference,
    )


def _reduced_before(case: Case, order: Order) -> Criterion:
    """Tell whether the dose before was the same reduced one; no where it is not on record."""
    last = last_dose(case, order.drug)
    return NO if last is None or last.dose.mg is None else documented(order.dose_mg.equals(last.dose.mg))


def _hypercalcaemia_and_kidneys(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    yield Advice(
        rule="DOSE-028",
        because=intent_of(case, order).hypercalcaemia
        & ((facts.lab.creatinine > limits.hypercalcaemia_creatinine) | facts.other.dialysis),
        holds={"dialysis": documented(facts.other.dialysis)},
        proposals=(ask_together("nephrology", "nephrology-consultation"),),
        order=order.reference,
    )


def _osteoporosis_strength_and_kidneys(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits, intent = case.cautious(), case.limits(GUIDANCE), intent_of(case, order)
    weak = (facts.lab.crcl < limits.zoledronic_osteoporosis_clearance) | facts.other.dialysis
    yield Advice(
        rule="DOSE-030",
        because=is_drug(order, ZOLEDRONIC) & intent.bone_loss & weak,
        holds={"dialysis": documented(facts.other.dialysis)},
        proposals=removal(order),
        values=pieces({"crcl_ml_min": facts.lab.crcl.rounded}),
        order=order.reference,
    )


# --- the label's table --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableDose:
    """The label's dose for a clearance, in mg: at its lower and its upper end (equal for an exact clearance)."""

    at_lowest: Decimal | None
    at_highest: Decimal | None

    @property
    def exact(self) -> Decimal | None:
        """The one dose that holds for the whole clearance; None when it spans two bands."""
        return self.at_lowest if self.at_lowest == self.at_highest else None

    @property
    def shown(self) -> Fill:
        """The dose as it is printed; a range when the clearance spans two bands."""
        if self.at_lowest is None or self.at_highest is None:
            return Phrase("not-told")
        if self.exact is not None:
            return plain(self.exact)
        return Phrase("range", {"low": plain(self.at_lowest), "high": plain(self.at_highest)})


def zoledronic_table(case: Case, crcl: Reading) -> TableDose:
    """Give the label's dose of zoledronic acid for a clearance that may be an interval."""
    if not crcl.is_known or crcl.low is None or crcl.high is None:
        return TableDose(None, None)
    return TableDose(
        zoledronic_dose(case, exactly(crcl, crcl.low)),
        zoledronic_dose(case, exactly(crcl, crcl.high)),
    )


def _compared_with_table(
    order: Order, table: TableDose, rounding: Limit, lowest_of_all: Limit
) -> tuple[Criterion, Criterion]:
    """Tell whether the ordered dose is above the table's, and whether it is the table's."""
    dose = order.dose_mg

    def near(value: Decimal, by: Decimal) -> Limit:
        return replace(lowest_of_all, value=value + by)

    if table.exact is not None:
        above = dose > near(table.exact, rounding.value)
        agrees = (dose >= near(table.exact, -rounding.value)) & (dose <= near(table.exact, rounding.value))
        return above, agrees
    if table.at_highest is not None:
        # the clearance spans two bands: above the milder one is certainly too much, below the stricter one never
        strict = table.at_lowest if table.at_lowest is not None else lowest_of_all.value
        too_much = dose > near(table.at_highest, rounding.value)
        return too_much | ((dose > near(strict, rounding.value)) & given(None)), NO
    return dose > near(lowest_of_all.value, rounding.value), NO


def _reduced(order: Order, table: TableDose) -> tuple[Proposal, ...]:
    """The dose of the table; the rest of the order stays as written."""
    if table.exact is None:
        return ()
    change = ChangedOrder(order=order.reference, dose_mg=table.exact)
    fill: dict[str, Fill] = {"zoledronic_recommended_dose_mg": plain(table.exact)}
    return (Proposal(button="dose", items=(change,), recommended=True, fill=fill),)
