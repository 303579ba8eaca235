"""Small builders for resources as EHRs send them, and a chart read from them."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from fhir_mapping.chart import PREFETCH_KEYS, Mapped, Unavailable, read_chart
from hooks.replay.patients import KEY_OF

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.terms.site import SiteMapping

PATIENT_ID = "p1"
NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
TODAY = NOW.date()

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_O_3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
UCUM = "http://unitsofmeasure.org"
LOCAL = "urn:oncobone:facts"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}

Json = dict[str, Any]


def days_ago(days: int) -> str:
    """Give the FHIR date so many days before the day of the call."""
    return (TODAY - dt.timedelta(days)).isoformat()


def coded(system: str, code: str | int, text: str | None = None, display: str | None = None) -> Json:
    """Give a CodeableConcept with one coding."""
    coding: Json = {"system": system, "code": code}
    if display is not None:
        coding["display"] = display
    found: Json = {"coding": [coding]}
    if text is not None:
        found["text"] = text
    return found


def patient(**changes: Any) -> Json:
    """Give the patient of the call: a woman born in 1960."""
    return {
        "resourceType": "Patient",
        "id": PATIENT_ID,
        "birthDate": "1960-03-04",
        "gender": "female",
    } | changes


def condition(
    name: str,
    code: Json,
    *,
    clinical: str | None = "active",
    verification: str | None = "confirmed",
    recorded: int | str | None = 30,
    **more: Any,
) -> Json:
    """Give a Condition; `recorded` is a date or so many days ago."""
    found: Json = {"resourceType": "Condition", "id": name, "code": code, "subject": SUBJECT}
    if clinical:
        found["clinicalStatus"] = coded("http://terminology.hl7.org/CodeSystem/condition-clinical", clinical)
    if verification:
        found["verificationStatus"] = coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", verification)
    if recorded is not None:
        found["recordedDate"] = days_ago(recorded) if isinstance(recorded, int) else recorded
    return found | more


def quantity(value: float | str, unit: str | None = None, *, code: str | None = None, **more: Any) -> Json:
    """Give a Quantity; with `code` it is a UCUM one."""
    found: Json = {"value": value if not isinstance(value, str) else json.loads(value)}
    if unit is not None:
        found["unit"] = unit
    if code is not None:
        found |= {"system": UCUM, "code": code}
    return found | more


def observation(
    name: str, code: Json | str, value: Json | None = None, *, when: int | str | None = 2, **more: Any
) -> Json:
    """Give a final Observation; `code` may be a LOINC code, `value` a Quantity, `when` a date or days ago."""
    found: Json = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": coded(LOINC, code) if isinstance(code, str) else code,
        "subject": SUBJECT,
    }
    if when is not None:
        found["effectiveDateTime"] = days_ago(when) if isinstance(when, int) else when
    if value is not None:
        found["valueQuantity"] = value
    return found | more


def local(name: str, code: str, *, when: int | str | None = 2, **value: Any) -> Json:
    """Give an Observation under a local code, as the entry form writes it."""
    return observation(name, coded(LOCAL, code), when=when, **value)


def procedure(name: str, code: Json, *, when: int | str | None = 20, **more: Any) -> Json:
    """Give a completed Procedure."""
    found: Json = {"resourceType": "Procedure", "id": name, "status": "completed", "code": code, "subject": SUBJECT}
    if when is not None:
        found["performedDateTime"] = days_ago(when) if isinstance(when, int) else when
    return found | more


def service_request(name: str, code: Json, **more: Any) -> Json:
    """Give an active ServiceRequest."""
    return {
        "resourceType": "ServiceRequest",
        "id": name,
        "status": "active",
        "intent": "order",
        "code": code,
        "subject": SUBJECT,
        "authoredOn": days_ago(3),
    } | more


def report(name: str, code: Json, *, when: int | str = 20, **more: Any) -> Json:
    """Give a final DiagnosticReport."""
    return {
        "resourceType": "DiagnosticReport",
        "id": name,
        "status": "final",
        "code": code,
        "subject": SUBJECT,
        "effectiveDateTime": days_ago(when) if isinstance(when, int) else when,
    } | more


def administration(name: str, code: Json, *, when: int | str, dose_mg: float | None = None, **more: Any) -> Json:
    """Give a completed MedicationAdministration."""
    found: Json = {
        "resourceType": "MedicationAdministration",
        "id": name,
        "status": "completed",
        "medicationCodeableConcept": code,
        "subject": SUBJECT,
        "effectiveDateTime": days_ago(when) if isinstance(when, int) else when,
    }
    if dose_mg is not None:
        found["dosage"] = {"dose": quantity(dose_mg, "mg", code="mg")}
    return found | more


def allergy(name: str, code: Json, **more: Any) -> Json:
    """Give an active, confirmed AllergyIntolerance."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": name,
        "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"),
        "code": code,
        "patient": SUBJECT,
    } | more


def bundle(resources: Iterable[Json], **more: Any) -> Json:
    """Give a searchset Bundle."""
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries} | more


def prefetch(*resources: Json, without: Iterable[str] = (), **keys: Any) -> dict[str, bytes | Unavailable | None]:
    """
    Give prefetch bytes with every key delivered: each resource under its own key, the patient added if none is given.

    `without` leaves keys out; `keys` set the JSON value (or bytes) of a key outright.
    """
    by_key: dict[str, list[Json]] = {key: [] for key in PREFETCH_KEYS if key != "patient"}
    who: Json = patient()
    for one in resources:
        if one["resourceType"] == "Patient":
            who = one
        else:
            by_key[KEY_OF[one["resourceType"]]].append(one)
    found: dict[str, bytes | Unavailable | None] = {"patient": json.dumps(who).encode()}
    found |= {key: json.dumps(bundle(listed)).encode() for key, listed in by_key.items()}
    for key, value in keys.items():
        found[key] = value if isinstance(value, bytes | Unavailable) or value is None else json.dumps(value).encode()
    return {key: value for key, value in found.items() if key not in set(without)}


def chart(*resources: Json, without: Iterable[str] = (), now: dt.datetime = NOW, **keys: Any) -> Mapped:
    """Read a chart of these resources on the day of the tests."""
    return read_chart(prefetch(*resources, without=without, **keys), patient_id=PATIENT_ID, now=now, timezone=dt.UTC)


def reasons(mapped: Mapped) -> Mapping[str, tuple[str, ...]]:
    """Give the notes as resource -> reasons."""
    found: dict[str, tuple[str, ...]] = {}
    for note in mapped.notes:
        found[note.resource] = (*found.get(note.resource, ()), note.reason)
    return found


def read(
    sent: Mapping[str, bytes | Unavailable | None], *, now: dt.datetime = NOW, site: SiteMapping | None = None
) -> Mapped:
    """Read prefetched bytes of the patient of the tests."""
    return read_chart(sent, patient_id=PATIENT_ID, now=now, timezone=dt.UTC, site=site)
