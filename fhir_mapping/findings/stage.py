"""Metastatic disease by an Observation of the stage, where no Condition names a metastasis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.diagnoses.tumours import is_stage_iv
from fhir_mapping.findings import spread
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.facts import Fact


_M_CATEGORY = compiled(r"\b[cpya]*m([01])[abc]?(?:\b|\()")


def read(reader: ObservationReader, conditions: ConditionReader) -> None:
    """M1 and stage IV say metastatic, organ unknown; M0 says not, unless a Condition names a metastasis."""
    candidates = reader.candidates("dx.metastatic", "m-category", "spread", "stage")
    if "dx.metastatic" in conditions.changes:
        for candidate in candidates:
            reader.notes.add(candidate.item.name, "a stage: a Condition names the metastasis itself")
        return
    _staged(reader, candidates)
    _ever(reader)


def _staged(reader: ObservationReader, candidates: Sequence[Candidate]) -> None:
    """Take the newest stage that tells of metastasis or denies one."""
    silent = [one for one in candidates if _told(one, reader) is None]
    found = reader.newest(candidates, lambda one: _told(one, reader)) if candidates else None
    reader.take("dx.metastatic", found, candidates)
    for candidate in silent:
        named = "a place of spread" if candidate.slot.topic == "spread" else "a stage"
        reader.notes.add(candidate.item.name, f"{named} that tells of no metastasis")


def _told(candidate: Candidate, reader: ObservationReader) -> Fact | None:
    resource = reader.copy_of(candidate)
    if resource is None:
        return None
    value = resource.get("valueCodeableConcept") or {"text": resource.get("valueString") or ""}
    # a stage below IV denies nothing, and neither does a place that nobody knows
    topic = candidate.slot.topic
    metastatic: bool | None = bool(spread.told(resource, topic, reader.context)) or None
    if metastatic is None and topic != "spread":
        metastatic = (is_stage_iv(value) or None) if topic == "stage" else _by_category(value)
    if metastatic is None:
        return None
    fact: Fact = reader.stamped(stated(dictionary.blank_finding("dx.metastatic"), metastatic), candidate, resource)
    return fact


def _by_category(value: Mapping[str, Any]) -> bool | None:
    """Tell whether an M category is M1, or M0; None for any other word."""
    said = (*texts_of(value), *(code_text(coding.get("code")) for coding in codings(value)))
    hits = (_M_CATEGORY.search(fold(one)) for one in said)
    return next((hit[1] == "1" for hit in hits if hit), None)


def _ever(reader: ObservationReader) -> None:
    """A history of metastasis says that there was a malignancy."""
    for candidate in reader.candidates("ever.malignancy", "metastatic-history"):
        resource = reader.copy_of(candidate)
        if resource is not None and resource.get("valueBoolean") is not False:
            ever = dictionary.blank_finding("ever.malignancy")
            reader.take("ever.malignancy", reader.stamped(stated(ever, True), candidate, resource), [candidate])
        else:
            reader.notes.add(candidate.item.name, "says that there is no history of metastasis")
