"""Active myeloma: who should have a bone-modifying agent, and how those go on who have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice
from recommenders.patient.bone_agents import (
    agent_offered,
    calcium_known_for_an_order,
    denosumab,
    months_on_treatment,
    on_osteoporosis_drug,
    same_bisphosphonate,
    supplements,
    unsafe_to_start,
    waits_for_calcium,
    zoledronic_acid,
)
from recommenders.patient.courses import ZOLEDRONIC, bma
from recommenders.patient.explanations import explanations
from recommenders.patient.myeloma_bone import SWITCHABLE, markers_still_high, stop_criteria
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.precautions import bare, is_minor
from recommenders.protecting.parts import GUIDANCE, MYELOMA, is_new
from recommenders.vocabulary.logic import all_of, documented, given
from recommenders.vocabulary.records import DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case


def myeloma(case: Case) -> Iterator[Advice]:
    """BP-020 and BP-024: active myeloma without bone protection."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, stop = case.once(myeloma_class), case.once(stop_criteria)

    active_myeloma = dx.mm | computed.is_active_mm
    already_protected, treated_before = drugs.current.any(), drugs.past.any()
    very_good_response = facts.mm.response.one_of("VGPR", "CR", "sCR")
    stopped_as_allowed = all_of(
        (
            given(drugs.last_drug in ZOLEDRONIC),
            drugs.months >= limits.imwg_stop_from,
            very_good_response,
        )
    )
    yield Advice(
        rule="BP-024",
        because=all_of(
            (
                active_myeloma,
                ~already_protected,
                treated_before,
                drugs.months < limits.two_years,
                ~documented(stop.met),
                ~unsafe_to_start(case),
            )
        ),
        holds={"stop-allowed": stopped_as_allowed, "denosumab-last": given(drugs.last_drug in DENOSUMAB)},
        fill=months_on_treatment(case),
    )

    by_results_only = computed.is_active_mm & ~documented(dx.mm)
    may_be_something_else = by_results_only & case.once(explanations).all
    yield Advice(
        rule="BP-020",
        because=all_of(
            (
                active_myeloma,
                ~documented(may_be_something_else),
                ~documented(treated_before & stop.met),
                ~unsafe_to_start(case),
            )
        ),
        unless=already_protected | waits_for_calcium(case),
        holds={
            "course-finished": treated_before & (drugs.months >= limits.two_years),
            "by-results-only": by_results_only,
            "osteoporosis-drug": on_osteoporosis_drug(case),
            "agent-offered": agent_offered(case),
            "calcium-unknown": ~calcium_known_for_an_order(case),
        },
        fill=months_on_treatment(case),
        proposals=(*zoledronic_acid(case, MYELOMA), denosumab(MYELOMA), *supplements(case)),
    )


def myeloma_on_treatment(case: Case) -> Iterator[Advice]:
    """BP-023, BP-026, BP-027 and BP-030: active myeloma on bone protection."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, stop = case.once(myeloma_class), case.once(stop_criteria)

    active_and_protected = (dx.mm | computed.is_active_mm) & drugs.current.any()
    on_denosumab = drugs.current.includes(DENOSUMAB)
    very_good_response = facts.mm.response.one_of("VGPR", "CR", "sCR")

    yield Advice(
        rule="BP-023",
        because=active_and_protected & (drugs.months >= limits.two_years),
        unless=drugs.interval_days > limits.monthly,
        holds={"denosumab": on_denosumab, "no-deep-response": ~documented(very_good_response)},
        fill=months_on_treatment(case),
        proposals=tuple(
            same_bisphosphonate(
                case,
                "every-12-weeks",
                GUIDANCE.tables["proposed"]["bisphosphonate_longer_interval_days"],
                MYELOMA,
            )
        ),
    )

    kidneys = documented(stop.kidneys)
    stable_months = [lesion.stable_months for lesion in facts.lesions if lesion.stable_months.is_known]
    shortest = min(stable_months, key=lambda stable: stable.low or 0, default=None)
    yield Advice(
        rule="BP-026",
        because=(dx.mm | dx.smm) & drugs.current.any() & stop.met,
        holds={
            "kidneys": kidneys,
            "jaw": documented(stop.jaw),
            "low-calcium": documented(stop.calcium),
            "zoledronic-acid-kidneys": kidneys & drugs.current.includes(ZOLEDRONIC),
            "stable-on-denosumab": documented(stop.efficacy) & on_denosumab,
            "stable-and-deep-response": documented(stop.efficacy) & very_good_response,
        },
        fill={} if shortest is None else {"stable_months": bare(shortest)},
    )
    yield Advice(
        rule="BP-027",
        because=active_and_protected & very_good_response & (drugs.months < limits.two_years),
        fill=months_on_treatment(case),
    )

    still_high = markers_still_high(case)
    yield Advice(
        rule="BP-030",
        because=all_of(
            (
                active_and_protected,
                ~is_minor(case),
                drugs.current.includes(SWITCHABLE),
                still_high | facts.mm.bmd_decreased,
            )
        ),
        holds={"only-bone-density": documented(facts.mm.bmd_decreased) & ~documented(still_high)},
        new=given(is_new(case, facts.bone.ctx.date)),
    )
