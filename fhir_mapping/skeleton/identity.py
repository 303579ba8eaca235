"""Which entries speak of one lesion, and what they say of it together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.items import relative
from fhir_mapping.joining.one_time import contradiction, same_value
from recommenders.vocabulary.bones import REGIONS, same_bone, same_site
from recommenders.vocabulary.dictionary import LESION_COMPONENTS
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.places.sites import Place
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Lesion

_BY_IDENTIFIER = "identifier "
ADDED_BY_FORM = f"{_BY_IDENTIFIER}urn:oncobone:answers|"
"""Entries of our own form that follow no other: the reader said that it is another lesion."""
_UNREADABLE = frozenset({"unit", "implausible", "masked", "contradictory"})


def continues(candidate: Candidate, reader: ObservationReader) -> str:
    """Give what tells which lesion an entry speaks of: the resource it focuses on, else its identifier; or nothing."""
    resource = reader.copy_of(candidate) or {}
    references = [str(one.get("reference") or "") for one in resource.get("focus", ())]
    if len(references) == 1 and (about := relative(references[0])).startswith(("Observation/", "BodyStructure/")):
        return about  # a Condition may stand for many lesions
    named = sorted(
        f"{one.get('system', '')}|{one['value']}" for one in resource.get("identifier", ()) if "value" in one
    )
    return f"{_BY_IDENTIFIER}{named[0]}" if named else ""


def joined(lesions: Sequence[Lesion], continued: Mapping[str, str]) -> list[Lesion]:
    """
    Make one lesion of the entries that follow each other: each component is the newest one that was told.

    `lesions` hold the entries newest first; the joined lesion keeps the id of the first entry.
    """
    known = {lesion.id for lesion in lesions}
    grouped: dict[str, list[Lesion]] = {}
    for lesion in lesions:
        root, passed = lesion.id, {lesion.id}
        while (before := continued.get(root, "")) in known and before not in passed:
            root = before
            passed.add(before)
        if (before := continued.get(root, "")) and before not in passed:
            root = before  # an identifier, or a lesion that itself did not come
        grouped.setdefault(root, []).append(lesion)
    found: list[Lesion] = []
    for root, entries in grouped.items():
        if len(entries) == 1 or (root.startswith(_BY_IDENTIFIER) and not _may_be_one(entries)):
            found += entries
        else:
            found.append(_as_one(root if root in known else entries[-1].id, entries))
    return found


def _may_be_one(entries: Sequence[Lesion]) -> bool:
    """Tell whether entries of one identifier can be one lesion: the number of a report is shared by all it found."""
    places = {_place_key(one) for one in entries if one.site.is_known}
    return len(places) <= 1 and len({one.date for one in entries}) == len(entries)


def of_one_place(lesions: Sequence[Lesion], told_apart: Collection[str], added: Collection[str]) -> list[Lesion]:
    """
    Make one lesion of what was told of the same bone and side on different days, when it can only be the same one.

    Two entries of one day are two lesions; then nothing tells which of them a later entry follows, and all stay.
    `told_apart` are lesions with an identity of their own (a BodyStructure): two of those are never one. `added`
    are lesions that somebody told to be others than those on record: they join none.
    """
    by_place: dict[tuple[object, ...], list[Lesion]] = {}
    found: list[Lesion] = []
    for lesion in lesions:
        by_its_place = lesion.site.is_known and lesion.site.value not in REGIONS and lesion.id not in added
        if by_its_place and lesion.date is not None:
            by_place.setdefault(_place_key(lesion), []).append(lesion)
        else:
            found.append(lesion)
    for listed in by_place.values():
        days = {day for one in listed for day in _days(one)}
        apart = [one for one in listed if one.id in told_apart]
        is_one = len(days) == sum(len(_days(one)) for one in listed) and len(apart) <= 1
        if len(listed) > 1 and is_one:
            root = apart[0].id if apart else listed[-1].id
            found.append(_as_one(root, listed))
        else:
            found += listed
    return found


def _place_key(lesion: Lesion) -> tuple[object, ...]:
    """Give bone, side and level as far as they are told: T5 and T10, or the third and the eighth rib, differ."""
    return lesion.site.value, lesion.side, lesion.level


def _days(lesion: Lesion) -> set[dt.date]:
    told = {fact.date for name in LESION_COMPONENTS if (fact := getattr(lesion, name)).is_known and fact.date}
    return told | ({lesion.date} if lesion.date else set())


def _as_one(root: str, entries: Sequence[Lesion]) -> Lesion:
    """
    Join the entries of one lesion, newest first.

    A newer component that was sent but cannot be read is unknown: an older value does not stand in for it. Two
    values of one time contradict.
    """
    newest = entries[0]

    def told(name: str) -> Any:  # noqa: ANN401 - a Finding or Reading
        facts = [getattr(one, name) for one in entries]
        first = next((fact for fact in facts if fact.is_known or fact.reason in _UNREADABLE), facts[0])
        rivals = [fact for fact in facts if fact.is_known and _same_time(fact, first) and not same_value(fact, first)]
        return contradiction([first, *rivals]) if first.is_known and rivals else first

    return replace(
        newest,
        id=root,
        date=max((one.date for one in entries if one.date is not None), default=None),
        resources=tuple(dict.fromkeys(name for one in entries for name in one.resources)),
        imaging_confirmed=any(one.imaging_confirmed for one in entries),
        side=next((one.side for one in entries if one.side is not None), None),
        level=next((one.level for one in entries if one.level is not None), None),
        **{name: told(name) for name in LESION_COMPONENTS},
    )


def _same_time(one: Fact, other: Fact) -> bool:
    if one.moment is not None and other.moment is not None:
        return one.moment.replace(second=0) == other.moment.replace(second=0)
    return one.date == other.date


def covers(lesion: Lesion, place: Place) -> bool:
    """Tell whether a lesion may be the one that a place names; another side or level is another lesion."""
    bone = lesion.bone
    return same_bone(bone, place.bone) is not False and (
        bone.site == place.site or same_site(bone.site, place.site) is True
    )
