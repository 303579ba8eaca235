"""Bone protection: who should have a bone-modifying agent, which, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase, Proposal, ProposedService
from recommenders.patient.bone_agents import (
    CALCIUM,
    agent_offered,
    calcium_known_for_an_order,
    denosumab,
    denosumab_recently,
    is_dose_for_cancer,
    kidneys_forbid_zoledronic_acid,
    months_on_treatment,
    on_osteoporosis_drug,
    same_bisphosphonate,
    start_advised,
    supplements,
    unsafe_to_start,
    waits_for_calcium,
    zoledronic_acid,
    zoledronic_acid_for_hypercalcaemia,
    zoledronic_recently,
)
from recommenders.patient.cancer import any_cancer
from recommenders.patient.courses import (
    at_hand,
    being_ordered,
    bma,
    bma_orders,
    days_since_dose,
    event_during_bma,
    ever_on_treatment,
    milestone,
    on_treatment,
    sre_during_bma,
)
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.myeloma_bone import bone_risk_tier
from recommenders.patient.myeloma_class import may_have_plasma_cells, myeloma_class
from recommenders.patient.precautions import bare, kidneys_failing, trimmed
from recommenders.patient.renal import zoledronic_dose
from recommenders.patient.services import ask_together, asked_lately
from recommenders.protecting.myeloma import myeloma, myeloma_on_treatment
from recommenders.protecting.parts import GUIDANCE, is_new
from recommenders.protecting.plasma_cells import plasma_cell_disease, smouldering_or_mgus
from recommenders.protecting.starting import starting, starting_in_myeloma, stopping_denosumab
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import CHART_HOOKS
from recommenders.vocabulary.later import Later
from recommenders.vocabulary.logic import NO, all_of, decided, documented, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Value
    from recommenders.vocabulary.logic import Criterion

__all__ = ["GUIDANCE", "rules", "values"]


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    facts, dx = case.facts, case.facts.dx
    lung, bone = dx.lung_cancer, dx.bone_met
    yield from case.asked(lung_cancer_in_bone, "BP-001", "BP-002", "BP-003", where=lambda: lung & bone)
    yield from case.asked(for_risk_alone, "BP-004", where=lambda: lung & ~documented(bone))
    yield from case.asked(other_solid_tumours, "BP-010", where=lambda: dx.other_solid_cancer & bone)
    yield from case.asked(
        treated_bone_metastases, "BP-005", "BP-006", "BP-007", where=lambda: on_treatment(case) & bone
    )
    yield from case.asked(immunotherapy, "BP-035", where=lambda: bone & facts.meds.ici)
    yield from case.asked(hypercalcaemia, "BP-011", "BP-013", where=lambda: case.once(high_calcium).in_cancer)
    if (case.hook in CHART_HOOKS and may_have_plasma_cells(case)) or case.whole:
        told, active = dx.mm | dx.smm | dx.mgus, dx.mm | case.once(myeloma_class).is_active_mm
        yield from case.asked(myeloma, "BP-020", "BP-024", where=lambda: active)
        yield from case.asked(
            myeloma_on_treatment, "BP-023", "BP-026", "BP-027", "BP-030", where=lambda: on_treatment(case)
        )
        yield from smouldering_or_mgus(case)
        yield from case.asked(plasma_cell_disease, "BP-028", "BP-029", "BP-031", "BP-033", where=lambda: told)
    yield from case.asked(starting, "BP-008", "BP-009", where=lambda: start_advised(case) | being_ordered(case))
    yield from case.asked(starting_in_myeloma, "BP-032", "BP-036", where=lambda: given(may_have_plasma_cells(case)))
    yield from case.asked(stopping_denosumab, "BP-034", where=lambda: ever_on_treatment(case))


# --- lung cancer and other solid tumours --------------------------------------------------------------------

LUNG = ("dx.bone_met", "dx.lung_cancer")


def lung_cancer_in_bone(case: Case) -> Iterator[Advice]:
    """BP-001 to BP-003: who with lung cancer in bone should have a bone-modifying agent."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, already_protected = facts.dx, case.once(bma).current.any()

    lung_bone_metastasis = dx.lung_cancer & dx.bone_met
    long_enough_to_benefit = facts.status.life_expectancy >= limits.life_expectancy
    too_short_to_benefit = facts.status.life_expectancy < limits.life_expectancy
    may_start = ~unsafe_to_start(case)
    done = already_protected | waits_for_calcium(case)
    agents = (denosumab(LUNG), *zoledronic_acid(case, LUNG), *supplements(case))

    yield Advice(
        rule="BP-001",
        because=lung_bone_metastasis & long_enough_to_benefit & may_start,
        unless=done,
        holds=Later(
            lambda: {
                "osteoporosis-drug": on_osteoporosis_drug(case),
                "agent-offered": agent_offered(case),
                "calcium-unknown": ~calcium_known_for_an_order(case),
                "kidneys-failing": kidneys_failing(case),
            }
        ),
        proposals=agents,
    )
    yield Advice(
        rule="BP-002",
        because=lung_bone_metastasis & ~decided(long_enough_to_benefit) & may_start,
        unless=done,
        proposals=agents,
    )

    treated_for_hypercalcaemia = documented(dx.hypercalcaemia_malignancy)
    outside_the_recommendation = lung_bone_metastasis & too_short_to_benefit & ~treated_for_hypercalcaemia
    months_left: Mapping[str, Fill] = Later(lambda: {"life_expectancy": bare(trimmed(facts.status.life_expectancy))})
    if case.hook in CHART_HOOKS:
        yield Advice(rule="BP-003", because=outside_the_recommendation, holds={"no-indication": NO}, fill=months_left)
    for order in bma_orders(case):
        for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
        yield Advice(
            rule="BP-003",
            because=outside_the_recommendation & ~for_hypercalcaemia,
            holds={"no-indication": ~known(order.indication)},
            fill=months_left,
            order=order.reference,
        )


def for_risk_alone(case: Case) -> Iterator[Advice]:
    """BP-004: a bone-modifying agent in lung cancer without a bone metastasis on record."""
    dx, already_protected = case.facts.dx, case.once(bma).current.any()
    nothing_else_treated = all_of(
        (
            dx.lung_cancer,
            ~documented(dx.bone_met),
            ~dx.mm,
            ~dx.smm,
            ~dx.osteoporosis,
            ~documented(dx.hypercalcaemia_malignancy),
        )
    )
    suspected = dx.bone_met.is_suspected()
    asked = asked_lately(case, "bone-scan")
    image_the_bone = () if asked.yes else (ask_together("bone-scan", "bone-scan", reasons=("dx.lung_cancer",)),)
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="BP-004",
            because=nothing_else_treated & already_protected,
            unless=asked,
            holds={"only-suspected": suspected, "not-recorded": ~suspected, "no-indication": NO},
            proposals=image_the_bone,
        )
    for order in bma_orders(case):
        other_reason = documented(order.indication.one_of("hypercalcaemia", "osteoporosis"))
        yield Advice(
            rule="BP-004",
            because=nothing_else_treated & (is_dose_for_cancer(case, order) | already_protected) & ~other_reason,
            unless=asked,
            holds={
                "only-suspected": suspected,
                "not-recorded": ~suspected,
                "no-indication": ~known(order.indication),
            },
            proposals=image_the_bone,
            order=order.reference,
        )


def treated_bone_metastases(case: Case) -> Iterator[Advice]:
    """BP-005 to BP-007: bone metastases on a bone-modifying agent."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    lung_bone_metastasis, already_protected = dx.lung_cancer & dx.bone_met, drugs.current.any()

    treated_bone_metastasis = already_protected & dx.bone_met
    event = event_during_bma(case)
    yield Advice(
        rule="BP-005",
        because=treated_bone_metastasis & sre_during_bma(case),
        fill={"event": Phrase(f"event-{event.type}"), "event_date": event.date} if event and event.date else {},
    )

    milestones = (milestone(case, limits.lung_duration), milestone(case, limits.lung_duration_end))
    yield Advice(
        rule="BP-006",
        because=lung_bone_metastasis & already_protected & (drugs.months >= limits.lung_duration),
        unless=documented(drugs.interval_days >= limits.interval_extended),
        holds={
            "denosumab": drugs.current.includes(DENOSUMAB),
            "bisphosphonate": drugs.current.includes(BISPHOSPHONATES),
        },
        fill=months_on_treatment(case),
        new=given(any(is_new(case, day) for day in milestones)),
        proposals=tuple(same_bisphosphonate(case, "longer-interval")),
    )
    yield Advice(rule="BP-007", because=treated_bone_metastasis)


def other_solid_tumours(case: Case) -> Iterator[Advice]:
    """BP-010: another solid tumour in bone."""
    dx = case.facts.dx
    yield Advice(
        rule="BP-010",
        because=~dx.lung_cancer & dx.other_solid_cancer & dx.bone_met,
        unless=on_treatment(case),
    )


def immunotherapy(case: Case) -> Iterator[Advice]:
    """BP-035: an immune checkpoint inhibitor in lung cancer in bone."""
    facts = case.facts
    yield Advice(rule="BP-035", because=facts.dx.lung_cancer & facts.dx.bone_met & facts.meds.ici)


# --- hypercalcaemia -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HighCalcium:
    """How high calcium is; `severe_as_reported` in the unit of the report, where its number says more than ours."""

    cancer: Criterion
    severe: Criterion
    severe_as_reported: Criterion
    raised: Criterion

    @property
    def in_cancer(self) -> Criterion:
        """Whether it is high at all, in cancer."""
        return self.cancer & (self.severe | self.raised)


def high_calcium(case: Case) -> HighCalcium:
    """Tell how high calcium is; to be asked for as `case.once(high_calcium)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    calcium, severe = facts.lab.ca_corr, limits.severe_hypercalcaemia
    severe_as_reported = documented(facts.lab.ca_corr_mg_dl >= limits.severe_hypercalcaemia_mg_dl)
    return HighCalcium(
        cancer=any_cancer(facts),
        severe=(calcium >= severe) | severe_as_reported,
        severe_as_reported=severe_as_reported,
        raised=(calcium > case.limits(COMMON).hypercalcaemia) & (calcium < severe),
    )


def hypercalcaemia(case: Case) -> Iterator[Advice]:
    """BP-011 and BP-013: raised calcium in cancer; a bone metastasis is one by itself."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    calcium, high = facts.lab.ca_corr, case.once(high_calcium)
    zoledronic = tuple(zoledronic_acid_for_hypercalcaemia(case, "zoledronic-acid"))
    supplement_orders = at_hand(case, "calcium", "vitamin-d")
    orders = supplement_orders or at_hand(case, "bma")
    about: Mapping[str, Fill] = Later(
        lambda: {
            "ca_corrected_mmol_l": bare(calcium),
            "ca_corrected_mg_dl": bare(facts.lab.ca_corr_mg_dl),
        }
    )

    yield Advice(
        rule="BP-011",
        because=high.cancer & high.severe,
        holds=Later(
            lambda: {
                "supplement-ordered": given(bool(supplement_orders)),
                "agent-ordered": given(bool(bma_orders(case))),
                "milligrams": high.severe_as_reported & documented(calcium < limits.severe_hypercalcaemia),
                "zoledronic-acid-fits": given(bool(zoledronic)),
                "kidneys-failing": documented(kidneys_forbid_zoledronic_acid(case)),
                "zoledronic-acid-recent": documented(zoledronic_recently(case)),
                "denosumab-recent": documented(denosumab_recently(case)),
            }
        ),
        fill=about,
        order=orders[0] if orders else None,
        beside=orders[1:],
        proposals=(*rehydration(case), *zoledronic),
    )
    yield Advice(
        rule="BP-013",
        because=all_of((high.cancer, high.raised, ~high.severe_as_reported)),
        holds={"supplement-ordered": given(bool(supplement_orders))},
        fill=about,
        order=orders[0] if orders else None,
        beside=orders[1:],
    )


def rehydration(case: Case) -> Iterator[Proposal]:
    """Give the hydration protocol, unless it is running or ordered."""
    if not asked_lately(case, "hydration").yes:
        item = ProposedService(service="hydration", priority="urgent")
        yield Proposal(button="hydration", items=(item,), reasons=CALCIUM)


# --- computed values ----------------------------------------------------------------------------------------


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    found: dict[str, Value] = {}
    months = case.once(bma).months.rounded
    if months is not None:
        found["bma_months"] = int(months)
    days = days_since_dose(case, DENOSUMAB | BISPHOSPHONATES).rounded
    if days is not None:
        found["days_since_last_bma"] = int(days)
    dx = case.facts.dx
    if (dx.mm | dx.smm | dx.mgus).yes and (tier := case.once(bone_risk_tier).word) is not None:
        found["bone_risk_tier"] = tier
    dose = zoledronic_dose(case, case.facts.lab.crcl)
    if dose is not None:
        found["zoledronic_recommended_dose_mg"] = dose
    return found
