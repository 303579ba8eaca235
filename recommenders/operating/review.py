"""The synthesis: a surgeon's review of one bone, and where the lists contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.parts import GUIDANCE, anything_against, skeleton_study
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.fracture_risk import highest_of
from recommenders.patient.lesions import newest_date
from recommenders.patient.services import all_asked, ask
from recommenders.patient.spine import instability
from recommenders.patient.surgery import (
    SPINE_KEY,
    Reason,
    Surgery,
    all_done,
    asked_together,
    diagnoses,
    fixable,
    hurts,
    is_spinal,
    is_urgent,
    surgery,
)
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.logic import NO, any_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.logic import Criterion
    from recommenders.vocabulary.records import Lesion


def synthesis(case: Case) -> Iterator[Advice]:
    """SURG-030, one bone at a time: what has a rule of its own is said there, and here only counted."""
    lists = surgery(case)
    if lists.found.yes:
        yield from _of_each_bone(case, lists)
    else:
        yield Advice(rule="SURG-030", because=lists.found, unless=lists.done)
    yield from _conflicts(case, lists)


def _of_each_bone(case: Case, lists: Surgery) -> Iterator[Advice]:
    by_bone: dict[str | None, list[Reason]] = {}
    for reason in lists.reasons:
        by_bone.setdefault(reason.about, []).append(reason)
    for about, own in by_bone.items():
        found = asked_together(lists.scope, any_of(one.found for one in own))
        if found.yes:
            yield _review(case, about, found, own)


def _review(case: Case, about: str | None, found: Criterion, reasons: list[Reason]) -> Advice:
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
            "study": skeleton_study(case),
            "n": risk.in_numbers if risk else "",
        },
        about=about,
        holds={
            "led": given(any(reason.led for reason in open_ones) or not own),
            "instability": given(lead is not None and lead.rule == "SURG-008"),
            "spinal": given(is_spine),
            "only-lesion": only,
            "not-biopsied": only & ~documented(case.facts.bx.bone_done),
            "mirels-low": is_low,
            "against": anything_against(case),
        },
        proposals=consult if own else (),
    )


def _reason(case: Case, reason: Reason | None) -> Fill:
    if reason is None:
        return ""
    lesion = reason.lesion
    fill: dict[str, Fill] = {
        "study": skeleton_study(case),
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
    low_score_or_xray = case.fired("MIRELS-002") & case.fired("SURG-022")
    # the gap of exactly three months is open for whichever lesion a surgeon might be asked about
    exactly = facts.status.life_expectancy.equals(case.limits(GUIDANCE).life_expectancy)
    if not case.may_hold(any_of((documented(lists.contraindicated), low_score_or_xray, documented(exactly)))):
        return
    reviewed = case.fired("SURG-030")
    urgent = lists.contraindicated & given(is_urgent(case))
    in_question = reviewed | documented(lists.scope & facts.lesions.any(lambda x: hurts(x) & fixable(x)))
    conflicts = {
        "both-ways": reviewed & documented(urgent),
        "xray-against-score": reviewed & low_score_or_xray,
        "exactly-three": in_question & documented(exactly),
    }
    if not case.may_hold(any_of(conflicts.values())):
        return
    leads = [reason for reason in lists.reasons if reason.found.yes]
    about = next((reason.about for reason in leads if reason.about), None)
    risk = highest_of(case, about) if about else None
    rules_found = tuple(dict.fromkeys(reason.rule for reason in leads))[:2]
    yield Advice(
        rule="SURG-031",
        because=any_of(conflicts.values()),
        fill={
            "reason": tuple(Phrase(f"item-{rule}") for rule in rules_found),
            "n": risk.in_numbers if risk else "",
        },
        about=about,
        holds=conflicts,
    )
