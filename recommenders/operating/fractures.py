"""A bone that broke; in myeloma one that hurts badly too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.parts import GUIDANCE, TABLES, anything_against, urgently
from recommenders.patient.advice import Advice, Proposal
from recommenders.patient.bone_words import bone_in_words
from recommenders.patient.lesions import (
    LONG_BONES,
    SPINE,
    bone_operated,
    days_ago,
    fractured_bone,
    imaged_within,
    lies_in,
    newest_date,
    shows,
    span,
)
from recommenders.patient.myeloma_bone import bone_risk_tier
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.surgery import Surgery, all_done, asked_together, diagnoses
from recommenders.vocabulary.logic import documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal
    from recommenders.patient.surgery import Treated


def broken_bone(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-026: a limb's long bone is urgent for a month, a vertebra alone is a task, a rib is left to itself."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    fracture, bone = facts.pathological_fracture, fractured_bone(facts)
    item = lists.of("SURG-026")
    broken = asked_together(lists.scope, item.found)
    if not case.may_hold(broken):
        return
    told = given(bone.site is not None)
    limb, spine = lies_in(fracture.bone, LONG_BONES, "limb"), lies_in(fracture.bone, SPINE, "spine")
    pelvis = lies_in(fracture.bone, TABLES["pelvic_bones"], "pelvis")
    day = fracture.current.date
    recent = given(day is None or days_ago(facts, day) in span(limits.fracture_is_urgent))
    about = bone.whole.key if bone.site else None
    reasons = (*diagnoses(case), "pathological_fracture.current", "lesions[]")
    proposals: tuple[Proposal, ...] = ()
    if spine.yes:
        proposals = (urgently("spine-surgery-consultation", reasons, about),)
    elif (limb | ~told).yes:
        proposals = (urgently("orthopaedic-consultation", reasons, about),)
    elif pelvis.yes:
        proposals = (ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=about),)
    yield Advice(
        rule="SURG-026",
        because=broken,
        unless=item.done | all_asked(case, proposals, fracture.current.date),
        fill={"date": fracture.current.date or "", "fracture_site": _fracture_site(case)},
        about=about,
        holds={
            "vertebra": told & spine,
            "limb-now": told & limb & recent,
            "limb": told & limb,
            "bone-not-told": ~told,
            "minor": told & ~limb & ~spine & ~pelvis,
            "against": anything_against(case),
        },
        proposals=proposals,
    )


def _fracture_site(case: Case) -> Fill:
    return bone_in_words(fractured_bone(case.facts)) or ""


def bone_in_myeloma(case: Case) -> Iterator[Advice]:
    """SURG-036: in myeloma a surgeon looks at a bone that is broken or hurts badly; a lesion there is seen first."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    fracture, bone = facts.pathological_fracture, fractured_bone(facts)
    findings: list[Treated] = [(fracture.current, bone_operated(facts, bone, fracture.current.date))]
    findings += [(x.pain.is_("severe"), bone_operated(facts, x.bone, newest_date(x, x.pain))) for x in facts.lesions]
    painful = next((x for x in facts.lesions if x.pain.value == "severe"), None)
    broken = documented(fracture.current)
    where = bone if broken.yes else painful.bone if painful else None
    about = where.whole.key if where is not None and where.site is not None else None
    imaged = imaged_within(
        facts,
        ("xray", "ct", "mri", "pet"),
        limits.painful_bone_imaged,
        lambda study: where is None or shows(study, where),
    )
    reasons = (*diagnoses(case), "pathological_fracture.current", "lesions[]")
    offered: list[Proposal] = []
    if broken.yes or painful is not None:
        offered.append(ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=about))
    if not broken.yes and imaged.no:
        offered.append(ask("ct-of", "ct", reasons, about=about))
    since = fracture.current.date if broken.yes else newest_date(painful) if painful else None
    yield Advice(
        rule="SURG-036",
        because=(facts.dx.mm | facts.dx.smm) & documented(case.once(bone_risk_tier).high),
        unless=all_done(findings) | all_asked(case, tuple(offered)[:1], since),
        fill={"fracture_site": _fracture_site(case)},
        about=about,
        holds={
            "fracture": broken,
            "no-lesion": ~broken & given(painful is None),
            "not-imaged": ~broken & given(imaged.no),
        },
        proposals=not_asked(case, tuple(offered), since),
    )
