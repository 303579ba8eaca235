"""Fracture risk (Mirels), cord compression (ESCC), spinal stability (SINS) and the timing of surgery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal
from recommenders.patient.bone_words import against, bare, bone_in_words
from recommenders.patient.fracture_risk import (
    FractureRisk,
    fracture_risks,
    highest_of,
    lost_lengthwise,
    risk_pct,
)
from recommenders.patient.lesions import (
    LONG_BONES,
    SPINE,
    bone_operated,
    days_ago,
    event_criterion,
    fractured_bone,
    imaged_within,
    lies_in,
    newest_date,
    none_if_whole,
    shows,
    shows_spine,
    span,
    weight_bearing,
    whole_skeleton,
)
from recommenders.patient.myeloma_bone import bone_risk_tier
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.spine import (
    compressions,
    cord_compressed,
    grade_compresses,
    graded_since_deficit,
    instability,
    new_leg_weakness,
    reported_compression,
    spine_lesion,
    spine_treated,
    stabilities,
)
from recommenders.patient.surgery import (
    SPINE_KEY,
    Reason,
    Surgery,
    all_done,
    asked_together,
    bone_disease,
    diagnoses,
    fixable,
    hurts,
    is_spinal,
    surgery,
)
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Criterion, all_of, any_of, documented, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Proposal, Service, Value
    from recommenders.patient.surgery import Treated
    from recommenders.vocabulary.records import Event, Lesion

GUIDANCE = guidance("surgical_timing")
_TABLES = GUIDANCE.tables


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _mirels(case)
    yield from _axial(case)
    yield from _cord(case)
    yield from _reported_cord(case)
    yield from _sins(case)
    yield from _surgical_lists(case)
    yield from _synthesis(case)
    yield from _interventional(case)
    yield from _cement_at_the_order(case)
    yield from _myeloma(case)


def _against(case: Case) -> Criterion:
    """Tell whether anything on record speaks against an operation; it stands beside the advice, never in its place."""
    return given(bool(against(case)))


# --- fracture risk ------------------------------------------------------------------------------------------


def _in_numbers(risk: FractureRisk) -> Fill:
    """Give the score as one number, or as the range that its missing items leave."""
    score = risk.score
    return score.lowest if score.is_told else f"{score.lowest}–{score.highest}"


def _mirels(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    risks = fracture_risks(case)
    for risk in risks:
        yield from _of_one_bone(case, risk)
    low = documented(all_of(risk.applies & (risk.total <= limits.mirels_low) for risk in risks)) if risks else NO
    # a reassuring sentence only when no long bone can score higher
    for risk in risks:
        yield Advice(rule="MIRELS-002", because=low, fill={"n": _in_numbers(risk)}, about=risk.about)
    if not facts.lesions.items:
        # nothing is known of any lesion: asked for only where bone disease is on record
        yield Advice(rule="MIRELS-004", because=documented(bone_disease(case)) & facts.lesions.any(weight_bearing))


def _of_one_bone(case: Case, risk: FractureRisk) -> Iterator[Advice]:
    limits, score, lesion = case.limits(GUIDANCE), risk.score, risk.lesion
    reasons = (*diagnoses(case), "lesions[]")
    since = newest_date(lesion)
    imminent = risk.total >= limits.mirels_high
    low = risk.total <= limits.mirels_low
    consult = (ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=risk.about),)
    urgent = (
        ask(
            "urgent-orthopaedic-consultation",
            "orthopaedic-consultation",
            reasons,
            urgent=True,
            about=risk.about,
        ),
    )
    common: dict[str, Fill] = {"n": _in_numbers(risk)}

    yield Advice(
        rule="MIRELS-001",
        because=risk.applies & given(score.is_told) & all_of(known(item.fact) for item in score.items),
        fill=common,
        about=risk.about,
    )
    yield Advice(
        rule="MIRELS-003",
        because=documented(risk.applies & risk.total.equals(limits.mirels_borderline)),
        unless=risk.operated | all_asked(case, consult, since),
        fill=common,
        about=risk.about,
        proposals=consult,
    )
    yield Advice(
        rule="MIRELS-004",
        because=risk.applies & imminent,
        unless=risk.operated | all_asked(case, urgent, since),
        fill=common,
        about=risk.about,
        holds={
            "severe-and-loaded": weight_bearing(lesion) & lesion.pain.is_("severe"),
            "leg": lies_in(lesion.site, _TABLES["leg_bones"], "leg"),
            "arm": lies_in(lesion.site, _TABLES["arm_bones"], "arm"),
            "radiotherapy-in-question": documented(case.facts.dx.bone_met) & hurts(lesion),
            "against": _against(case),
        },
        proposals=urgent,
    )
    yield _open_score(case, risk, given(not score.is_told) & ~documented(imminent) & ~documented(low))


def _open_score(case: Case, risk: FractureRisk, is_open: Criterion) -> Advice:
    """MIRELS-005: the range that missing items leave; it speaks of a bone that hurts, or that scores 8 at least."""
    facts, limits, score, lesion = case.facts, case.limits(GUIDANCE), risk.score, risk.lesion
    reasons = (*diagnoses(case), "lesions[]")
    from_borderline = given(score.lowest >= limits.mirels_borderline.value)
    not_measured = ~known(lesion.cortical_fraction)
    ct_done = imaged_within(facts, ("ct",), limits.whole_skeleton, lambda study: shows(study, lesion.bone))
    offered: list[Proposal] = []
    if from_borderline.yes:
        offered.append(ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=risk.about))
    if (not_measured & ~ct_done).yes:
        offered.append(ask("ct-of", "ct", reasons, about=risk.about))
    proposals = tuple(offered)
    return Advice(
        rule="MIRELS-005",
        because=risk.applies & is_open,
        unless=risk.operated | all_asked(case, proposals[:1], newest_date(lesion)),
        fill={
            "min": score.lowest,
            "max": score.highest,
            "missing_item": tuple(Label(item.fact.name) for item in score.open_items),
        },
        about=risk.about,
        holds={
            "at-least-8": from_borderline,
            "painless": given(lesion.pain.value not in {"mild", "moderate", "severe"} and not _hurts_somewhere(case)),
            "cortex-unknown": not_measured,
            "pain-unknown": ~known(lesion.pain),
        },
        proposals=not_asked(case, proposals, newest_date(lesion)),
    )


def _hurts_somewhere(case: Case) -> bool:
    """Tell whether the patient has pain at all: it may be of the only bone whose pain was not graded."""
    score = case.facts.pain.nrs
    return score.value is not None and score.value > 0


def _axial(case: Case) -> Iterator[Advice]:
    """MIRELS-006: cortex lost along the femur, which Mirels does not count."""
    limits = case.limits(GUIDANCE)
    for risk in fracture_risks(case):
        lesion = risk.lesion
        since = newest_date(lesion, lesion.axial_cortical_mm)
        consult = (
            ask(
                "orthopaedic-consultation",
                "orthopaedic-consultation",
                (*diagnoses(case), "lesions[]"),
                about=risk.about,
            ),
        )
        # asked for only where somebody measured it: the length decides nothing that the score does not ask for
        measured = given(lesion.axial_cortical_mm.is_known)
        yield Advice(
            rule="MIRELS-006",
            because=measured & lost_lengthwise(case, risk) & ~documented(risk.total >= limits.mirels_high),
            unless=bone_operated(case.facts, lesion.bone, since) | all_asked(case, consult, since),
            fill={"axial_mm": lesion.axial_cortical_mm.rounded or 0, "n": _in_numbers(risk)},
            about=risk.about,
            holds={"mirels-low": documented(risk.total <= limits.mirels_low)},
            proposals=consult,
        )


# --- the spinal cord ----------------------------------------------------------------------------------------


def _both_called(case: Case, since: dt.date | None) -> tuple[Proposal, ...]:
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    both = (
        ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True),
        ask("urgent-radiation-oncology-consultation", "radiation-oncology-consultation", reasons, urgent=True),
    )
    return not_asked(case, both, since)


def _cord_in_question(case: Case) -> Criterion:
    """Tell whether the spine is known to be involved: only then is the grade asked for."""
    facts = case.facts
    grade = facts.spine.escc
    return given(
        any_of(
            (
                given(grade.is_known or bool(grade.possible)),
                documented(facts.spine.neuro_deficit),
                documented(facts.clin.nerve_compression),
                documented(facts.spine.instability.one_of("at-risk", "unstable")),
                documented(facts.spine.osteolysis_paraplegia_risk),
                cord_compressed(case),
                documented(spine_lesion(case)),
            )
        ).yes
    )


def _cord(case: Case) -> Iterator[Advice]:
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    in_question = _cord_in_question(case)
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    older = documented(known(grade) & deficit & ~graded_since_deficit(case))

    yield Advice(
        rule="ESCC-001",
        because=in_question & grade.one_of("0", "1a", "1b"),
        about=SPINE_KEY,
        holds={"deficit-unexplained": documented(deficit) & graded_since_deficit(case)},
    )
    prompt = (
        ask("spine-surgery-consultation", "spine-surgery-consultation", reasons),
        ask("radiation-oncology-consultation", "radiation-oncology-consultation", reasons),
    )
    yield Advice(
        rule="ESCC-002",
        because=in_question & grade.is_("1c"),
        unless=spine_treated(case, grade.date, radiotherapy=True) | all_asked(case, prompt[:1], grade.date),
        about=SPINE_KEY,
        holds={"no-deficit": ~documented(deficit)},
        proposals=not_asked(case, prompt, grade.date),
    )
    yield Advice(
        rule="ESCC-003",
        because=in_question & grade_compresses(case),
        unless=spine_treated(case, grade.date, radiotherapy=True),
        about=SPINE_KEY,
        holds={"against": _against(case)},
        proposals=_both_called(case, grade.date),
    )
    no_mri = documented(facts.local.mri_contraindicated)
    image = (
        ask("whole-spine-ct-today", "ct-whole-spine", reasons, urgent=True)
        if no_mri.yes
        else ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True)
    )
    yield Advice(
        rule="ESCC-004",
        because=documented(deficit) & spine_lesion(case) & ~graded_since_deficit(case),
        about=SPINE_KEY,
        holds={"no-mri": no_mri, "grade-older": older},
        proposals=(*not_asked(case, (image,), deficit.date), *_both_called(case, deficit.date)),
    )


def _reported_cord(case: Case) -> Iterator[Advice]:
    """ESCC-005: compression by other names: a report's own words, a code, new weakness of the legs."""
    facts = case.facts
    report, weakness = facts.spine.reported_compression, facts.clin.leg_weakness
    coded, reported, weak = cord_compressed(case), reported_compression(case), new_leg_weakness(case)
    days = [day for day in (report.date if reported.yes else None, *_coded_days(case)) if day is not None]
    days += [weakness.date] if weak.yes and weakness.date is not None else []
    since = max(days, default=None)
    grade = facts.spine.escc
    graded = known(grade) & given(grade.date is not None and (since is None or grade.date >= since))
    cancer = any_of((facts.dx.bone_met, facts.dx.mm, facts.dx.lung_cancer, facts.dx.other_solid_cancer))
    has_mri = imaged_within(facts, ("mri",), case.limits(GUIDANCE).spine_imaged, shows_spine, since)
    offered: tuple[Proposal, ...] = ()
    if (~reported & ~has_mri).yes:
        offered = not_asked(case, _whole_spine(case, diagnoses(case)), since)
    undated = given(coded.yes and since is None) & ~documented(spine_lesion(case))
    yield Advice(
        rule="ESCC-005",
        because=documented(cancer) & any_of((reported, coded, weak)) & ~graded,
        unless=spine_treated(case, since, radiotherapy=True),
        fill={
            "cord_reason": _cord_reason(reported.yes, coded.yes),
            "quote": report.sent or "",
            "date": since or "",
            "code_text": Phrase("cord-code"),
        },
        about=SPINE_KEY,
        holds={
            "undated": undated,
            "reported": reported,
            "coded": coded & given(since is not None) & documented(spine_lesion(case)),
            "weak-legs": weak & ~coded,
        },
        proposals=(*offered, *_both_called(case, since)),
    )


def _coded_days(case: Case) -> list[dt.date | None]:
    return [event.date for event in compressions(case)]


def _cord_reason(reported: bool, coded: bool) -> Phrase:
    return Phrase("cord-reported" if reported else "cord-code" if coded else "cord-weakness")


# --- the stability of the spine -----------------------------------------------------------------------------


def _sins(case: Case) -> Iterator[Advice]:
    """SINS-001 and -002: the score from its six items; a stability that somebody recorded wins over a computed one."""
    limits = case.limits(GUIDANCE)
    for one in stabilities(case):
        score, lesion = one.score, one.lesion
        since = newest_date(lesion, *(item.fact for item in score.items))
        unstable = one.total >= limits.sins_unstable
        service: Service = "spine-surgery-consultation"
        reasons = (*diagnoses(case), "lesions[]")
        if unstable.yes:
            consult = (_urgently(service, reasons, one.about),)
        else:
            consult = (ask(service, service, reasons, about=one.about),)
        sums: Fill = score.lowest if score.is_told else f"{score.lowest}–{score.highest}"
        word = "sins-unstable" if unstable.yes else "sins-at-risk"
        fill: dict[str, Fill] = {"sins": sums, "sins_class": Phrase(word)}
        yield Advice(
            rule="SINS-001",
            because=documented(one.applies & (one.total < limits.sins_at_risk)),
            fill=fill,
            about=one.about,
        )
        yield Advice(
            rule="SINS-002",
            because=documented(one.applies & (one.total >= limits.sins_at_risk)),
            unless=one.operated | all_asked(case, consult, since),
            fill=fill,
            about=one.about,
            holds={"unstable": unstable, "against": _against(case)},
            proposals=consult,
        )


# --- surgery: indications, time points, contraindications ---------------------------------------------------

_LEADING = frozenset({"SURG-006", "SURG-007", "SURG-008", *(f"SURG-02{n}" for n in range(1, 10))})
_OWN_WORDS = frozenset({"SURG-026", "SURG-027", "SURG-028"})
"""Lines of the lists that speak for themselves; the others are told in the words of SURG-030."""


def _surgical_lists(case: Case) -> Iterator[Advice]:
    lists = surgery(case)
    on_record = documented(lists.scope)
    for item in lists.items:
        if item.rule not in _OWN_WORDS:
            because = asked_together(lists.scope, item.found) if item.rule in _LEADING else on_record & item.found
            yield Advice(rule=item.rule, because=because, unless=item.done, fill=_list_fill(case, item.rule))
    yield from _fracture(case, lists)
    yield from _compressed_nerves(case, lists)
    yield from _paraplegia_risk(case, lists)


def _list_fill(case: Case, rule: str) -> dict[str, Fill]:
    """Give what the words of a line of the lists name, for the dossier."""
    facts = case.facts
    if rule in {"SURG-006", "SURG-021"}:
        return {"study": _study(case), "date": facts.bx.bone_done.date or ""}
    by_rule: dict[str, dict[str, Fill]] = {
        "SURG-001": {"life": bare(facts.status.life_expectancy)},
        "SURG-011": {"life": bare(facts.status.life_expectancy)},
        "SURG-012": {"count": facts.dx.bone_met_count},
        "SURG-013": {"organs": facts.dx.visceral_met_organs},
        "SURG-014": {"unfit": Phrase("unfit") if facts.status.fit_for_surgery.value is False else Phrase("poor")},
    }
    return by_rule.get(rule, {"last_treatment": Phrase("conservative"), "date": ""})


def _study(case: Case) -> Fill:
    study = whole_skeleton(case.facts, case.limits(GUIDANCE).whole_skeleton)
    return Phrase(f"study-{study.modality}", {"day": study.date}) if study is not None and study.date else ""


def _fracture(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-026: a limb's long bone is urgent for a month, a vertebra alone is a task, a rib is left to itself."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    fracture, bone = facts.pathological_fracture, fractured_bone(facts)
    item = lists.of("SURG-026")
    told = given(bone.site is not None)
    limb, spine = lies_in(fracture.bone, LONG_BONES, "limb"), lies_in(fracture.bone, SPINE, "spine")
    pelvis = lies_in(fracture.bone, _TABLES["pelvic_bones"], "pelvis")
    day = fracture.current.date
    recent = given(day is None or days_ago(facts, day) in span(limits.fracture_is_urgent))
    about = bone.whole.key if bone.site else None
    reasons = (*diagnoses(case), "pathological_fracture.current", "lesions[]")
    proposals: tuple[Proposal, ...] = ()
    if spine.yes:
        proposals = (_urgently("spine-surgery-consultation", reasons, about),)
    elif (limb | ~told).yes:
        proposals = (_urgently("orthopaedic-consultation", reasons, about),)
    elif pelvis.yes:
        proposals = (ask("orthopaedic-consultation", "orthopaedic-consultation", reasons, about=about),)
    yield Advice(
        rule="SURG-026",
        because=asked_together(lists.scope, item.found),
        unless=item.done | all_asked(case, proposals, fracture.current.date),
        fill={"date": fracture.current.date or "", "fracture_site": _fracture_site(case)},
        about=about,
        holds={
            "vertebra": told & spine,
            "limb-now": told & limb & recent,
            "limb": told & limb,
            "bone-not-told": ~told,
            "minor": told & ~limb & ~spine & ~pelvis,
            "against": _against(case),
        },
        proposals=proposals,
    )


def _urgently(service: Service, reasons: tuple[str, ...], about: str | None) -> Proposal:
    return ask(f"urgent-{service}", service, reasons, urgent=True, about=about)


def _fracture_site(case: Case) -> Fill:
    return bone_in_words(fractured_bone(case.facts)) or ""


def _compressed_nerves(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-027: a root is a task; a deficit that no lesion of the spine explains is the cord until shown otherwise."""
    facts = case.facts
    item, deficit, nerves = lists.of("SURG-027"), facts.spine.neuro_deficit, facts.clin.nerve_compression
    reasons = (*diagnoses(case), "spine.neuro_deficit", "clin.nerve_compression", "lesions[]")
    has_deficit = documented(deficit)
    since = deficit.date if has_deficit.yes else nerves.date
    wanted: tuple[Proposal, ...]
    if has_deficit.yes:
        consult = ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True)
        wanted = (*_whole_spine(case, reasons), consult)
    else:
        wanted = (ask("spine-surgery-consultation", "spine-surgery-consultation", reasons),)
    yield Advice(
        rule="SURG-027",
        because=asked_together(lists.scope, item.found),
        unless=item.done | all_asked(case, wanted[:1] if has_deficit.no else wanted, since),
        fill={"date": since or ""},
        about=SPINE_KEY,
        holds={
            "deficit-without-lesion": has_deficit & ~documented(spine_lesion(case)),
            "deficit": has_deficit,
        },
        proposals=not_asked(case, wanted, since),
    )


def _whole_spine(case: Case, reasons: tuple[str, ...]) -> tuple[Proposal, ...]:
    """Give the order of an urgent MRI, where one is possible."""
    if documented(case.facts.local.mri_contraindicated).yes:
        return ()
    return (ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True),)


def _paraplegia_risk(case: Case, lists: Surgery) -> Iterator[Advice]:
    facts = case.facts
    item, risk = lists.of("SURG-028"), facts.spine.osteolysis_paraplegia_risk
    reasons = (*diagnoses(case), "lesions[]")
    wanted = [ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True)]
    if imaged_within(facts, ("mri",), case.limits(GUIDANCE).spine_imaged, shows_spine).no:
        wanted += _whole_spine(case, reasons)
    yield Advice(
        rule="SURG-028",
        because=asked_together(lists.scope, item.found),
        unless=item.done,
        fill={"date": risk.date or ""},
        about=SPINE_KEY,
        holds={"against": _against(case)},
        proposals=not_asked(case, tuple(wanted), risk.date),
    )


# --- the synthesis ------------------------------------------------------------------------------------------


def _synthesis(case: Case) -> Iterator[Advice]:
    """SURG-030, one bone at a time: what has a rule of its own is said there, and here only counted."""
    lists = surgery(case)
    by_bone: dict[str | None, list[Reason]] = {}
    for reason in lists.reasons:
        by_bone.setdefault(reason.about, []).append(reason)
    advices = [_review(case, lists, about, reasons) for about, reasons in by_bone.items()]
    if any(advice.because.yes for advice in advices):
        yield from (advice for advice in advices if advice.because.yes)
    else:
        yield Advice(rule="SURG-030", because=lists.found, unless=lists.done)
    yield from _conflicts(case, lists)


def _review(case: Case, lists: Surgery, about: str | None, reasons: list[Reason]) -> Advice:
    open_ones = [reason for reason in reasons if reason.found.yes and not reason.done.yes]
    own = [reason for reason in open_ones if not reason.led]
    lead = own[0] if own else None
    is_spine = is_spinal(about)
    service = "spine-surgery-consultation" if is_spine else "orthopaedic-consultation"
    since = newest_date(lead.lesion) if lead and lead.lesion else None
    consult = (
        ask(
            service,
            "spine-surgery-consultation" if is_spine else "orthopaedic-consultation",
            (*diagnoses(case), "pathological_fracture.current", "lesions[]"),
            about=None if about == SPINE_KEY else about,
        ),
    )
    found = asked_together(lists.scope, any_of(reason.found for reason in reasons))
    asked_for = all_asked(case, consult, since) if own else NO
    risk = highest_of(case, about) if about else None
    is_low = documented(risk.total <= case.limits(GUIDANCE).mirels_low) if risk else NO
    only = given(lead is not None and lead.rule == "SURG-006")
    return Advice(
        rule="SURG-030",
        because=found,
        unless=all_done((reason.found, reason.done) for reason in reasons) | asked_for,
        fill={
            "reason": _reason(case, lead),
            "stability": _stability_words(case),
            "date": instability(case).date or "",
            "study": _study(case),
            "n": _in_numbers(risk) if risk else "",
        },
        about=about,
        holds={
            "led": given(any(reason.led for reason in open_ones) or not own),
            "instability": given(lead is not None and lead.rule == "SURG-008"),
            "spinal": given(is_spine),
            "only-lesion": only,
            "not-biopsied": only & ~documented(case.facts.bx.bone_done),
            "mirels-low": is_low,
            "against": _against(case),
        },
        proposals=consult if own else (),
    )


def _reason(case: Case, reason: Reason | None) -> Fill:
    if reason is None:
        return ""
    lesion = reason.lesion
    fill: dict[str, Fill] = {
        "study": _study(case),
        "last_treatment": _last_treatment(case, lesion),
        "pain": str(lesion.pain.value) if lesion is not None and lesion.pain.is_known else Phrase("not-graded"),
        "stability": _stability_words(case),
    }
    return Phrase(f"reason-{reason.rule}", fill)


def _stability_words(case: Case) -> Fill:
    word = instability(case).value
    return Phrase(f"spine-{word}") if word in {"at-risk", "unstable"} else ""


def _last_treatment(case: Case, lesion: Lesion | None) -> Fill:
    """Name what was done at a bone: its newest radiotherapy, else conservative treatment."""
    if lesion is None:
        return Phrase("conservative")
    irradiated = [
        event
        for event in case.facts.sre
        if event.type == "bone-radiotherapy" and event.date and same_bone(event.bone, lesion.bone) is True
    ]
    last = max((event.date for event in irradiated if event.date), default=None)
    return Phrase("radiotherapy-of", {"day": last}) if last else Phrase("conservative")


def _conflicts(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-031: where the consensus lists for and against; it stands in the dossier."""
    facts = case.facts
    reviewed = case.fired("SURG-030")
    urgent = lists.contraindicated & given(lists.is_urgent)
    low_score_or_xray = case.fired("MIRELS-002") & case.fired("SURG-022")
    # the gap of exactly three months is open for whichever lesion a surgeon might be asked about
    exactly = facts.status.life_expectancy.equals(case.limits(GUIDANCE).life_expectancy)
    in_question = reviewed | documented(lists.scope & facts.lesions.any(lambda x: hurts(x) & fixable(x)))
    conflicts = {
        "both-ways": reviewed & documented(urgent),
        "xray-against-score": reviewed & low_score_or_xray,
        "exactly-three": in_question & documented(exactly),
    }
    leads = [reason for reason in lists.reasons if reason.found.yes]
    about = next((reason.about for reason in leads if reason.about), None)
    risk = highest_of(case, about) if about else None
    rules_found = tuple(dict.fromkeys(reason.rule for reason in leads))[:2]
    yield Advice(
        rule="SURG-031",
        because=any_of(conflicts.values()),
        fill={
            "reason": tuple(Phrase(f"item-{rule}") for rule in rules_found),
            "n": _in_numbers(risk) if risk else "",
        },
        about=about,
        holds=conflicts,
    )


# --- interventional treatment -------------------------------------------------------------------------------


def _cement_risks(case: Case) -> Mapping[str, Criterion]:
    """Give the contraindications to osteoplasty, each in its parts."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    status = facts.status
    return {
        "cement-neuro": status.severe_neuro_disease.criterion(),
        "cement-unfit": ~status.fit_for_surgery,
        "cement-coagulopathy": status.coagulopathy_uncontrolled.criterion(),
        "cement-invasion": facts.local.invades_critical_structures.criterion(),
        "cement-infection": status.active_infection.criterion(),
        "cement-many": facts.dx.bone_met_count > limits.many_metastases,
        "cement-diffuse": facts.dx.diffuse_metastases.criterion(),
    }


def _interventional(case: Case) -> Iterator[Advice]:
    facts = case.facts
    unsuitable = ~facts.status.fit_for_surgery | surgery(case).contraindicated
    for lesion in facts.lesions:
        found = any_of(event_criterion(event) for event in _irradiated_before(case, lesion))
        earlier = none_if_whole(facts, found, "sre[].type", "procedures")
        yield Advice(
            rule="SURG-032",
            because=documented(facts.dx.bone_met) & documented(hurts(lesion) & (unsuitable | earlier)),
            fill={"no_surgery": Phrase("irradiated-before" if earlier.yes else "unfit")},
            about=lesion.bone.whole.key,
        )
    yield Advice(rule="SURG-033", because=case.fired("SURG-032"))

    risks = _cement_risks(case)
    any_risk = any_of(risks.values())
    first = any_of(
        (
            documented(facts.spine.escc.one_of("1c", "2", "3")),
            documented(facts.spine.neuro_deficit),
            case.fired("MIRELS-004"),
        )
    )
    suited = [_suits_cement(lesion) & ~first for lesion in facts.lesions]
    for lesion, suits in zip(facts.lesions, suited, strict=True):
        yield Advice(rule="SURG-034", because=suits & ~documented(any_risk), about=lesion.bone.whole.key)
    yield Advice(
        rule="SURG-035",
        because=documented(any_of(suited)) & any_risk,
        fill={"list": _present(risks), "procedure": ""},
        holds={"bleeding-or-infection": NO, "check-today": NO, "any-other": NO},
    )


def _irradiated_before(case: Case, lesion: Lesion) -> list[Event]:
    longest = case.limits(GUIDANCE).after_radiotherapy.value
    return [
        event
        for event in case.facts.sre
        if event.type == "bone-radiotherapy"
        and same_bone(event.bone, lesion.bone) is True
        and event.date is not None
        and (case.facts.as_of - event.date).days > longest
    ]


def _present(risks: Mapping[str, Criterion]) -> tuple[Fill, ...]:
    return tuple(Phrase(words) for words, present in risks.items() if present.yes)


def _cement_at_the_order(case: Case) -> Iterator[Advice]:
    facts, risks = case.facts, _cement_risks(case)
    dangerous = documented(facts.status.coagulopathy_uncontrolled | facts.status.active_infection)
    bleeding = documented(facts.status.coagulopathy_uncontrolled)
    tests = (ask("coagulation-tests-and-platelet", "coagulation-tests", diagnoses(case)),) if bleeding.yes else ()
    for order in case.orders_at_hand:
        if "osteoplasty" in order.kinds:
            yield Advice(
                rule="SURG-035",
                because=any_of(risks.values()),
                fill={"list": _present(risks), "procedure": order.label or Phrase("cement")},
                order=order.reference,
                holds={"bleeding-or-infection": dangerous, "check-today": dangerous, "any-other": ~dangerous},
                proposals=not_asked(case, tests),
            )


def _suits_cement(lesion: Lesion) -> Criterion:
    where = lies_in(lesion.site, _TABLES["osteoplasty_bones"], "osteoplasty-bone")
    return all_of((lesion.type.is_("osteolytic"), hurts(lesion), where))


def _myeloma(case: Case) -> Iterator[Advice]:
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
