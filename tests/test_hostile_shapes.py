"""
Every element of every example request, one at a time, replaced by something else: answered or refused, never a crash.

There are some 220,000 such requests. In the usual tests one in two hundred is tried; with ONCOBONE_SOAK=1 one in five.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hooks.configuration import load
from hooks.errors import Refused
from hooks.services import find_services
from hooks.views import Desk
from tests.conftest import ROOT
from tests.fhir import ICD10_CM, LOCAL, SNOMED
from tests.floors import measured
from tests.wire import ATC, DAY, IN_SCOPE, PATIENT, RESULTS, UCUM, bundle, call_body, observation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
EVERY = 5 if SOAK else 199  # a prime: no value and no depth is left out by the step
REQUESTS = sorted(
    path for path in (ROOT / "fixtures" / "requests").glob("*.json") if not path.stem.endswith("expected")
)
DESK = Desk.of(load({}, {"ONCOBONE_NOW": DAY}))
OTHERS: tuple[Any, ...] = (
    *(None, True, 1, -1, 1.5, 10**12, "", "x", "9" * 30, "#x", "2026-02-30"),
    *({}, [], [[]], [{}], [1], ["x"], [None]),
    *({"value": {}}, {"coding": {}}, {"coding": [{"code": []}]}, {"a": {"b": []}}, {"reference": {}}),
    [{"reference": []}],
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a request, from the outside in."""
    if place:
        yield place
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*place, key))


def changed(request: dict[str, Any], place: tuple[Any, ...], other: Any) -> bytes:
    """A request with something else in one place."""
    body = copy.deepcopy(request)
    holder: Any = body
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = other
    return msgspec.json.encode(body)


def try_each(request: dict[str, Any]) -> None:
    """Send the request with something else in each of its places."""
    service = find_services(DESK.services, f"oncobone-{request['hook']}")
    tried = [(place, other) for place in places(request) for other in OTHERS][::EVERY]
    answered = 0
    statuses: set[int] = set()
    for place, other in tried:
        try:
            chosen, judged = DESK.judge(changed(request, place, other), service)
        except Refused as refused:
            statuses.add(refused.status)
            continue
        assert not judged.assessment.failed, (place, other)
        assert isinstance(DESK.words(chosen, judged, "en")["cards"], list)
        answered += 1
    assert statuses <= {400, 412}
    measured(f"{len(tried)} of {len(tried) * EVERY} changes tried, {answered} answered, the others {statuses}")
    assert answered > len(tried) / 2, "most of what can be wrong in a chart keeps nobody from an answer"


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_whatever_stands_in_one_place_the_call_is_answered_or_refused(path: Path) -> None:
    try_each(msgspec.json.decode(path.read_bytes()))


# --- a chart with every kind of resource, each with most of what it can hold --------------------------------------

SUBJECT = {"reference": f"Patient/{PATIENT}"}
MG = {"unit": "mg", "system": UCUM, "code": "mg"}
ZOLEDRONIC = {"coding": [{"system": ATC, "code": "M05BA08"}], "text": "zoledronic acid"}
DOSAGE: dict[str, Any] = {
    "sequence": 1,
    "text": "4 mg IV over 15 minutes every 4 weeks",
    "additionalInstruction": [{"text": "with calcium"}],
    "timing": {
        "event": ["2026-11-23"],
        "repeat": {
            "boundsPeriod": {"start": "2026-11-23", "end": "2027-11-23"},
            "count": 12,
            "duration": 15,
            "durationUnit": "min",
            "frequency": 1,
            "period": 4,
            "periodUnit": "wk",
            "dayOfWeek": ["mon"],
            "when": ["MORN"],
        },
        "code": {"text": "every 4 weeks"},
    },
    "asNeededBoolean": False,
    "site": {"text": "arm"},
    "route": {"coding": [{"system": SNOMED, "code": "47625008"}]},
    "method": {"text": "infusion"},
    "doseAndRate": [
        {
            "type": {"text": "ordered"},
            "doseQuantity": {"value": 4, **MG},
            "rateRatio": {
                "numerator": {"value": 4, **MG},
                "denominator": {"value": 15, "unit": "min", "system": UCUM, "code": "min"},
            },
        },
        {"doseRange": {"low": {"value": 3, **MG}, "high": {"value": 4, **MG}}},
    ],
    "maxDosePerPeriod": {
        "numerator": {"value": 4, **MG},
        "denominator": {"value": 28, "unit": "d", "system": UCUM, "code": "d"},
    },
    "maxDosePerAdministration": {"value": 4, **MG},
}
MEDICATION = {
    "resourceType": "Medication",
    "id": "inside",
    "code": ZOLEDRONIC,
    "form": {"text": "solution"},
    "amount": {"numerator": {"value": 5, "unit": "mL"}, "denominator": {"value": 1}},
    "ingredient": [
        {
            "itemCodeableConcept": ZOLEDRONIC,
            "strength": {"numerator": {"value": 4, **MG}, "denominator": {"value": 5, "unit": "mL"}},
        }
    ],
}


def _resource(kind: str, name: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": name, "subject": SUBJECT} | members


def rich() -> dict[str, Any]:
    """An order-sign call whose chart holds each kind of resource that is read."""
    request = _resource(
        "MedicationRequest",
        "mr-1",
        contained=[MEDICATION],
        status="draft",
        statusReason={"text": "new"},
        intent="order",
        category=[{"text": "outpatient"}],
        doNotPerform=False,
        reportedBoolean=False,
        medicationReference={"reference": "#inside"},
        authoredOn="2026-11-22",
        reasonCode=[{"coding": [{"system": ICD10_CM, "code": "C79.51"}]}],
        reasonReference=[{"reference": "Condition/bone"}],
        basedOn=[{"reference": "CarePlan/1"}],
        note=[{"text": "4 mg"}],
        dosageInstruction=[DOSAGE, DOSAGE | {"sequence": 2}],
        dispenseRequest={
            "validityPeriod": {"start": "2026-11-22", "end": "2027-11-22"},
            "numberOfRepeatsAllowed": 3,
            "expectedSupplyDuration": {"value": 28, "unit": "d"},
        },
        priorPrescription={"reference": "MedicationRequest/mr-0"},
    )
    radiotherapy = _resource(
        "ServiceRequest",
        "sr-1",
        status="draft",
        intent="order",
        code={"text": "Radiotherapy 30 Gy in 10 fractions"},
        occurrencePeriod={"start": "2026-11-25", "end": "2026-12-05"},
        authoredOn="2026-11-22",
        reasonCode=[{"text": "bone metastasis"}],
        bodySite=[{"text": "left femur"}],
        note=[{"text": "pain"}],
    )
    bone = _resource(
        "Condition",
        "bone",
        clinicalStatus={"coding": [{"code": "active"}]},
        verificationStatus={"coding": [{"code": "confirmed"}]},
        code={"coding": [{"system": ICD10_CM, "code": "C79.51"}], "text": "bone metastasis, left femur"},
        bodySite=[{"coding": [{"system": SNOMED, "code": "71341001"}], "text": "left femur"}],
        onsetDateTime="2026-05-01",
        recordedDate="2026-05-02",
        asserter=SUBJECT,
        evidence=[{"code": [{"text": "MRI"}], "detail": [{"reference": "Observation/o-1"}]}],
        stage=[{"summary": {"text": "IV"}, "type": {"text": "TNM"}}],
        note=[{"text": "multiple"}],
        extension=[{"url": "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior",
                    "valueCodeableConcept": {"text": "adenocarcinoma"}}],
    )  # fmt: skip
    lesion = _resource(
        "Observation",
        "lesion",
        status="final",
        code={"coding": [{"system": LOCAL, "code": "bone-lesion"}]},
        effectivePeriod={"start": "2026-11-01", "end": "2026-11-02"},
        bodySite={"text": "left femur"},
        component=[
            {"code": {"coding": [{"system": LOCAL, "code": code}]}, **value}
            for code, value in (
                ("pain", {"valueString": "severe"}),
                ("nature", {"valueCodeableConcept": {"text": "lytic"}}),
                ("cortex-share", {"valueQuantity": {"value": 50, "unit": "%"}}),
                ("size", {"valueQuantity": {"value": 30, "unit": "mm"}}),
            )
        ],
    )
    calcium = observation("17861-6", 9.2, "mg/dL", "o-ca") | {
        "interpretation": [{"text": "N"}],
        "method": {"text": "photometry"},
        "specimen": {"reference": "Specimen/1"},
        "referenceRange": [
            {"low": {"value": 8.4, "unit": "mg/dL"}, "high": {"value": 10.2, "unit": "mg/dL"}, "text": "8.4-10.2",
             "type": {"text": "normal"}, "appliesTo": [{"text": "adult"}],
             "age": {"low": {"value": 18, "unit": "a"}, "high": {"value": 99, "unit": "a"}}}
        ],
        "note": [{"text": "fasting"}],
        "performer": [{"reference": "Organization/lab"}],
        "hasMember": [{"reference": "Observation/o-alb"}],
    }  # fmt: skip
    statement = _resource(
        "MedicationStatement",
        "ms-1",
        status="active",
        medicationCodeableConcept={"text": "calcium carbonate 500 mg"},
        effectivePeriod={"start": "2026-06-01"},
        dateAsserted="2026-11-01",
        informationSource=SUBJECT,
        dosage=[{"text": "1 tablet daily", "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}],
    )
    dispense = _resource(
        "MedicationDispense",
        "md-1",
        status="completed",
        medicationCodeableConcept=ZOLEDRONIC,
        quantity={"value": 1, "unit": "vial"},
        daysSupply={"value": 28, "unit": "d"},
        whenPrepared="2026-10-01",
        whenHandedOver="2026-10-02",
        authorizingPrescription=[{"reference": "MedicationRequest/mr-0"}],
        dosageInstruction=[DOSAGE],
    )
    administration = _resource(
        "MedicationAdministration",
        "ma-1",
        status="completed",
        medicationCodeableConcept=ZOLEDRONIC,
        effectivePeriod={"start": "2026-09-01T08:00:00Z", "end": "2026-09-01T08:15:00Z"},
        request={"reference": "MedicationRequest/mr-0"},
        dosage={"text": "4 mg IV", "route": {"text": "IV"}, "dose": {"value": 4, **MG},
                "rateQuantity": {"value": 16, "unit": "mg/h"}},
    )  # fmt: skip
    procedure = _resource(
        "Procedure",
        "pr-1",
        status="completed",
        code={"text": "Radiotherapy of left femur, 8 Gy single fraction"},
        performedPeriod={"start": "2026-08-01", "end": "2026-08-02"},
        reasonCode=[{"text": "bone metastasis"}],
        reasonReference=[{"reference": "Condition/bone"}],
        bodySite=[{"text": "left femur"}],
        note=[{"text": "well tolerated"}],
    )
    report = _resource(
        "DiagnosticReport",
        "dr-1",
        contained=[observation("2160-0", 1.0, "mg/dL", "inner")],
        status="final",
        code={"text": "MRI spine"},
        effectiveDateTime="2026-11-01",
        issued="2026-11-02T08:00:00Z",
        result=[{"reference": "#inner"}],
        conclusion="Metastatic epidural compression, Bilsky 2, at T5. No fracture.",
        conclusionCode=[{"text": "cord compression"}],
    )
    study = _resource(
        "ImagingStudy",
        "is-1",
        status="available",
        started="2026-11-01",
        modality=[{"code": "MR"}],
        procedureCode=[{"text": "MRI spine"}],
        description="MRI spine",
        series=[{"uid": "1.2", "modality": {"code": "MR"}, "bodySite": {"display": "Spine"}}],
    )
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "al-1",
        "patient": SUBJECT,
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "type": "allergy",
        "category": ["medication"],
        "code": {"text": "denosumab"},
        "recordedDate": "2026-01-01",
        "reaction": [{"substance": {"text": "denosumab"}, "manifestation": [{"text": "rash"}]}],
    }
    structure = {
        "resourceType": "BodyStructure",
        "id": "bs-1",
        "active": True,
        "morphology": {"text": "lytic lesion"},
        "location": {"text": "femur"},
        "locationQualifier": [{"text": "left"}],
        "description": "left femur",
        "patient": SUBJECT,
    }
    body = call_body("order-sign")
    body["context"]["draftOrders"] = bundle(request, radiotherapy)
    body["prefetch"] |= {
        "conditions": bundle(*IN_SCOPE, bone),
        "observations": bundle(*RESULTS, calcium, lesion, report, study, structure),
        "medications": bundle(request | {"id": "mr-0", "status": "active"}, statement, dispense),
        "medicationAdministrations": bundle(administration),
        "procedures": bundle(procedure),
        "allergies": bundle(allergy),
        "serviceRequests": bundle(radiotherapy | {"id": "sr-0", "status": "active"}),
    }
    return body


def test_whatever_stands_in_one_place_of_a_chart_of_all_kinds_the_call_is_answered_or_refused() -> None:
    try_each(rich())


DRAFT = ("context", "draftOrders", "entry", 0, "resource")
CALCIUM = ("prefetch", "observations", "entry", len(RESULTS), "resource")


@pytest.mark.parametrize(
    ("place", "other"),
    [
        ((*DRAFT, "contained"), None),
        ((*DRAFT, "contained", 0, "ingredient", 0, "strength", "denominator"), {"value": {}}),
        ((*DRAFT, "status"), {"a": {"b": ["draft"]}}),
        ((*DRAFT, "intent"), ["order"]),
        ((*CALCIUM, "specimen"), {"reference": "#x", "contained": None}),
        ((*CALCIUM, "contained"), None),
    ],
)
def test_what_once_broke_a_call_does_so_no_more(place: tuple[Any, ...], other: Any) -> None:
    request = rich()
    request["prefetch"]["observations"]["entry"][len(RESULTS)]["resource"]["specimen"] = {"reference": "#x"}
    service = find_services(DESK.services, "oncobone-order-sign")
    chosen, judged = DESK.judge(changed(request, place, other), service)
    assert not judged.assessment.failed
    assert isinstance(DESK.words(chosen, judged, "en")["cards"], list)
