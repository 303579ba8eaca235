"""A fracture that nobody calls pathological, in a bone with a lesion of myeloma."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.skeleton.identity import covers
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhir_mapping.conditions import ConditionReader
    from recommenders.vocabulary.facts import Finding
    from recommenders.vocabulary.records import Lesion

_MINOR_FRACTURE_DAYS = 180


def minor_fracture(conditions: ConditionReader, lesions: Iterable[Lesion]) -> Finding | None:
    """Give the minor fracture: not coded or worded pathological, ≤ 180 d, in a bone with a myeloma lesion."""
    bones = [one for one in lesions if one.nature.value == "myeloma" and one.site.is_known]
    today = conditions.context.today
    for one in conditions.diagnoses:
        if one.state != "current" or one.spoken.get("fracture") != "present":
            continue
        if "pathological_fracture" in one.spoken or one.concepts:
            continue
        place, since = conditions.place_of(one), one.since
        there = any(covers(lesion, place) for lesion in bones)
        if there and (since is None or (today - since.day).days <= _MINOR_FRACTURE_DAYS):
            path = "pathological_fracture.minor_bone"
            blank = dictionary.blank_finding(path)
            return stated(
                blank, True, date=since.day if since else None, resources=(one.item.name,), flags=("from-text",)
            )
    return None
