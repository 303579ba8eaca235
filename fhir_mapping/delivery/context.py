"""What every reader needs to know about the call: whose chart, which day, which site, what else was delivered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fhir_mapping.terms.codes import STANDARD, CodeTable, Match
from fhir_mapping.terms.site import NO_SITE, SiteMapping
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Reading


class WrongPatientError(ValueError):
    """The call holds another patient's Patient or draft order; the message names the place, no value (HTTP 400)."""


KEY_OF: Mapping[str, str] = {
    "Condition": "conditions",
    "Observation": "observations",
    "MedicationRequest": "medications",
    "Procedure": "procedures",
    "AllergyIntolerance": "allergies",
    "MedicationAdministration": "medicationAdministrations",
    "ServiceRequest": "serviceRequests",
}
"""Resource type -> the prefetch key whose list it belongs to."""


class Note(msgspec.Struct, frozen=True, gc=False):
    """Why something that came was not used, or how it had to be read; never a patient's value or words."""

    resource: str
    reason: str


class Used(msgspec.Struct, frozen=True, gc=False):
    """
    Where a fact came from: resource, place in it, what matched, unit as sent and the factor that converted it,
    and the element that told the date.
    """

    fact: str
    resource: str
    path: str
    system: str = ""
    code: str = ""
    unit: str | None = None
    converted_to: str | None = None
    dated_by: str = ""


def _nothing(reference: str, containing: Mapping[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001 - the shape of a resolver
    return None


_BLANK = Facts(as_of=dt.date.min).patient


class ReadingContext(msgspec.Struct, frozen=True, kw_only=True):
    """
    One call's surroundings.

    `now` is timezone-aware, `today` the evaluation day (`now` in `timezone`). `resolve(reference, containing)`
    gives a contained or delivered resource, or None. `weight` (kg) and `bsa` (m2) serve doses per kilogram
    and per square metre; they are unknown while observations have not been read yet.
    """

    patient_id: str
    now: dt.datetime
    timezone: dt.tzinfo
    site: SiteMapping = NO_SITE
    codes: CodeTable = STANDARD
    resolve: Callable[[str, Mapping[str, Any] | None], dict[str, Any] | None] = _nothing
    weight: Reading = _BLANK.weight
    bsa: Reading = _BLANK.bsa
    truncated: frozenset[str] = frozenset()
    """Prefetch keys of which something is not known: a part of the list, or what an entry in it says."""
    cut: Mapping[str, dt.date | None] = msgspec.field(default_factory=dict)
    """Prefetch keys whose list goes on beyond what came, and from which day on it is whole (None: nobody knows)."""
    unidentified: tuple[str, ...] = ()
    """Resources on medications that stand, of which nobody can tell which drug they are."""
    delivered: frozenset[str] = frozenset()
    """Prefetch keys that came (an empty list is delivered too)."""

    @property
    def today(self) -> dt.date:
        """The evaluation day."""
        return self.now.astimezone(self.timezone).date()

    def may_be_newer(self, kind: str, day: dt.date | None) -> bool:
        """Tell whether the part of a cut list that did not come may hold something newer than this day."""
        key = KEY_OF.get(kind, "")
        if key not in self.cut:
            return False
        whole_from = self.cut[key]
        return whole_from is None or day is None or day < whole_from

    def concepts(self, codeable: object, *kinds: str) -> tuple[Match, ...]:
        """Give the concepts of a CodeableConcept, the site's own codes included."""
        return self.codes.concepts(codeable, *kinds)
