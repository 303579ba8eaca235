"""Which bone one Condition speaks of: of its body site, of what its code is called, of its words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fhir_mapping.places.laterality import one_side, sides_in, sides_of_extensions
from fhir_mapping.places.sites import NOWHERE, Place, body_sites, places_in
from fhir_mapping.terms.codes import ICD10_CM
from recommenders.vocabulary.bones import same_site

if TYPE_CHECKING:
    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.diagnoses.diagnosis import Diagnosis


def place_of_condition(one: Diagnosis, context: ReadingContext) -> Place:
    """Give the bone of a Condition: of its body site, of its code, of its words; no side when two are told."""
    place = _told_place(one, context)
    if place.site is None:
        return NOWHERE
    told = {side for side in (place.side,) if side is not None}
    told |= {other.side for other in body_sites(one.resource, context) if _at(other, place) and other.side}
    told |= sides_of_extensions(one.resource, context)
    told |= {side for name in _names_of(one, context) for side in sides_in(name)}
    told |= {other.side for said in one.words for other in places_in(said) if _at(other, place) and other.side}
    return Place(place.site, True, one_side(place.site, told), place.level)


def _told_place(one: Diagnosis, context: ReadingContext) -> Place:
    for place in body_sites(one.resource, context):
        if place.is_bone:
            return place
    named = [
        place
        for said in (*_names_of(one, context), *one.words)
        for place in places_in(_without_generic(said))
        if place.is_bone and place.site != "bone"
    ]
    first = next(iter(named), NOWHERE)
    # the code says "spine", the words say which vertebra
    exact = next((place for place in named if place.level is not None and same_site(place.site, first.site)), None)
    return exact if exact is not None and first.level is None else first


def _names_of(one: Diagnosis, context: ReadingContext) -> list[str]:
    """Give what the codes of a Condition are called; a later encounter's fracture code is called as the first's."""
    names: list[str] = []
    for match in one.matches:
        names += [match.display, match.sent_display]
        if match.system == ICD10_CM and match.code.startswith("M84"):
            first_visit = re.sub(r"[A-Z]$", "A", match.code[1:]) if len(match.code) > 6 else match.code[1:]
            twin = context.concepts({"coding": [{"system": ICD10_CM, "code": f"M{first_visit}"}]}, "Condition")
            names += [found.display for found in twin]
    return names


_FOLDED_GENERIC = re.compile(
    r"secondary malignant neoplasm of bone(?: and bone marrow)?\b|\bbone structure\b", re.IGNORECASE
)


def _without_generic(said: str) -> str:
    return _FOLDED_GENERIC.sub("", said)


def _at(one: Place, other: Place) -> bool:
    return one.is_bone is True and same_site(one.site, other.site) is True
