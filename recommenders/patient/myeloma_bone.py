"""What speaks for and against bone protection in plasma-cell disease: each source's verdict, the tier, when to stop."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recommenders.patient.courses import bma, months_into
from recommenders.patient.renal import renal_deterioration
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Condition, Criterion, all_of, any_of, at_least, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES, ONCOLOGIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Fact

GUIDANCE = guidance("bone_protection")

SWITCHABLE = ONCOLOGIC & BISPHOSPHONATES


@dataclass(frozen=True, slots=True)
class StopCriteria:
    """What speaks for stopping a bone-modifying agent (BP-026, Qiao Shukai), item by item."""

    stable: Criterion
    normal_markers: Criterion
    jaw: Criterion
    calcium: Criterion
    kidneys: Criterion

    @property
    def efficacy(self) -> Criterion:
        """Stable bone disease and normal markers, together (the source does not say "and" or "or")."""
        return self.stable & self.normal_markers

    @property
    def met(self) -> Criterion:
        """The efficacy items together, or one serious adverse reaction."""
        return any_of((self.efficacy, self.jaw, self.calcium, self.kidneys))


def stop_criteria(case: Case) -> StopCriteria:
    """Work out the stop criteria; to be asked for as `case.once(stop_criteria)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    on_bisphosphonate = case.once(bma).current.includes(BISPHOSPHONATES)
    return StopCriteria(
        stable=facts.lesions.all(
            lambda lesion: (lesion.stable_months > limits.stable_for) & lesion.imaging.one_of("mri", "pet-ct")
        ),
        normal_markers=facts.bone.markers_persistently_normal.criterion(),
        jaw=facts.onj.status.is_("confirmed"),
        calcium=facts.lab.ca_corr < limits.hypocalcaemia,
        kidneys=on_bisphosphonate & renal_deterioration(case, facts),
    )


def markers_still_high(case: Case) -> Criterion:
    """Tell whether β-CTX is above the laboratory's range after at least 3 months on the bisphosphonate."""
    ctx, limits = case.facts.bone.ctx, case.limits(GUIDANCE)
    courses = [course for course in case.once(bma).current.courses if course.drug in SWITCHABLE]
    long_enough = months_into(courses, ctx) >= limits.marker_response
    if not ctx.is_known or ctx.reference_high is None:
        # without the laboratory's range nobody can tell what is high
        return leaf(Condition(ctx.name, ">", "ULN", ctx, None)) & long_enough
    return (ctx > ctx.reference_high) & long_enough


@dataclass(frozen=True, slots=True)
class SmoulderingVerdicts:
    """Whether each source that S001 quotes supports bone protection in this smouldering myeloma."""

    mayo: Criterion
    imwg: Criterion
    nccn: Criterion
    cn2022: Criterion

    @property
    def any_supports(self) -> Criterion:
        """Whether at least one source supports it."""
        return any_of((self.mayo, self.imwg, self.nccn, self.cn2022))

    @property
    def all_against(self) -> Criterion:
        """Whether no source supports it; unknown as long as one verdict is."""
        return ~self.any_supports


def smouldering_verdicts(case: Case) -> SmoulderingVerdicts:
    """Judge each source by its own words; to be asked for as `case.once(smouldering_verdicts)`."""
    mm, cyto, limits = case.facts.mm, case.facts.cyto, case.limits(GUIDANCE)

    mri_focal_lesion = mm.mri_focal >= limits.focal_lesion
    focal_lesion = mri_focal_lesion | mm.pet_focal_active
    bone_damage = focal_lesion | (mm.lytic_lesions >= limits.lytic_lesion)
    twenty_two_twenty = at_least(
        int(limits.imwg_factors.value),
        (
            mm.bmpc >= limits.imwg_marrow,
            mm.m_protein >= limits.imwg_m_protein,
            mm.flcr >= limits.imwg_light_chain_ratio,
        ),
    )
    return SmoulderingVerdicts(
        mayo=mm.on_antimyeloma.criterion(),
        imwg=twenty_two_twenty | focal_lesion | mm.bone_metabolic_abnormal,
        nccn=bone_damage | cyto.gain1q | cyto.del17p,
        cn2022=((mm.bmpc >= limits.cn_marrow) & mri_focal_lesion)
        | (mm.flcr >= limits.cn_light_chain_ratio)
        | mm.pet_focal_active,
    )


TierWord = Literal["low", "mid", "high"]


@dataclass(frozen=True, slots=True)
class BoneRiskTier:
    """Huang Chen's tier of myeloma bone disease: what puts a patient high, mid or low (BP-029)."""

    high: Criterion
    mid: Criterion
    low: Criterion
    moderate_pain: Criterion

    @property
    def is_low(self) -> Criterion:
        """Whether it is low: something speaks for it, and nothing for more."""
        return (self.low | self.moderate_pain) & ~self.high & ~self.mid

    @property
    def is_told(self) -> Criterion:
        """Whether there is a tier to tell; a lytic lesion is at least mid, whatever the pain."""
        return any_of((self.high, self.mid, self.is_low))

    @property
    def at_least(self) -> Criterion:
        """Whether it is at least mid, because what would make it high is not known; never unknown."""
        return given(self.mid.yes and self.high.unknown)

    @property
    def moderate_pain_decides(self) -> Criterion:
        """Whether only moderate pain, which the source does not place, makes it low; never unknown."""
        return given(self.word == "low" and not self.low.yes)

    @property
    def word(self) -> TierWord | None:
        """Low, mid or high; None when it cannot be told or nothing speaks for any tier."""
        if self.high.yes:
            return "high"
        if self.mid.yes:
            return "mid"
        return "low" if self.is_low.yes else None


def bone_risk_tier(case: Case) -> BoneRiskTier:
    """Work out the tier, whatever the diagnosis; to be asked for as `case.once(bone_risk_tier)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    return BoneRiskTier(
        high=facts.pathological_fracture.current | facts.lesions.any(lambda lesion: lesion.pain.is_("severe")),
        mid=any_of(
            (
                facts.lesions.any(lambda lesion: lesion.type.is_("osteolytic")),
                facts.mm.lytic_lesions >= limits.lytic_lesion,
                facts.pathological_fracture.minor_bone,
            )
        ),
        low=facts.mm.bmd_decreased | facts.lesions.any(lambda lesion: lesion.pain.is_("mild")),
        moderate_pain=facts.lesions.any(lambda lesion: lesion.pain.is_("moderate")),
    )


# --- examinations, and what came of them ---------------------------------------------------------------------


def examinations_read(case: Case) -> Criterion:
    """
    Tell whether no MRI or PET-CT was done of which nothing was read; else unknown, never no.

    What reassures waits for it: a report that was not understood is not a normal one.
    """
    facts = case.facts
    findings: Mapping[str, Fact] = {"mri": facts.mm.mri_focal, "pet": facts.mm.pet_focal_active}
    unread = [
        findings[study.modality]
        for study in facts.studies
        if study.modality in findings and study.result is None and not findings[study.modality].is_known
    ]
    return all_of(leaf(Condition(fact.name, "known", None, fact, None)) for fact in dict.fromkeys(unread))


def is_after(fact: Fact, day: dt.date | None) -> Criterion:
    """Tell whether a fact is known and newer than a day; no where that day is not known."""
    return known(fact) & given(day is not None and fact.date is not None and fact.date > day)


def imaged_since(case: Case, day: dt.date | None) -> Criterion:
    """Tell whether a CT, MRI or PET-CT of bone is dated on or after a day; never unknown."""
    return given(
        day is not None
        and any(
            study.modality in {"ct", "mri", "pet"} and study.date is not None and study.date >= day
            for study in case.facts.studies
        )
    )
