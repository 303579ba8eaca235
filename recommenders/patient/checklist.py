"""What is to be there before the first dose of a bone-modifying agent: the bone imaged, and four blood tests."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.advice import Label, Phrase
from recommenders.patient.bone_agents import calcium_known_for_an_order
from recommenders.patient.myeloma_class import may_have_plasma_cells, myeloma_class
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, any_of, documented, given

if TYPE_CHECKING:
    from recommenders.patient.advice import Case, Service
    from recommenders.vocabulary.facts import Fact

GUIDANCE = guidance("bone_protection")


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One item of the checklist: whether it is there, its name, and the tests to order when it is not."""

    there: Criterion
    name: Label | Phrase
    tests: tuple[Service, ...]


def imaging(case: Case) -> CheckItem:
    """Whether the bone was imaged."""
    return CheckItem(imaging_on_record(case), Phrase("imaging"), (imaging_for(case),))


def calcium_and_creatinine(case: Case) -> tuple[CheckItem, ...]:
    """Calcium recent enough to sign an order on it, with albumin where that is not known, and creatinine."""
    lab = case.facts.lab
    calcium: tuple[Service, ...] = ("calcium",) if known(lab.albumin).yes else ("calcium", "albumin")
    return (
        CheckItem(calcium_known_for_an_order(case), Label("lab.ca_total"), calcium),
        CheckItem(known(lab.creatinine), Label("lab.creatinine"), ("creatinine",)),
    )


def electrolytes(case: Case) -> tuple[CheckItem, ...]:
    """Phosphate and magnesium."""
    lab = case.facts.lab
    return (
        CheckItem(known(lab.phosphate), Label("lab.phosphate"), ("phosphate",)),
        CheckItem(known(lab.magnesium), Label("lab.magnesium"), ("magnesium",)),
    )


def imaging_on_record(case: Case) -> Criterion:
    """
    Tell whether the bone was imaged: a confirmed metastasis, or a study or lesion of the last 180 days.

    MRI and PET-CT findings of myeloma are such studies. Unknown only where a list of studies was cut.
    """
    facts, limits = case.facts, case.limits(GUIDANCE)
    span = dt.timedelta(int(limits.recent_imaging.value))
    studies = [study.date for study in facts.studies if study.date]
    lesions = [lesion.date for lesion in facts.lesions if lesion.date and lesion.imaging.is_known]
    recent = any(facts.as_of - day <= span for day in (*studies, *lesions))
    mm = facts.mm
    findings: tuple[Fact, ...] = (mm.mri_focal, mm.pet_focal_active, mm.lytic_lesions)
    return any_of(
        (
            documented(facts.dx.bone_met),
            given(recent or (None if facts.is_cut("observations", "procedures") else False)),
            *(finding.within(limits.recent_imaging, facts.as_of) for finding in findings),
        )
    )


def imaging_for(case: Case) -> Service:
    """Give the study to ask for: myeloma does not light up in a bone scan."""
    dx = case.facts.dx
    if not may_have_plasma_cells(case):
        return "bone-scan"
    plasma_cells = dx.mm | dx.smm | dx.mgus | case.once(myeloma_class).is_active_mm
    return "mri-whole-body" if plasma_cells.yes else "bone-scan"
