"""The copy of a resource that is read: only the elements the mapping reads, made tidy, then validated as FHIR R4B."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from fhir.resources.R4B.allergyintolerance import AllergyIntolerance
from fhir.resources.R4B.bodystructure import BodyStructure
from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.medication import Medication
from fhir.resources.R4B.medicationadministration import MedicationAdministration
from fhir.resources.R4B.medicationdispense import MedicationDispense
from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.medicationstatement import MedicationStatement
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.procedure import Procedure
from fhir.resources.R4B.reference import Reference
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydantic import BaseModel, ValidationError

from fhir_mapping.terms import dates
from fhir_mapping.terms.decode import MAX_DIGITS, MAX_MAGNITUDE, ResourceFaultError

Tidy = Callable[[Any, dt.tzinfo], Any]
"""Makes one element tidy; None means that nothing usable is left of it."""

_NUMERAL = re.compile(r"-?\d{1,20}(\.\d{1,20})?$")


def _text(value: object, _: dt.tzinfo) -> object:
    if isinstance(value, str):
        return value.strip() or None
    return value


def _code(value: object, _: dt.tzinfo) -> object:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _when(value: object, timezone: dt.tzinfo) -> object:
    if isinstance(value, str):
        return dates.with_zone(value.strip(), timezone) or None
    return value


def _number(value: object, _: dt.tzinfo) -> object:
    if isinstance(value, str) and len(value) <= MAX_DIGITS and _NUMERAL.match(value.strip()):
        try:
            value = Decimal(value.strip())
        except InvalidOperation:
            return value
        if abs(value) > MAX_MAGNITUDE:
            raise ResourceFaultError("a number larger than 1e9")
    elif isinstance(value, str):
        raise ResourceFaultError("a number that is none")
    return value


def _plain(value: object, _: dt.tzinfo) -> object:
    return value


def _one(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Give the one object, also out of a list that holds it."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _object(members: Mapping[str, Tidy]) -> Tidy:
    def tidy(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
        value = _one(value)
        if value is None or not isinstance(value, dict):
            return value
        found = {
            name: kept
            for name, part in value.items()
            if (clean := members.get(name)) is not None and (kept := clean(part, timezone)) is not None
        }
        return found or None

    return tidy


def _list(item: Tidy) -> Tidy:
    def tidy(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        found = [kept for one in listed if (kept := item(one, timezone)) is not None]
        return found or None

    return tidy


_quantity_members: dict[str, Tidy] = {
    "value": _number,
    "comparator": _code,
    "unit": _code,
    "system": _text,
    "code": _code,
}
_QUANTITY = _object(_quantity_members)
_RANGE = _object({"low": _QUANTITY, "high": _QUANTITY})
_RATIO = _object({"numerator": _QUANTITY, "denominator": _QUANTITY})
_PERIOD = _object({"start": _when, "end": _when})
_CODING = _object({"system": _text, "code": _code, "display": _text})

# Extensions the mapping reads, by the last part of their address; all others are left out of the copy.
_EXTENSIONS = frozenset(
    {
        "mcode-histology-morphology-behavior",
        "mcode-laterality-qualifier",
        "mcode-laterality",
        "mcode-body-location-qualifier",
        "bodySite",
        "procedure-targetBodyStructure",
        "mcode-procedure-intent",
        "mcode-treatment-intent",
        "mcode-radiotherapy-modality-and-technique",
        "mcode-radiotherapy-modality",
        "mcode-radiotherapy-technique",
        "mcode-radiotherapy-sessions",
        "mcode-radiotherapy-dose-delivered-to-volume",
        "volume",
        "totalDoseDelivered",
        "fractionsDelivered",
        "data-absent-reason",
        "iso21090-nullFlavor",
        "us-core-medication-adherence",
        "medicationAdherence",
    }
)


_BILLED = re.compile(r"quantity|units", re.IGNORECASE)
"""R4 has no place for the number of billed units on a Procedure: senders put it into an extension of their own."""


def _extensions(value: object, timezone: dt.tzinfo) -> object:
    listed = value if isinstance(value, list) else [value]
    found = []
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            continue
        name = item["url"].rstrip("/").rpartition("/")[2]
        if name not in _EXTENSIONS and not _BILLED.search(name):
            continue
        kept = _EXTENSION(item, timezone)
        if kept is not None:
            found.append(kept)
    return found or None


_quantity_members["extension"] = _extensions  # extensions hold quantities, and quantities extensions


def _codeable(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
    """Make a CodeableConcept of one; text alone, one coding for a list, and a list of them are understood."""
    if isinstance(value, str):
        return {"text": value.strip()} if value.strip() else None
    if isinstance(value, list):
        parts = [part for one in value if isinstance(part := _codeable(one, timezone), dict)]
        codings = [coding for part in parts for coding in part.get("coding", ())]
        texts = [part["text"] for part in parts if "text" in part]
        merged: dict[str, Any] = {}
        if codings:
            merged["coding"] = codings
        if texts:
            merged["text"] = texts[0]
        return merged or None
    if isinstance(value, dict) and "coding" not in value and ("code" in value or "system" in value):
        value = {"coding": [value]}
    return _CODEABLE(value, timezone)


_CODEABLE = _object({"coding": _list(_CODING), "text": _text, "extension": _extensions})


def _reference(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return {"reference": value.strip()} if value.strip() else None
    return _REFERENCE(value, timezone)


def _people(value: object, timezone: dt.tzinfo) -> object:
    """Keep those references that name the patient or a relative: a result they reported themselves."""
    listed = value if isinstance(value, list) else [value]
    found = [kept for one in listed if isinstance(kept := _reference(one, timezone), dict)]
    return [one for one in found if _PERSON.search(str(one.get("reference")))] or None


_PERSON = re.compile(r"(?:^|/)(?:Patient|RelatedPerson)/")
_REFERENCE = _object({"reference": _text, "display": _text, "type": _text})
_EXTENSION = _object(
    {
        "url": _text,
        "valueCodeableConcept": _codeable,
        "valueCode": _code,
        "valueQuantity": _QUANTITY,
        "valueReference": _reference,
        "valueUnsignedInt": _plain,
        "valuePositiveInt": _plain,
        "valueInteger": _plain,
        "valueDecimal": _number,
        "valueString": _text,
        "extension": _extensions,
    }
)
_NOTES = _list(_object({"text": _text}))
_VALUES: dict[str, Tidy] = {
    "valueQuantity": _QUANTITY,
    "valueCodeableConcept": _codeable,
    "valueString": _text,
    "valueBoolean": _plain,
    "valueInteger": _plain,
    "valueRange": _RANGE,
    "valueRatio": _RATIO,
    "valueDateTime": _when,
    "valuePeriod": _PERIOD,
    "dataAbsentReason": _codeable,
    "interpretation": _list(_codeable),
    "referenceRange": _list(
        _object(
            {
                "low": _QUANTITY,
                "high": _QUANTITY,
                "text": _text,
                "type": _codeable,
                "appliesTo": _list(_codeable),
                "age": _RANGE,
            }
        )
    ),
}
_TIMING = _object(
    {
        "event": _list(_when),
        "repeat": _object(
            {
                "boundsDuration": _QUANTITY,
                "boundsPeriod": _PERIOD,
                "boundsRange": _RANGE,
                "count": _plain,
                "countMax": _plain,
                "duration": _number,
                "durationMax": _number,
                "durationUnit": _code,
                "frequency": _plain,
                "frequencyMax": _plain,
                "period": _number,
                "periodMax": _number,
                "periodUnit": _code,
                "dayOfWeek": _list(_code),
                "timeOfDay": _list(_code),
                "when": _list(_code),
            }
        ),
        "code": _codeable,
    }
)
_DOSAGE = _object(
    {
        "sequence": _plain,
        "text": _text,
        "patientInstruction": _text,
        "additionalInstruction": _list(_codeable),
        "timing": _TIMING,
        "asNeededBoolean": _plain,
        "asNeededCodeableConcept": _codeable,
        "site": _codeable,
        "route": _codeable,
        "method": _codeable,
        "doseAndRate": _list(
            _object(
                {
                    "type": _codeable,
                    "doseQuantity": _QUANTITY,
                    "doseRange": _RANGE,
                    "rateQuantity": _QUANTITY,
                    "rateRange": _RANGE,
                    "rateRatio": _RATIO,
                }
            )
        ),
        "maxDosePerPeriod": _RATIO,
        "maxDosePerAdministration": _QUANTITY,
    }
)
_MEDICATION: dict[str, Tidy] = {"medicationCodeableConcept": _codeable, "medicationReference": _reference}
_EFFECTIVE: dict[str, Tidy] = {"effectiveDateTime": _when, "effectivePeriod": _PERIOD}

ELEMENTS: Mapping[str, Mapping[str, Tidy]] = {
    "Patient": {"birthDate": _text, "gender": _code, "deceasedBoolean": _plain, "deceasedDateTime": _when},
    "Observation": {
        "status": _code,
        "code": _codeable,
        "focus": _list(_reference),
        "identifier": _list(_object({"system": _text, "value": _text})),
        "performer": _people,
        **_VALUES,
        "bodySite": _codeable,
        "method": _codeable,
        "note": _NOTES,
        "extension": _extensions,
        "component": _list(_object({"code": _codeable, **_VALUES})),
    },
    "Condition": {
        "clinicalStatus": _codeable,
        "verificationStatus": _codeable,
        "code": _codeable,
        "bodySite": _list(_codeable),
        "subject": _reference,
        "onsetDateTime": _when,
        "onsetPeriod": _PERIOD,
        "onsetAge": _QUANTITY,
        "onsetString": _text,
        "abatementDateTime": _when,
        "abatementPeriod": _PERIOD,
        "abatementAge": _QUANTITY,
        "abatementString": _text,
        "recordedDate": _when,
        "asserter": _reference,
        "evidence": _list(_object({"code": _list(_codeable), "detail": _list(_reference)})),
        "stage": _list(_object({"summary": _codeable, "type": _codeable})),
        "note": _NOTES,
        "extension": _extensions,
    },
    "Procedure": {
        "status": _code,
        "code": _codeable,
        "subject": _reference,
        "performedDateTime": _when,
        "performedPeriod": _PERIOD,
        "performedString": _text,
        "reasonCode": _list(_codeable),
        "reasonReference": _list(_reference),
        "bodySite": _list(_codeable),
        "note": _NOTES,
        "extension": _extensions,
    },
    "ServiceRequest": {
        "status": _code,
        "intent": _code,
        "doNotPerform": _plain,
        "code": _codeable,
        "performerType": _codeable,
        "subject": _reference,
        "occurrenceDateTime": _when,
        "occurrencePeriod": _PERIOD,
        "authoredOn": _when,
        "reasonCode": _list(_codeable),
        "reasonReference": _list(_reference),
        "bodySite": _list(_codeable),
        "extension": _extensions,
        "note": _NOTES,
    },
    "DiagnosticReport": {
        "status": _code,
        "code": _codeable,
        "subject": _reference,
        **_EFFECTIVE,
        "issued": _when,
        "conclusion": _text,
        "conclusionCode": _list(_codeable),
    },
    "ImagingStudy": {
        "status": _code,
        "subject": _reference,
        "started": _when,
        "modality": _list(_CODING),
        "procedureCode": _list(_codeable),
        "description": _text,
        "series": _list(_object({"uid": _text, "modality": _CODING, "bodySite": _CODING})),
    },
    "Encounter": {
        "status": _code,
        "class": _CODING,
        "type": _list(_codeable),
        "subject": _reference,
        "period": _PERIOD,
    },
    "AllergyIntolerance": {
        "clinicalStatus": _codeable,
        "verificationStatus": _codeable,
        "type": _code,
        "category": _list(_code),
        "code": _codeable,
        "patient": _reference,
        "recordedDate": _when,
        "reaction": _list(_object({"substance": _codeable, "manifestation": _list(_codeable)})),
    },
    "BodyStructure": {
        "active": _plain,
        "morphology": _codeable,
        "location": _codeable,
        "locationQualifier": _list(_codeable),
        "description": _text,
        "patient": _reference,
    },
    "Medication": {
        "code": _codeable,
        "status": _code,
        "form": _codeable,
        "amount": _RATIO,
        "ingredient": _list(
            _object({"itemCodeableConcept": _codeable, "itemReference": _reference, "strength": _RATIO})
        ),
    },
    "MedicationRequest": {
        "status": _code,
        "statusReason": _codeable,
        "intent": _code,
        "category": _list(_codeable),
        "doNotPerform": _plain,
        "reportedBoolean": _plain,
        "reportedReference": _reference,
        **_MEDICATION,
        "subject": _reference,
        "authoredOn": _when,
        "reasonCode": _list(_codeable),
        "reasonReference": _list(_reference),
        "basedOn": _list(_reference),
        "note": _NOTES,
        "dosageInstruction": _list(_DOSAGE),
        "dispenseRequest": _object(
            {"validityPeriod": _PERIOD, "numberOfRepeatsAllowed": _plain, "expectedSupplyDuration": _QUANTITY}
        ),
        "priorPrescription": _reference,
        "extension": _extensions,
    },
    "MedicationAdministration": {
        "status": _code,
        "statusReason": _list(_codeable),
        **_MEDICATION,
        "subject": _reference,
        **_EFFECTIVE,
        "request": _reference,
        "reasonCode": _list(_codeable),
        "note": _NOTES,
        "dosage": _object(
            {
                "text": _text,
                "site": _codeable,
                "route": _codeable,
                "method": _codeable,
                "dose": _QUANTITY,
                "rateQuantity": _QUANTITY,
                "rateRatio": _RATIO,
            }
        ),
    },
    "MedicationStatement": {
        "status": _code,
        "statusReason": _list(_codeable),
        **_MEDICATION,
        "subject": _reference,
        **_EFFECTIVE,
        "dateAsserted": _when,
        "informationSource": _reference,
        "derivedFrom": _list(_reference),
        "basedOn": _list(_reference),
        "reasonCode": _list(_codeable),
        "note": _NOTES,
        "dosage": _list(_DOSAGE),
    },
    "MedicationDispense": {
        "status": _code,
        **_MEDICATION,
        "subject": _reference,
        "quantity": _QUANTITY,
        "daysSupply": _QUANTITY,
        "whenPrepared": _when,
        "whenHandedOver": _when,
        "authorizingPrescription": _list(_reference),
        "note": _NOTES,
        "dosageInstruction": _list(_DOSAGE),
    },
}
"""Resource type -> the elements that the mapping reads, and how each is made tidy."""

MODELS: Mapping[str, type[BaseModel]] = {
    "Patient": Patient,
    "Observation": Observation,
    "Condition": Condition,
    "Procedure": Procedure,
    "ServiceRequest": ServiceRequest,
    "DiagnosticReport": DiagnosticReport,
    "ImagingStudy": ImagingStudy,
    "Encounter": Encounter,
    "AllergyIntolerance": AllergyIntolerance,
    "BodyStructure": BodyStructure,
    "Medication": Medication,
    "MedicationRequest": MedicationRequest,
    "MedicationAdministration": MedicationAdministration,
    "MedicationStatement": MedicationStatement,
    "MedicationDispense": MedicationDispense,
}
_SUBJECT = {"AllergyIntolerance": "patient", "BodyStructure": "patient"}
_NEEDS_NO_SUBJECT = frozenset({"Patient", "Medication", "Observation"})
_NO_SUBJECT = Reference(reference="Patient/unknown")
_UNREADABLE = (ValidationError, ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError)


def readable(
    resource: Mapping[str, Any], timezone: dt.tzinfo, *, without: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """
    Give the tidy, validated copy of a resource with only the elements that are read, and its type and id.

    `without` names elements that this time nobody reads.

    Tolerated: one object for a list, a time without zone (local), a number for a code, blanks, a missing
    subject. Raises `ResourceFaultError` with the path of the faulty element, without its value.
    """
    kind = str(resource.get("resourceType"))
    elements, model = ELEMENTS.get(kind), MODELS.get(kind)
    if elements is None or model is None:
        raise ResourceFaultError(f"{kind} is not read")
    copy: dict[str, Any] = {"resourceType": kind}
    for name, value in resource.items():
        tidy = elements.get(name)
        if tidy is None or name in without:
            continue
        try:
            kept = tidy(value, timezone)
        except ResourceFaultError as error:
            raise ResourceFaultError(f"invalid at {name}: {error}") from None
        except _UNREADABLE:
            raise ResourceFaultError(f"invalid at {name}") from None
        if kept is not None:
            copy[name] = kept
    checked: dict[str, Any] = dict(copy)
    if kind not in _NEEDS_NO_SUBJECT:
        checked.setdefault(_SUBJECT.get(kind, "subject"), _NO_SUBJECT)
    if kind == "AllergyIntolerance" and "reaction" in copy:
        # a substance without what it did is still an allergy
        checked["reaction"] = [
            {"manifestation": [{"text": "not told"}], **one} if isinstance(one, dict) else one
            for one in copy["reaction"]
        ]
    for name in _CODEABLES[kind] & copy.keys():
        checked[name] = _known_codeable(copy[name], name)
    try:
        model.model_validate(checked)
    except ValidationError as error:
        raise ResourceFaultError(f"invalid at {_place(error)}") from None
    except _UNREADABLE:
        raise ResourceFaultError("invalid") from None
    number = resource.get("id")
    if isinstance(number, str | int) and not isinstance(number, bool):
        copy["id"] = str(number)
    for name in ("_valueQuantity", "_valueString", "_valueCodeableConcept", "_valueInteger", "_valueBoolean"):
        if isinstance(resource.get(name), dict):
            copy[name] = resource[name]
    if isinstance(resource.get("contained"), list):
        copy["contained"] = resource["contained"]
    return copy


_CODEABLES: Mapping[str, frozenset[str]] = {
    kind: frozenset(name for name, tidy in elements.items() if tidy is _codeable) for kind, elements in ELEMENTS.items()
}


def _known_codeable(value: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Give a CodeableConcept that was validated before, if the same was: codes repeat, and each validation costs."""
    if not isinstance(value, dict) or "extension" in value:
        return value
    try:
        codings = tuple(
            (coding.get("system"), coding.get("code"), coding.get("display")) for coding in value.get("coding", ())
        )
        said = value.get("text")
        # What is as long as a page is validated, and not kept.
        kept = len(repr((codings, said))) <= LONGEST_KEPT
        return (_validated_codeable if kept else _validated_codeable.__wrapped__)(codings, said)
    except ValidationError as error:
        raise ResourceFaultError(f"invalid at {name}.{_place(error)}") from None
    except _UNREADABLE:
        return value  # the whole is validated next, and says where the fault is


LONGEST_KEPT = 2000


@lru_cache(maxsize=4096)
def _validated_codeable(codings: tuple[tuple[Any, Any, Any], ...], said: object) -> CodeableConcept:
    listed = [
        {name: kept for name, kept in zip(("system", "code", "display"), coding, strict=True) if kept is not None}
        for coding in codings
    ]
    members = {name: kept for name, kept in (("coding", listed or None), ("text", said)) if kept is not None}
    found: CodeableConcept = CodeableConcept.model_validate(members)
    return found


def _place(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ""
    for step in first["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or "the resource"
