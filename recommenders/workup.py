"""Diagnostic work-up, analgesia, multidisciplinary discussion and supportive care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase
from recommenders.patient.bone_words import bone_in_words
from recommenders.patient.courses import bma
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.fracture_risk import threatening_fractures
from recommenders.patient.lesions import (
    fractured_bone,
    happened_within,
    imaged_within,
    imaging,
    in_spine,
    newest_study,
    shows,
    shows_spine,
    treated_since,
)
from recommenders.patient.services import all_asked, ask, asked, not_asked
from recommenders.patient.spine import graded_since_deficit, spine_lesion
from recommenders.patient.surgery import SPINE_KEY, diagnoses, surgical_class
from recommenders.vocabulary.bones import Bone
from recommenders.vocabulary.facts import Finding, Moment, known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, Logical, all_of, any_of, documented, given, leaf

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Study

GUIDANCE = guidance("workup")
ANY_BONE = Bone()

LOCAL_IMAGING = ("xray", "ct", "mri")
WHOLE_SKELETON = ("spect", "pet")


def _no_bone_metastasis(facts: Facts) -> Criterion:
    """Tell whether no bone metastasis is on record; unknown where only a part of the problem list came."""
    return ~documented(facts.dx.bone_met) & given(None if facts.is_cut("conditions") else True)


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _support(case)
    yield from _imaging(case)
    yield from _biopsy(case)
    yield from _response(case)
    yield from _pain(case)
    yield from _team(case)


def _is_new(case: Case, fact: Fact) -> Criterion:
    """Tell whether a fact is so new that an answer that rests on it is shown unasked."""
    return given(fact.date is not None) & given(
        fact.date is not None and 0 <= (case.facts.as_of - fact.date).days <= case.limits(COMMON).result_is_new.value
    )


def _named(bone: Bone) -> Fill:
    """Name a bone in a sentence; where it is not told, the bone in question."""
    return bone_in_words(bone) or Phrase("bone-in-question")


def _about(bone: Bone) -> str | None:
    return bone.whole.key if bone.site else None


# --- imaging ------------------------------------------------------------------------------------------------


def _imaging(case: Case) -> Iterator[Advice]:
    yield from _image_the_cord(case)
    yield _image_the_site(case)
    yield from _confirm_a_scan(case)
    yield _negative_xray(case)
    yield _confirm_a_suspicion(case)
    yield from _screening(case)


def _image_the_cord(case: Case) -> Iterator[Advice]:
    """DX-004: an MRI of the spine where the cord or a nerve is in question, or a vertebra is newly diseased."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    clin, spine = facts.clin, facts.spine
    deficit, nerve = documented(spine.neuro_deficit), documented(clin.nerve_compression)
    no_mri = documented(facts.local.mri_contraindicated)
    in_question = clin.nerve_compression | deficit | documented(spine_lesion(case))
    since = spine.neuro_deficit.date if deficit.yes else clin.nerve_compression.date if nerve.yes else None
    reasons = (*diagnoses(case), "spine.neuro_deficit", "clin.nerve_compression", "lesions[]")
    cord = deficit | nerve
    key = "order-an-urgent-mri" if cord.yes else "order-mri-of-the"
    wanted = (ask(key, "mri-spine", reasons, urgent=cord.yes),)
    done = imaged_within(
        facts, ("mri",), limits.imaging_recent, shows_spine, spine.neuro_deficit.date if deficit.yes else None
    )
    spinal = [lesion for lesion in facts.lesions if in_spine(lesion).yes]
    newest = max(spinal, key=lambda one: one.date or facts.as_of.min, default=None)
    yield Advice(
        rule="DX-004",
        because=(facts.dx.lung_cancer | facts.dx.bone_met) & in_question & ~no_mri,
        unless=done | _graded_on_mri(case) | all_asked(case, wanted, since),
        fill={"site": _named(newest.bone) if newest is not None else Phrase("spine")},
        about=SPINE_KEY,
        holds={
            "said-elsewhere": case.fired("ESCC-004") | case.fired("ESCC-005"),
            "nerve": nerve & ~deficit,
            "lesion-alone": ~deficit & ~nerve,
            "mri-not-asked": given(not facts.local.mri_contraindicated.resources),
        },
        new=_is_new(case, newest.site) if newest is not None else NO,
        proposals=wanted,
    )


def _graded_on_mri(case: Case) -> Criterion:
    """An ESCC grade is read from an MRI of the spine: a current one says that the MRI was done."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    return known(grade) & (graded_since_deficit(case) | ~documented(deficit))


def _image_the_site(case: Case) -> Advice:
    """DX-001: signs of bone metastasis in lung cancer, and whether their place was imaged."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    clin, spine, fracture = facts.clin, facts.spine, facts.pathological_fracture
    deficit, nerve = documented(spine.neuro_deficit), documented(clin.nerve_compression)
    broken, no_mri = documented(fracture.current), documented(facts.local.mri_contraindicated)
    bone = fractured_bone(facts)

    def imaged(*, bone: Bone = ANY_BONE, of_spine: bool = False, not_before: dt.date | None = None) -> Criterion:
        def there(study: Study) -> bool:
            return shows_spine(study) if of_spine else shows(study, bone)

        return imaged_within(facts, LOCAL_IMAGING, limits.imaging_recent, there, not_before)

    # each sign with the imaging that answers it
    placed: tuple[tuple[Logical, Criterion], ...] = (
        (clin.bone_pain, imaged()),
        (clin.motion_limited, imaged()),
        (fracture.current, imaged(bone=bone)),
        (clin.nerve_compression, imaged(of_spine=True)),
        (deficit, imaged(of_spine=True, not_before=spine.neuro_deficit.date)),
    )
    without_place: tuple[Logical, ...] = (
        documented(clin.alp_high),
        clin.tumour_markers_rising,
        clin.hypercalcaemia,
    )
    present = [(sign, done) for sign, done in placed if sign.criterion().yes]
    whole = imaged_within(facts, WHOLE_SKELETON, limits.imaging_recent, _of_the_whole_skeleton)
    done_already = all_of(done for _, done in present) if present else whole
    cord = deficit | nerve
    painful = documented(clin.bone_pain | clin.motion_limited)
    high_calcium = documented(clin.hypercalcaemia)
    wanted = tuple(_site_orders(case, cord, broken, painful))
    return Advice(
        rule="DX-001",
        because=facts.dx.lung_cancer & _no_bone_metastasis(facts) & any_of((*(s for s, _ in placed), *without_place)),
        unless=done_already | (all_asked(case, wanted[:1]) if wanted else NO),
        fill={"list": _signs(case), "site": _named(bone)},
        about=SPINE_KEY if cord.yes else _about(bone) if broken.yes else None,
        holds={
            "said-elsewhere": cord & (~no_mri | case.fired("ESCC-004") | case.fired("ESCC-005")),
            "nerve": ~deficit & nerve,
            "fracture": ~cord & broken & ~imaged(bone=bone),
            "pain": ~cord & painful,
            "high-calcium": ~cord & ~painful & ~broken & high_calcium,
            "laboratory": ~cord & ~painful & ~broken & ~high_calcium,
        },
        new=_newest_of(case, clin.alp_high, clin.tumour_markers_rising),
        proposals=not_asked(case, wanted),
    )


def _site_orders(case: Case, cord: Criterion, broken: Criterion, painful: Criterion) -> Iterator[Proposal]:
    reasons = (*diagnoses(case), "clin.bone_pain", "spine.neuro_deficit", "pathological_fracture.current")
    if cord.yes:
        if documented(case.facts.local.mri_contraindicated).yes:
            yield ask("order-an-urgent-ct", "ct", reasons, urgent=True, about=SPINE_KEY)
        return
    if (broken | painful).yes:
        about = _about(fractured_bone(case.facts)) if broken.yes else None
        yield ask("order-an-x-ray-of", "xray", reasons, about=about)
    yield ask("order-a-bone-scan", "bone-scan", reasons)


def _newest_of(case: Case, *facts: Fact) -> Criterion:
    return any_of(_is_new(case, fact) for fact in facts if fact.is_known)


def _signs(case: Case) -> tuple[Fill, ...]:
    clin, spine = case.facts.clin, case.facts.spine
    shown: tuple[Fact, ...] = (
        clin.bone_pain,
        clin.motion_limited,
        case.facts.pathological_fracture.current,
        clin.nerve_compression,
        spine.neuro_deficit,
        clin.alp_high,
        clin.tumour_markers_rising,
        clin.hypercalcaemia,
    )
    return tuple(Label(fact.name) for fact in shown if isinstance(fact, Finding) and fact.value is True)


def _of_the_whole_skeleton(study: Study) -> bool:
    return study.whole_body or study.site is None


def _result(study: Study | None, modality: str, *wanted: str) -> Criterion:
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
    limit = wanted[0] if len(wanted) == 1 else wanted
    holds = None if study.result is None else study.result in wanted
    return leaf(Condition(shown.name, "is" if len(wanted) == 1 else "in", limit, shown, holds))


def _confirm_a_scan(case: Case) -> Iterator[Advice]:
    """DX-003: a bone scan that is positive or suspicious is confirmed at that place."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    scan = newest_study(facts, "spect")
    bone = scan.bone if scan else ANY_BONE
    no_mri = documented(facts.local.mri_contraindicated)
    reasons, about, since = diagnoses(case), _about(bone), scan.date if scan else None
    ct = ask("order-ct-of", "ct", reasons, about=about)
    mri = ask("order-mri-of", "mri", reasons, about=about)
    already = asked(case, "ct", "mri", "xray", about=about, since=since)
    yield Advice(
        rule="DX-003",
        because=facts.dx.lung_cancer & _no_bone_metastasis(facts) & _result(scan, "spect", "positive", "equivocal"),
        unless=imaged_within(facts, LOCAL_IMAGING, limits.imaging_recent, lambda study: shows(study, bone)) | already,
        fill={"site": _named(bone), "scan_date": since or ""},
        about=about,
        holds={
            "no-mri": no_mri,
            "suspicious": given(scan is not None and scan.result == "equivocal"),
        },
        proposals=(ct,) if no_mri.yes else (ct, mri),
    )


def _negative_xray(case: Case) -> Advice:
    """DX-005: a CT where an X-ray of lately does not explain the pain or the scan, or where no MRI can be done."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, clin = facts.dx, facts.clin
    scan, xray = newest_study(facts, "spect"), newest_study(facts, "xray")
    recent = imaged_within(facts, ("xray",), limits.imaging_recent)
    negative = documented(_result(xray, "xray", "negative")) & recent
    positive = documented(_result(scan, "spect", "positive"))
    no_mri = documented(facts.local.mri_contraindicated)
    no_mri_possible = (dx.bone_met.is_suspected() | clin.nerve_compression) & no_mri
    bone = next((study.bone for study in (scan, xray) if study is not None and study.site), ANY_BONE)
    wanted = (ask("order-ct-of", "ct", diagnoses(case), about=_about(bone)),)
    cord = documented(facts.spine.neuro_deficit | clin.nerve_compression)
    return Advice(
        rule="DX-005",
        because=dx.lung_cancer & ((positive & negative) | (clin.bone_pain & negative) | no_mri_possible),
        unless=imaged_within(facts, ("ct",), limits.imaging_recent) | all_asked(case, wanted),
        fill={"site": _named(bone), "xray_date": xray.date if xray and xray.date else ""},
        about=_about(bone),
        holds={
            "confirmed-or-cord": documented(dx.bone_met) | (case.fired("DX-001") & cord),
            "no-mri": documented(no_mri_possible),
            "scan-positive": positive & negative,
        },
        proposals=wanted,
    )


def _confirm_a_suspicion(case: Case) -> Advice:
    """DX-002: bone metastasis is suspected, and nothing was done about it since."""
    facts = case.facts
    suspected = facts.dx.bone_met
    no_mri = documented(facts.local.mri_contraindicated)
    service = "ct" if no_mri.yes else "mri"
    wanted = (ask("order-of", "ct" if no_mri.yes else "mri", diagnoses(case)),)
    since = suspected.date
    looked = any(
        study.modality in LOCAL_IMAGING and study.date and since and study.date > since for study in imaging(facts)
    )
    biopsied = facts.bx.bone_done.value is True and facts.bx.bone_done.date is not None and since is not None
    done = given(looked or (biopsied and facts.bx.bone_done.date >= since))  # type: ignore[operator] # both told
    return Advice(
        rule="DX-002",
        because=facts.dx.lung_cancer & suspected.is_suspected(),
        unless=done | asked(case, "ct", "mri", "bone-biopsy", since=since),
        fill={
            "suspected_date": since or Phrase("unknown-day"),
            "ct_or_mri": Phrase(service),
            "site": Phrase("bone-in-question"),
        },
        holds={"same-step": case.fired("DX-003") | case.fired("DX-005")},
        proposals=wanted,
    )


def _screening(case: Case) -> Iterator[Advice]:
    """DX-006 and -007: the first look at the skeleton in lung cancer."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx = facts.dx
    for order in case.orders_at_hand:
        if "pet-ct" in order.kinds:
            yield Advice(
                rule="DX-006",
                because=dx.lung_cancer & order.indication.one_of("screening", "staging"),
                unless=order.indication.is_("staging"),
                order=order.reference,
            )
    metastatic = any(lesion.nature.value == "metastasis" for lesion in facts.lesions)
    wanted = (ask("order-a-bone-scan", "bone-scan", diagnoses(case)),)
    yield Advice(
        rule="DX-007",
        because=dx.lung_cancer & _no_bone_metastasis(facts),
        unless=imaged_within(facts, WHOLE_SKELETON, limits.bone_scan_due, _of_the_whole_skeleton)
        | asked(case, "bone-scan", "pet-ct"),
        fill={"lung_date": dx.lung_cancer.date or ""},
        holds={
            "past-baseline": any_of(
                (
                    dx.bone_met.is_suspected(),
                    given(metastatic),
                    documented(dx.metastatic),
                    case.fired("DX-001"),
                    case.fired("DX-003"),
                )
            )
        },
        new=_is_new(case, dx.lung_cancer),
        proposals=wanted,
    )


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
    wanted = (ask("order-an-image-guided-biopsy", "bone-biopsy", (*diagnoses(case), "lesions[]"), about=_about(bone)),)
    only_recorded = ~documented(other_reasons) & given(dx.isolated_stated.value is not True)
    excluded = facts.pathological_fracture.current.value is False and facts.spine.neuro_deficit.value is False
    yield Advice(
        rule="DX-008",
        because=other_reasons | isolated,
        unless=facts.bx.bone_done | all_asked(case, wanted),
        fill={"site": _named(bone)},
        about=_about(bone),
        holds={
            "only-recorded": only_recorded,
            "hard-to-sample": documented(hard_to_sample),
            "decisive": documented(local.bone_lesion_decisive),
            "typing": documented(local.typing_needed),
            "emergency-possible": given(not excluded),
        },
        proposals=wanted,
    )
    yield Advice(rule="DX-009", because=case.fired("DX-008"))
    for order in case.orders_at_hand:
        if "bone-biopsy" in order.kinds:
            yield Advice(rule="DX-009", because=given(holds=True), order=order.reference)


def _response(case: Case) -> Iterator[Advice]:
    facts = case.facts
    dx, clin, local = facts.dx, facts.clin, facts.local
    yield Advice(rule="DX-010", because=dx.lung_cancer & documented(dx.bone_met))
    worse = clin.symptoms_worse
    looked_since = any(study.date and worse.date and study.date >= worse.date for study in imaging(facts))
    yield Advice(
        rule="DX-011",
        because=documented(dx.bone_met) & facts.meds.antineoplastic & (worse & clin.tumour_markers_falling),
        unless=given(looked_since),
        holds={"spinal": documented(spine_lesion(case))},
    )
    bone = facts.lesions.items[0].bone if len(facts.lesions) == 1 else ANY_BONE
    yield Advice(
        rule="DX-012",
        because=local.ortho_first_presentation & ~dx.lung_cancer & ~dx.other_solid_cancer & ~dx.mm,
        fill={"site": _named(bone)},
        about=_about(bone),
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
    kidney, why = _kidney_risk(case)

    yield Advice(rule="PAIN-001", because=bone_metastasis & ~known(pain))
    yield Advice(
        rule="PAIN-002",
        because=bone_metastasis & mild,
        unless=meds.opioid | meds.nsaid | meds.acetaminophen,
        fill={"kidney_risk": why},
        holds={"kidney": kidney},
    )
    yield Advice(
        rule="PAIN-003",
        because=bone_metastasis & moderate_or_severe,
        unless=meds.opioid.criterion(),
        fill={"kidney_risk": why},
        holds={"kidney": kidney, "otherwise": ~kidney},
    )
    yield Advice(
        rule="PAIN-004",
        because=bone_metastasis & documented(facts.local.neuropathic_pain),
        unless=documented(meds.glucocorticoid),
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


# --- multidisciplinary team ---------------------------------------------------------------------------------

EVENTS = ("pathological-fracture", "spinal-cord-compression", "hypercalcaemia")
"""Skeletal events that ask for the team; radiotherapy and surgery are what it agreed on."""


def _team(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mdt = facts.dx, facts.mdt
    lung_with_bone = dx.lung_cancer & documented(dx.bone_met)
    event_active = happened_within(facts, EVENTS, limits.event_active)
    urgent_surgery = given(surgical_class(case) == "urgent-review")
    fracture_threatens = case.fired("MIRELS-003") | case.fired("MIRELS-004")
    cord_threatened = documented(facts.spine.escc.one_of("1c", "2", "3"))
    soon = (event_active | urgent_surgery).yes
    conference = (ask("request-an-mdt-discussion", "mdt-conference", diagnoses(case), urgent=soon),)
    pressing = any_of((event_active, urgent_surgery, fracture_threatens, cord_threatened))

    yield Advice(
        rule="MDT-001",
        because=lung_with_bone | pressing,
        unless=mdt.last_date.within(limits.mdt_due, facts.as_of) | all_asked(case, conference),
        fill={"reasons": tuple(_team_reasons(case))},
        holds={"only-lung": ~documented(pressing), "no-team": documented(~mdt.available)},
        new=_is_new(case, dx.bone_met),
        proposals=conference,
    )

    changes = tuple(_changes_since_meeting(case))
    newest = max(
        (change for change in changes if change[1].yes), key=lambda one: one[2] or facts.as_of.min, default=None
    )
    yield Advice(
        rule="MDT-002",
        because=known(mdt.last_date) & any_of(change for _, change, _ in changes),
        unless=all_asked(case, conference, newest[2] if newest else None),
        fill={
            "change": Phrase(newest[0]) if newest else "",
            "change_date": (newest[2] if newest else None) or Phrase("unknown-day"),
        },
        new=given(newest is not None and newest[2] is not None)
        & given(
            newest is not None
            and newest[2] is not None
            and (facts.as_of - newest[2]).days <= case.limits(COMMON).result_is_new.value
        ),
        proposals=conference,
    )
    yield Advice(rule="MDT-003", because=case.fired("MDT-001") & documented(~mdt.available))
    yield Advice(rule="MDT-004", because=lung_with_bone)
    yield Advice(
        rule="MDT-005",
        because=dx.lung_cancer & documented(facts.therapy.prior_lines >= limits.refractory_lines),
    )


def _team_reasons(case: Case) -> Iterator[Fill]:
    """Give what asks for the team, each in a word."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    for event in facts.skeletal_events:
        if event.type in EVENTS and event.date and (facts.as_of - event.date).days <= limits.event_active.value:
            yield Phrase(f"event-{event.type}", {"day": event.date})
    for risk in threatening_fractures(case):
        yield Phrase("mirels", {"n": risk.score.lowest, "site": _named(risk.lesion.bone)})
    grade = facts.spine.escc
    if grade.value in {"1c", "2", "3"}:
        yield Phrase("escc", {"grade": str(grade.value)})


def _changes_since_meeting(case: Case) -> Iterator[tuple[str, Criterion, dt.date | None]]:
    """
    Yield what the last MDT discussion cannot have known, each with the day it is dated.

    Earlier fracture-risk and cord classes are not on record as a series: a high class recorded after the
    meeting counts as risen.
    """
    facts = case.facts
    meeting = facts.mdt.last_date.date
    progression = facts.local.disease_progression

    def later(day: dt.date | None) -> Criterion:
        return given(meeting is not None and day is not None and day > meeting)

    trends = [x for x in facts.lesions if x.trend.is_known]
    progressing = [x.trend.is_("progressing") & later(x.trend.date or x.date) for x in trends]
    days = [
        progression.date,
        *(x.trend.date or x.date for x, found in zip(trends, progressing, strict=True) if found.yes),
    ]
    yield (
        "change-progression",
        any_of((documented(progression) & later(progression.date), *progressing)),
        max((day for day in days if day is not None), default=None),
    )
    events = [event for event in facts.skeletal_events if later(event.date).yes]
    moments = [Moment(name="sre[].date", date=e.date, reason=None, resources=e.resources) for e in events]
    yield (
        "change-event",
        any_of(known(moment) for moment in moments),
        max((e.date for e in events if e.date), default=None),
    )
    risks = [risk for risk in threatening_fractures(case) if later(risk.total.date).yes]
    yield (
        "change-fracture-risk",
        any_of(later(risk.total.date) for risk in risks),
        max((risk.total.date for risk in risks if risk.total.date), default=None),
    )
    grade = facts.spine.escc
    yield "change-cord", documented(grade.one_of("1c", "2", "3")) & later(grade.date), grade.date


# --- support ------------------------------------------------------------------------------------------------


def _support(case: Case) -> Iterator[Advice]:
    facts = case.facts
    distress = facts.psych.distress
    wanted = (
        ask("request-a-psychiatry-consultation", "psychiatry-consultation", ("psych.distress", *diagnoses(case))),
    )
    yield Advice(
        rule="SUPP-004",
        because=distress.is_("clinical-diagnosis"),
        unless=all_asked(case, wanted, distress.date),
        proposals=wanted,
    )
    yield Advice(rule="SUPP-005", because=distress.is_("present-subclinical"))
    yield Advice(rule="SUPP-006", because=documented(facts.dx.bone_met))
