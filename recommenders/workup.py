"""Diagnostic work-up, analgesia, multidisciplinary discussion and supportive care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.courses import bma
from recommenders.patient.lesions import imaging, treated_since
from recommenders.patient.services import all_asked, ask
from recommenders.patient.spine import spine_lesion
from recommenders.patient.surgery import diagnoses
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.later import Later
from recommenders.vocabulary.logic import Criterion, Logical, any_of, documented, given
from recommenders.working_up.imaging import imaging_rules
from recommenders.working_up.parts import ANY_BONE, GUIDANCE, about_bone, named
from recommenders.working_up.team import team

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.dictionary import Facts

__all__ = ["GUIDANCE", "rules"]


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    dx, local = case.facts.dx, case.facts.local
    bone_metastasis = documented(dx.bone_met)
    yield from _support(case)
    yield from imaging_rules(case)
    yield from _biopsy(case)
    yield Advice(rule="DX-010", because=dx.lung_cancer & bone_metastasis)
    yield from case.asked(_response, "DX-011", where=lambda: bone_metastasis & case.facts.meds.antineoplastic)
    yield from case.asked(_primary, "DX-012", where=lambda: local.ortho_first_presentation)
    yield from case.asked(_pain, *(f"PAIN-00{n}" for n in range(1, 7)), where=lambda: bone_metastasis)
    yield from team(case)


# --- biopsy and response ------------------------------------------------------------------------------------


def _biopsy(case: Case) -> Iterator[Advice]:
    """DX-008 and -009: a biopsy where it decides."""
    facts = case.facts
    dx, local = facts.dx, facts.local
    hard_to_sample = local.ortho_first_presentation & local.lung_lesion_sampling_difficult
    # how many lesions there are is asked for only where a bone lesion is on record
    bone_lesion = given(documented(dx.bone_met).yes or dx.bone_met.is_suspected().yes or bool(facts.lesions.items))
    isolated = dx.lung_cancer & bone_lesion & dx.bone_met_isolated
    other_reasons = any_of((hard_to_sample, local.bone_lesion_decisive, local.typing_needed))
    bone = facts.lesions.items[0].bone if len(facts.lesions) == 1 else ANY_BONE
    wanted = (
        ask("order-an-image-guided-biopsy", "bone-biopsy", (*diagnoses(case), "lesions[]"), about=about_bone(bone)),
    )
    yield Advice(
        rule="DX-008",
        because=other_reasons | isolated,
        unless=facts.bx.bone_done | all_asked(case, wanted),
        fill={"site": named(bone)},
        about=about_bone(bone),
        holds=Later(
            lambda: {
                "only-recorded": ~documented(other_reasons) & given(dx.isolated_stated.value is not True),
                "hard-to-sample": documented(hard_to_sample),
                "decisive": documented(local.bone_lesion_decisive),
                "typing": documented(local.typing_needed),
                "emergency-possible": given(not _emergency_excluded(facts)),
            }
        ),
        proposals=wanted,
    )
    yield Advice(rule="DX-009", because=case.fired("DX-008"))
    for order in case.orders_at_hand:
        if "bone-biopsy" in order.kinds:
            yield Advice(rule="DX-009", because=given(holds=True), order=order.reference)


def _emergency_excluded(facts: Facts) -> bool:
    return facts.pathological_fracture.current.value is False and facts.spine.neuro_deficit.value is False


def _response(case: Case) -> Iterator[Advice]:
    """DX-011: symptoms worsen while the markers fall."""
    facts = case.facts
    dx, clin = facts.dx, facts.clin
    worse = clin.symptoms_worse
    looked_since = any(study.date and worse.date and study.date >= worse.date for study in imaging(facts))
    yield Advice(
        rule="DX-011",
        because=documented(dx.bone_met) & facts.meds.antineoplastic & (worse & clin.tumour_markers_falling),
        unless=given(looked_since),
        holds={"spinal": documented(spine_lesion(case))},
    )


def _primary(case: Case) -> Iterator[Advice]:
    """DX-012: a bone that is the first sign of a disease nobody has named."""
    facts = case.facts
    dx, local = facts.dx, facts.local
    bone = facts.lesions.items[0].bone if len(facts.lesions) == 1 else ANY_BONE
    yield Advice(
        rule="DX-012",
        because=local.ortho_first_presentation & ~dx.lung_cancer & ~dx.other_solid_cancer & ~dx.mm,
        fill={"site": named(bone)},
        about=about_bone(bone),
        holds={"has-diagnosis": any_of(documented(one) for one in (dx.osteosarcoma, dx.sts, dx.plasmacytoma, dx.smm))},
    )


# --- pain ---------------------------------------------------------------------------------------------------


def _kidney_risk(case: Case) -> tuple[Criterion, Fill]:
    """Tell whether an NSAID may harm the kidney, and why in a word."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx = facts.dx
    plasma_cells = dx.mm | dx.smm | dx.mgus | dx.plasmacytoma | dx.pcl | dx.amyloidosis
    worded: tuple[tuple[Logical, Fill], ...] = (
        (facts.lab.crcl < limits.nsaid_clearance, Phrase("kidney-clearance", {"crcl": facts.lab.crcl})),
        (facts.other.dialysis, Phrase("kidney-dialysis")),
        (facts.meds.ifosfamide, Phrase("kidney-ifosfamide")),
        (plasma_cells, Phrase("kidney-plasma-cells")),
    )
    words = next((word for holds, word in worded if holds.criterion().yes), "")
    return documented(any_of(holds for holds, _ in worded)), words


def _pain(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    meds, pain = facts.meds, facts.pain.nrs
    bone_metastasis = documented(facts.dx.bone_met)
    any_pain, mild = pain >= limits.mild_pain, (pain >= limits.mild_pain) & (pain <= limits.mild_pain_to)
    moderate_or_severe, severe = pain >= limits.moderate_pain, pain >= limits.severe_pain
    why: Mapping[str, Fill] = Later(lambda: {"kidney_risk": case.once(_kidney_risk)[1]})

    yield Advice(rule="PAIN-001", because=bone_metastasis & ~known(pain))
    yield Advice(
        rule="PAIN-002",
        because=bone_metastasis & mild,
        unless=meds.opioid | meds.nsaid | meds.acetaminophen,
        fill=why,
        holds=Later(lambda: {"kidney": case.once(_kidney_risk)[0]}),
    )
    yield Advice(
        rule="PAIN-003",
        because=bone_metastasis & moderate_or_severe,
        unless=meds.opioid.criterion(),
        fill=why,
        holds=Later(lambda: {"kidney": case.once(_kidney_risk)[0], "otherwise": ~case.once(_kidney_risk)[0]}),
    )
    yield Advice(
        rule="PAIN-004",
        because=bone_metastasis & documented(facts.local.neuropathic_pain),
        unless=meds.glucocorticoid.criterion(),
    )
    yield Advice(rule="PAIN-005", because=bone_metastasis & documented(any_pain), unless=case.once(bma).current.any())
    met_since = given(bool(facts.mdt.last_date.date and pain.date and facts.mdt.last_date.date >= pain.date))
    treated = treated_since(facts, ("bone-surgery", "bone-radiotherapy"), lambda event: event.is_sre, pain.date)
    wanted = (ask("request-an-mdt-discussion", "mdt-conference", diagnoses(case)),)
    yield Advice(
        rule="PAIN-006",
        because=bone_metastasis & severe,
        unless=met_since | treated | all_asked(case, wanted, pain.date),
        proposals=wanted,
    )


# --- support ------------------------------------------------------------------------------------------------


def _support(case: Case) -> Iterator[Advice]:
    facts = case.facts
    distress = facts.psych.distress
    diagnosed = distress.is_("clinical-diagnosis")
    if case.may_hold(diagnosed):
        yield _psychiatry(case, diagnosed)
    yield Advice(rule="SUPP-005", because=distress.is_("present-subclinical"))
    yield Advice(rule="SUPP-006", because=documented(facts.dx.bone_met))


def _psychiatry(case: Case, diagnosed: Criterion) -> Advice:
    distress = case.facts.psych.distress
    wanted = (
        ask("request-a-psychiatry-consultation", "psychiatry-consultation", ("psych.distress", *diagnoses(case))),
    )
    return Advice(
        rule="SUPP-004",
        because=diagnosed,
        unless=all_asked(case, wanted, distress.date),
        proposals=wanted,
    )
