"""Which elements of each resource type are read, how each is made tidy, and the R4B model that validates them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fhir.resources.R4B.allergyintolerance import AllergyIntolerance
from fhir.resources.R4B.bodystructure import BodyStructure
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
from fhir.resources.R4B.servicerequest import ServiceRequest

from fhir_mapping.delivery.tidying import (
    CODING,
    NOTES,
    PERIOD,
    QUANTITY,
    RANGE,
    RATIO,
    AList,
    AnObject,
    Tidy,
    a_code,
    a_day,
    a_number,
    a_reference,
    a_text,
    a_time,
    as_it_is,
    codeable,
    extensions,
    people,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_VALUES: dict[str, Tidy] = {
    "valueQuantity": QUANTITY,
    "valueCodeableConcept": codeable,
    "valueString": a_text,
    "valueBoolean": as_it_is,
    "valueInteger": as_it_is,
    "valueRange": RANGE,
    "valueRatio": RATIO,
    "valueDateTime": a_time,
    "valuePeriod": PERIOD,
    "dataAbsentReason": codeable,
    "interpretation": AList(codeable),
    "referenceRange": AList(
        AnObject(
            {
                "low": QUANTITY,
                "high": QUANTITY,
                "text": a_text,
                "type": codeable,
                "appliesTo": AList(codeable),
                "age": RANGE,
            }
        )
    ),
}
_TIMING = AnObject(
    {
        "event": AList(a_time),
        "repeat": AnObject(
            {
                "boundsDuration": QUANTITY,
                "boundsPeriod": PERIOD,
                "boundsRange": RANGE,
                "count": as_it_is,
                "countMax": as_it_is,
                "duration": a_number,
                "durationMax": a_number,
                "durationUnit": a_code,
                "frequency": as_it_is,
                "frequencyMax": as_it_is,
                "period": a_number,
                "periodMax": a_number,
                "periodUnit": a_code,
                "dayOfWeek": AList(a_code),
                "timeOfDay": AList(a_code),
                "when": AList(a_code),
            }
        ),
        "code": codeable,
    }
)
_DOSAGE = AnObject(
    {
        "sequence": as_it_is,
        "text": a_text,
        "patientInstruction": a_text,
        "additionalInstruction": AList(codeable),
        "timing": _TIMING,
        "asNeededBoolean": as_it_is,
        "asNeededCodeableConcept": codeable,
        "site": codeable,
        "route": codeable,
        "method": codeable,
        "doseAndRate": AList(
            AnObject(
                {
                    "type": codeable,
                    "doseQuantity": QUANTITY,
                    "doseRange": RANGE,
                    "rateQuantity": QUANTITY,
                    "rateRange": RANGE,
                    "rateRatio": RATIO,
                }
            )
        ),
        "maxDosePerPeriod": RATIO,
        "maxDosePerAdministration": QUANTITY,
    }
)
_MEDICATION: dict[str, Tidy] = {"medicationCodeableConcept": codeable, "medicationReference": a_reference}
_EFFECTIVE: dict[str, Tidy] = {"effectiveDateTime": a_time, "effectivePeriod": PERIOD}

ELEMENTS: Mapping[str, Mapping[str, Tidy]] = {
    "Patient": {"birthDate": a_day, "gender": a_code, "deceasedBoolean": as_it_is, "deceasedDateTime": a_time},
    "Observation": {
        "status": a_code,
        "code": codeable,
        "focus": AList(a_reference),
        "identifier": AList(AnObject({"system": a_text, "value": a_text})),
        "performer": people,
        **_VALUES,
        "bodySite": codeable,
        "method": codeable,
        "note": NOTES,
        "extension": extensions,
        "component": AList(AnObject({"code": codeable, **_VALUES})),
    },
    "Condition": {
        "clinicalStatus": codeable,
        "verificationStatus": codeable,
        "code": codeable,
        "bodySite": AList(codeable),
        "subject": a_reference,
        "onsetDateTime": a_time,
        "onsetPeriod": PERIOD,
        "onsetAge": QUANTITY,
        "onsetString": a_text,
        "abatementDateTime": a_time,
        "abatementPeriod": PERIOD,
        "abatementAge": QUANTITY,
        "abatementString": a_text,
        "recordedDate": a_time,
        "asserter": a_reference,
        "evidence": AList(AnObject({"code": AList(codeable), "detail": AList(a_reference)})),
        "stage": AList(AnObject({"summary": codeable, "type": codeable})),
        "note": NOTES,
        "extension": extensions,
    },
    "Procedure": {
        "status": a_code,
        "code": codeable,
        "subject": a_reference,
        "performedDateTime": a_time,
        "performedPeriod": PERIOD,
        "performedString": a_text,
        "reasonCode": AList(codeable),
        "reasonReference": AList(a_reference),
        "bodySite": AList(codeable),
        "note": NOTES,
        "extension": extensions,
    },
    "ServiceRequest": {
        "status": a_code,
        "intent": a_code,
        "doNotPerform": as_it_is,
        "code": codeable,
        "performerType": codeable,
        "subject": a_reference,
        "occurrenceDateTime": a_time,
        "occurrencePeriod": PERIOD,
        "authoredOn": a_time,
        "reasonCode": AList(codeable),
        "reasonReference": AList(a_reference),
        "bodySite": AList(codeable),
        "extension": extensions,
        "note": NOTES,
    },
    "DiagnosticReport": {
        "status": a_code,
        "code": codeable,
        "subject": a_reference,
        **_EFFECTIVE,
        "issued": a_time,
        "conclusion": a_text,
        "conclusionCode": AList(codeable),
    },
    "ImagingStudy": {
        "status": a_code,
        "subject": a_reference,
        "started": a_time,
        "modality": AList(CODING),
        "procedureCode": AList(codeable),
        "description": a_text,
        "series": AList(AnObject({"uid": a_text, "modality": CODING, "bodySite": CODING})),
    },
    "Encounter": {
        "status": a_code,
        "class": CODING,
        "type": AList(codeable),
        "subject": a_reference,
        "period": PERIOD,
    },
    "AllergyIntolerance": {
        "clinicalStatus": codeable,
        "verificationStatus": codeable,
        "type": a_code,
        "category": AList(a_code),
        "code": codeable,
        "patient": a_reference,
        "recordedDate": a_time,
        "reaction": AList(AnObject({"substance": codeable, "manifestation": AList(codeable)})),
    },
    "BodyStructure": {
        "active": as_it_is,
        "morphology": codeable,
        "location": codeable,
        "locationQualifier": AList(codeable),
        "description": a_text,
        "patient": a_reference,
    },
    "Medication": {
        "code": codeable,
        "status": a_code,
        "form": codeable,
        "amount": RATIO,
        "ingredient": AList(
            AnObject({"itemCodeableConcept": codeable, "itemReference": a_reference, "strength": RATIO})
        ),
    },
    "MedicationRequest": {
        "status": a_code,
        "statusReason": codeable,
        "intent": a_code,
        "category": AList(codeable),
        "doNotPerform": as_it_is,
        "reportedBoolean": as_it_is,
        "reportedReference": a_reference,
        **_MEDICATION,
        "subject": a_reference,
        "authoredOn": a_time,
        "reasonCode": AList(codeable),
        "reasonReference": AList(a_reference),
        "basedOn": AList(a_reference),
        "note": NOTES,
        "dosageInstruction": AList(_DOSAGE),
        "dispenseRequest": AnObject(
            {"validityPeriod": PERIOD, "numberOfRepeatsAllowed": as_it_is, "expectedSupplyDuration": QUANTITY}
        ),
        "priorPrescription": a_reference,
        "extension": extensions,
    },
    "MedicationAdministration": {
        "status": a_code,
        "statusReason": AList(codeable),
        **_MEDICATION,
        "subject": a_reference,
        **_EFFECTIVE,
        "request": a_reference,
        "reasonCode": AList(codeable),
        "note": NOTES,
        "dosage": AnObject(
            {
                "text": a_text,
                "site": codeable,
                "route": codeable,
                "method": codeable,
                "dose": QUANTITY,
                "rateQuantity": QUANTITY,
                "rateRatio": RATIO,
            }
        ),
    },
    "MedicationStatement": {
        "status": a_code,
        "statusReason": AList(codeable),
        **_MEDICATION,
        "subject": a_reference,
        **_EFFECTIVE,
        "dateAsserted": a_time,
        "informationSource": a_reference,
        "derivedFrom": AList(a_reference),
        "basedOn": AList(a_reference),
        "reasonCode": AList(codeable),
        "note": NOTES,
        "dosage": AList(_DOSAGE),
    },
    "MedicationDispense": {
        "status": a_code,
        **_MEDICATION,
        "subject": a_reference,
        "quantity": QUANTITY,
        "daysSupply": QUANTITY,
        "whenPrepared": a_time,
        "whenHandedOver": a_time,
        "authorizingPrescription": AList(a_reference),
        "note": NOTES,
        "dosageInstruction": AList(_DOSAGE),
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
