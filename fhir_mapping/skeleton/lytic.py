"""Lytic lesions seen on X-ray, and how many a plasma-cell disease has at least."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.answers import answer_of
from fhir_mapping.places.sites import place_of
from fhir_mapping.skeleton.entries import BLANK
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import Finding, replace, stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.records import Lesion

_PLASMA_CELL = ("dx.mm", "dx.smm", "dx.mgus", "dx.plasmacytoma", "dx.pcl")
_OF_SOLID_CANCER = ("dx.bone_met", "dx.lung_cancer", "dx.other_solid_cancer")


def seen(reader: ObservationReader) -> list[Lesion]:
    """S 441684001, a lytic lesion seen on X-ray: type and modality; it is no count."""
    found: list[Lesion] = []
    for candidate in reader.candidates("lesions", "lytic"):
        resource = reader.copy_of(candidate)
        if resource is None or resource.get("valueBoolean") is False:
            continue
        if answer_of(resource, reader.context) == "negative":
            continue
        item = candidate.item
        day = item.stamp.day if item.stamp else None
        common: dict[str, Any] = {"date": day, "resources": (item.name,)}
        place = place_of(resource.get("bodySite"), reader.context)
        found.append(
            replace(
                BLANK,
                id=item.name,
                imaging_confirmed=True,
                type=stated(BLANK.type, "osteolytic", **common),
                imaging=stated(BLANK.imaging, "xray", **common),
                site=stated(BLANK.site, place.site, **common) if place.is_bone and place.site else BLANK.site,
                side=place.side,
                level=place.level,
                **common,
            )
        )
    return found


def count(lytic: Sequence[Lesion], reader: ObservationReader, conditions: ConditionReader) -> None:
    """
    Take "lytic lesion" in a plasma-cell disease as one lesion at least, where no later count is known.

    Beside a bone metastasis or a solid cancer nobody knows whose lesion it is: then it counts as none.
    """

    def documented(path: str) -> bool:
        fact = conditions.changes.get(path)
        return isinstance(fact, Finding) and (fact.value is True or fact.reason in {"suspected", "contradictory"})

    if not any(map(documented, _PLASMA_CELL)) or any(map(documented, _OF_SOLID_CANCER)):
        return
    newest = max(((one.date, one.resources) for one in lytic if one.date is not None), default=None)
    known = reader.changes.get("mm.lytic_lesions")
    if newest is None or (known is not None and known.is_known and (known.date or dt.date.min) >= newest[0]):
        return
    day, names = newest
    blank = dictionary.blank_reading("mm.lytic_lesions")
    reader.changes["mm.lytic_lesions"] = replace(
        blank, low=Decimal(1), high=Decimal(100), reason=None, date=day, resources=names
    )
