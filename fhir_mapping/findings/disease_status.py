"""The disease status of mCODE, and a response of myeloma in its words."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.answers import imwg_response
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words import assertions
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader


def read(reader: ObservationReader) -> None:
    """mCODE disease status: only the word "progressed" is a fact of ours."""
    candidates = reader.candidates("local.disease_progression", "disease-status")
    newest = max(candidates, key=lambda one: (dates.order(one.stamp), one.item.name), default=None)
    for candidate in candidates:
        resource = reader.copy_of(candidate)
        said = texts_of((resource or {}).get("valueCodeableConcept")) or (
            str((resource or {}).get("valueString") or ""),
        )
        response = next((word for one in said if (word := _imwg_word(one)) is not None), None)
        if candidate is newest and response is not None and resource is not None:
            _take_response(reader, candidate, resource, response)
        progressed = any(assertions.verdict(one, "progression") == "present" for one in said)
        if candidate is not newest or not progressed or resource is None:
            if candidate is newest and response is not None:
                continue
            reader.notes.add(candidate.item.name, "a disease status that tells of no progression, or an older one")
            continue
        blank = dictionary.blank_finding("local.disease_progression")
        fact = reader.stamped(stated(blank, True), candidate, resource)
        known = reader.changes.get("local.disease_progression")
        if known is None or not known.is_known or (known.date or dt.date.min) < (fact.date or dt.date.min):
            reader.take("local.disease_progression", fact, [candidate])


def _imwg_word(said: str) -> str | None:
    """Give a response category of myeloma: "complete remission" or "stable" are said of any cancer, VGPR is not."""
    word = imwg_response(said)
    return word if word in {"sCR", "VGPR", "MR"} or (word and "imwg" in said.lower()) else None


def _take_response(reader: ObservationReader, candidate: Candidate, resource: Mapping[str, Any], word: str) -> None:
    """Take an IMWG category that stands in the words of a disease status, unless a newer one was entered."""
    known = reader.changes.get("mm.response")
    fact = reader.stamped(
        stated(dictionary.blank_finding("mm.response"), word, flags=("from-text",)), candidate, resource
    )
    if known is None or not known.is_known or (known.date or dt.date.min) < (fact.date or dt.date.min):
        reader.take("mm.response", fact, [candidate])
