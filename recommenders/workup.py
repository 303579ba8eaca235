"""Diagnostic work-up, analgesia, multidisciplinary discussion and supportive care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService, Service
from recommenders.patient.courses import bma
from recommenders.patient.lesions import (
    happened_within,
    imaged_within,
    newest_study,
    shows,
    shows_spine,
    site_word,
)
from recommenders.surgical_timing import (
    diagnoses,
    graded_since_deficit,
    spine_lesion,
    surgical_class,
    threatening_fractures,
)
from recommenders.vocabulary.facts import Finding, Moment, known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, Logical, all_of, any_of, documented, given, leaf

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Indicator
    from recommenders.vocabulary.records import Study

GUIDANCE = guidance("workup")

LOCAL_IMAGING = ("xray", "ct", "mri")
WHOLE_SKELETON = ("spect", "pet")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _support(case)
    yield from _imaging(case)
    yield from _biopsy(case)
    yield from _response(case)
    yield from _pain(case)
    yield from _team(case)


# --- imaging ------------------------------------------------------------------------------------------------


def _imaging(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, clin, spine = facts.dx, facts.clin, facts.spine
    recent = limits.imaging_recent
    reasons = diagnoses(case)
    no_bone_metastasis = ~documented(dx.bone_met) & given(None if facts.is_cut("conditions") else True)
    neuro_deficit = documented(spine.neuro_deficit)
    no_mri = documented(facts.local.mri_contraindicated)
    instead_of_mri = (Phrase("mri-contraindicated"),) if no_mri.yes else ()

    yield _image_the_site(case)

    yield Advice(
        rule="DX-002",
        because=dx.lung_cancer & dx.bone_met.is_suspected(),
        notes=instead_of_mri,
        proposals=(_order("ct" if no_mri.yes else "mri", reasons),),
    )

    scan = newest_study(facts, "spect")
    positive_place = scan.site if scan else None
    yield Advice(
        rule="DX-003",
        because=dx.lung_cancer & no_bone_metastasis & _result(scan, "spect", "positive"),
        unless=imaged_within(facts, LOCAL_IMAGING, recent, lambda study: shows(study, positive_place)),
        notes=instead_of_mri,
        proposals=(_order("ct", reasons, site=positive_place),),
    )

    spine_in_question = clin.nerve_compression | neuro_deficit | documented(spine_lesion(case))
    not_before = spine.neuro_deficit.date if neuro_deficit.yes else None
    yield Advice(
        rule="DX-004",
        because=(dx.lung_cancer | dx.bone_met) & spine_in_question & ~no_mri,
        unless=imaged_within(facts, ("mri",), recent, shows_spine, not_before) | _graded_on_mri(case),
        indicator=_mri_urgency(case, neuro_deficit),
        proposals=(
            _order(
                "mri-spine",
                (*reasons, "spine.neuro_deficit", "clin.nerve_compression", "lesions[]"),
                urgent=(neuro_deficit | clin.nerve_compression).yes,
            ),
        ),
    )

    xray_negative = documented(_result(newest_study(facts, "xray"), "xray", "negative"))
    scan_positive = documented(_result(scan, "spect", "positive"))
    no_mri_possible = (dx.bone_met.is_suspected() | clin.nerve_compression) & no_mri
    yield Advice(
        rule="DX-005",
        because=dx.lung_cancer & ((scan_positive & xray_negative) | (clin.bone_pain & xray_negative) | no_mri_possible),
        unless=imaged_within(facts, ("ct",), recent),
        proposals=(_order("ct", reasons),),
    )

    for order in case.orders_at_hand:
        if "pet-ct" in order.kinds:
            yield Advice(
                rule="DX-006",
                because=dx.lung_cancer & order.indication.one_of("screening", "staging"),
                unless=order.indication.is_("staging"),
                order=order.reference,
            )

    yield Advice(
        rule="DX-007",
        because=dx.lung_cancer & no_bone_metastasis,
        unless=imaged_within(facts, WHOLE_SKELETON, limits.bone_scan_due, _of_the_whole_skeleton),
        proposals=(_order("bone-scan", reasons),),
    )


def _image_the_site(case: Case) -> Advice:
    """DX-001: signs of bone metastasis in lung cancer, and whether their place was imaged."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    clin, spine, fracture = facts.clin, facts.spine, facts.pathological_fracture
    neuro_deficit, alp_high = documented(spine.neuro_deficit), documented(clin.alp_high)

    def imaged(*, site: str | None = None, of_spine: bool = False, not_before: dt.date | None = None) -> Criterion:
        def there(study: Study) -> bool:
            return shows_spine(study) if of_spine else shows(study, site)

        return imaged_within(facts, LOCAL_IMAGING, limits.imaging_recent, there, not_before)

    # each sign with the imaging that answers it
    placed: tuple[tuple[Logical, Criterion], ...] = (
        (clin.bone_pain, imaged()),
        (clin.motion_limited, imaged()),
        (fracture.current, imaged(site=site_word(fracture.bone))),
        (clin.nerve_compression, imaged(of_spine=True)),
        (neuro_deficit, imaged(of_spine=True, not_before=spine.neuro_deficit.date)),
    )
    without_place: tuple[Logical, ...] = (alp_high, clin.tumour_markers_rising, clin.hypercalcaemia)
    signs = (*(sign for sign, _ in placed), *without_place)
    present = [(sign, done) for sign, done in placed if sign.criterion().yes]
    done_already = (
        all_of(done for _, done in present)
        if present
        else imaged_within(facts, WHOLE_SKELETON, limits.imaging_recent, _of_the_whole_skeleton)
    )
    only_laboratory = not present and not clin.hypercalcaemia.criterion().yes
    indicator: Indicator = "critical" if neuro_deficit.yes else "info" if only_laboratory else "warning"
    cord_or_nerve = (neuro_deficit | clin.nerve_compression).yes
    no_mri = documented(facts.local.mri_contraindicated).yes
    reasons = (*diagnoses(case), "clin.bone_pain", "spine.neuro_deficit", "pathological_fracture.current")
    if cord_or_nerve:
        local = _order("ct" if no_mri else "mri-spine", reasons, urgent=True)
    else:
        local = _order("xray", reasons, site=site_word(fracture.bone))
    shown: tuple[Fact, ...] = (
        clin.bone_pain,
        clin.motion_limited,
        fracture.current,
        clin.nerve_compression,
        spine.neuro_deficit,
        clin.alp_high,
        clin.tumour_markers_rising,
        clin.hypercalcaemia,
    )
    found = tuple(Label(fact.name) for fact in shown if isinstance(fact, Finding) and fact.value is True)
    return Advice(
        rule="DX-001",
        because=facts.dx.lung_cancer & ~documented(facts.dx.bone_met) & any_of(signs),
        unless=done_already,
        indicator=indicator,
        notes=(
            Phrase("feature", {"list": found}),
            *((Phrase("mri-contraindicated"),) if cord_or_nerve and no_mri else ()),
        ),
        proposals=(local, _order("bone-scan", reasons, action=1)),
    )


def _of_the_whole_skeleton(study: Study) -> bool:
    return study.whole_body or study.site is None


def _result(study: Study | None, modality: str, wanted: str) -> Criterion:
    """Tell a study's result: a study that was not done shows nothing, one without a result is unknown."""
    if study is None:
        return NO
    shown = Finding(
        name=f"img.{modality}.result",
        value=study.result,
        reason=None if study.result else "missing",
        date=study.date,
        resources=study.resources,
    )
    return leaf(Condition(shown.name, "is", wanted, shown, None if study.result is None else study.result == wanted))


def _graded_on_mri(case: Case) -> Criterion:
    """An ESCC grade is read from an MRI of the spine: a current one says that the MRI was done."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    return known(grade) & (graded_since_deficit(case) | ~documented(deficit))


def _mri_urgency(case: Case, neuro_deficit: Criterion) -> Indicator:
    if neuro_deficit.yes and not case.fired("ESCC-004").yes:
        return "critical"
    return "warning" if (neuro_deficit | case.facts.clin.nerve_compression).yes else "info"


# --- biopsy and response ------------------------------------------------------------------------------------


def _biopsy(case: Case) -> Iterator[Advice]:
    facts = case.facts
    dx, local = facts.dx, facts.local
    hard_to_sample = local.ortho_first_presentation & local.lung_lesion_sampling_difficult
    # how many lesions there are is asked for only where a bone lesion is on record
    bone_lesion = given(documented(dx.bone_met).yes or dx.bone_met.is_suspected().yes or bool(facts.lesions.items))
    isolated = dx.lung_cancer & bone_lesion & dx.bone_met_isolated
    other_reasons = any_of((hard_to_sample, local.bone_lesion_decisive, local.typing_needed))
    worded: tuple[tuple[Logical, str], ...] = (
        (hard_to_sample, "biopsy-sampling"),
        (isolated & ~facts.bx.bone_done, "biopsy-isolated"),
        (local.bone_lesion_decisive, "biopsy-decisive"),
        (local.typing_needed, "biopsy-typing"),
    )
    reason: tuple[Fill, ...] = tuple(Phrase(key) for holds, key in worded if holds.criterion().yes)
    only_one_recorded = not other_reasons.yes and dx.isolated_stated.value is not True
    yield Advice(
        rule="DX-008",
        because=other_reasons | isolated,
        unless=facts.bx.bone_done & ~other_reasons,
        indicator="info" if only_one_recorded else "warning",
        fill={"reason": reason},
        proposals=(_order("bone-biopsy", (*diagnoses(case), "lesions[]")),),
    )

    yield Advice(rule="DX-009", because=case.fired("DX-008"))
    for order in case.orders_at_hand:
        if "bone-biopsy" in order.kinds:
            yield Advice(rule="DX-009", because=given(holds=True), order=order.reference)


def _response(case: Case) -> Iterator[Advice]:
    facts = case.facts
    dx, clin, local = facts.dx, facts.clin, facts.local
    yield Advice(rule="DX-010", because=dx.lung_cancer & documented(dx.bone_met))
    worse_yet_falling = clin.symptoms_worse & clin.tumour_markers_falling
    yield Advice(rule="DX-011", because=documented(dx.bone_met) & facts.meds.antineoplastic & worse_yet_falling)
    yield Advice(
        rule="DX-012",
        because=local.ortho_first_presentation & ~dx.lung_cancer & ~dx.other_solid_cancer & ~dx.mm,
    )


# --- pain ---------------------------------------------------------------------------------------------------


def _pain(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, meds, pain = facts.dx, facts.meds, facts.pain.nrs
    bone_metastasis = documented(dx.bone_met)
    any_pain, mild = pain >= limits.mild_pain, (pain >= limits.mild_pain) & (pain <= limits.mild_pain_to)
    moderate_or_severe, severe = pain >= limits.moderate_pain, pain >= limits.severe_pain
    nsaid_may_harm_kidney = any_of(
        (
            facts.lab.crcl < limits.nsaid_clearance,
            facts.other.dialysis,
            meds.ifosfamide,
            dx.mm | dx.smm | dx.mgus | dx.plasmacytoma | dx.pcl | dx.amyloidosis,
        )
    )

    yield Advice(rule="PAIN-001", because=bone_metastasis & ~known(pain))
    yield Advice(
        rule="PAIN-002",
        because=bone_metastasis & mild,
        unless=meds.opioid | meds.nsaid | meds.acetaminophen,
        points=(0, 1, 2, 4) if nsaid_may_harm_kidney.yes else (0, 2, 3, 4),
    )
    yield Advice(
        rule="PAIN-003",
        because=bone_metastasis & moderate_or_severe,
        unless=meds.opioid.criterion(),
        points=(0, 1, 2, 3, 4) if severe.yes else (0, 1, 2, 3),
    )
    yield Advice(rule="PAIN-004", because=bone_metastasis & documented(facts.local.neuropathic_pain))
    yield Advice(rule="PAIN-005", because=bone_metastasis & documented(any_pain), unless=case.once(bma).current.any())
    yield Advice(
        rule="PAIN-006",
        because=bone_metastasis & severe,
        proposals=(_order("mdt-conference", diagnoses(case)),),
    )


# --- multidisciplinary team ---------------------------------------------------------------------------------

EVENTS = (
    "pathological-fracture",
    "spinal-cord-compression",
    "bone-radiotherapy",
    "bone-surgery",
    "hypercalcaemia",
)


def _team(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mdt = facts.dx, facts.mdt
    lung_with_bone = dx.lung_cancer & documented(dx.bone_met)
    event_active = happened_within(facts, EVENTS, limits.event_active)
    urgent_surgery = given(surgical_class(case) == "urgent-review")
    fracture_threatens = case.fired("MIRELS-003") | case.fired("MIRELS-004")
    cord_threatened = documented(facts.spine.escc.one_of("1c", "2", "3"))
    soon = (event_active | urgent_surgery).yes
    conference = _order("mdt-conference", diagnoses(case), urgent=soon)

    yield Advice(
        rule="MDT-001",
        because=any_of((lung_with_bone, event_active, urgent_surgery, fracture_threatens, cord_threatened)),
        unless=mdt.last_date.within(limits.mdt_due, facts.as_of),
        indicator="warning" if soon else "info",
        proposals=(conference,),
    )

    changes = tuple(_changes_since_meeting(case))
    yield Advice(
        rule="MDT-002",
        because=known(mdt.last_date) & any_of(change for _, change in changes),
        notes=(Phrase("changed-since", {"list": tuple(Phrase(key) for key, change in changes if change.yes)}),),
        proposals=(conference,),
    )
    yield Advice(rule="MDT-003", because=case.fired("MDT-001") & documented(~mdt.available))
    yield Advice(rule="MDT-004", because=lung_with_bone)
    yield Advice(
        rule="MDT-005",
        because=dx.lung_cancer & documented(facts.therapy.prior_lines >= limits.refractory_lines),
    )


def _changes_since_meeting(case: Case) -> Iterator[tuple[str, Criterion]]:
    """
    Yield what the last MDT discussion cannot have known, by the day it is dated.

    Earlier fracture-risk and cord classes are not on record as a series: a high class recorded after the
    meeting counts as risen.
    """
    facts = case.facts
    meeting = facts.mdt.last_date.date
    progression = facts.local.disease_progression

    def later(day: dt.date | None) -> Criterion:
        return given(meeting is not None and day is not None and day > meeting)

    progressing = [
        x.trend.is_("progressing") & later(x.trend.date or x.date) for x in facts.lesions if x.trend.is_known
    ]
    yield "change-progression", any_of((documented(progression) & later(progression.date), *progressing))
    events = [event for event in facts.sre if later(event.date).yes]
    moments = [Moment(name="sre[].date", date=e.date, reason=None, resources=e.resources) for e in events]
    yield "change-event", any_of(known(moment) for moment in moments)
    yield "change-fracture-risk", any_of(later(risk.total.date) for risk in threatening_fractures(case))
    grade = facts.spine.escc
    yield "change-cord", documented(grade.one_of("1c", "2", "3")) & later(grade.date)


# --- support ------------------------------------------------------------------------------------------------


def _support(case: Case) -> Iterator[Advice]:
    facts = case.facts
    distress = facts.psych.distress
    yield Advice(
        rule="SUPP-004",
        because=distress.is_("clinical-diagnosis"),
        proposals=(_order("psychiatry-consultation", ("psych.distress", *diagnoses(case))),),
    )
    yield Advice(rule="SUPP-005", because=distress.is_("present-subclinical"))
    yield Advice(rule="SUPP-006", because=documented(facts.dx.bone_met))


def _order(
    service: Service,
    reasons: tuple[str, ...],
    *,
    action: int = 0,
    urgent: bool = False,
    site: str | None = None,
) -> Proposal:
    item = ProposedService(service=service, priority="urgent" if urgent else "routine", site=site)
    return Proposal(action=action, items=(item,), reasons=reasons)
