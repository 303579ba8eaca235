"""Tumours of mCODE that are in a bone, with the newest of their sizes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.items import relative
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.places.sites import place_of, place_of_structure
from fhir_mapping.skeleton.entries import BLANK, NUMBERS, number
from recommenders.vocabulary.facts import replace, stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.items import Candidate, Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.places.sites import Place
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Lesion


def in_bone(reader: ObservationReader, structures: Iterable[Item]) -> list[Lesion]:
    """mCODE: a tumour in a bone (BodyStructure) and its size; the size of any other tumour is none of ours."""
    places: dict[str, tuple[Place, Item]] = {}
    for item in sorted(structures, key=lambda one: one.name):
        structure = item.copy(reader.context.timezone, reader.notes)
        if structure is None:
            continue
        place = place_of_structure(structure, reader.context)
        if place.is_bone and place.site is not None:
            places[item.name] = (place, item)
        else:
            reader.notes.add(item.name, "a tumour that is not told to be in a bone")
    sized: dict[str, list[Lesion]] = {}
    for candidate in reader.candidates("lesions", "tumor-size"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        focus = next(
            (relative(ref) for one in resource.get("focus", ()) if (ref := str(one.get("reference") or ""))), ""
        )
        place = places[focus][0] if focus in places else place_of(resource.get("bodySite"), reader.context)
        if not place.is_bone or place.site is None:
            reader.notes.add(candidate.item.name, "size of a tumour that is not told to be in a bone")
            continue
        lesion = _sized(candidate, resource, place, focus or candidate.item.name, reader)
        sized.setdefault(lesion.id, []).append(lesion)
    found = {name: _newest_size(listed, reader) for name, listed in sized.items()}
    for name, (place, item) in places.items():
        if name not in found:
            common: dict[str, Any] = {"resources": (item.name,)}
            found[name] = replace(
                BLANK,
                id=name,
                imaging_confirmed=True,
                site=stated(BLANK.site, place.site or "", **common),
                side=place.side,
                level=place.level,
                **common,
            )
    return [found[name] for name in sorted(found)]


def _newest_size(measured: Sequence[Lesion], reader: ObservationReader) -> Lesion:
    """Of several measurements of one tumour the newest counts; of one day two different sizes contradict."""
    newest = max(measured, key=lambda one: (one.date or dt.date.min, one.id, one.resources))
    for one in measured:
        if one is newest:
            continue
        if one.date == newest.date and (one.size.low, one.size.high) != (newest.size.low, newest.size.high):
            rivals = tuple(sorted(end for size in (one.size, newest.size) if (end := size.value) is not None))
            blank = replace(BLANK.size, reason="contradictory", rivals=rivals, date=newest.date)
            newest = replace(newest, size=replace(blank, resources=(*newest.resources, *one.resources)))
            for name in (*newest.resources, *one.resources):
                reader.notes.add(name, "contradictory: another size of the same tumour on the same day")
        else:
            for name in one.resources:
                reader.notes.add(name, SUPERSEDED)
    return newest


def _sized(
    candidate: Candidate, resource: Mapping[str, Any], place: Place, name: str, reader: ObservationReader
) -> Lesion:
    item = candidate.item
    day = item.stamp.day if item.stamp else None
    common: dict[str, Any] = {"date": day, "resources": (item.name,)}
    rule = NUMBERS["lesion-size"][1]
    sizes: list[Reading] = []
    for part in resource.get("component", ()):
        concepts = {match.concept for match in reader.context.concepts(part.get("code"), "Observation")}
        if "tumor_max_dimension" in concepts:
            sizes.append(number(part, rule, BLANK.size, reader))
    size = sizes[0] if len(sizes) == 1 else BLANK.size
    return replace(
        BLANK,
        id=name,
        imaging_confirmed=True,
        site=stated(BLANK.site, place.site or "", **common),
        side=place.side,
        level=place.level,
        size=replace(size, **common),
        **common,
    )
