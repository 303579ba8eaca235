"""Bone pain that an Observation names."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fhir_mapping.elements.answers import answer_of
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.facts import Fact


def read(reader: ObservationReader) -> None:
    """Take the newest answer, unless a newer one is known; after a year nobody knows."""
    candidates = reader.candidates("clin.bone_pain", "symptom")

    def told(candidate: Candidate) -> Fact | None:
        resource = reader.copy_of(candidate)
        if resource is None:
            return None
        has_value = any(name.startswith("value") for name in resource)
        answer = answer_of(resource, reader.context) if has_value else "positive"
        if answer not in {"positive", "negative"}:
            return None
        blank = dictionary.blank_finding("clin.bone_pain")
        fact: Fact = reader.stamped(replace(blank, value=answer == "positive", reason=None), candidate, resource)
        old = fact.date is not None and (reader.context.today - fact.date).days > 365
        return fact.forget("stale") if old else fact

    if candidates:
        found = reader.newest(candidates, told)
        known = reader.changes.get("clin.bone_pain")
        if found is not None and (known is None or (known.date or dt.date.min) < (found.date or dt.date.min)):
            reader.take("clin.bone_pain", found, candidates)
