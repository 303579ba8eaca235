"""A prognosis that is told in words and not in months: no rule can use it, and the reader is asked for the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_mapping.observations import ObservationReader

WITHOUT_NUMBER = "limited prognosis documented without a number: ask for it"


def read(reader: ObservationReader) -> None:
    """Name each Observation that says so."""
    for candidate in reader.candidates("status.life_expectancy", "prognosis-word"):
        reader.notes.add(candidate.item.name, WITHOUT_NUMBER)
