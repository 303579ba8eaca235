"""Compression of the cord, called at once to both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.irradiating.targets import GUIDANCE
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.bone_words import against
from recommenders.patient.lesions import event_criterion, imaged_within, shows_spine
from recommenders.patient.services import ask, not_asked
from recommenders.patient.spine import compressions, grade_compresses, graded_since_deficit, spine_lesion, spine_treated
from recommenders.patient.surgery import SPINE_KEY, diagnoses
from recommenders.vocabulary.bones import SPINE_REGIONS
from recommenders.vocabulary.logic import NO, any_of, documented, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.records import Event


def cord(case: Case) -> Iterator[Advice]:
    """RT-011: compression of the cord is called at once, to both."""
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    reassured = documented(grade.one_of("0", "1a", "1b") & graded_since_deficit(case))
    deficit_unexplained = documented(deficit) & documented(spine_lesion(case)) & ~reassured
    coded = [event for event in compressions(case) if not _is_settled(case, event)]
    listed = any_of(event_criterion(event) for event in coded)
    newest = (
        None if any(event.date is None for event in coded) else max((e.date for e in coded if e.date), default=None)
    )
    findings = (
        (documented(grade_compresses(case)), grade.date),
        (listed, newest),
        (deficit_unexplained, deficit.date),
    )
    compressed = any_of(finding for finding, _ in findings)
    if not case.may_hold(compressed):
        return
    treated = [spine_treated(case, since, radiotherapy=True) for finding, since in findings if finding.yes]
    all_treated = bool(treated) and all(done.yes for done in treated)
    since = max((day for finding, day in findings if finding.yes and day is not None), default=None)
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    no_mri = documented(facts.local.mri_contraindicated)
    has_mri = imaged_within(facts, ("mri",), case.limits(GUIDANCE).relief_looked_for, shows_spine, since)
    image = () if (no_mri | has_mri).yes else (ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True),)
    both = (
        ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True),
        ask("urgent-radiation-oncology-consultation", "radiation-oncology-consultation", reasons, urgent=True),
    )
    yield Advice(
        rule="RT-011",
        because=compressed,
        unless=any_of(treated) if all_treated else NO,
        fill={"cord_reason": _cord_reason(grade_compresses(case).yes, newest, deficit_unexplained.yes)},
        about=SPINE_KEY,
        holds={
            "undated-and-treated": given(listed.yes and newest is None and _treated_some_day(case)),
            "graded-1c": documented(deficit) & documented(spine_lesion(case)) & documented(grade.is_("1c")),
            "no-mri": no_mri,
            "against": given(bool(against(case))),
        },
        proposals=not_asked(case, (*image, *both), since),
    )


def _is_settled(case: Case, event: Event) -> bool:
    """Tell whether a newer grade without contact of the cord, with no other sign of a deficit, answers an entry."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    harmless = grade.one_of("0", "1a", "1b").yes and not (
        deficit.value is True and deficit.resources != event.resources
    )
    return harmless and event.date is not None and grade.date is not None and grade.date > event.date


def _treated_some_day(case: Case) -> bool:
    """Tell whether the spine was operated or irradiated on a day that is not told."""
    kinds = {"bone-surgery", "bone-radiotherapy"}
    return any(
        event.type in kinds and event.date is None and event.site is not None and _is_spinal_site(event.site)
        for event in case.facts.sre
    )


def _is_spinal_site(site: str) -> bool:
    """Tell whether a site is one of the spine."""
    return site in {*SPINE_REGIONS, "sacrum"}


def _cord_reason(graded: bool, listed: dt.date | None, deficit: bool) -> Fill:
    if graded:
        return Phrase("cord-graded")
    if listed is not None:
        return Phrase("cord-listed", {"day": listed})
    return Phrase("cord-deficit" if deficit else "cord-undated")
