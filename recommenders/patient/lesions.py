"""Where a lesion lies: weight-bearing or not, spine or limb, and what was done or imaged at the same place."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

from recommenders.vocabulary.bones import REGIONS, SPINE_REGIONS, Bone, parts_of, same_bone, same_place
from recommenders.vocabulary.facts import Finding, Moment, replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, Truth, any_of, leaf
from recommenders.vocabulary.records import Event, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Limit
    from recommenders.vocabulary.records import Lesion

GUIDANCE = guidance("lesions")
_TABLES = GUIDANCE.tables
WEIGHT_BEARING: tuple[str, ...] = tuple(_TABLES["weight_bearing"])
SPINE: tuple[str, ...] = tuple(_TABLES["spine"])
_BOTH_SIDES = frozenset({"pelvis", "acetabulum"})
LONG_BONES: tuple[str, ...] = tuple(_TABLES["long_bones"])
UPPER_LONG_BONES: tuple[str, ...] = tuple(_TABLES["upper_long_bones"])


# --- where a finding lies -----------------------------------------------------------------------------------


def possible_sites(site: Finding) -> tuple[str, ...]:
    """Give the bones that a site finding leaves open; all of them when nothing is known."""
    words: Iterable[str] = (site.value,) if site.is_known and isinstance(site.value, str) else site.possible
    found = tuple(dict.fromkeys(bone for word in words for bone in parts_of(word)))
    return found or parts_of("bone")


def lies_in(site: Finding, bones: Iterable[str], name: str) -> Criterion:
    """Tell whether a site is one of these bones; unknown where its name leaves that open."""
    wanted = frozenset(bones)
    inside = [bone in wanted for bone in possible_sites(site)]
    holds: Truth = True if all(inside) else None if any(inside) else False
    return leaf(Condition(site.name, "is", name, site, holds))


def in_spine(lesion: Lesion) -> Criterion:
    """Tell whether it is a spine lesion (spine at any level, or sacrum)."""
    return lies_in(lesion.site, SPINE, "spine")


def weight_bearing(lesion: Lesion) -> Criterion:
    """Tell whether its bone bears weight; a mere region ("upper-limb") does not tell."""
    if lesion.site.value in REGIONS:
        return leaf(Condition(lesion.site.name, "is", "weight-bearing", lesion.site, None))
    return lies_in(lesion.site, WEIGHT_BEARING, "weight-bearing")


def newest_date(lesion: Lesion, *components: Fact) -> dt.date | None:
    """Give the day of the newest of these components, else that of the lesion; None when neither is dated."""
    days = [fact.date for fact in components if fact.is_known and fact.date is not None]
    if lesion.date is not None:
        days.append(lesion.date)
    return max(days, default=None)


def site_word(site: Finding) -> str | None:
    """Give the site as one word, or None when it is not told."""
    return site.value if site.is_known and isinstance(site.value, str) else None


# --- events -------------------------------------------------------------------------------------------------


def began(event: Event) -> dt.date | None:
    """Give the day an event began, else the day it is dated."""
    return event.start or event.date


def days_ago(facts: Facts, day: dt.date | None) -> int | None:
    """Count the days back from the day of the call; None when undated, negative when still to come."""
    return None if day is None else (facts.as_of - day).days


def span(days: Limit) -> range:
    """Give the days back that a window covers: today and so many days before; what is still to come is not in it."""
    return range(int(days.value) + 1)


def event_criterion(event: Event) -> Criterion:
    """Give a yes that shows which event stands behind it."""
    shown = Finding(name="sre[].type", value=event.type, reason=None, date=began(event), resources=event.resources)
    return leaf(Condition(shown.name, "is", event.type, shown, True))


def treated_since(
    facts: Facts,
    kinds: Iterable[Literal["bone-surgery", "bone-radiotherapy"]],
    there: Callable[[Event], Truth],
    since: dt.date | None,
) -> Criterion:
    """
    Tell whether such a treatment of that place began on or after a day.

    A place that is not named for certain, or a day that is not told, does not count; unknown only where the list
    was cut.
    """
    wanted = frozenset(kinds)
    if since is None:
        return NO
    found = [
        event
        for event in facts.sre
        if event.type in wanted and there(event) is True and (day := began(event)) and since <= day <= facts.as_of
    ]
    return none_if_whole(facts, any_of(event_criterion(event) for event in found), "sre[].type", "procedures")


def none_if_whole(facts: Facts, found: Criterion, name: str, *keys: str) -> Criterion:
    """Give what was found in some lists; nothing found is unknown where only a part of one of them came."""
    if found.yes or not facts.is_cut(*keys):
        return found
    return leaf(Condition(name, "is", True, Finding(name=name, reason="list-cut"), None))


def bone_operated(facts: Facts, bone: Bone, since: dt.date | None) -> Criterion:
    """
    Tell whether surgery of the same bone is dated on or after a day; never unknown.

    Same side and same level: where either is not told, nothing is taken as dealt with.
    """
    return treated_since(facts, ("bone-surgery",), lambda event: same_bone(event.bone, bone), since)


def fractured_bone(facts: Facts) -> Bone:
    """Give the bone of the current pathological fracture, as far as it is told."""
    fracture = facts.pathological_fracture
    site, side, level = (
        fact.value if fact.is_known and isinstance(fact.value, str) else None
        for fact in (fracture.bone, fracture.side, fracture.level)
    )
    return Bone(site, side, level)  # type: ignore[arg-type] # the words of a side are the two


def bone_key(lesion: Lesion) -> str:
    """Give the bone of a lesion as one word, with side and level as far as they are told: what advice is about."""
    return lesion.bone.whole.key


def names_spine(event: Event) -> Truth:
    """Tell whether an event names the spine; unknown without a site or with a mere region."""
    if event.site is None:
        return None
    inside = [part in SPINE for part in parts_of(event.site)]
    return True if all(inside) else None if any(inside) else False


def happened_within(facts: Facts, kinds: Iterable[str], days: Limit) -> Criterion:
    """Tell whether such an event is dated at most so many days back; unknown only where the list was cut."""
    wanted = frozenset(kinds)
    recent = [
        event for event in facts.skeletal_events if event.type in wanted and days_ago(facts, event.date) in span(days)
    ]
    found = any_of(event_criterion(event) for event in recent)
    return none_if_whole(facts, found, "sre[].date", "conditions", "procedures")


# --- imaging ------------------------------------------------------------------------------------------------


def imaging(facts: Facts) -> tuple[Study, ...]:
    """Give the imaging studies on record; a lesion that says how it was seen counts as a study of its place."""
    if not facts.lesions.items:
        return facts.studies
    seen = [
        Study(
            modality="pet" if lesion.imaging.value == "pet-ct" else lesion.imaging.value,  # type: ignore[arg-type] # the words are the modalities
            date=lesion.imaging.date or lesion.date,
            site=lesion.bone.site,
            side=lesion.side,
            level=lesion.level,
            result=None if lesion.nature.value == "benign" else "positive",
            read=True,
            resources=lesion.resources,
        )
        for lesion in facts.lesions
        if lesion.imaging.is_known
    ]
    return (*facts.studies, *seen)


def imaged_within(
    facts: Facts,
    modalities: Iterable[str],
    days: Limit,
    there: Callable[[Study], bool] = lambda study: True,  # noqa: ARG005 - any place will do
    not_before: dt.date | None = None,
) -> Criterion:
    """
    Tell whether such a study of that place is dated at most so many days back, and not before a given day.

    What is not on record, or not dated, was not done; unknown only where the list was cut.
    """
    wanted = frozenset(modalities)
    found = [
        study
        for study in imaging(facts)
        if study.modality in wanted
        and study.date is not None
        and study.date <= facts.as_of
        and there(study)
        and (not_before is None or study.date >= not_before)
    ]
    newest = max(found, key=lambda study: (study.date or dt.date.min, study.modality), default=None)
    if newest is None:
        return none_if_whole(facts, NO, f"img.{min(wanted)}", "observations", "procedures")
    done = Moment(name=f"img.{newest.modality}", date=newest.date, reason=None, resources=newest.resources)
    within = done.within(days, facts.as_of)
    if within.yes and all(study.is_unread for study in found if study.date == newest.date):
        return leaf(Condition(done.name, "within", days, replace(done, reason="unread"), None))
    return none_if_whole(facts, within, done.name, "observations", "procedures")


def shows_spine(study: Study) -> bool:
    """Tell whether a study certainly shows the spine."""
    return study.whole_body or (study.site is not None and all(part in SPINE for part in parts_of(study.site)))


def shows(study: Study, bone: Bone) -> bool:
    """
    Tell whether a study shows a bone; where the bone is not told, any study of bone will do.

    A study of a part of the spine shows all of its levels, one of the pelvis both of its sides; of a limb it shows the
    side that it names.
    """
    if study.whole_body or bone.site is None:
        return True
    if (study.level is None and study.site in SPINE_REGIONS) or (study.side is None and study.site in _BOTH_SIDES):
        return same_place(study.site, bone.site) is True
    return same_bone(study.bone, bone) is True


def whole_skeleton(facts: Facts, days: Limit) -> Study | None:
    """Give the newest study that shows the whole skeleton (bone scan, PET-CT, whole-body MRI), so many days back."""
    found = [
        study
        for study in imaging(facts)
        if days_ago(facts, study.date) in span(days)
        and (
            (study.modality in {"spect", "pet"} and (study.whole_body or study.site is None)) or _whole_body_mri(study)
        )
    ]
    return max(found, key=lambda study: (study.date or dt.date.min, study.modality), default=None)


def _whole_body_mri(study: Study) -> bool:
    return study.modality == "mri" and study.whole_body


def newest_study(facts: Facts, modality: str) -> Study | None:
    """Give the newest study of a kind; of several on one day a positive one."""
    found = [study for study in imaging(facts) if study.modality == modality]
    return max(found, key=lambda s: (s.date or dt.date.min, s.result == "positive", s.site or ""), default=None)


def study_result(study: Study) -> Criterion:
    """Give a yes that shows what a study found."""
    shown = Finding(
        name=f"img.{study.modality}.result", value=study.result, reason=None, date=study.date, resources=study.resources
    )
    return leaf(Condition(shown.name, "is", study.result, shown, study.result is not None))
