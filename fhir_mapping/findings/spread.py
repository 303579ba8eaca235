"""
Where an Observation says that a cancer has spread to, by the letters of the TNM classification or by a body site.

Cancer registries tell a bone metastasis so and no other way: an Observation for each place, beside the primary tumour's
Condition. The place is its value ("anatomic location of metastatic spread": OSS), or its body site beside a yes or an
M1 ("distant metastases": yes, OSS).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from fhir_mapping.places.sites import place_of
from fhir_mapping.terms.codes import SNOMED, code_text, codings, normal_system, texts_of
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.observations import ObservationReader

BONE: Final = "OSS"
PLACES: Final = frozenset({BONE, "PUL", "HEP", "BRA", "LYM", "MAR", "PLE", "PER", "ADR", "SKI", "OTH", "GEN"})
"""The letters of TNM for places of distant metastases; GEN (generalised) is the German registries' own."""

_FOUND = frozenset({"J", "Y", "1"})
"""Yes, as registries write it beside a place: ja, yes, or the category's number alone."""
_M1 = compiled(r"\b[cpya]*m1[abc]?(?:\b|\()")


def read(reader: ObservationReader) -> None:
    """Take a spread to bone as a report of bone metastasis: it counts where no Condition tells."""
    for candidate in reader.candidates("dx.metastatic", "spread", "m-category"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        places = told(resource, candidate.slot.topic, reader.context)
        if BONE in places:
            day = candidate.item.stamp.day if candidate.item.stamp else dt.date.min
            reader.reported_bone_metastasis.append((day, candidate.item.name, "present"))


def told(resource: Mapping[str, Any], topic: str, context: ReadingContext) -> frozenset[str]:
    """Give the places that an Observation says a cancer has spread to; none where it says no place that we know."""
    site = frozenset(_places(resource.get("bodySite"), context))
    value = resource.get("valueCodeableConcept") or {"text": resource.get("valueString") or ""}
    if topic == "spread":
        return frozenset(_places(value, context)) | site
    return site if topic == "m-category" and is_found(value) else frozenset()


def is_found(value: Mapping[str, Any]) -> bool:
    """Tell whether an M category says that there are metastases."""
    words = (*texts_of(value), *(code_text(coding.get("code")) for coding in codings(value)))
    return any(word.strip().upper() in _FOUND or _M1.search(fold(word)) for word in words)


def _places(codeable: object, context: ReadingContext) -> Iterable[str]:
    """Words are judged as a metastasis's: they may say that there is none in the place that they name."""
    listed = list(codings(codeable))
    yield from PLACES & {code_text(coding.get("code")).strip().upper() for coding in listed}
    structures = [coding for coding in listed if normal_system(str(coding.get("system") or "")) == SNOMED]
    if structures and place_of({"coding": structures}, context).is_bone:
        yield BONE
    if any(assertions.verdict(said, "bone_metastasis") == "present" for said in texts_of(codeable)):
        yield BONE
