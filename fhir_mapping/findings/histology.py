"""Histology that an Observation tells of one Condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.delivery.items import relative
from fhir_mapping.diagnoses.histology import take

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader


def read(reader: ObservationReader, conditions: ConditionReader) -> None:
    """Give each histology Observation to the Condition that it is about."""
    for candidate in reader.candidates("histology", "histology"):
        _give(candidate, reader, conditions)


def _give(candidate: Candidate, reader: ObservationReader, conditions: ConditionReader) -> None:
    """A histology Observation belongs to the Condition it is about; without one it is only named."""
    resource = reader.copy_of(candidate)
    focus = {relative(str(one.get("reference") or "")) for one in (resource or {}).get("focus", ())}
    about = [one for one in conditions.diagnoses if one.item.name in focus]
    if resource is None or not about:
        reader.notes.add(candidate.item.name, "a histology that is not told to be of one Condition")
        return
    found = take(conditions, about[0], resource.get("valueCodeableConcept"), candidate.item.name)
    if not found:
        reader.notes.add(candidate.item.name, "a histology that no rule uses")
