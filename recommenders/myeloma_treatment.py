"""Myeloma treatment: what trials and cohorts found, quoted as evidence; never a choice of drug or dose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService
from recommenders.patient.courses import bma
from recommenders.patient.myeloma_class import myeloma_class, plasma_cell_disorder
from recommenders.vocabulary.facts import Finding, Reading, known
from recommenders.vocabulary.guidance import ORDER_HOOKS, guidance
from recommenders.vocabulary.logic import Criterion, all_of, any_of, documented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Indicator
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("myeloma_treatment")


@dataclass(frozen=True, slots=True)
class MelphalanOrder:
    """One melphalan order at hand: the dose per m², every figure it was written in, and whether it is high-dose."""

    order: Order
    mg_m2: Reading
    figures: tuple[Reading, ...]
    high_dose: Criterion


def melphalan_orders(case: Case) -> tuple[MelphalanOrder, ...]:
    """Give the melphalan orders at hand; to be asked for as `case.once(melphalan_orders)`."""
    limits = case.limits(GUIDANCE)
    found: list[MelphalanOrder] = []
    for order in case.orders_at_hand:
        if "melphalan" not in order.kinds:
            continue
        figures = _per_m2(order, case.facts)
        # the route of an order is often not told: only an order known to be no infusion is left alone
        by_another_way = documented(order.route.one_of("PO", "SC", "IM", "other"))
        high = ~by_another_way & any_of(figure >= limits.high_dose_melphalan for figure in figures)
        found.append(MelphalanOrder(order, figures[0], figures, high))
    return tuple(found)


def _per_m2(order: Order, facts: Facts) -> tuple[Reading, ...]:
    """Give the ordered dose per m², the best figure first: as ordered, then the ordered mg ÷ body surface."""
    area = facts.patient.bsa
    as_ordered = (order.dose_mg_m2,) if order.dose_mg_m2.is_known else ()
    doses = [dose for dose in (order.dose_mg, order.largest_dose_mg) if dose.is_known]
    computed = tuple(
        replace(
            order.dose_mg_m2,
            low=dose.low / area.high,
            high=dose.high / area.low,
            reason=None,
            date=area.date,
            resources=tuple(dict.fromkeys((*dose.resources, *area.resources))),
            flags=(*dose.flags, *area.flags),
        )
        for dose in doses
        if area.is_known and area.low and area.high and dose.low is not None and dose.high is not None
    )
    if as_ordered or computed:
        return as_ordered + computed
    lacks = (*(() if doses else (order.dose_mg.name,)), *(() if area.is_known else area.lacks or (area.name,)))
    return (replace(order.dose_mg_m2, lacks=lacks),)


@dataclass(frozen=True, slots=True)
class Tier:
    """Which group of the melphalan study this patient would belong to (TX-010, TX-011)."""

    before_transplant: Criterion
    unfavourable: Criterion
    favourable: Criterion
    missing: tuple[Finding, ...]

    @property
    def word(self) -> str:
        """`200`, `140` or `undetermined`."""
        return "200" if self.unfavourable.yes else "140" if self.favourable.yes else "undetermined"


def melphalan_tier(case: Case) -> Tier:
    """Work out the melphalan tier; to be asked for as `case.once(melphalan_tier)`."""
    facts = case.facts
    mm = facts.mm
    pet, mrd, high_risk = mm.pet_pretransplant, mm.mrd, facts.cyto.high_risk_riss
    return Tier(
        before_transplant=_before_transplant(case),
        # one bad marker is enough, so what is not known does not matter here; TX-012 asks for it
        unfavourable=documented(any_of((pet.is_("positive"), mrd.is_("positive"), high_risk))),
        favourable=all_of((pet.is_("negative"), mrd.is_("negative"), ~high_risk)),
        missing=tuple(finding for finding in (pet, mrd, high_risk) if not finding.is_known),
    )


def _before_transplant(case: Case) -> Criterion:
    """Tell whether a transplant is ahead; while an order is being signed, only high-dose melphalan says so."""
    mm = case.facts.mm
    if case.hook in ORDER_HOOKS:
        return any_of(melphalan.high_dose for melphalan in case.once(melphalan_orders))
    return documented(mm.phase.is_("pre-transplant")) | documented(mm.transplant_planned)


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, cyto = facts.dx, facts.mm, facts.cyto
    myeloma = dx.mm | case.once(myeloma_class).is_active_mm
    first_line = mm.phase.one_of("newly-diagnosed", "induction")

    yield Advice(rule="TX-001", because=myeloma & first_line, unless=facts.meds.daratumumab.criterion())
    yield Advice(rule="TX-002", because=myeloma & first_line & (cyto.del17p | cyto.t4_14))
    yield Advice(rule="TX-003", because=myeloma & first_line & cyto.gain1q)

    tier = case.once(melphalan_tier)
    at_transplant = myeloma & tier.before_transplant
    tier_200 = at_transplant & tier.unfavourable
    tier_140 = at_transplant & tier.favourable
    yield Advice(rule="TX-010", because=tier_200)
    yield Advice(rule="TX-011", because=tier_140)
    yield Advice(
        rule="TX-012",
        because=at_transplant & ~documented(tier_200) & ~documented(tier_140),
        fill={"missing": tuple(Label(finding.name) for finding in tier.missing)},
        proposals=tuple(_missing_tests(tier)),
    )
    for melphalan in case.once(melphalan_orders):
        yield _order_against_tier(case, melphalan, tier_200, tier_140, tier)

    protected_or_asked_for = case.fired("BP-020") | case.once(bma).current.any()
    severe_renal_impairment = (facts.lab.crcl < limits.severe_renal_impairment) | facts.other.dialysis
    yield Advice(rule="TX-020", because=myeloma & protected_or_asked_for)
    yield Advice(rule="TX-021", because=myeloma & severe_renal_impairment & protected_or_asked_for)


def _missing_tests(tier: Tier) -> Iterator[Proposal]:
    tests: dict[str, Service] = GUIDANCE.tables["test_for"]
    services = tuple(tests[finding.name] for finding in tier.missing)
    if services:
        yield Proposal(action=0, items=tuple(ProposedService(service=service) for service in services))


def _order_against_tier(
    case: Case, melphalan: MelphalanOrder, tier_200: Criterion, tier_140: Criterion, tier: Tier
) -> Advice:
    """Say where an order stands; no dose is ever proposed, least of all a higher one."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    above_any_study = any_of(figure > limits.melphalan_maximum for figure in melphalan.figures)
    below_200 = documented(tier_200) & (melphalan.mg_m2 < limits.melphalan_200_from)
    above_140 = documented(tier_140) & (melphalan.mg_m2 > limits.melphalan_140_to)

    clearance = facts.lab.crcl
    low_dose_is_often_meant = any_of(
        (
            documented(facts.patient.age >= limits.older_age),
            documented(facts.other.dialysis),
            documented(facts.status.ecog >= limits.frail_ecog),
            documented(clearance < limits.weak_kidneys),
            ~known(clearance),
        )
    )
    indicator: Indicator = "info"
    if above_any_study.yes:
        indicator = "critical"
    elif below_200.yes and not low_dose_is_often_meant.yes:
        indicator = "warning"
    ordered = _highest(melphalan.figures) if above_any_study.yes else melphalan.mg_m2
    shown: Fill = ordered.rounded if ordered.rounded is not None else ordered
    return Advice(
        rule="TX-013",
        because=melphalan.high_dose & any_of((below_200, above_140, above_any_study)),
        indicator=indicator,
        fill={
            "x": shown,
            "tier": Phrase(f"tier-{tier.word}"),
            "melphalan_ordered_mg_m2": shown,
            "melphalan_tier": Phrase(f"tier-{tier.word}"),
        },
        points=None if below_200.yes else (0, 1, 4),
        notes=(Phrase("split-dose"),) if below_200.yes else (),
        order=melphalan.order.reference,
    )


def _highest(figures: tuple[Reading, ...]) -> Reading:
    return max(figures, key=lambda figure: figure.high or Decimal(0))


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    found: dict[str, Value] = {}
    if not case.once(plasma_cell_disorder).no:
        tier = case.once(melphalan_tier)
        if ((case.facts.dx.mm | case.once(myeloma_class).is_active_mm) & tier.before_transplant).yes:
            found["melphalan_tier"] = tier.word
    ordered = [melphalan.mg_m2 for melphalan in case.once(melphalan_orders) if melphalan.mg_m2.rounded is not None]
    if ordered and (figure := _highest(tuple(ordered)).rounded) is not None:
        found["melphalan_ordered_mg_m2"] = figure
    return found
