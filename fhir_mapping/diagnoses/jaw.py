"""Osteonecrosis of the jaw: told as such, or what may be one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fhir_mapping.places.sites import place_of
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.diagnoses.diagnosis import Diagnosis


def read(conditions: ConditionReader) -> None:
    """Take the surest of what stands, unless it was refuted later."""
    best: tuple[int, Diagnosis] | None = None
    refuted: list[Diagnosis] = []
    for one in conditions.diagnoses:
        degree = _jaw_degree(one, conditions.context)
        if degree is None:
            continue
        conditions.use(one)
        if one.state == "refuted":
            refuted.append(one)
        elif one.state != "history" and (best is None or (degree, one.item.name) > (best[0], best[1].item.name)):
            best = (degree, one)
    blank = dictionary.blank_finding("onj.status")
    if best is not None:
        degree, one = best
        later_no = [no for no in refuted if no.recorded and one.recorded and no.recorded.day > one.recorded.day]
        if later_no:
            return
        conditions.changes["onj.status"] = stated(
            blank,
            "confirmed" if degree == 2 else "suspected",
            date=one.recorded.day if one.recorded else None,
            resources=(one.item.name,),
        )


def _jaw_degree(one: Diagnosis, context: ReadingContext) -> int | None:
    """Give 2 for a jaw osteonecrosis that is told as such, 1 for what may be one, None for anything else."""
    degree: int | None = None
    for match in one.matches:
        if match.concept == "osteonecrosis_jaw":
            degree = 2
        elif match.concept == "jaw_inflammatory_condition":
            degree = max(degree or 0, 1)
        elif match.concept == "avascular_necrosis_bone":
            sites = [place_of(place, context).site for place in one.resource.get("bodySite", ())]
            elsewhere = [site for site in sites if site not in {None, "skull", "bone"}]
            if not elsewhere and not re.search(r"hip|femor|股骨|knee|膝", fold(" ".join(one.words))):
                degree = max(degree or 0, 1)
    said = one.spoken.get("osteonecrosis_jaw")
    if one.concepts & _NECROSIS and _names_jaw(one, context):
        degree = 2  # a code of necrosis tells no bone, or another; its words or body site do
    elif said == "present" and not one.concepts - _NECROSIS - {"osteonecrosis_jaw"}:
        degree = 2
    elif said == "suspected":
        degree = 1
    if degree == 2 and (one.state == "suspected" or said == "suspected"):
        degree = 1
    return degree


_NECROSIS = frozenset({"avascular_necrosis_bone", "osteonecrosis_drug_induced_other"})
_JAW_SITES = frozenset({"site_mandible", "site_maxilla"})


def _names_jaw(one: Diagnosis, context: ReadingContext) -> bool:
    """Tell whether the words or the body site of a Condition name the jaw."""
    if one.spoken.get("jaw_word") == "present":
        return True
    sites = list(one.resource.get("bodySite", ()))
    return any(match.concept in _JAW_SITES for site in sites for match in context.concepts(site)) or any(
        assertions.verdict(said, "jaw_word") == "present" for said in texts_of(sites)
    )
