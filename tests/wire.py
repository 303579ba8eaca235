"""Requests as an EHR sends them, and what every answer must keep to, whatever was asked."""

from __future__ import annotations

import copy
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

DAY = "2026-11-22"
PATIENT = "p-1"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
KEYS = (
    "patient",
    "conditions",
    "observations",
    "medications",
    "procedures",
    "allergies",
    "medicationAdministrations",
    "serviceRequests",
)
SERVICE_OF = {hook: f"oncobone-{hook}" for hook in ("patient-view", "encounter-start", "order-select", "order-sign")}
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"


def patient(patient_id: str = PATIENT) -> dict[str, Any]:
    """A woman of 66."""
    return {"resourceType": "Patient", "id": patient_id, "gender": "female", "birthDate": "1960-03-01"}


def condition(code: str, name: str, *, of: str = PATIENT) -> dict[str, Any]:
    """A confirmed, active diagnosis."""
    status = "http://terminology.hl7.org/CodeSystem/condition-"
    return {
        "resourceType": "Condition",
        "id": name,
        "clinicalStatus": {"coding": [{"system": f"{status}clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{status}ver-status", "code": "confirmed"}]},
        "code": {"coding": [{"system": ICD10_CM, "code": code}]},
        "subject": {"reference": f"Patient/{of}"},
        "recordedDate": "2026-10-01",
    }


def observation(code: str, value: float, unit: str, name: str, *, day: str = "2026-11-20") -> dict[str, Any]:
    """A final laboratory result."""
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
    }


def zoledronic_order(name: str = "mr-1", *, of: str = PATIENT) -> dict[str, Any]:
    """A draft order of zoledronic acid 4 mg as an infusion over 15 minutes."""
    return {
        "resourceType": "MedicationRequest",
        "id": name,
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": ATC, "code": "M05BA08"}],
            "text": "zoledronic acid 4 mg",
        },
        "subject": {"reference": f"Patient/{of}"},
        "authoredOn": DAY,
        "dosageInstruction": [
            {
                "text": "4 mg IV over 15 min every 4 weeks",
                "doseAndRate": [{"doseQuantity": {"value": 4, "unit": "mg", "system": UCUM, "code": "mg"}}],
            }
        ],
    }


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    """The answer to a search."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "entry": [{"resource": resource} for resource in resources],
    }


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}

IN_SCOPE = (condition("C34.11", "c-lung"), condition("C79.51", "c-bone"))
"""Lung cancer with a bone metastasis."""

RESULTS = (
    observation("2160-0", 1.9, "mg/dL", "o-creatinine"),
    observation("17861-6", 9.2, "mg/dL", "o-calcium"),
    observation("1751-7", 4.0, "g/dL", "o-albumin"),
    observation("29463-7", 60, "kg", "o-weight"),
)
"""Clearance about 28 mL/min: too low for zoledronic acid."""


def call_body(hook: str = "patient-view", **members: Any) -> dict[str, Any]:
    """A whole call of a hook about a patient in scope, every prefetch key delivered; `members` replace its own."""
    context: dict[str, Any] = {"userId": "Practitioner/doc-1", "patientId": PATIENT, "encounterId": "enc-1"}
    if hook.startswith("order"):
        context["draftOrders"] = bundle(zoledronic_order())
    if hook == "order-select":
        context["selections"] = ["MedicationRequest/mr-1"]
    body: dict[str, Any] = {
        "hook": hook,
        "hookInstance": INSTANCE,
        "context": context,
        "prefetch": {key: bundle() for key in KEYS}
        | {"patient": patient(), "conditions": bundle(*IN_SCOPE), "observations": bundle(*RESULTS)},
    }
    return copy.deepcopy(body | members)


def without(body: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy without the member at a dotted path."""
    changed = copy.deepcopy(body)
    *parents, last = path.split(".")
    inner = changed
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    return changed


def with_(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a dotted path."""
    changed = copy.deepcopy(body)
    *parents, last = path.split(".")
    inner = changed
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return changed


# --- what every answer keeps to -----------------------------------------------------------------------------

MAY_BE_EMPTY = {"cards", "services"}
CARD = {"uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons"} | {
    "links",
    "extension",
}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a member stands there twice"
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def strict_json(text: str | bytes) -> Any:
    """Parse JSON as strictly as it can be parsed."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def empty_members(value: Any, path: str = "") -> list[str]:
    """The paths of all members that are null, or empty, though nothing allows it (J2, J3)."""
    found: list[str] = []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        place = f"{path}/{key}"
        if inner in (None, "", [], {}) and not (path == "" and key in MAY_BE_EMPTY):
            found.append(place)
        found += empty_members(inner, place)
    return found


def check_answer(response: requests.Response) -> Any:
    """Hold an answer of ours against the rules that hold for all of them; give its JSON."""
    assert response.headers["Content-Type"].split(";")[0] == "application/json", "J1"
    body = strict_json(response.content)
    assert empty_members(body) == [], "J2, J3"
    assert response.status_code < 500 or response.status_code == 503, "a caller never makes a 5xx"
    if response.status_code >= 300:
        check_outcome(body)
    elif "cards" in body:
        assert set(body) <= {"cards", "systemActions", "extension"}, "X3"
        for card in body["cards"]:
            check_card(card)
        uuids = [card["uuid"] for card in body["cards"]]
        uuids += [each["uuid"] for card in body["cards"] for each in card.get("suggestions", ())]
        assert len(set(uuids)) == len(uuids), "C1, A2"
        _check_extension(body.get("extension", {}))
    return body


def check_outcome(body: Any) -> None:
    """S6: every answer that is no success says what was wrong, as an OperationOutcome."""
    assert body["resourceType"] == "OperationOutcome"
    issue = body["issue"][0]
    assert issue["severity"] in {"fatal", "error"}
    assert re.fullmatch(r"[a-z-]+", issue["code"])
    assert len(issue["diagnostics"]) > 10
    assert "Traceback" not in issue["diagnostics"]


def check_card(card: dict[str, Any]) -> None:
    """The limits of section 7a to 7e on one card."""
    assert set(card) <= CARD, "X3"
    assert str(uuid.UUID(card["uuid"])) == card["uuid"], "C1"
    assert 0 < len(card["summary"]) < 140, "C2"
    assert not re.search(r"<[a-zA-Z/!]", card.get("detail", "")), "C4"
    assert card["indicator"] in {"info", "warning", "critical"}, "C5"
    source = card["source"]
    assert source["label"], "O1"
    if "url" in source:
        assert source["url"].startswith("https://"), "O2"
    assert {"code", "system"} <= set(source["topic"]), "O4"
    assert ("suggestions" in card) == ("selectionBehavior" in card), "C8"
    assert card.get("selectionBehavior", "any") in {"any", "at-most-one"}, "C8"
    for reason in card.get("overrideReasons", ()):
        assert {"code", "system", "display"} <= set(reason), "O5, O6"
    for link in card.get("links", ()):
        assert link["label"], "L1"
        assert link["url"].startswith("https://"), "L2"
        assert link["type"] in {"absolute", "smart"}, "L3"
        assert link["type"] == "smart" or "appContext" not in link, "L4"
        assert "autolaunchable" not in link, "L6"
    recommended = 0
    for suggestion in card.get("suggestions", ()):
        assert suggestion["label"], "A1"
        assert str(uuid.UUID(suggestion["uuid"])) == suggestion["uuid"], "A2"
        assert "actionSelectionBehavior" not in suggestion, "A6"
        recommended += bool(suggestion.get("isRecommended"))
        for action in suggestion.get("actions", ()):
            assert action["type"] in {"create", "update", "delete"}, "A7"
            assert action["description"], "A8"
            if action["type"] == "delete":  # a draft of the call that another one takes the place of
                assert set(action) == {"type", "description", "resourceId"}, "A10"
                continue
            assert isinstance(action["resource"], dict), "J4"
            assert action["resource"]["resourceType"], "A9"
    assert recommended <= 1 or card["selectionBehavior"] == "any", "A3"
    _check_extension(card["extension"])


def _check_extension(extension: Any) -> None:
    assert isinstance(extension, dict), "X1"
    assert all(re.fullmatch(r"[a-z]+(\.[a-z-]+)+", key) for key in extension), "X2"
