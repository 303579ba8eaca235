"""One patient's risk and stage: the published models, with the values that the chart has for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.myeloma_models import Item, Stage, Tally, above_upper_limit, count, graded, iss, riss
from recommenders.patient.precautions import is_minor
from recommenders.patient.recency import RELAPSED
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, any_of, documented, given

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts

GUIDANCE = guidance("myeloma_staging")


@dataclass(frozen=True, slots=True)
class SmoulderingRisk:
    """
    The published models for smouldering myeloma, each as a score.

    `mayo_2008` counts three factors, `mayo_2018` those above 20/2/20, `imwg_factors` these and the cytogenetic
    list as a fourth, `imwg_base` the points without cytogenetics and `imwg_score` those with them.
    """

    applies: Criterion
    mayo_2008: Tally
    mayo_2018: Tally
    cytogenetics: Criterion
    imwg_factors: Tally
    imwg_base: Tally
    imwg_score: Tally


def smouldering_risk(case: Case) -> SmoulderingRisk:
    """Work out the models; to be asked for as `case.once(smouldering_risk)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, cyto = facts.dx, facts.mm, facts.cyto
    found = case.once(myeloma_class)
    points = GUIDANCE.tables["imwg_points"]
    cytogenetics = any_of((cyto.t4_14, cyto.t14_16, cyto.gain1q, cyto.del13q))
    mayo_2018 = count(
        (
            mm.bmpc > limits.mayo_2018_marrow,
            mm.m_protein > limits.mayo_2018_m_protein,
            mm.flcr > limits.mayo_2018_light_chain_ratio,
        )
    )
    base = Tally(
        (
            *graded(mm.flcr, points["light_chain_ratio"]),
            *graded(mm.m_protein, points["m_protein"]),
            *graded(mm.bmpc, points["marrow"]),
        )
    )
    return SmoulderingRisk(
        applies=(dx.smm | found.is_smm) & ~found.is_active_mm & ~is_minor(case),
        mayo_2008=count(
            (
                mm.bmpc >= limits.mayo_2008_marrow,
                mm.m_protein >= limits.mayo_2008_m_protein,
                mm.flcr >= limits.mayo_2008_light_chain_ratio,
            )
        ),
        mayo_2018=mayo_2018,
        cytogenetics=cytogenetics,
        imwg_factors=mayo_2018.with_item(Item(cytogenetics)),
        imwg_base=base,
        imwg_score=base.with_item(Item(cytogenetics, Decimal(points["cytogenetics"]))),
    )


@dataclass(frozen=True, slots=True)
class Staging:
    """The ISS family at diagnosis; `applies` says whether this patient is to be staged at all."""

    applies: Criterion
    iss: Stage
    ldh_raised: Criterion
    riss: Stage
    r2iss: Tally


def staging(case: Case) -> Staging:
    """Work out ISS, R-ISS and R2-ISS from the values at diagnosis; to be asked for as `case.once(staging)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    mm, cyto = facts.mm, facts.cyto
    points = GUIDANCE.tables["r2iss_points"]
    relapsed_without_onset = has_relapsed(facts) & ~known(mm.onset_date)
    stage = iss(mm.b2m, mm.baseline_albumin, limits)
    ldh_raised = above_upper_limit(mm.baseline_ldh)
    return Staging(
        applies=(facts.dx.mm | case.once(myeloma_class).is_active_mm) & ~relapsed_without_onset & ~is_minor(case),
        iss=stage,
        ldh_raised=ldh_raised,
        riss=riss(stage, ldh_raised, cyto.high_risk_riss),
        r2iss=Tally(
            (
                Item(~stage.first, points["iss_2"]),
                Item(stage.third, points["iss_3"] - points["iss_2"]),
                Item(cyto.del17p.criterion(), points["del17p"]),
                Item(ldh_raised, points["ldh"]),
                Item(cyto.t4_14.criterion(), points["t4_14"]),
                Item(cyto.gain1q.criterion(), points["gain1q"]),
            )
        ),
    )


def has_relapsed(facts: Facts) -> Criterion:
    """Tell whether a relapse is on record, as the phase now or once, by code or in words; never unknown."""
    told = RELAPSED in facts.mm.phase.flags or "relapse" in facts.dx.mm.flags
    return documented(facts.mm.phase.is_("relapsed")) | given(told)


def high_by_mayo(case: Case) -> Criterion:
    """Tell whether 20/2/20 comes out as high risk (two or more, strictly above)."""
    return case.once(smouldering_risk).mayo_2018.reaches(case.limits(GUIDANCE).mayo_2018_high.value)


def high_by_score(case: Case) -> Criterion:
    """Tell whether the IMWG score comes out as high risk (more than 12 points)."""
    return case.once(smouldering_risk).imwg_score.exceeds(case.limits(GUIDANCE).imwg_score_high.value)
