"""The spine: whether the cord is compressed, whether it was dealt with, and whether the spine is stable (SINS)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from recommenders.patient.lesions import (
    days_ago,
    event_criterion,
    in_spine,
    names_spine,
    newest_date,
    none_if_whole,
    treated_since,
)
from recommenders.patient.scored_lesions import ScoredLesion
from recommenders.vocabulary.bones import Bone, levels_of, same_bone, same_place
from recommenders.vocabulary.facts import known, stated
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, all_of, any_of, documented, given
from recommenders.vocabulary.scores import GradedItem, Score

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Finding
    from recommenders.vocabulary.logic import Truth
    from recommenders.vocabulary.records import Event, Lesion

GUIDANCE = guidance("surgical_timing")
"""The topic's limits and points: the cord is asked for by several topics."""
_SINS = GUIDANCE.tables["sins"]


# --- the cord -----------------------------------------------------------------------------------------------


def spine_lesion(case: Case) -> Criterion:
    """Tell whether there is a spine lesion; unknown when no lesion is on record."""
    return case.facts.lesions.any(in_spine)


def graded_since_deficit(case: Case) -> Criterion:
    """Tell whether the ESCC grade is on or after the neurological deficit; an older one does not reassure."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    in_time = grade.date is not None and (deficit.date is None or grade.date >= deficit.date)
    return known(grade) & given(in_time)


def cord_compressed(case: Case) -> Criterion:
    """Tell whether cord compression is a current entry of the problem list (30 days, or undated)."""
    found = any_of(event_criterion(event) for event in compressions(case))
    return none_if_whole(case.facts, found, "sre[].type", "conditions")


def compressions(case: Case) -> list[Event]:
    """Give the current entries of cord compression: dated within the window, or undated."""
    facts, window = case.facts, int(case.limits(GUIDANCE).cord_compression_current.value)
    return [
        event
        for event in facts.sre
        if event.type == "spinal-cord-compression"
        and event.active
        and (event.date is None or (facts.as_of - event.date).days <= window)
    ]


def grade_compresses(case: Case) -> Criterion:
    """Tell whether the ESCC grade is one of compression (2 or 3)."""
    return case.facts.spine.escc.one_of("2", "3")


def spine_treated(case: Case, since: dt.date | None, *, radiotherapy: bool) -> Criterion:
    """
    Tell whether the spine was operated (or irradiated) on or after a day, with no deficit recorded since.

    Never unknown; a treatment that does not name the spine, or not the level in question, does not count.
    """
    facts, deficit = case.facts, case.facts.spine.neuro_deficit
    if since is not None and deficit.value is True and deficit.date is not None:
        since = max(since, deficit.date)
    kinds: tuple[Literal["bone-surgery", "bone-radiotherapy"], ...] = (
        ("bone-surgery", "bone-radiotherapy") if radiotherapy else ("bone-surgery",)
    )
    return all_of(
        treated_since(facts, kinds, partial(_treats_spine, bone), since)
        for bone in case.once(_spine_in_question) or (Bone(),)
    )


def _spine_in_question(case: Case) -> tuple[Bone, ...]:
    """Give the vertebrae that a compression or deficit may be of: the ones named by it, else those with a lesion."""
    named = [event.bone for event in compressions(case) if event.site is not None and names_spine(event)]
    return tuple(dict.fromkeys(named or [lesion.bone for lesion in case.facts.lesions if in_spine(lesion).yes]))


def _treats_spine(bone: Bone, event: Event) -> Truth:
    """
    Tell whether a treatment of the spine was of the vertebra in question.

    Where neither tells a level there is one spine; where only one does, nothing is taken as dealt with.
    """
    if bone.site is None or (event.level is None and bone.level is None):
        return False if same_place(event.site, bone.site) is False else names_spine(event)
    return same_bone(event.bone, bone)


def reported_compression(case: Case) -> Criterion:
    """Tell whether the newest imaging report that speaks of the cord says that it is compressed, lately."""
    fact, window = case.facts.spine.reported_compression, int(case.limits(GUIDANCE).cord_compression_current.value)
    return documented(fact) & given(days_ago(case.facts, fact.date) in range(window + 1))


def new_leg_weakness(case: Case) -> Criterion:
    """Tell whether weakness of the legs is new, in a patient whose spine is known to be diseased."""
    fact, window = case.facts.clin.leg_weakness, int(case.limits(GUIDANCE).cord_compression_current.value)
    recent = fact.date is None or days_ago(case.facts, fact.date) in range(window + 1)
    diseased = any(
        in_spine(lesion).yes and lesion.nature.value in {"metastasis", "myeloma"} for lesion in case.facts.lesions
    )
    return documented(fact) & given(recent and diseased)


def any_compression(case: Case) -> Criterion:
    """Tell whether anything but a grade says that the cord is compressed: a report, a code, new weak legs."""
    return any_of((reported_compression(case), cord_compressed(case), new_leg_weakness(case)))


# --- stability ----------------------------------------------------------------------------------------------


def stabilities(case: Case) -> tuple[ScoredLesion, ...]:
    """Give the score of each lesion of a vertebra or the sacrum, the highest first."""
    return case.once(_stabilities)


def _stabilities(case: Case) -> tuple[ScoredLesion, ...]:
    found = [_stability(case, lesion) for lesion in case.facts.lesions if in_spine(lesion).yes]
    scored = [one for one in found if not one.applies.no]
    return tuple(sorted(scored, key=lambda one: (-one.score.lowest, -one.score.highest, one.about, one.lesion.id)))


def _stability(case: Case, lesion: Lesion) -> ScoredLesion:
    facts = case.facts
    items = (
        GradedItem(fact=lesion.site, answers=_location(lesion)),
        GradedItem(fact=lesion.pain_mechanical, answers=_answers(lesion.pain_mechanical, _SINS["pain"])),
        GradedItem(fact=lesion.type, answers=_answers(lesion.type, _SINS["type"])),
        GradedItem(fact=facts.spine.alignment, answers=_answers(facts.spine.alignment, _SINS["alignment"])),
        GradedItem(fact=lesion.collapse, answers=_answers(lesion.collapse, _SINS["collapse"])),
        GradedItem(fact=lesion.posterolateral, answers=_answers(lesion.posterolateral, _SINS["posterolateral"])),
    )
    since = newest_date(lesion, *(item.fact for item in items))
    return ScoredLesion(
        lesion=lesion,
        applies=lesion.nature.one_of("metastasis", "myeloma"),
        score=Score("sins_total", items),
        operated=treated_since(facts, ("bone-surgery",), lambda event: same_bone(event.bone, lesion.bone), since),
    )


def _answers(finding: Finding, points: Mapping[str, int]) -> Mapping[str, int]:
    words = (finding.value,) if finding.is_known else finding.possible or tuple(points)
    return {str(word): points[str(word)] for word in words}


def _location(lesion: Lesion) -> Mapping[str, int]:
    """Give the points of the vertebra; without its level those that its part of the spine leaves open."""
    told = levels_of(lesion.level) if lesion.level else frozenset(_SINS["levels_of"].get(lesion.site.value, ()))
    levels = told or frozenset(level for part in _SINS["levels_of"].values() for level in part)
    kinds = {kind for kind, members in _SINS["junction"].items() if levels & set(members)}
    return {kind: _SINS["location"][kind] for kind in kinds} or dict(_SINS["location"])


def instability(case: Case) -> Finding:
    """
    Give the stability of the spine: as recorded, else by the score on record, else as computed from its items.

    Of several vertebrae the least stable counts; a computed range counts as soon as it lies in one class.
    """
    return case.once(_instability)


def _instability(case: Case) -> Finding:
    recorded = case.facts.spine.instability
    if recorded.is_known:
        return recorded
    charted = case.facts.spine.sins
    sums = (
        [charted]
        if charted.is_known
        else [one.total for one in stabilities(case) if one.applies.yes and one.operated.no]
    )
    limits = case.limits(GUIDANCE)
    for word, reached in (("unstable", limits.sins_unstable), ("at-risk", limits.sins_at_risk)):
        certain = next((total for total in sums if (total >= reached).yes), None)
        if certain is not None:
            return stated(recorded, word, date=certain.date, resources=certain.resources, flags=("from-score",))
    if sums and all((total < limits.sins_at_risk).yes for total in sums):
        return stated(recorded, "stable", date=sums[0].date, resources=sums[0].resources, flags=("from-score",))
    return recorded
