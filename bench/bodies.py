"""
Requests for the benches: one patient-view call with as many prefetched resources as wanted, in two mixes.

Of the sparse mix one result in ten carries a fact, as where a site sends whatever its laboratory has; of the dense mix
every result does, spread over 27 codes and three years, as where a site narrows its queries.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from typing import Any

MIXES = ("sparse", "dense")
NEWEST = dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC)
YEARS_DAYS = 3 * 365

FACTS = (
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", 0.9, "mg/dL"),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", 9.2, "mg/dL"),
    ("1751-7", "Albumin [Mass/volume] in Serum or Plasma", 3.9, "g/dL"),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", 12.1, "g/dL"),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", 220, "10*3/uL"),
    ("29463-7", "Body weight", 70.4, "kg"),
    ("2777-1", "Phosphate [Mass/volume] in Serum or Plasma", 3.4, "mg/dL"),
    ("19123-9", "Magnesium [Mass/volume] in Serum or Plasma", 2.0, "mg/dL"),
    ("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma", 88, "U/L"),
    ("2532-0", "Lactate dehydrogenase [Enzymatic activity/volume] in Serum or Plasma", 190, "U/L"),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", 6.1, "10*3/uL"),
    ("751-8", "Neutrophils [#/volume] in Blood by Automated count", 3.9, "10*3/uL"),
    ("8302-2", "Body height", 165, "cm"),
    ("3140-1", "Body surface area Derived from formula", 1.7, "m2"),
    ("89247-1", "ECOG Performance Status score", 1, "{score}"),
    ("72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported", 2, "{score}"),
    ("29265-6", "Calcium [Moles/volume] corrected for albumin in Serum or Plasma", 2.3, "mmol/L"),
    ("1995-0", "Calcium.ionized [Moles/volume] in Serum or Plasma", 1.2, "mmol/L"),
    (
        "33914-3",
        "Glomerular filtration rate/1.73 sq M.predicted by Creatinine-based formula (MDRD)",
        78,
        "mL/min/{1.73_m2}",
    ),
    ("77370-5", "Procollagen type I.N-terminal propeptide [Mass/volume] in Serum or Plasma", 46, "ug/L"),
    ("1989-3", "25-hydroxyvitamin D3 [Mass/volume] in Serum or Plasma", 31, "ng/mL"),
    ("41171-0", "Collagen crosslinked C-telopeptide [Mass/volume] in Serum or Plasma", 300, "pg/mL"),
    ("33358-3", "Protein.monoclonal [Mass/volume] in Serum or Plasma by Electrophoresis", 0.4, "g/dL"),
    ("36916-5", "Kappa light chains.free [Mass/volume] in Serum", 15, "mg/L"),
    ("33944-0", "Lambda light chains.free [Mass/volume] in Serum", 14, "mg/L"),
    ("1952-1", "Beta-2-Microglobulin [Mass/volume] in Serum or Plasma", 2.1, "mg/L"),
    ("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", 120, "ng/mL"),
)
OTHERS = (
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", 139, "mmol/L"),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", 4.2, "mmol/L"),
    ("2075-0", "Chloride [Moles/volume] in Serum or Plasma", 101, "mmol/L"),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", 22, "U/L"),
    ("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", 25, "U/L"),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", 101, "mg/dL"),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", 14, "mg/dL"),
    ("787-2", "MCV [Entitic volume] by Automated count", 90, "fL"),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", 4.4, "10*6/uL"),
)


def observation(number: int, entry: tuple[str, str, float, str], when: dt.datetime) -> dict[str, Any]:
    """Make one laboratory result in the shape and size that an EHR sends."""
    code, display, value, unit = entry
    day = when.isoformat()
    return {
        "resourceType": "Observation",
        "id": f"lab-{number}",
        "meta": {
            "versionId": "1",
            "lastUpdated": day,
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"],
        },
        "identifier": [{"system": "urn:example:lis", "value": f"R{number:08d}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                        "display": "Laboratory",
                    }
                ],
                "text": "Laboratory",
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": code, "display": display},
                {"system": "urn:example:local-lab", "code": f"L{code}", "display": display},
            ],
            "text": display,
        },
        "subject": {"reference": "Patient/bench-1", "display": "Synthetic patient"},
        "effectiveDateTime": day,
        "issued": day,
        "performer": [{"reference": "Organization/lab", "display": "Synthetic laboratory"}],
        "valueQuantity": {
            "value": value if unit == "{score}" else round(value + number % 7 / 10, 2),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "referenceRange": [{"low": {"value": 1, "unit": unit}, "high": {"value": 900, "unit": unit}}],
    }


def sparse(number: int, labs: int) -> dict[str, Any]:  # noqa: ARG001 - as `dense`
    """Make one result of the sparse mix: a fact is in one of ten, all of the last five months."""
    table = OTHERS if number % 10 else FACTS[:8]
    entry = table[number % len(table)] if number % 10 else table[number // 10 % len(table)]
    month, day = 11 - number % 5, 20 - number % 19
    return observation(number, entry, dt.datetime(2026, month, day, 8, number % 60, tzinfo=dt.UTC))


def dense(number: int, labs: int) -> dict[str, Any]:
    """Make one result of the dense mix: all codes in turn, back over three years however many results there are."""
    back = dt.timedelta(days=YEARS_DAYS * number // max(1, labs), minutes=number % 60)
    return observation(number, FACTS[number % len(FACTS)], NEWEST - back)


def body(size: int, mix: str = "sparse") -> tuple[bytes, Counter[str]]:
    """Make a patient-view request with `size` prefetched resources, and tell of what they are."""
    conditions = [
        {
            "resourceType": "Condition",
            "id": name,
            "clinicalStatus": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
            },
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}], "text": text},
            "subject": {"reference": "Patient/bench-1"},
            "recordedDate": "2026-09-01",
        }
        for name, code, text in (("lung", "C34.11", "Lung cancer"), ("bone", "C79.51", "Bone metastasis"))
    ]
    patient = {"resourceType": "Patient", "id": "bench-1", "gender": "female", "birthDate": "1961-03-10"}
    labs = size - 1 - len(conditions)
    make = {"sparse": sparse, "dense": dense}[mix]
    observations = [make(number, labs) for number in range(labs)]
    kinds = Counter({"Patient": 1, "Condition": len(conditions)})
    facts = {code for code, *_ in FACTS}
    for one in observations:
        carries = one["code"]["coding"][0]["code"] in facts
        kinds["result with a fact" if carries else "other result"] += 1

    def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
        entries = [
            {"fullUrl": f"https://ehr.example/fhir/{r['resourceType']}/{r['id']}", "resource": r} for r in resources
        ]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}

    request = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": "bench-1"},
        "prefetch": {
            "patient": patient,
            "conditions": bundle(conditions),
            "observations": bundle(observations),
            "medications": bundle([]),
            "procedures": bundle([]),
            "allergies": bundle([]),
            "medicationAdministrations": bundle([]),
            "serviceRequests": bundle([]),
        },
    }
    return json.dumps(request).encode(), kinds
