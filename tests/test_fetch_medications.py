"""Medications that are only referred to: read where that is allowed, and put where the mapping finds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fhir_mapping.chart import Unavailable
from hooks.fhir_server.references import MOST, unresolved, with_resources
from tests import fhir_servers as fhir
from tests.fhir_servers import serving
from tests.wire import bundle, call_body


def request(target: str | None, kind: str = "MedicationRequest") -> dict[str, Any]:
    return {"resourceType": kind, "id": "m"} | ({"medicationReference": {"reference": target}} if target else {})


def raw(*resources: Any) -> bytes:
    return json.dumps(bundle(*resources)).encode()


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        ([request("Medication/1")], ["Medication/1"]),
        ([request("Medication/1", "MedicationAdministration")], ["Medication/1"]),
        ([request("Medication/1"), request("Medication/1")], ["Medication/1"]),
        ([request("Medication/1"), {"resourceType": "Medication", "id": "1"}], []),
        ([request(None)], []),
        ([request("#1")], []),
        ([request("urn:uuid:1")], []),
        ([request("https://evil.test/Medication/1")], []),
        ([request("Medication/..")], []),
        ([request("Medication/1/../2")], []),
        ([request("Medication/1?x=y")], []),
        ([request("Patient/1")], []),
        ([{"resourceType": "MedicationRequest", "medicationReference": "Medication/1"}, request("Medication/2")],
         ["Medication/2"]),
        ([7, None, request("Medication/2")], ["Medication/2"]),
    ],
)  # fmt: skip
def test_only_plain_references_to_what_was_not_delivered_are_read(resources: list[Any], found: list[str]) -> None:
    assert unresolved(None, {"medications": raw(*resources)}) == found


def test_draft_orders_come_first_and_there_is_an_end() -> None:
    many = raw(*(request(f"Medication/{n}") for n in range(100)))
    found = unresolved(raw(request("Medication/drafted")), {"medications": many})
    assert (found[0], len(found)) == ("Medication/drafted", MOST)


def test_what_was_read_joins_a_bundle_and_makes_nothing_available_that_was_not() -> None:
    medication = b'{"resourceType":"Medication","id":"1"}'
    unavailable = Unavailable("forbidden")
    prefetch: dict[str, bytes | Unavailable] = {
        "medications": unavailable,
        "conditions": raw({"resourceType": "Condition"}),
    }
    together = with_resources(prefetch, [medication])
    assert together["medications"] is unavailable
    assert isinstance(together["conditions"], bytes)
    assert [entry["resource"]["resourceType"] for entry in json.loads(together["conditions"])["entry"]] == [
        "Condition",
        "Medication",
    ]
    assert with_resources({"medications": b"null"}, [medication])["medications"] == (
        b'{"resourceType":"Bundle","entry":[{"resource":' + medication + b"}]}"
    )
    assert with_resources(prefetch, []) == prefetch
    assert with_resources({"medications": b"{"}, [medication]) == {"medications": b"{"}


def test_a_draft_order_that_only_refers_to_its_drug_is_judged_like_one_that_names_it(
    start_server: Callable[..., Any],
) -> None:
    named = call_body("order-sign")
    order = named["context"]["draftOrders"]["entry"][0]["resource"]
    referring = json.loads(json.dumps(named))
    referred = referring["context"]["draftOrders"]["entry"][0]["resource"]
    del referred["medicationCodeableConcept"]
    referred["medicationReference"] = {"reference": "Medication/z"}
    medication = {"resourceType": "Medication", "id": "z", "code": order["medicationCodeableConcept"]}

    def answer(handler: fhir.Handler) -> None:
        handler.send(fhir.as_json(medication))

    with serving(answer) as ehr:
        server = start_server(ONCOBONE_FHIR_SERVERS=ehr.base)
        access = {"fhirServer": ehr.base, "fhirAuthorization": {"access_token": "t", "token_type": "Bearer"}}
        told = server.call(referring | access).json()
        silent = server.call(referring).json()
        assert {path for path, _ in ehr.seen} == {"/fhir/Medication/z", "/fhir/metadata"}
    wanted = server.call(named).json()

    def fired(body: dict[str, Any]) -> list[str]:
        return list(body["extension"]["org.oncobone.evaluation"].get("fired", []))

    assert fired(told) == fired(wanted) != []
    assert fired(silent) != fired(wanted)
