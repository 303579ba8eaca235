"""The fracture risk of a limb's long bone: Mirels from what is told to what is possible, cortex lost lengthwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.lesions import (
    LONG_BONES,
    bone_operated,
    lies_in,
    newest_date,
    possible_sites,
    site_word,
)
from recommenders.patient.scored_lesions import ScoredLesion
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion
from recommenders.vocabulary.scores import GradedItem, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Finding, Reading
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Lesion

GUIDANCE = guidance("surgical_timing")
"""The topic's limits and points: the score is asked for by several topics."""
_TABLES = GUIDANCE.tables


def fracture_risks(case: Case) -> tuple[ScoredLesion, ...]:
    """Give the Mirels score of each lesion that may have one, the highest first."""
    return case.once(_fracture_risks)


def _fracture_risks(case: Case) -> tuple[ScoredLesion, ...]:
    limits = case.limits(GUIDANCE)
    risks = [_fracture_risk(case.facts, lesion, limits) for lesion in case.facts.lesions]
    scored = [risk for risk in risks if not risk.applies.no]
    return tuple(
        sorted(scored, key=lambda r: (-r.score.lowest, -r.score.highest, site_word(r.lesion.site) or "", r.lesion.id))
    )


def threatening_fractures(case: Case) -> tuple[ScoredLesion, ...]:
    """Give the lesions with a Mirels score of 8, or certainly 9 or more, that were not operated since."""
    limits = case.limits(GUIDANCE)
    return tuple(
        risk
        for risk in fracture_risks(case)
        if (risk.applies & ~risk.operated).yes
        and (risk.total.equals(limits.mirels_borderline) | (risk.total >= limits.mirels_high)).yes
    )


def highest_of(case: Case, about: str) -> ScoredLesion | None:
    """Give the highest score among the lesions of one bone."""
    return next((risk for risk in fracture_risks(case) if risk.about == about), None)


def lost_lengthwise(case: Case, risk: ScoredLesion) -> Criterion:
    """Tell whether a metastasis of the femur has lost more cortex along the bone than a femur bears."""
    lesion = risk.lesion
    in_femur = lies_in(lesion.site, _TABLES["femur_parts"], "femur")
    return (
        in_femur & lesion.nature.one_of("metastasis") & (lesion.axial_cortical_mm > case.limits(GUIDANCE).axial_cortex)
    )


def _fracture_risk(facts: Facts, lesion: Lesion, limits: Limits) -> ScoredLesion:
    tables = _TABLES["mirels"]
    sites = {bone: tables["site"][bone] for bone in possible_sites(lesion.site) if bone in tables["site"]}
    items = (
        GradedItem(fact=lesion.type, answers=_answers(lesion.type, tables["type"])),
        GradedItem(fact=lesion.cortical_fraction, answers=_size_answers(lesion.cortical_fraction, limits)),
        GradedItem(fact=lesion.site, answers=sites or tables["site"]),
        GradedItem(fact=lesion.pain, answers=_answers(lesion.pain, tables["pain"])),
    )
    return ScoredLesion(
        lesion=lesion,
        applies=lies_in(lesion.site, LONG_BONES, "long-bone") & lesion.nature.one_of("metastasis", "myeloma"),
        score=Score("mirels_total", items),
        operated=bone_operated(facts, lesion.bone, newest_date(lesion, *(item.fact for item in items))),
    )


def _answers(finding: Finding, points: Mapping[str, int]) -> Mapping[str, int]:
    words = (finding.value,) if finding.is_known else finding.possible or tuple(points)
    return {str(word): points[str(word)] for word in words}


def _size_answers(fraction: Reading, limits: Limits) -> Mapping[str, int]:
    under, over = fraction < limits.cortex_one_third, fraction > limits.cortex_two_thirds
    excluded = {
        "under-a-third": under.no,
        "a-third-to-two-thirds": under.yes or over.yes,
        "over-two-thirds": over.no,
    }
    return {word: points for word, points in _TABLES["mirels"]["size"].items() if not excluded[word]}


def risk_pct(points: int) -> int:
    """Give the fracture risk that the source names for a score, in per cent; from 9 on it is "or more"."""
    rows = [row for row in _TABLES["mirels_risk"] if points >= row["from"]]
    return int(max(rows, key=lambda row: row["from"])["pct"])
