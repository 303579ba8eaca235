"""A megabyte of text wherever words, codes and numbers are looked for: no call costs more than a second."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hooks.application import create_app
from hooks.settings import Settings
from tests.floors import measured, seconds_of
from tests.wire import SERVICE_OF, bundle, call_body

MEGABYTE = 1_000_000
PIECES = (
    "a", "1", " ", "\n", "(", "无", "骨转移", "zometa ", "4 mg ", "1-1.", "no ", "no fracture, ", "every 4 weeks ",
    "a ", "8 gy/1 f ", "?", "mg/", "1.5", "q4w,",
)  # fmt: skip
ABOUT = {"reference": "Patient/p-1"}


def order_with(text: str) -> dict[str, Any]:
    """A draft order whose every text is this."""
    body = call_body("order-sign")
    order = body["context"]["draftOrders"]["entry"][0]["resource"]
    order["dosageInstruction"][0] |= {"text": text, "patientInstruction": text, "route": {"text": text}}
    order["medicationCodeableConcept"]["text"] = text
    order["reasonCode"] = [{"text": text}]
    return body


def chart_with(text: str) -> dict[str, Any]:
    """A chart in which every text is this."""
    body = call_body()
    prefetch = body["prefetch"]
    for each in prefetch["conditions"]["entry"]:
        each["resource"]["code"]["text"] = text
        each["resource"] |= {"bodySite": [{"text": text}], "note": [{"text": text}], "onsetString": text}
    for each in prefetch["observations"]["entry"]:
        each["resource"]["code"]["text"] = text
        each["resource"]["valueQuantity"] |= {"unit": text, "code": text}
        each["resource"] |= {"note": [{"text": text}], "referenceRange": [{"text": text}]}
    told = {"resourceType": "Observation", "id": "told", "status": "final", "code": {"text": text}, "subject": ABOUT}
    prefetch["observations"]["entry"].append({"resource": told | {"valueString": text}})
    named, status = {"text": text}, {"status": "active", "intent": "order", "subject": ABOUT}
    prefetch["procedures"] = bundle(
        {
            "resourceType": "Procedure",
            "id": "x",
            "status": "completed",
            "code": named,
            "subject": ABOUT,
            "bodySite": [named],
        }
    )
    prefetch["allergies"] = bundle({"resourceType": "AllergyIntolerance", "id": "x", "code": named, "patient": ABOUT})
    prefetch["serviceRequests"] = bundle({"resourceType": "ServiceRequest", "id": "x", "code": named} | status)
    prefetch["medications"] = bundle(
        {"resourceType": "MedicationRequest", "id": "x", "medicationCodeableConcept": named} | status
        | {"dosageInstruction": [{"text": text}]}
    )  # fmt: skip
    return body


def codes_with(text: str) -> dict[str, Any]:
    """A chart in which every code and date is this, behind the right beginning."""
    body = call_body()
    for key in ("conditions", "observations"):
        for each in body["prefetch"][key]["entry"]:
            coding = each["resource"]["code"]["coding"][0]
            coding["code"] += text
            each["resource"]["code"]["coding"].append({"system": coding["system"] + text, "code": text})
            each["resource"] |= {"recordedDate": text, "effectiveDateTime": text}
    return body


@pytest.mark.timeout(300)
@pytest.mark.parametrize("made", [order_with, chart_with, codes_with])
def test_no_text_of_a_megabyte_holds_up_a_call(made: Any) -> None:
    client = create_app(Settings.model_validate({"now": "2026-11-22"})).test_client()
    for piece in PIECES:
        # The body as a whole stays under its limit: many places share the megabytes.
        text = piece * (MEGABYTE // len(piece.encode()))
        body = made(text)
        raw = json.dumps(body, ensure_ascii=False).encode()
        while len(raw) > 15 * MEGABYTE:
            text = text[: len(text) // 2]
            raw = json.dumps(made(text), ensure_ascii=False).encode()
        path, answers = f"/cds-services/{SERVICE_OF[body['hook']]}", list[Any]()

        def asked(path: str = path, raw: bytes = raw, answers: list[Any] = answers) -> None:
            answers.append(client.post(path, data=raw, headers={"Content-Type": "application/json"}))

        cost = seconds_of(asked, 1.0)
        measured(f"{piece!r}: {cost:.2f} s of CPU")
        assert cost <= 1.0, f"{piece!r}: {cost:.2f} seconds of a quiet core"
        answered = answers[-1]
        assert answered.status_code in {200, 400, 412}, piece
        assert len(answered.data) < 300_000 or made is order_with, piece
