"""Mirels: the risk that a long bone breaks, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.parts import GUIDANCE, TABLES, anything_against
from recommenders.patient.advice import Advice, Label, Proposal
from recommenders.patient.fracture_risk import fracture_risks, lost_lengthwise
from recommenders.patient.lesions import bone_operated, imaged_within, lies_in, newest_date, shows, weight_bearing
from recommenders.patient.scored_lesions import ScoredLesion
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.surgery import bone_disease, diagnoses, hurts
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.logic import NO, Criterion, all_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal


def mirels(case: Case) -> Iterator[Advice]:
    """MIRELS-001 to MIRELS-005: what the score of each long bone says."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    risks = fracture_risks(case)
    for risk in risks:
        yield from _of_one_bone(case, risk)
    low = documented(all_of(risk.applies & (risk.total <= limits.mirels_low) for risk in risks)) if risks else NO
    # a reassuring sentence only when no long bone can score higher
    for risk in risks:
        yield Advice(rule="MIRELS-002", because=low, fill={"n": risk.in_numbers}, about=risk.about)
    if not facts.lesions.items:
        # nothing is known of any lesion: asked for only where bone disease is on record
        yield Advice(rule="MIRELS-004", because=documented(bone_disease(case)) & facts.lesions.any(weight_bearing))


def _of_one_bone(case: Case, risk: ScoredLesion) -> Iterator[Advice]:
    limits, score, lesion = case.limits(GUIDANCE), risk.score, risk.lesion
    reasons = (*diagnoses(case), "lesions[]")
    since = newest_date(lesion)
    imminent = risk.total >= limits.mirels_high
    low = risk.total <= limits.mirels_low
    consult = (ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=risk.about),)
    urgent = (
        ask(
            "urgent-orthopaedic-consultation",
            "orthopaedic-consultation",
            reasons,
            urgent=True,
            about=risk.about,
        ),
    )
    common: dict[str, Fill] = {"n": risk.in_numbers}

    yield Advice(
        rule="MIRELS-001",
        because=risk.applies & given(score.is_told) & all_of(known(item.fact) for item in score.items),
        fill=common,
        about=risk.about,
    )
    yield Advice(
        rule="MIRELS-003",
        because=documented(risk.applies & risk.total.equals(limits.mirels_borderline)),
        unless=risk.operated | all_asked(case, consult, since),
        fill=common,
        about=risk.about,
        proposals=consult,
    )
    yield Advice(
        rule="MIRELS-004",
        because=risk.applies & imminent,
        unless=risk.operated | all_asked(case, urgent, since),
        fill=common,
        about=risk.about,
        holds={
            "severe-and-loaded": weight_bearing(lesion) & lesion.pain.is_("severe"),
            "leg": lies_in(lesion.site, TABLES["leg_bones"], "leg"),
            "arm": lies_in(lesion.site, TABLES["arm_bones"], "arm"),
            "radiotherapy-in-question": documented(case.facts.dx.bone_met) & hurts(lesion),
            "against": anything_against(case),
        },
        proposals=urgent,
    )
    yield _open_score(case, risk, given(not score.is_told) & ~documented(imminent) & ~documented(low))


def _open_score(case: Case, risk: ScoredLesion, is_open: Criterion) -> Advice:
    """MIRELS-005: the range that missing items leave; it speaks of a bone that hurts, or that scores 8 at least."""
    facts, limits, score, lesion = case.facts, case.limits(GUIDANCE), risk.score, risk.lesion
    reasons = (*diagnoses(case), "lesions[]")
    from_borderline = given(score.lowest >= limits.mirels_borderline.value)
    not_measured = ~known(lesion.cortical_fraction)
    ct_done = imaged_within(facts, ("ct",), limits.whole_skeleton, lambda study: shows(study, lesion.bone))
    offered: list[Proposal] = []
    if from_borderline.yes:
        offered.append(ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=risk.about))
    if (not_measured & ~ct_done).yes:
        offered.append(ask("ct-of", "ct", reasons, about=risk.about))
    proposals = tuple(offered)
    return Advice(
        rule="MIRELS-005",
        because=risk.applies & is_open,
        unless=risk.operated | all_asked(case, proposals[:1], newest_date(lesion)),
        fill={
            "min": score.lowest,
            "max": score.highest,
            "missing_item": tuple(Label(item.fact.name) for item in score.open_items),
        },
        about=risk.about,
        holds={
            "at-least-8": from_borderline,
            "painless": given(lesion.pain.value not in {"mild", "moderate", "severe"} and not _hurts_somewhere(case)),
            "cortex-unknown": not_measured,
            "pain-unknown": ~known(lesion.pain),
        },
        proposals=not_asked(case, proposals, newest_date(lesion)),
    )


def _hurts_somewhere(case: Case) -> bool:
    """Tell whether the patient has pain at all: it may be of the only bone whose pain was not graded."""
    score = case.facts.pain.nrs
    return score.value is not None and score.value > 0


def lost_along_the_femur(case: Case) -> Iterator[Advice]:
    """MIRELS-006: cortex lost along the femur, which Mirels does not count."""
    limits = case.limits(GUIDANCE)
    for risk in fracture_risks(case):
        lesion = risk.lesion
        since = newest_date(lesion, lesion.axial_cortical_mm)
        consult = (
            ask(
                "orthopaedic-consultation",
                "orthopaedic-consultation",
                (*diagnoses(case), "lesions[]"),
                about=risk.about,
            ),
        )
        # asked for only where somebody measured it: the length decides nothing that the score does not ask for
        measured = given(lesion.axial_cortical_mm.is_known)
        yield Advice(
            rule="MIRELS-006",
            because=measured & lost_lengthwise(case, risk) & ~documented(risk.total >= limits.mirels_high),
            unless=bone_operated(case.facts, lesion.bone, since) | all_asked(case, consult, since),
            fill={"axial_mm": lesion.axial_cortical_mm.rounded or 0, "n": risk.in_numbers},
            about=risk.about,
            holds={"mirels-low": documented(risk.total <= limits.mirels_low)},
            proposals=consult,
        )
