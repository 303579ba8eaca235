"""Denosumab ordered: its dose, route and interval, the 60 mg product, and weak kidneys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.ordering.parts import GUIDANCE, denosumab_instead, is_drug, only, overdose, shown
from recommenders.patient.advice import Advice, ChangedOrder, Phrase, Proposal, ProposedService
from recommenders.patient.courses import bma, given_doses
from recommenders.patient.order_intent import cancer_in_bone, intent_of
from recommenders.patient.precautions import both_supplements, calcium_too_high_for_supplements, supplements_lacking
from recommenders.vocabulary.logic import Criterion, documented, given
from recommenders.vocabulary.records import DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case
    from recommenders.patient.order_intent import OrderIntent
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Order


def denosumab(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what is said of one denosumab order at hand."""
    yield from case.asked(_as_labelled, "DOSE-001", of=order)
    yield from case.asked(_made_for_bone_loss, "DOSE-022", of=order)


def _as_labelled(case: Case, order: Order) -> Iterator[Advice]:
    limits, dx = case.limits(GUIDANCE), case.facts.dx

    other_dose = order.dose_mg.differs_from(limits.denosumab_dose)
    other_route = ~order.route.is_("SC")
    too_often = order.interval_days < limits.denosumab_interval
    if not case.may_hold(other_dose | other_route | too_often):
        return
    intent = intent_of(case, order)
    wrong_route = documented(order.route.one_of("IV", "IM", "ID"))
    too_much = overdose(case, order)
    dose_told_elsewhere = too_much | _for_bone_loss_though_cancer(case, order)

    deviates, superseded = _without_dose_told_elsewhere(other_dose, other_route | too_often, dose_told_elsewhere)
    because = judged_by_cancer_doses(case, intent) & deviates
    if not case.may_hold(because):
        return
    yield Advice(
        rule="DOSE-001",
        because=because,
        superseded=superseded,
        holds={
            "wrong-route": wrong_route,
            "dose-only": only(other_dose & ~documented(dose_told_elsewhere), other_route, too_often),
            "osteoporosis-dose": order.dose_mg.equals(limits.denosumab_osteoporosis_dose) & dx.osteoporosis,
            "interval-only": only(too_often, other_dose, other_route),
            "no-indication": intent.open,
        },
        proposals=_as_recommended(case, order),
        order=order.reference,
    )


def _for_bone_loss_though_cancer(case: Case, order: Order) -> Criterion:
    dx, intent = case.facts.dx, intent_of(case, order)
    for_cancer = (dx.bone_met | dx.mm) & ~dx.osteoporosis & ~intent.bone_loss
    return osteoporosis_strength(order, case.limits(GUIDANCE)) & for_cancer


def _made_for_bone_loss(case: Case, order: Order) -> Iterator[Advice]:
    limits = case.limits(GUIDANCE)
    if not case.may_hold(osteoporosis_strength(order, limits)):
        return
    because = _for_bone_loss_though_cancer(case, order)
    if not case.may_hold(because):
        return
    yield Advice(
        rule="DOSE-022",
        because=because,
        holds={
            "dose-120-on-60": given(order.product_mismatch) & order.dose_mg.equals(limits.denosumab_dose),
            "dose-60-on-120": given(order.product_mismatch) & order.dose_mg.equals(limits.denosumab_osteoporosis_dose),
        },
        proposals=denosumab_instead(case, order, "denosumab"),
        order=order.reference,
    )


def judged_by_cancer_doses(case: Case, intent: OrderIntent) -> Criterion:
    """Tell whether a denosumab order is judged by dose, route and interval for cancer in bone (DOSE-001)."""
    return ~intent.elsewhere & cancer_in_bone(case)


def osteoporosis_strength(order: Order, limits: Limits) -> Criterion:
    """Whether it is the 60 mg product: by its class, by its dose, or 120 mg written for the 60 mg product."""
    if order.drug == "denosumab-60" or (order.drug == "denosumab-120" and order.product_mismatch):
        return is_drug(order, {str(order.drug)})
    return order.dose_mg.equals(limits.denosumab_osteoporosis_dose)


def _without_dose_told_elsewhere(dose: Criterion, rest: Criterion, told: Criterion) -> tuple[Criterion, bool]:
    """
    Leave out the dose where another rule speaks of it.

    Gives what remains to be found, and whether that is nothing (then the whole rule is superseded).
    """
    if not told.yes:
        return dose | rest, False
    if rest.no:
        return dose | rest, True
    return rest, False


def _as_recommended(case: Case, order: Order) -> tuple[Proposal, ...]:
    limits = case.limits(GUIDANCE)
    if order.drug == "denosumab-60" or order.product_mismatch:
        # the product is another one: changing the dose of the draft would leave the wrong product in it
        return denosumab_instead(case, order, "as-recommended")
    too_often = (order.interval_days < limits.denosumab_interval).yes
    longer = (order.interval_days > limits.denosumab_interval).yes
    every_four_weeks = int(limits.denosumab_interval.value)
    if too_often and order.dose_mg.equals(limits.denosumab_dose).yes and order.route.is_("SC").yes:
        change = ChangedOrder(order=order.reference, interval_days=every_four_weeks)
        return (Proposal(button="interval", items=(change,), recommended=True),)
    change = ChangedOrder(
        order=order.reference,
        dose_mg=limits.denosumab_dose.value,
        route="SC",
        interval_days=None if longer else every_four_weeks,
    )
    return (Proposal(button="keep-interval" if longer else "as-recommended", items=(change,), recommended=True),)


# --- weak kidneys -------------------------------------------------------------------------------------------


def kidneys_weak(case: Case) -> Criterion:
    """Tell whether the clearance is below 30 mL/min, or dialysis is on record."""
    facts = case.cautious()
    return (facts.lab.crcl < case.limits(GUIDANCE).severe_renal_impairment) | facts.other.dialysis


def denosumab_and_weak_kidneys(case: Case) -> Iterator[Advice]:
    """Yield what is said of denosumab, ordered or running, when the kidneys are weak."""
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab, dialysis = facts.lab, facts.other.dialysis
    drafts = [order for order in case.orders_at_hand if order.drug in DENOSUMAB]

    low_calcium = lab.ca_corr < limits.hypocalcaemia
    lacking = supplements_lacking(case)
    done = _calcium_checked(case) & ~lacking
    present: list[tuple[str | None, Criterion]] = [(order.reference, is_drug(order, DENOSUMAB)) for order in drafts]
    for draft, on_denosumab in present or [(None, case.once(bma).any.includes(DENOSUMAB))]:
        yield Advice(
            rule="DOSE-013",
            because=on_denosumab & kidneys_weak(case),
            holds={
                "low-calcium": low_calcium,
                "calcium-unknown": given(draft is not None) & ~given(lab.ca_corr.is_known),
                "all-done": done,
                "dialysis": documented(dialysis),
                "no-supplements": lacking & ~calcium_too_high_for_supplements(case),
                "ordered": given(draft is not None),
            },
            fill={"kidneys": _kidneys(case)},
            proposals=_calcium_watch(case),
            order=draft,
        )


def _kidneys(case: Case) -> Phrase:
    facts = case.cautious()
    if documented(facts.other.dialysis).yes:
        return Phrase("on-dialysis")
    return Phrase("clearance", {"x": shown(facts.lab.crcl)})


def _calcium_checked(case: Case) -> Criterion:
    """Tell whether calcium is normal and recent enough: weekly in the month after the first dose, then monthly."""
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    calcium = facts.lab.ca_corr
    doses = given_doses(case, DENOSUMAB)
    first_month = not doses or (facts.as_of - doses[0].date).days <= limits.denosumab_first_month.value
    window = limits.calcium_in_first_month if first_month else limits.calcium_later
    return documented(calcium >= limits.hypocalcaemia) & calcium.within(window, facts.as_of)


def _calcium_watch(case: Case) -> tuple[Proposal, ...]:
    weekly = Proposal(button="weekly-calcium", items=(ProposedService(service="calcium-weekly"),))
    tablets = both_supplements(case)
    return (weekly, Proposal(button="supplements", items=tablets)) if tablets else (weekly,)
