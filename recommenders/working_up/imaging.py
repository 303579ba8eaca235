"""Imaging: of the cord, of the site that hurts, of the whole skeleton, and what confirms a suspicion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase
from recommenders.patient.lesions import (
    fractured_bone,
    imaged_within,
    imaging,
    in_spine,
    newest_study,
    shows,
    shows_spine,
)
from recommenders.patient.services import all_asked, ask, asked, not_asked
from recommenders.patient.spine import graded_since_deficit, spine_lesion
from recommenders.patient.surgery import SPINE_KEY, diagnoses
from recommenders.vocabulary.facts import Finding, known
from recommenders.vocabulary.logic import NO, Condition, Criterion, Logical, all_of, any_of, documented, given, leaf
from recommenders.working_up.parts import ANY_BONE, GUIDANCE, about_bone, is_new, named, newest_of, no_bone_metastasis

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal
    from recommenders.vocabulary.bones import Bone
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Study

LOCAL_IMAGING = ("xray", "ct", "mri")
WHOLE_SKELETON = ("spect", "pet")


def imaging_rules(case: Case) -> Iterator[Advice]:
    dx = case.facts.dx
    no_metastasis = dx.lung_cancer & no_bone_metastasis(case.facts)
    yield from case.asked(_image_the_cord, "DX-004", where=lambda: dx.lung_cancer | dx.bone_met)
    yield from case.asked(_image_the_site, "DX-001", where=lambda: no_metastasis)
    yield from case.asked(_confirm_a_scan, "DX-003", where=lambda: no_metastasis)
    yield from case.asked(_negative_xray, "DX-005", where=lambda: dx.lung_cancer)
    yield from case.asked(_confirm_a_suspicion, "DX-002", where=lambda: dx.lung_cancer & dx.bone_met.is_suspected())
    yield from case.asked(_screening, "DX-006", "DX-007", where=lambda: dx.lung_cancer)


def _image_the_cord(case: Case) -> Iterator[Advice]:
    """DX-004: an MRI of the spine where the cord or a nerve is in question, or a vertebra is newly diseased."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    clin, spine = facts.clin, facts.spine
    deficit, nerve = documented(spine.neuro_deficit), documented(clin.nerve_compression)
    no_mri = documented(facts.local.mri_contraindicated)
    in_question = clin.nerve_compression | deficit | documented(spine_lesion(case))
    if not case.may_hold(in_question):
        return
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
        fill={"site": named(newest.bone) if newest is not None else Phrase("spine")},
        about=SPINE_KEY,
        holds={
            "said-elsewhere": case.fired("ESCC-004") | case.fired("ESCC-005"),
            "nerve": nerve & ~deficit,
            "lesion-alone": ~deficit & ~nerve,
            "mri-not-asked": given(not facts.local.mri_contraindicated.resources),
        },
        new=is_new(case, newest.site) if newest is not None else NO,
        proposals=wanted,
    )


def _graded_on_mri(case: Case) -> Criterion:
    """An ESCC grade is read from an MRI of the spine: a current one says that the MRI was done."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    return known(grade) & (graded_since_deficit(case) | ~documented(deficit))


def _image_the_site(case: Case) -> Iterator[Advice]:
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
    yield Advice(
        rule="DX-001",
        because=facts.dx.lung_cancer & no_bone_metastasis(facts) & any_of((*(s for s, _ in placed), *without_place)),
        unless=done_already | (all_asked(case, wanted[:1]) if wanted else NO),
        fill={"list": _signs(case), "site": named(bone)},
        about=SPINE_KEY if cord.yes else about_bone(bone) if broken.yes else None,
        holds={
            "said-elsewhere": cord & (~no_mri | case.fired("ESCC-004") | case.fired("ESCC-005")),
            "nerve": ~deficit & nerve,
            "fracture": ~cord & broken & ~imaged(bone=bone),
            "pain": ~cord & painful,
            "high-calcium": ~cord & ~painful & ~broken & high_calcium,
            "laboratory": ~cord & ~painful & ~broken & ~high_calcium,
        },
        new=newest_of(case, clin.alp_high, clin.tumour_markers_rising),
        proposals=not_asked(case, wanted),
    )


def _site_orders(case: Case, cord: Criterion, broken: Criterion, painful: Criterion) -> Iterator[Proposal]:
    reasons = (*diagnoses(case), "clin.bone_pain", "spine.neuro_deficit", "pathological_fracture.current")
    if cord.yes:
        if documented(case.facts.local.mri_contraindicated).yes:
            yield ask("order-an-urgent-ct", "ct", reasons, urgent=True, about=SPINE_KEY)
        return
    if (broken | painful).yes:
        about = about_bone(fractured_bone(case.facts)) if broken.yes else None
        yield ask("order-an-x-ray-of", "xray", reasons, about=about)
    yield ask("order-a-bone-scan", "bone-scan", reasons)


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
        reason=None if study.result else "unread" if study.is_unread else "missing",
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
    shown = _result(scan, "spect", "positive", "equivocal")
    if not case.may_hold(shown):
        return
    bone = scan.bone if scan else ANY_BONE
    no_mri = documented(facts.local.mri_contraindicated)
    reasons, about, since = diagnoses(case), about_bone(bone), scan.date if scan else None
    ct = ask("order-ct-of", "ct", reasons, about=about)
    mri = ask("order-mri-of", "mri", reasons, about=about)
    already = asked(case, "ct", "mri", "xray", about=about, since=since)
    yield Advice(
        rule="DX-003",
        because=facts.dx.lung_cancer & no_bone_metastasis(facts) & shown,
        unless=imaged_within(facts, LOCAL_IMAGING, limits.imaging_recent, lambda study: shows(study, bone)) | already,
        fill={"site": named(bone), "scan_date": since or ""},
        about=about,
        holds={
            "no-mri": no_mri,
            "suspicious": given(scan is not None and scan.result == "equivocal"),
        },
        proposals=(ct,) if no_mri.yes else (ct, mri),
    )


def _negative_xray(case: Case) -> Iterator[Advice]:
    """DX-005: a CT where an X-ray of lately does not explain the pain or the scan, or where no MRI can be done."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, clin = facts.dx, facts.clin
    scan, xray = newest_study(facts, "spect"), newest_study(facts, "xray")
    recent = imaged_within(facts, ("xray",), limits.imaging_recent)
    negative = documented(_result(xray, "xray", "negative")) & recent
    positive = documented(_result(scan, "spect", "positive"))
    no_mri = documented(facts.local.mri_contraindicated)
    no_mri_possible = (dx.bone_met.is_suspected() | clin.nerve_compression) & no_mri
    not_explained = (positive & negative) | (clin.bone_pain & negative) | no_mri_possible
    if not case.may_hold(not_explained):
        return
    bone = next((study.bone for study in (scan, xray) if study is not None and study.site), ANY_BONE)
    wanted = (ask("order-ct-of", "ct", diagnoses(case), about=about_bone(bone)),)
    cord = documented(facts.spine.neuro_deficit | clin.nerve_compression)
    yield Advice(
        rule="DX-005",
        because=dx.lung_cancer & not_explained,
        unless=imaged_within(facts, ("ct",), limits.imaging_recent) | all_asked(case, wanted),
        fill={"site": named(bone), "xray_date": xray.date if xray and xray.date else ""},
        about=about_bone(bone),
        holds={
            "confirmed-or-cord": documented(dx.bone_met) | (case.fired("DX-001") & cord),
            "no-mri": documented(no_mri_possible),
            "scan-positive": positive & negative,
        },
        proposals=wanted,
    )


def _confirm_a_suspicion(case: Case) -> Iterator[Advice]:
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
    yield Advice(
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
    no_metastasis = dx.lung_cancer & no_bone_metastasis(facts)
    if not case.may_hold(no_metastasis):
        return
    metastatic = any(lesion.nature.value == "metastasis" for lesion in facts.lesions)
    wanted = (ask("order-a-bone-scan", "bone-scan", diagnoses(case)),)
    yield Advice(
        rule="DX-007",
        because=no_metastasis,
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
        new=is_new(case, dx.lung_cancer),
        proposals=wanted,
    )
