"""What missing, null, empty, an error and a part each mean, key by key, over HTTP."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import IN_SCOPE, KEYS, OUTCOME, bundle, call_body, condition, patient, with_, without, zoledronic_order

if TYPE_CHECKING:
    from tests.conftest import Server

OPTIONAL = tuple(key for key in KEYS if key not in {"patient", "conditions"})
ABSENT = object()
ERRORS: dict[str, Any] = {
    "missing": ABSENT,
    "OperationOutcome": OUTCOME,
    "OperationOutcome in a Bundle": bundle(OUTCOME),
}
EMPTY: dict[str, Any] = {
    "null": None,
    "no entries": {"resourceType": "Bundle", "type": "searchset", "entry": []},
    "no entry member": {"resourceType": "Bundle", "type": "searchset"},
    "total 0": {"resourceType": "Bundle", "type": "searchset", "total": 0},
    "a collection": {"resourceType": "Bundle", "type": "collection"},
}
UNUSABLE = {"a number": 7, "a text": "x", "a list": [patient()], "true": True}


def with_key(key: str, value: Any, hook: str = "patient-view") -> dict[str, Any]:
    body = call_body(hook)
    return without(body, f"prefetch.{key}") if value is ABSENT else with_(body, f"prefetch.{key}", value)


@pytest.mark.parametrize("key", ["patient", "conditions"])
@pytest.mark.parametrize("state", [*ERRORS, *UNUSABLE])
def test_a_needed_key_that_is_not_there_is_412_and_named(server: Server, key: str, state: str) -> None:
    answered = server.call(with_key(key, (ERRORS | UNUSABLE)[state]))
    assert answered.status_code == 412
    assert f"prefetch.{key}" in answered.json()["issue"][0]["diagnostics"]


def test_a_patient_that_was_not_found_is_412(server: Server) -> None:
    assert server.call(with_key("patient", None)).status_code == 412


@pytest.mark.parametrize("state", EMPTY)
def test_an_empty_list_of_conditions_is_an_answer_out_of_scope(server: Server, state: str) -> None:
    answered = server.call(with_key("conditions", EMPTY[state]))
    assert answered.status_code == 200
    assert answered.json()["cards"] == []
    assert answered.json()["extension"]["org.oncobone.evaluation"]["in_scope"] is False


@pytest.mark.parametrize("key", OPTIONAL)
@pytest.mark.parametrize("state", ERRORS)
def test_an_optional_list_that_did_not_come_is_named(server: Server, key: str, state: str) -> None:
    answered = server.call(with_key(key, ERRORS[state]), headers={"Accept-Language": "en"})
    assert answered.status_code == 200
    notes = answered.json()["extension"]["org.oncobone.evaluation"]["notes"]
    assert any(note["resource"] == f"prefetch/{key}" for note in notes)
    if key == "observations":  # alerts and tasks hang on results
        assert any("did not come whole (observations)" in card["summary"] for card in answered.json()["cards"])


@pytest.mark.parametrize("key", OPTIONAL)
@pytest.mark.parametrize("state", EMPTY)
def test_an_optional_list_that_is_empty_is_known_to_be_empty(server: Server, key: str, state: str) -> None:
    answered = server.call(with_key(key, EMPTY[state]), headers={"Accept-Language": "en"})
    assert answered.status_code == 200
    assert not any("did not come whole" in card["summary"] for card in answered.json()["cards"])


@pytest.mark.parametrize("key", OPTIONAL)
@pytest.mark.parametrize("state", UNUSABLE)
def test_an_optional_list_that_is_no_list_is_no_crash(server: Server, key: str, state: str) -> None:
    assert server.call(with_key(key, UNUSABLE[state])).status_code == 200


def test_every_subset_of_keys_is_answered_or_412(server: Server) -> None:
    """All 256 subsets: 200 with both needed keys, else 412."""
    whole = call_body()["prefetch"]
    for count in range(len(KEYS) + 1):
        for kept in itertools.combinations(KEYS, count):
            answered = server.call(call_body(prefetch={key: whole[key] for key in kept}))
            expected = 200 if {"patient", "conditions"} <= set(kept) else 412
            assert answered.status_code == expected, kept


@pytest.mark.parametrize("hook", ["patient-view", "encounter-start", "order-select", "order-sign"])
def test_no_prefetch_at_all_is_412(server: Server, hook: str) -> None:
    for body in (without(call_body(hook), "prefetch"), call_body(hook, prefetch={}), call_body(hook, prefetch=None)):
        assert server.call(body).status_code == 412


def test_a_key_that_we_did_not_ask_for_is_not_looked_at(server: Server) -> None:
    body = call_body()
    plain = server.call(body).content
    body["prefetch"]["cancerPatient"] = patient("somebody-else")
    assert server.call(body).content == plain


# --- orders, where a 412 would hide a contraindication --------------------------------------------------------


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
@pytest.mark.parametrize("state", ERRORS)
def test_an_order_in_scope_by_itself_is_judged_without_conditions(server: Server, hook: str, state: str) -> None:
    answered = server.call(with_key("conditions", ERRORS[state], hook))
    assert answered.status_code == 200
    evaluation = answered.json()["extension"]["org.oncobone.evaluation"]
    assert evaluation["in_scope"] is True


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_another_order_without_conditions_is_412(server: Server, hook: str) -> None:
    order = zoledronic_order() | {"medicationCodeableConcept": {"text": "paracetamol 500 mg"}, "dosageInstruction": []}
    del order["dosageInstruction"]
    body = without(with_(call_body(hook), "context.draftOrders", bundle(order)), "prefetch.conditions")
    assert server.call(body).status_code == 412


def test_even_such_an_order_needs_its_patient(server: Server) -> None:
    assert server.call(with_key("patient", ABSENT, "order-sign")).status_code == 412


# --- the wrong patient ----------------------------------------------------------------------------------------


def test_another_patient_in_the_prefetch_is_refused_without_saying_who(server: Server) -> None:
    answered = server.call(with_key("patient", patient("canary-77")))
    assert answered.status_code == 400
    assert "canary-77" not in answered.text


def test_a_draft_order_for_another_patient_is_refused(server: Server) -> None:
    drafts = bundle(zoledronic_order(of="canary-77"))
    answered = server.call(with_(call_body("order-sign"), "context.draftOrders", drafts))
    assert answered.status_code == 400
    assert "canary-77" not in answered.text


def test_a_condition_of_another_patient_is_left_out_and_noted(server: Server) -> None:
    plain = server.call(call_body()).json()
    foreign = condition("C90.00", "c-foreign", of="canary-77")
    answered = server.call(with_key("conditions", bundle(*IN_SCOPE, foreign))).json()
    assert answered["cards"] == plain["cards"]
    notes = answered["extension"]["org.oncobone.evaluation"]["notes"]
    reasons = [note["reason"] for note in notes if note["resource"] == "Condition/c-foreign"]
    assert [reason.partition(":")[0] for reason in reasons] == ["other-patient"]


# --- servers that we may not ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server_url",
    ["https://ehr.example/fhir", "http://169.254.169.254/", "file:///etc/passwd", "http://127.0.0.1:1\\@x/"],
)
def test_an_unlisted_fhir_server_is_answered_from_prefetch_with_a_note(server: Server, server_url: str) -> None:
    authorization = {"access_token": "canary-token", "token_type": "Bearer", "scope": "x", "subject": "y"}
    answered = server.call(call_body(fhirServer=server_url, fhirAuthorization=authorization))
    assert answered.status_code == 200
    notes = answered.json()["extension"]["org.oncobone.evaluation"]["notes"]
    assert any(note["resource"] == "fhirServer" and note["reason"].startswith("not-listed: ") for note in notes)
    assert "canary-token" not in answered.text


def test_more_entries_than_a_call_may_have_are_too_many(server: Server) -> None:
    entry = condition("R52", "c")
    many = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": entry}] * 20_001}
    assert server.call(with_key("conditions", many)).status_code == 413
