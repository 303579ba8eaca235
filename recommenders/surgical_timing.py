"""Fracture risk (Mirels), cord compression (ESCC), spinal stability (SINS) and the timing of surgery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.fractures import bone_in_myeloma
from recommenders.operating.interventional import cement_at_the_order, interventional
from recommenders.operating.lists import LISTED, surgical_lists
from recommenders.operating.long_bones import lost_along_the_femur, mirels
from recommenders.operating.parts import GUIDANCE
from recommenders.operating.review import synthesis
from recommenders.operating.spine import (
    cord_in_question,
    deficit_not_graded,
    graded_cord,
    reported_cord,
    sins_stability,
)
from recommenders.patient.fracture_risk import fracture_risks, risk_pct
from recommenders.patient.spine import any_compression, stabilities
from recommenders.patient.surgery import bone_disease
from recommenders.vocabulary.logic import documented

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Advice, Case, Value

__all__ = ["GUIDANCE", "rules", "values"]


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    facts = case.facts
    yield from mirels(case)
    yield from lost_along_the_femur(case)
    yield from case.asked(graded_cord, "ESCC-001", "ESCC-002", "ESCC-003", where=lambda: cord_in_question(case))
    yield from case.asked(deficit_not_graded, "ESCC-004", where=lambda: documented(facts.spine.neuro_deficit))
    yield from case.asked(reported_cord, "ESCC-005", where=lambda: any_compression(case))
    yield from sins_stability(case)
    yield from case.asked(surgical_lists, *LISTED, where=lambda: bone_disease(case))
    yield from case.asked(synthesis, "SURG-030", "SURG-031", where=lambda: bone_disease(case))
    if facts.lesions.items or case.whole:
        yield from interventional(case)
    yield from cement_at_the_order(case)
    yield from case.asked(bone_in_myeloma, "SURG-036", where=lambda: facts.dx.mm | facts.dx.smm)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11); Mirels of the highest-scoring lesion."""
    found: dict[str, Value] = {}
    if sure := [risk for risk in fracture_risks(case) if risk.applies.yes]:
        score = sure[0].score
        found |= {"mirels_min": score.lowest, "mirels_max": score.highest}
        if score.is_told:
            found["mirels_total"] = score.lowest
        if risk_pct(score.lowest) == risk_pct(score.highest):
            found["mirels_fracture_risk_pct"] = risk_pct(score.lowest)
    grade = case.facts.spine.escc
    if grade.is_known:
        found["escc_grade"] = str(grade.value)
    if stable := [one for one in stabilities(case) if one.applies.yes]:
        found |= {"sins_min": stable[0].score.lowest, "sins_max": stable[0].score.highest}
    return found
