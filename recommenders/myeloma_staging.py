"""Myeloma and smouldering myeloma: class, stage and risk."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.myeloma_class import may_have_plasma_cells, myeloma_class, plasma_cell_disorder
from recommenders.patient.myeloma_models import group
from recommenders.patient.myeloma_risk import smouldering_risk, staging
from recommenders.staging.classes import class_rules
from recommenders.staging.parts import GUIDANCE
from recommenders.staging.smouldering import follow_up, risk_rules
from recommenders.staging.stages import stage_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Advice, Case, Value
    from recommenders.patient.myeloma_models import Tally

__all__ = ["GUIDANCE", "concerns", "rules", "values"]


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from class_rules(case)
    yield from case.asked(stage_rules, *STAGES, where=lambda: case.once(staging).applies)
    yield from case.asked(risk_rules, *RISKS, where=lambda: case.once(smouldering_risk).applies)
    yield from case.asked(follow_up, *FOLLOW_UP, where=lambda: case.once(smouldering_risk).applies)


STAGES = ("MM-010", "MM-011", "MM-012")
RISKS = ("SMM-001", "SMM-002", "SMM-003", "SMM-004")
FOLLOW_UP = ("SMM-005", "SMM-006", "SMM-007", "SMM-008", "SMM-009", "SMM-010")


# --- values -------------------------------------------------------------------------------------------------


def concerns(case: Case) -> bool:
    """Leave out charts in which nothing speaks of a plasma-cell disorder."""
    return may_have_plasma_cells(case)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11), with `_min` and `_max` where one is a range."""
    if case.once(plasma_cell_disorder).no:
        return {}
    found: dict[str, Value] = {"mm_class": case.once(myeloma_class).word}
    ratio = case.facts.mm.flcr
    if ratio.is_known and ratio.rounded is not None:
        found["flc_ratio_involved"] = ratio.rounded
    if case.once(staging).applies.yes:
        found |= _stage_values(case)
    if case.once(smouldering_risk).applies.yes:
        found |= _risk_values(case)
    return found


def _stage_values(case: Case) -> Iterator[tuple[str, Value]]:
    found = case.once(staging)
    for key, stage in (("iss_stage", found.iss), ("riss_stage", found.riss)):
        if found.iss.word is None and key != "iss_stage":
            return
        if stage.word is not None:
            yield key, stage.word
        elif len(stage.possible) < len(("I", "II", "III")):
            yield f"{key}_min", stage.possible[0]
            yield f"{key}_max", stage.possible[-1]
    yield from _score("r2iss_points", found.r2iss)
    row = group(found.r2iss, GUIDANCE.tables["r2iss_groups"])
    if found.r2iss.value is not None and row is not None:
        yield "r2iss_group", str(row["word"])


def _score(key: str, score: Tally) -> Iterator[tuple[str, Value]]:
    if score.value is not None:
        yield key, score.value
    elif any(not item.criterion.unknown for item in score.items):
        yield f"{key}_min", score.lowest
        yield f"{key}_max", score.highest


def _risk_values(case: Case) -> Iterator[tuple[str, Value]]:
    smm, tables = case.once(smouldering_risk), GUIDANCE.tables
    for key, score in (
        ("mayo2008_factors", smm.mayo_2008),
        ("mayo2018_factors", smm.mayo_2018),
        ("imwg2020_factors", smm.imwg_factors),
        ("imwg_score", smm.imwg_score),
    ):
        yield from _score(key, score)
    if (case.facts.cyto.del17p & ~smm.cytogenetics).yes and smm.imwg_base.value is not None:
        # the review copy of the list has del(17p) where the paper has t(14;16)
        yield "imwg_score_with_del17p", smm.imwg_base.value + Decimal(tables["imwg_points"]["cytogenetics"])
    if (row := group(smm.mayo_2018, tables["mayo_2018_groups"])) is not None:
        yield "mayo2018_risk", str(row["word"])
    if smm.imwg_factors.value is not None and (row := group(smm.imwg_factors, tables["imwg_2020_groups"])):
        yield "imwg2020_2y_risk_pct", Decimal(row["two_year_pct"])
    if smm.imwg_base.told().yes and (row := group(smm.imwg_score, tables["imwg_score_groups"])) is not None:
        yield "imwg_score_risk", str(row["word"])
