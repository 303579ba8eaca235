"""The bones that Conditions name a metastasis of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.skeleton.entries import BLANK
from fhir_mapping.skeleton.identity import covers
from recommenders.vocabulary.facts import replace, stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.conditions import ConditionReader
    from recommenders.vocabulary.records import Lesion


def of_conditions(conditions: ConditionReader, entered: Sequence[Lesion]) -> list[Lesion]:
    """
    A SecondaryCancerCondition that names its bone gives a lesion's site and nature.

    It never feeds the count of metastases (one Condition may stand for many), so a place that is entered as a
    lesion already is not listed again, and a Condition without a site is no lesion.
    """
    found: list[Lesion] = []
    for one in conditions.diagnoses:
        if one.state != "current" or one.reported or not one.concepts & {"bone_metastasis", "bone_metastasis_child"}:
            continue
        if "bone_metastasis" in one.spoken and one.spoken["bone_metastasis"] != "present":
            continue
        place = conditions.place_of(one)
        if place.site is None or place.site == "bone" or any(covers(lesion, place) for lesion in (*entered, *found)):
            continue
        stamp = one.recorded or one.onset
        common: dict[str, Any] = {"date": stamp.day if stamp else None, "resources": (one.item.name,)}
        found.append(
            replace(
                BLANK,
                id=one.item.name,
                imaging_confirmed=True,
                site=stated(BLANK.site, place.site, **common),
                side=place.side,
                level=place.level,
                nature=stated(BLANK.nature, "metastasis", flags=("from-condition",), **common),
                **common,
            )
        )
    return found
