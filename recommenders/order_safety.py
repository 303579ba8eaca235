"""Order safety: dose, route, interval, kidneys, calcium and duplicates of bone-modifying agents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient import remarks
from recommenders.patient.advice import (
    Advice,
    Case,
    ChangedOrder,
    Phrase,
    Proposal,
    ProposedMedication,
    ProposedService,
)
from recommenders.patient.courses import DrugSet, bma, is_active
from recommenders.patient.remarks import plain
from recommenders.patient.renal import GUIDANCE as RENAL
from recommenders.patient.renal import ibandronate_dose, renal_deterioration, zoledronic_dose
from recommenders.patient.scope import scope_of
from recommenders.vocabulary.facts import Finding, Reading, exactly, known
from recommenders.vocabulary.guidance import ORDER_HOOKS, guidance
from recommenders.vocabulary.logic import (
    NO,
    Condition,
    Criterion,
    any_of,
    at_least,
    documented,
    given,
    leaf,
)
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recommenders.patient.advice import Fill, Value
    from recommenders.patient.courses import Bma
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Indicator, Limit, Limits
    from recommenders.vocabulary.records import Course, Dose, Order

GUIDANCE = guidance("order_safety")

ZOLEDRONIC = frozenset({"zoledronic", "zoledronic-5"})
DENOSUMAB_MONTHLY = frozenset({"denosumab-120", "denosumab-unspecified"})
WITHOUT_DOSING_RULE = frozenset({"pamidronate", "clodronate", "other-bisphosphonate"})
HARMS_A_FETUS = frozenset({"bma", "ifosfamide", "melphalan"})


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case, order by order."""
    for order in case.orders_at_hand:
        if order.drug in DENOSUMAB:
            yield from _denosumab(case, order)
        elif order.drug in ZOLEDRONIC:
            yield from _zoledronic(case, order)
        elif order.drug == "ibandronate":
            yield from _ibandronate(case, order)
        elif order.drug == "incadronate":
            yield from _incadronate(case, order)
        elif order.drug in WITHOUT_DOSING_RULE:
            yield from _without_dosing_rule(case, order)
        if order.is_bma:
            yield from _kidneys_and_calcium_known(case, order)
            yield from _too_early(case, order)
            yield from _overdosed(case, order)
        if HARMS_A_FETUS.intersection(order.kinds):
            yield from _child_or_pregnancy(case, order)
    yield from _denosumab_and_weak_kidneys(case)
    yield from _two_agents(case)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11), whether or not a rule fires."""
    if scope_of(case).only is not None:  # an osteoporosis order by itself: oncologic doses do not apply
        return {}
    facts = case.cautious()
    found: dict[str, Value | None] = {
        "zoledronic_recommended_dose_mg": _recommended_zoledronic(case, facts),
        "ibandronate_recommended_dose_mg": ibandronate_dose(case, facts.lab.crcl),
        "incadronate_max_dose_mg": _incadronate_maximum(case),
        "days_since_last_bma": _days_since_last_bma(case),
    }
    if facts.lab.crcl.rounded is not None and facts.lab.crcl.is_known:
        found["crcl_ml_min"] = facts.lab.crcl.rounded
    return {key: value for key, value in found.items() if value is not None}


def _recommended_zoledronic(case: Case, facts: Facts) -> Decimal | None:
    drafts = [order for order in case.orders_at_hand if order.drug in ZOLEDRONIC]
    if drafts and all(_outside_renal_table(order).yes for order in drafts):
        return None
    return zoledronic_dose(case, facts.lab.crcl)


def _incadronate_maximum(case: Case) -> Decimal | None:
    age, limits = case.facts.patient.age, case.limits(GUIDANCE)
    if not (age >= limits.adult_age).yes:
        return None
    elderly = age > limits.incadronate_elderly_age
    if elderly.unknown:
        return None
    return (limits.incadronate_elderly_dose if elderly.yes else limits.incadronate_dose).value


def _days_since_last_bma(case: Case) -> int | None:
    for order in case.orders_at_hand:
        if order.is_bma and (last := _last_dose(case, order.drug)) is not None:
            return (case.facts.as_of - last.dose.date).days
    if not case.facts.courses.items:
        return None
    newest = max(
        (last.dose.date for drug in DENOSUMAB | BISPHOSPHONATES if (last := _last_dose(case, drug)) is not None),
        default=None,
    )
    return None if newest is None else (case.facts.as_of - newest).days


# --- denosumab ----------------------------------------------------------------------------------------------


def _denosumab(case: Case, order: Order) -> Iterator[Advice]:
    limits, dx = case.limits(GUIDANCE), case.facts.dx

    cancer_bone_disease = dx.bone_met | dx.mm | dx.smm
    other_dose = order.dose_mg.differs_from(limits.denosumab_dose)
    other_route = ~order.route.is_("SC")
    too_often = order.interval_days < limits.denosumab_interval
    into_vein_or_muscle = documented(order.route.one_of("IV", "IM"))
    overdose = _overdose(case, order)
    osteoporosis_strength = _osteoporosis_strength(order, limits)
    for_cancer = (dx.bone_met | dx.mm) & ~dx.osteoporosis
    dose_told_elsewhere = overdose | (osteoporosis_strength & for_cancer)

    deviates, superseded = _without_dose_told_elsewhere(other_dose, other_route | too_often, dose_told_elsewhere)
    far_too_much = order.dose_mg > _overdose_limit(limits.denosumab_dose, limits)
    critical = into_vein_or_muscle.yes or (far_too_much.yes and not dose_told_elsewhere.yes)
    told_elsewhere = Phrase("part-of-overdose" if overdose.yes else "dose-in-other-alert")
    yield Advice(
        rule="DOSE-001",
        because=~documented(order.indication.is_("hypercalcaemia")) & cancer_bone_disease & deviates,
        superseded=superseded,
        indicator="critical" if critical else "warning",
        points=_chosen(
            {
                0: True,
                1: critical,
                2: too_often.yes,
                3: any(part.unknown for part in (other_dose, other_route, too_often)),
                4: True,
            }
        ),
        notes=(told_elsewhere,) if dose_told_elsewhere.yes else (),
        proposals=_denosumab_as_recommended(case, order),
        order=order.reference,
    )
    yield Advice(
        rule="DOSE-022",
        because=osteoporosis_strength & for_cancer,
        notes=(Phrase("product-mismatch"),) if order.product_mismatch else (),
        proposals=(_denosumab_instead(case, action=0, alternative=None),),
        order=order.reference,
    )


def _osteoporosis_strength(order: Order, limits: Limits) -> Criterion:
    """Whether it is the 60 mg product: by its class, by its dose, or 120 mg written for the 60 mg product."""
    if order.drug == "denosumab-60" or (order.drug == "denosumab-120" and order.product_mismatch):
        return _is_drug(order, {str(order.drug)})
    return order.dose_mg.equals(limits.denosumab_osteoporosis_dose)


def _denosumab_as_recommended(case: Case, order: Order) -> tuple[Proposal, ...]:
    limits = case.limits(GUIDANCE)
    if order.drug == "denosumab-60" or order.product_mismatch:
        # the product is another one: changing the dose of the draft would leave the wrong product in it
        return (_denosumab_instead(case, action=0, alternative=None),)
    too_often = (order.interval_days < limits.denosumab_interval).yes
    changed = ChangedOrder(
        order=order.reference,
        dose_mg=limits.denosumab_dose.value,
        route="SC",
        interval_days=int(limits.denosumab_interval.value) if too_often else None,
    )
    every_four_weeks = too_often or order.interval_days.equals(limits.denosumab_interval).yes
    return (Proposal(action=0 if every_four_weeks else 1, items=(changed,), recommended=True),)


def _denosumab_instead(case: Case, *, action: int, alternative: str | None) -> Proposal:
    limits, dx = case.limits(GUIDANCE), case.facts.dx
    denosumab = ProposedMedication(
        drug="denosumab",
        dose=limits.denosumab_dose.value,
        route="SC",
        interval_days=int(limits.denosumab_interval.value),
    )
    reasons = tuple(finding.name for finding in (dx.bone_met, dx.mm, dx.smm) if finding.value is True)
    return Proposal(action=action, items=(denosumab,), alternative=alternative, reasons=reasons)


def _denosumab_and_weak_kidneys(case: Case) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab = facts.lab
    drafts = [order for order in case.orders_at_hand if order.drug in DENOSUMAB]

    weak_kidneys = (lab.crcl < limits.severe_renal_impairment) | facts.other.dialysis
    low_calcium = lab.ca_corr < limits.hypocalcaemia
    critical = low_calcium.yes or (low_calcium.unknown and bool(drafts))

    present: list[tuple[str | None, Criterion]] = [(order.reference, _is_drug(order, DENOSUMAB)) for order in drafts]
    for draft, on_denosumab in present or [(None, case.once(bma).any.includes(DENOSUMAB))]:
        yield Advice(
            rule="DOSE-013",
            because=on_denosumab & weak_kidneys,
            indicator="critical" if critical else "warning",
            points=_chosen({0: True, 1: True, 2: critical, 3: True}),
            notes=(
                *remarks.verify(lab.crcl, lab.ca_corr),
                *remarks.clearance_arithmetic(facts),
                *remarks.calcium_arithmetic(facts),
            ),
            proposals=(Proposal(action=0, items=(ProposedService(service="calcium-weekly"),)),),
            order=draft,
        )


# --- zoledronic acid ----------------------------------------------------------------------------------------


def _zoledronic(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits, renal = case.cautious(), case.limits(GUIDANCE), case.limits(RENAL)
    lab, dialysis, crcl = facts.lab, facts.other.dialysis, facts.lab.crcl

    for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
    reduced_kidneys = (crcl >= renal.zoledronic_lowest_clearance) & (crcl <= renal.zoledronic_full_dose_above)
    table = _zoledronic_table(case, crcl)
    renal_notes = (*remarks.verify(crcl), *remarks.clearance_arithmetic(facts))

    yield Advice(
        rule="DOSE-002",
        because=order.infusion_min < limits.zoledronic_infusion,
        notes=_below_table(order, table, crcl),
        order=order.reference,
    )

    above, agrees = _compared_with_table(order, table, limits.dose_rounding, renal.zoledronic_fourth_dose)
    yield Advice(
        rule="DOSE-003",
        because=~_outside_renal_table(order) & ~documented(dialysis) & reduced_kidneys & (above | agrees),
        unless=agrees,
        superseded=_overdose(case, order).yes,
        fill={"x": _shown(crcl), "d": table.shown, "o": _shown(order.dose_mg)},
        notes=renal_notes,
        proposals=_zoledronic_reduced(case, order, table),
        values=_computed({"crcl_ml_min": crcl.rounded, "zoledronic_recommended_dose_mg": table.exact}),
        order=order.reference,
    )

    kidneys_too_weak = (crcl < renal.zoledronic_lowest_clearance) | dialysis
    yield Advice(
        rule="DOSE-004",
        because=~for_hypercalcaemia & kidneys_too_weak,
        notes=renal_notes,
        proposals=_denosumab_alternative(case, order),
        order=order.reference,
    )

    yield Advice(
        rule="DOSE-005",
        because=_given_before(case, ZOLEDRONIC) & renal_deterioration(case, facts),
        fill={
            "lab.creatinine": lab.creatinine,
            "lab.creatinine_baseline": lab.creatinine_baseline,
            "creatinine_rise_umol_l": _shown(lab.creatinine_rise),
        },
        notes=remarks.verify(lab.creatinine, lab.creatinine_baseline),
        values=_computed({"creatinine_rise_umol_l": lab.creatinine_rise.rounded}),
        order=order.reference,
    )

    too_often = order.interval_days < limits.bisphosphonate_interval
    low_for_normal_kidneys = (crcl > renal.zoledronic_full_dose_above) & (order.dose_mg < limits.zoledronic_dose)
    for_osteoporosis = documented(order.indication.is_("osteoporosis"))
    yield Advice(
        rule="DOSE-018",
        because=too_often | (low_for_normal_kidneys & ~for_osteoporosis),
        indicator="warning" if too_often.yes else "info",
        notes=(*_below_table(order, table, crcl), *remarks.verify(crcl)),
        order=order.reference,
    )


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


def _zoledronic_table(case: Case, crcl: Reading) -> TableDose:
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
        return lowest_of_all.model_copy(update={"value": value + by})

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


def _below_table(order: Order, table: TableDose, crcl: Reading) -> tuple[Phrase, ...]:
    """An ordered dose below the table's is a line, no alert."""
    if table.exact is None or _outside_renal_table(order).yes or order.dose_mg.rounded is None:
        return ()
    if not (order.dose_mg < table.exact).yes:
        return ()
    return (Phrase("below-label-dose", {"o": _shown(order.dose_mg), "d": plain(table.exact), "x": _shown(crcl)}),)


def _outside_renal_table(order: Order) -> Criterion:
    return documented(order.indication.one_of("hypercalcaemia", "osteoporosis"))


def _zoledronic_reduced(case: Case, order: Order, table: TableDose) -> tuple[Proposal, ...]:
    limits = case.limits(GUIDANCE)
    if table.exact is None:
        return ()
    too_fast = (order.infusion_min < limits.zoledronic_infusion).yes
    too_often = (order.interval_days < limits.bisphosphonate_interval).yes
    changed = ChangedOrder(
        order=order.reference,
        dose_mg=table.exact,
        infusion_min=int(limits.zoledronic_infusion.value) if too_fast else None,
        interval_days=int(limits.every_four_weeks.value) if too_often else None,
    )
    as_labelled = (
        (order.diluent_ml.equals(limits.zoledronic_volume)).yes
        and (too_fast or (order.infusion_min >= limits.zoledronic_infusion).yes)
        and (too_often or order.interval_days.equals(limits.every_four_weeks).yes)
        and order.route.is_("IV").yes
    )
    return (
        Proposal(
            action=0 if as_labelled else 1,
            items=(changed,),
            recommended=True,
            fill={"d": plain(table.exact)},
        ),
    )


def _denosumab_alternative(case: Case, order: Order) -> tuple[Proposal, ...]:
    """Denosumab instead, where cancer bone disease is on record and no denosumab is running or drafted."""
    dx = case.facts.dx
    for_bone_loss = documented(order.indication.one_of("osteoporosis", "paget"))
    on_denosumab = case.once(bma).any.includes(DENOSUMAB) | given(
        any(other.drug in DENOSUMAB for other in case.facts.orders)
    )
    suits = documented(dx.bone_met | dx.mm | dx.smm) & ~for_bone_loss & ~documented(on_denosumab)
    suits &= ~documented(case.facts.allergy.denosumab)
    return (_denosumab_instead(case, action=0, alternative="antiresorptive"),) if suits.yes else ()


# --- ibandronate --------------------------------------------------------------------------------------------


def _ibandronate(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits, renal = case.cautious(), case.limits(GUIDANCE), case.limits(RENAL)
    crcl, dialysis = facts.lab.crcl, facts.other.dialysis

    judged = ~documented(order.route.is_("PO")) & ~documented(order.indication.is_("hypercalcaemia"))
    too_fast = order.infusion_min < limits.ibandronate_infusion
    normal_kidneys = crcl >= renal.ibandronate_full_dose_from
    other_dose = normal_kidneys & order.dose_mg.differs_from(limits.ibandronate_dose)
    too_often = (order.interval_days < limits.bisphosphonate_interval) & ~order.loading
    overdose = _overdose(case, order)

    deviates, superseded = _without_dose_told_elsewhere(other_dose, too_fast | too_often, overdose)
    far_too_much = order.dose_mg > _overdose_limit(limits.ibandronate_dose, limits)
    label_of_the_site = order.dose_mg.equals(limits.ibandronate_site_label_dose).yes
    only_information = label_of_the_site and not (too_fast | too_often).yes
    indicator: Indicator = "info" if only_information else "warning"
    yield Advice(
        rule="DOSE-006",
        because=judged & deviates,
        superseded=superseded,
        indicator="critical" if far_too_much.yes and not overdose.yes else indicator,
        notes=(*((Phrase("part-of-overdose"),) if overdose.yes else ()), *remarks.verify(crcl)),
        order=order.reference,
    )

    weak_kidneys = crcl < renal.ibandronate_full_dose_from
    very_weak = crcl < renal.ibandronate_lowest_clearance
    above_reduced_dose = order.dose_mg > renal.ibandronate_reduced_dose
    above_lowest_dose = order.dose_mg > renal.ibandronate_lowest_dose
    fast_for_weak_kidneys = order.infusion_min <= limits.ibandronate_infusion
    recommended = ibandronate_dose(case, crcl)
    yield Advice(
        rule="DOSE-007",
        because=judged
        & any_of(
            (
                weak_kidneys & above_reduced_dose,
                very_weak & above_lowest_dose,
                weak_kidneys & fast_for_weak_kidneys,
                dialysis & above_lowest_dose,
            )
        ),
        indicator="critical" if (very_weak | dialysis).yes else "warning",
        fill=_known_fill({"ibandronate_recommended_dose_mg": recommended}),
        notes=(
            *remarks.verify(crcl),
            *remarks.clearance_arithmetic(facts),
            *((Phrase("infusion-too-short-to-correct"),) if fast_for_weak_kidneys.yes else ()),
        ),
        proposals=_ibandronate_reduced(case, order, recommended),
        values=_computed({"crcl_ml_min": crcl.rounded, "ibandronate_recommended_dose_mg": recommended}),
        order=order.reference,
    )


def _ibandronate_reduced(case: Case, order: Order, recommended: Decimal | None) -> tuple[Proposal, ...]:
    """The reduced dose; none when the infusion is too short as well, for no longer time is verified."""
    limits = case.limits(GUIDANCE)
    if recommended is None or (order.infusion_min <= limits.ibandronate_infusion).yes:
        return ()
    if not (order.dose_mg > recommended).yes:
        return ()
    longer = (order.infusion_min > limits.ibandronate_infusion).yes and order.route.is_("IV").yes
    changed = ChangedOrder(order=order.reference, dose_mg=recommended)
    fill: dict[str, Fill] = {"ibandronate_recommended_dose_mg": plain(recommended)}
    return (Proposal(action=0 if longer else 1, items=(changed,), recommended=True, fill=fill),)


# --- incadronate --------------------------------------------------------------------------------------------


def _incadronate(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    age, crcl = facts.patient.age, facts.lab.crcl

    elderly = age > limits.incadronate_elderly_age
    too_much = (elderly & (order.dose_mg > limits.incadronate_elderly_dose)) | (order.dose_mg > limits.incadronate_dose)
    overdose = _overdose(case, order)
    far_too_much = order.dose_mg > _overdose_limit(limits.incadronate_dose, limits)
    weak_kidneys = (crcl < limits.incadronate_renal_question).yes or documented(facts.other.dialysis).yes
    renal_question = (Phrase("incadronate-renal"),) if weak_kidneys else ()
    maximum = _incadronate_maximum(case)
    yield Advice(
        rule="DOSE-008",
        because=too_much,
        superseded=overdose.yes,
        indicator="critical" if far_too_much.yes else "warning",
        fill={"order.dose_mg": _shown(order.dose_mg)} | _known_fill({"incadronate_max_dose_mg": maximum}),
        notes=renal_question,
        proposals=_incadronate_reduced(case, order, maximum),
        values=_computed({"incadronate_max_dose_mg": maximum}),
        order=order.reference,
    )

    parts = (
        order.infusion_min < limits.incadronate_shortest_infusion,
        order.infusion_min > limits.incadronate_longest_infusion,
        order.diluent_ml < limits.incadronate_least_volume,
        order.diluent_ml > limits.incadronate_greatest_volume,
        order.interval_days < limits.bisphosphonate_interval,
    )
    yield Advice(
        rule="DOSE-009",
        because=any_of(parts),
        points=_chosen({0: True, 1: True, 2: weak_kidneys, 3: any(part.unknown for part in parts)}),
        order=order.reference,
    )


def _incadronate_reduced(case: Case, order: Order, maximum: Decimal | None) -> tuple[Proposal, ...]:
    limits = case.limits(GUIDANCE)
    if maximum is None or not (order.dose_mg > maximum).yes:
        return ()
    shortest, longest = limits.incadronate_shortest_infusion, limits.incadronate_longest_infusion
    slow_enough = (order.infusion_min >= shortest) & (order.infusion_min <= longest)
    every_four_weeks = order.interval_days.equals(limits.every_four_weeks)
    changed = ChangedOrder(order=order.reference, dose_mg=maximum)
    as_labelled = (slow_enough & every_four_weeks & order.route.is_("IV")).yes
    fill: dict[str, Fill] = {"incadronate_max_dose_mg": plain(maximum)}
    return (Proposal(action=0 if as_labelled else 1, items=(changed,), recommended=True, fill=fill),)


# --- every bone-modifying agent -----------------------------------------------------------------------------


def _without_dosing_rule(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    weak_kidneys = (facts.lab.crcl < limits.severe_renal_impairment) | facts.other.dialysis
    into_a_vein = ~_by_mouth(order)
    risky = (into_a_vein & weak_kidneys).yes
    pamidronate = order.drug == "pamidronate"
    yield Advice(
        rule="DOSE-020",
        because=_is_drug(order, WITHOUT_DOSING_RULE),
        indicator="warning" if risky else "info",
        points=_chosen({0: pamidronate, 1: not pamidronate, 2: risky}),
        notes=(*remarks.verify(facts.lab.crcl), *(remarks.clearance_arithmetic(facts) if risky else ())),
        order=order.reference,
    )


def _kidneys_and_calcium_known(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab, recorded = facts.lab, case.facts.lab

    contradictory = [reading for reading in (recorded.creatinine, recorded.ca_total) if _is_contradictory(reading).yes]
    renal_gaps = remarks.clearance_gaps(facts)
    if _is_contradictory(recorded.creatinine).yes:
        renal_gaps.pop(recorded.creatinine.name, None)  # DOSE-023 speaks of it
    if order.drug in BISPHOSPHONATES:
        child = (facts.patient.age < limits.adult_age).yes
        yield Advice(
            rule="DOSE-010",
            because=~_by_mouth(order)
            & ~known(lab.crcl)
            & ~documented(facts.other.dialysis)
            & given(child or bool(renal_gaps)),
            points=_chosen(
                {
                    0: not child,
                    1: not child and order.drug in ZOLEDRONIC,
                    2: not child and order.drug in {"ibandronate", "incadronate"},
                    3: not child,
                    4: child,
                }
            ),
            notes=() if child else tuple(renal_gaps.values()),
            proposals=(Proposal(action=0, items=(ProposedService(service="creatinine"),)),)
            if not lab.creatinine.is_known
            else (),
            order=order.reference,
        )

    yield Advice(
        rule="DOSE-011",
        because=~known(lab.ca_total) & ~_is_contradictory(recorded.ca_total),
        points=_chosen({0: True, 1: True, 2: lab.ca_ionised.is_known}),
        notes=(remarks.gap(lab.ca_total), *_other_calcium(facts)),
        proposals=(Proposal(action=0, items=(ProposedService(service="calcium"), ProposedService(service="albumin"))),),
        order=order.reference,
    )

    uncorrected = "uncorrected" in lab.ca_corr.flags
    yield Advice(
        rule="DOSE-012",
        because=(lab.ca_corr >= limits.hypocalcaemia) & _below_laboratory_limit(facts),
        fill={"ca_corrected_mmol_l": _shown(lab.ca_corr)},
        points=_chosen({0: True, 1: True, 2: uncorrected}),
        notes=(
            Phrase("own-range", {"value": lab.ca_corr, "limit": lab.ca_lln}),
            *remarks.calcium_arithmetic(facts),
            *remarks.verify(lab.ca_total, lab.albumin),
        ),
        values=_computed({"ca_corrected_mmol_l": lab.ca_corr.rounded}),
        order=order.reference,
    )

    yield Advice(
        rule="DOSE-023",
        because=any_of((_is_contradictory(recorded.creatinine), _is_contradictory(recorded.ca_total))),
        notes=tuple(remarks.rivals_of(reading) for reading in contradictory),
        order=order.reference,
    )


def _is_contradictory(reading: Reading) -> Criterion:
    return leaf(Condition(reading.name, "is", "contradictory", reading, reading.reason == "contradictory"))


def _other_calcium(facts: Facts) -> Iterator[Phrase]:
    lab = facts.lab
    for key, reading in (("ionised-only", lab.ca_ionised), ("laboratory-corrected", lab.ca_corr)):
        if reading.is_known and reading.date is not None:
            yield Phrase(key, {"value": reading, "day": reading.date.isoformat()})


def _below_laboratory_limit(facts: Facts) -> Criterion:
    """
    Whether corrected calcium is below the laboratory's own limit.

    A calcium that came without a range is not asked about; without any calcium it is open.
    """
    calcium, lower_limit = facts.lab.ca_corr, facts.lab.ca_lln
    if lower_limit.is_known and lower_limit.rounded is not None:
        return calcium < lower_limit.rounded
    if calcium.is_known:
        return known(lower_limit)
    return leaf(Condition(calcium.name, "<", lower_limit.name, calcium, None))


def _overdosed(case: Case, order: Order) -> Iterator[Advice]:
    crcl = case.cautious().lab.crcl
    if _maximum(case, order) is None:
        return
    renal_dose = {
        "zoledronic": _zoledronic_table(case, crcl).exact,
        "ibandronate": ibandronate_dose(case, crcl),
    }.get(str(order.drug))
    yield Advice(
        rule="DOSE-019",
        because=_overdose(case, order),
        fill={"order.dose_mg": _shown(_largest_dose(order))},
        points=_chosen(
            {0: True, 1: True, 2: order.drug not in DENOSUMAB, 3: order.drug in {"zoledronic", "ibandronate"}}
        ),
        notes=(Phrase("table-dose-now", {"x": _shown(crcl), "d": plain(renal_dose)}),)
        if renal_dose is not None and crcl.is_known
        else (),
        values=_computed({"crcl_ml_min": crcl.rounded if renal_dose is not None else None}),
        order=order.reference,
    )


def _overdose(case: Case, order: Order) -> Criterion:
    """Whether a single dose is above 110 % of the agent's maximum; tablets and agents without one never are."""
    maximum = _maximum(case, order)
    if maximum is None:
        return NO
    return ~_by_mouth(order) & (_largest_dose(order) > _overdose_limit(maximum, case.limits(GUIDANCE)))


def _largest_dose(order: Order) -> Reading:
    return order.largest_dose_mg if order.largest_dose_mg.is_known else order.dose_mg


def _overdose_limit(maximum: Limit, limits: Limits) -> Limit:
    return maximum.model_copy(update={"value": maximum.value * limits.overdose_factor.value})


def _maximum(case: Case, order: Order) -> Limit | None:
    limits = case.limits(GUIDANCE)
    if order.drug in DENOSUMAB:
        return limits.denosumab_dose
    if order.drug in ZOLEDRONIC:
        return limits.zoledronic_osteoporosis_dose if _for_bone_loss(case, order) else limits.zoledronic_dose
    if order.drug == "ibandronate":
        return limits.ibandronate_dose
    if order.drug == "incadronate":
        return limits.incadronate_dose
    return None


def _for_bone_loss(case: Case, order: Order) -> bool:
    """
    Whether a zoledronic acid order is one for osteoporosis or Paget's disease.

    Stated on the order; or, where the order states nothing, the 5 mg product for a patient whose record has
    no cancer bone disease and either osteoporosis or no diagnosis of ours at all.
    """
    if order.indication.is_known:
        return order.indication.one_of("osteoporosis", "paget").yes
    dx = case.facts.dx
    cancer_bone_disease = documented(dx.bone_met | dx.mm | dx.smm)
    osteoporosis = documented(dx.osteoporosis) | given(scope_of(case).kind == "osteoporosis-order")
    return order.drug == "zoledronic-5" and (osteoporosis & ~cancer_bone_disease).yes


def _child_or_pregnancy(case: Case, order: Order) -> Iterator[Advice]:
    patient, limits = case.facts.patient, case.limits(GUIDANCE)
    pregnant = documented(patient.pregnant)
    child = patient.age < limits.adult_age if order.is_bma else NO
    who = [Phrase("child")] if child.yes else []
    who += [Phrase("pregnancy")] if pregnant.yes else []
    yield Advice(
        rule="DOSE-021",
        because=child | pregnant,
        indicator="critical" if pregnant.yes else "warning",
        fill={"who": tuple(who)},
        points=_chosen(
            {
                0: pregnant.yes,
                1: child.yes,
                2: child.yes,
                3: pregnant.yes and "melphalan" in order.kinds,
                4: not patient.pregnant.is_known,
            }
        ),
        order=order.reference,
    )


# --- earlier doses ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastDose:
    """The newest dose of a drug, and the course it belongs to."""

    dose: Dose
    course: Course

    @property
    def is_real(self) -> bool:
        """Whether it went in: an administration or billed dose, or the date of an order that was completed."""
        return self.dose.kind in {"administration", "billed"} or self.course.status == "completed"


def _too_early(case: Case, order: Order) -> Iterator[Advice]:
    limits = case.limits(GUIDANCE)
    for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
    interval = _shortest_interval(order, limits, for_hypercalcaemia=for_hypercalcaemia.yes)
    if interval is None:
        return
    minimum, tolerance = interval
    last = _last_dose(case, order.drug)
    since = _days_since(case, last)
    # without a dated dose: no dose at all is not too early, one of unknown date is open
    may_be_early = _given_before(case, _same_drug(order.drug)) & (since < _less(minimum, tolerance))
    just_given = last is not None and last.is_real and (since < limits.just_given).yes
    yield Advice(
        rule="DOSE-017",
        because=~order.loading & may_be_early,
        indicator="critical" if just_given else "warning",
        fill={"n": _shown(since), "m": plain(minimum.value)},
        points=_chosen({0: True, 1: True, 2: just_given, 3: not just_given, 4: for_hypercalcaemia.yes}),
        notes=_named(last),
        values=_computed({"days_since_last_bma": since.rounded}),
        order=order.reference,
    )


def _shortest_interval(order: Order, limits: Limits, *, for_hypercalcaemia: bool) -> tuple[Limit, Decimal] | None:
    """Give the least number of days between two doses of the ordered drug, and the tolerance; None without a rule."""
    if for_hypercalcaemia:
        return (limits.hypercalcaemia_retreatment, Decimal(0)) if order.drug in ZOLEDRONIC else None
    if order.drug in DENOSUMAB_MONTHLY:
        return limits.denosumab_interval, limits.denosumab_tolerance.value
    if order.drug in ZOLEDRONIC | {"ibandronate", "incadronate"} and not _by_mouth(order).yes:
        return limits.bisphosphonate_interval, limits.bisphosphonate_tolerance.value
    return None


def _less(limit: Limit, by: Decimal) -> Limit:
    return limit.model_copy(update={"value": limit.value - by})


def _days_since(case: Case, last: LastDose | None) -> Reading:
    """Give the days since the last dose; unknown without a dated one."""
    blank = Reading(name="bma.last_dose_date", unit="d", decimals=0)
    if last is None:
        return blank
    days = (case.facts.as_of - last.dose.date).days
    return exactly(blank, days, date=last.dose.date, resources=last.dose.resources)


def _same_drug(drug: str | None) -> frozenset[str]:
    for classes in (DENOSUMAB_MONTHLY, ZOLEDRONIC):
        if drug in classes:
            return classes
    return frozenset({str(drug)})


def _last_dose(case: Case, drug: str | None) -> LastDose | None:
    """Give the newest dose of the drug, a real one before the mere date of an order; none in the future."""
    chart = case.once(chart_without_drafts)
    found = [
        LastDose(dose, course)
        for course in chart.items
        if course.drug in _same_drug(drug) and course.status not in {"reported", "unknown"}
        for dose in course.doses
        if dose.date <= case.facts.as_of
    ]
    real = [last for last in found if last.dose.kind != "order-date"]
    return max(real or found, key=lambda last: last.dose.date, default=None)


def _given_before(case: Case, classes: frozenset[str]) -> Criterion:
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


def _named(last: LastDose | None) -> tuple[Phrase, ...]:
    if last is None:
        return ()
    key = "dose-ordered" if last.dose.kind == "order-date" else "dose-given"
    return (Phrase(key, {"day": last.dose.date.isoformat()}),)


def chart_without_drafts(case: Case) -> Bma:
    """
    Give the courses on the chart, without what the drafts take the place of.

    A draft that is saved already (same id) or replaces an order is not a second drug beside it: that order no
    longer counts as standing, and its date of writing is no dose. Doses that went in still count.
    """
    names = {name for order in case.facts.orders if order.is_bma for name in (order.reference, *order.replaces)}
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


# --- two agents at once -------------------------------------------------------------------------------------


def _two_agents(case: Case) -> Iterator[Advice]:
    chart = case.once(chart_without_drafts).overlap
    drafts = [order for order in case.facts.orders if order.is_bma] if case.hook in ORDER_HOOKS else []
    together = Together(chart, tuple(drafts))

    xgeva, prolia = together.present({"denosumab-120"}), together.present({"denosumab-60"})
    bisphosphonates = [together.present({drug}) for drug in sorted(BISPHOSPHONATES)]

    yield together.advice(
        "DOSE-014",
        because=together.present(DENOSUMAB) & together.present(BISPHOSPHONATES),
        names=DENOSUMAB | BISPHOSPHONATES,
        all_standing=together.stands(DENOSUMAB) and together.stands(BISPHOSPHONATES),
    )
    yield together.advice(
        "DOSE-015",
        because=(xgeva & prolia) | ((xgeva | prolia) & together.strength_open()),
        names=DENOSUMAB,
        all_standing=together.stands({"denosumab-120"}) and together.stands({"denosumab-60"}),
    )
    yield together.advice(
        "DOSE-016",
        because=at_least(2, bisphosphonates),
        names=BISPHOSPHONATES,
        all_standing=sum(together.stands({drug}) for drug in BISPHOSPHONATES) > 1,
    )


@dataclass(frozen=True, slots=True)
class Together:
    """The agents of the chart (those that overlap with a dose given now) and of the drafts, at hand or not."""

    chart: DrugSet
    drafts: tuple[Order, ...]

    def present(self, classes: Iterable[str]) -> Criterion:
        """Tell whether one of these classes is drafted or overlaps."""
        wanted = frozenset(classes)
        drafted = [_is_drug(order, wanted) for order in self.drafts if order.drug in wanted]
        return any_of((*drafted, self.chart.includes(wanted)))

    def stands(self, classes: Iterable[str]) -> bool:
        """Tell whether one of these classes is drafted, active or on hold (not merely given lately)."""
        wanted = frozenset(classes)
        return any(order.drug in wanted for order in self.drafts) or any(
            is_active(course) and course.drug in wanted for course in self.chart.courses
        )

    def strength_open(self) -> Criterion:
        """Be unknown where a denosumab is there whose strength is not told; else no."""
        unspecified = "denosumab-unspecified"
        if any(order.drug == unspecified for order in self.drafts):
            return leaf(Condition("order.dose_mg", "known", None, Finding(name="order.dose_mg"), None))
        if unspecified in self.chart.classes:
            return leaf(Condition("bma.courses", "known", None, Finding(name="bma.courses"), None))
        return NO

    def advice(self, rule: str, *, because: Criterion, names: Iterable[str], all_standing: bool) -> Advice:
        """Make the advice of a duplicate rule: critical when all stand, and both named with their dates."""
        usual: Indicator | None = None if all_standing or not because.yes else "warning"
        return Advice(rule=rule, because=because, indicator=usual, notes=tuple(self._members(frozenset(names))))

    def _members(self, classes: frozenset[str]) -> Iterator[Phrase]:
        for order in self.drafts:
            if order.drug in classes:
                yield Phrase("drafted", {"drug": Phrase(f"drug-{order.drug}")})
        for course in self.chart.courses:
            if course.drug in classes:
                yield _dated(course)


def _dated(course: Course) -> Phrase:
    fill: dict[str, Fill] = {"drug": Phrase(f"drug-{course.drug}")}
    last = course.last_dose
    if last is not None and last.kind != "order-date":
        return Phrase("in-force-last-dose" if is_active(course) else "ended", fill | {"day": last.date.isoformat()})
    day = course.started or (last.date if last else None)
    if not is_active(course) and last is not None:
        return Phrase("ended", fill | {"day": last.date.isoformat()})
    return Phrase("in-force-undated", fill) if day is None else Phrase("in-force", fill | {"day": day.isoformat()})


# --- small things -------------------------------------------------------------------------------------------


def _is_drug(order: Order, classes: Iterable[str]) -> Criterion:
    """Tell whether the order is for one of these; as a condition, so that the draft shows among the reasons."""
    wanted = tuple(sorted(classes))
    evidence = Finding(name="order.drug", value=order.drug, reason=None, resources=(order.reference,))
    return leaf(Condition("order.drug", "in", wanted, evidence, order.drug in wanted))


def _by_mouth(order: Order) -> Criterion:
    return documented(order.route.is_("PO")) | given(order.drug == "ibandronate-oral")


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


def _chosen(points: Mapping[int, bool]) -> tuple[int, ...]:
    return tuple(place for place, wanted in points.items() if wanted)


def _computed(found: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in found.items() if value is not None}


def _known_fill(found: Mapping[str, Decimal | None]) -> dict[str, Fill]:
    return {key: plain(value) for key, value in found.items() if value is not None}


def _shown(reading: Reading) -> Fill:
    """Give a reading's number for a sentence that has the unit already."""
    if not reading.is_known or reading.low is None or reading.high is None:
        return Phrase("not-told")
    if reading.rounded is not None:
        return plain(reading.rounded)
    return Phrase("range", {"low": plain(reading.low), "high": plain(reading.high)})
