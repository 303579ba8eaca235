"""Smouldering myeloma and MGUS, and what the bones tell in any plasma-cell disease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase, SourceVerdict
from recommenders.patient.bone_agents import months_on_treatment, unsafe_to_start
from recommenders.patient.courses import bma, milestone
from recommenders.patient.myeloma_bone import (
    bone_risk_tier,
    examinations_read,
    imaged_since,
    is_after,
    smouldering_verdicts,
)
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.precautions import bare, trimmed
from recommenders.patient.services import ask_together, asked_lately
from recommenders.patient.trends import evolving
from recommenders.protecting.parts import GUIDANCE, MYELOMA, is_new
from recommenders.vocabulary.logic import all_of, any_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Service


# --- smouldering myeloma and MGUS ---------------------------------------------------------------------------


def smouldering_or_mgus(case: Case) -> Iterator[Advice]:
    """BP-021, BP-022 and BP-025: smouldering myeloma by source, and MGUS."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, sources = case.once(myeloma_class), case.once(smouldering_verdicts)

    smouldering = (dx.smm | computed.is_smm) & ~computed.is_active_mm
    already_protected = drugs.current.any()

    verdicts = {"mayo": sources.mayo, "imwg": sources.imwg, "nccn": sources.nccn, "cn2022": sources.cn2022}
    yield Advice(
        rule="BP-021",
        because=smouldering & sources.any_supports & ~unsafe_to_start(case),
        unless=already_protected,
        verdicts=tuple(
            SourceVerdict(line=line, criterion=verdict)
            for line, verdict in zip((0, 1, 3, 4), verdicts.values(), strict=True)
        ),
        fill={
            "sources_for": tuple(Phrase(f"source-{name}") for name, verdict in verdicts.items() if verdict.yes),
            "sources_against": tuple(Phrase(f"source-{name}") for name, verdict in verdicts.items() if verdict.no)
            or Phrase("none"),
        },
    )

    lower_risk = (dx.smm | computed.is_smm) & sources.all_against
    yield Advice(
        rule="BP-022",
        because=all_of(
            (
                dx.mgus | computed.is_mgus | lower_risk,
                ~dx.mm,
                ~computed.is_active_mm,
                ~documented(dx.bone_met),
                examinations_read(case),
            )
        ),
        holds={
            "osteoporosis": documented(dx.osteoporosis),
            "smouldering": documented(lower_risk),
        },
    )

    two_years = milestone(case, limits.two_years)
    tests: tuple[Service, ...] = ("m-protein", "free-light-chains")
    tested = all_of(is_after(fact, two_years) for fact in (facts.mm.m_protein, facts.mm.flcr))
    imaged = any_of(is_after(fact, two_years) for fact in (facts.mm.mri_focal, facts.mm.pet_focal_active))
    tested |= asked_lately(case, *tests)
    imaged |= asked_lately(case, "mri-whole-body") | asked_lately(case, "pet-ct")
    yield Advice(
        rule="BP-025",
        because=smouldering & already_protected & (drugs.months >= limits.two_years),
        unless=documented(tested & imaged),
        fill=months_on_treatment(case),
        proposals=(
            *(() if tested.yes else (ask_together("tests", *tests, reasons=MYELOMA),)),
            *(() if imaged.yes else (ask_together("mri", "mri-whole-body", reasons=MYELOMA),)),
        ),
    )


# --- any plasma-cell disease --------------------------------------------------------------------------------


def plasma_cell_disease(case: Case) -> Iterator[Advice]:
    """BP-028, BP-029, BP-031 and BP-033: what the bones of a patient with plasma-cell disease tell."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, drugs = facts.dx, facts.mm, case.once(bma)
    myeloma_or_smouldering = dx.mm | dx.smm

    seen_during_treatment = any_of(
        is_after(mm.pet_suvmax, start.date) for start in (drugs.start_date, mm.antimyeloma_start) if start.is_known
    )
    yield Advice(
        rule="BP-028",
        because=myeloma_or_smouldering & mm.pet_focal_active & (mm.pet_suvmax > limits.suvmax),
        holds={"not-on-treatment": ~seen_during_treatment},
        fill={"pet_date": mm.pet_suvmax.date} if mm.pet_suvmax.date else {},
        new=given(is_new(case, mm.pet_suvmax.date)),
    )

    tier = case.once(bone_risk_tier)
    yield Advice(
        rule="BP-029",
        because=(myeloma_or_smouldering | dx.mgus) & tier.is_told,
        holds={"high": given(tier.word == "high"), "mid": given(tier.word == "mid")},
        fill={"tier": Phrase(f"tier_{tier.word}")} if tier.word else {},
    )

    yield Advice(rule="BP-031", because=dx.mm & dx.osteoporosis & (facts.patient.age >= limits.older_age))

    trend = case.once(evolving)
    risen = [change for change in trend.flagged if change.key in {"m-protein", "flc"}]
    newest = max((change.newest.date for change in risen if change.newest.date), default=None)
    asked = any_of(asked_lately(case, service) for service in SKELETON)
    yield Advice(
        rule="BP-033",
        because=myeloma_or_smouldering & (trend.m_protein | trend.flc),
        unless=imaged_since(case, newest) | asked,
        holds={"evolving-smouldering": documented(case.criterion("SMM-006"))},
        fill={
            "marker_change": tuple(
                Phrase(f"marker-{change.key}", {"from": bare(trimmed(change.earlier)), "to": trimmed(change.newest)})
                for change in risen
            ),
            "change_since": min((change.earlier.date for change in risen if change.earlier.date), default=""),
        },
        proposals=() if asked.yes else (ask_together("low-dose-ct", "low-dose-ct", reasons=MYELOMA),),
    )


SKELETON: tuple[Service, ...] = ("low-dose-ct", "mri-whole-body", "pet-ct")
