"""Signed mode as the wire sees it: who is let in where, and that nobody is told why not."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from hooks.application import create_app
from hooks.settings import Settings
from hooks.store.store import open_store
from hooks.trust.keys import new_key, public_jwk
from tests.wire import call_body, check_outcome, without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

PUBLIC = "https://cds.example"
ISSUER = "https://ehr.example"
CALL = "/cds-services/oncobone-patient-view"
FHIR = "https://ehr.example/fhir"
KEY = new_key("ES384")


def bearer(path: str, **claims: Any) -> dict[str, str]:
    """A fresh token of the client for one path."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": PUBLIC + path, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())}
    signed = jwt.encode(usual | claims, KEY, algorithm="ES384", headers={"kid": "k1", "typ": "JWT"})
    return {"Authorization": f"Bearer {signed}"}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public_jwk(KEY, "ES384", "k1")]}), encoding="utf-8")
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}", audit_key_file=tmp_path / "key")

    def made(*, strict: bool = False, **client: Any) -> FlaskClient:
        entry = {"issuer": ISSUER, "keys_file": tmp_path / "jwks.json", "fhir_servers": [FHIR]} | client
        settings = {"host": "0.0.0.0", "public_url": PUBLIC, "clients": [entry], "now": "2026-11-22", "strict": strict}  # noqa: S104 - not opened
        return create_app(Settings.model_validate(settings), store=store).test_client()

    yield made
    store.close()


def test_all_three_paths_ask_for_a_token_and_say_nothing_more(make: Any) -> None:
    client = make()
    answers = [
        client.get("/cds-services"),
        client.post(CALL, json=call_body()),
        client.post(f"{CALL}/feedback", json={"feedback": []}),
        client.post("/cds-services/nope", json=call_body()),
        client.post(CALL, json=call_body(), headers=bearer("/cds-services/oncobone-order-sign")),
        client.post(CALL, json=call_body(), headers=bearer(CALL, exp=1)),
        client.post(CALL, json=call_body(), headers={"Authorization": "Basic eDp5"}),
        client.post(CALL, data=b"not json"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"] == "Bearer" for answer in answers)
    check_outcome(answers[0].get_json())


def test_a_token_opens_each_path_once(make: Any) -> None:
    client = make()
    assert client.get("/cds-services", headers=bearer("/cds-services")).status_code == 200
    once = bearer(CALL)
    answered = client.post(CALL, json=call_body(), headers=once)
    assert answered.status_code == 200
    assert client.post(CALL, json=call_body(), headers=once).status_code == 401
    card = answered.get_json()["cards"][0]["uuid"]
    told = {"feedback": [{"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}]}
    assert client.post(f"{CALL}/feedback", json=told, headers=bearer(f"{CALL}/feedback")).status_code == 200


def test_preflight_and_health_need_no_token(make: Any) -> None:
    client = make()
    assert client.options(CALL, headers={"Origin": "https://x.example"}).status_code == 204
    for path in ("/healthz", "/readyz", "/openapi.json", "/rules"):
        assert client.get(path).status_code == 200


def test_the_console_and_metrics_are_not_there(make: Any) -> None:
    client = make()
    for path in ("/", "/metrics", "/console/view"):
        assert client.get(path).status_code == 404


def test_a_fhir_server_that_is_not_listed_is_passed_over_with_a_note_and_refused_only_by_the_strict(make: Any) -> None:
    body = call_body(fhirServer="https://other.example/fhir")
    answered = make().post(CALL, json=body, headers=bearer(CALL))
    assert answered.status_code == 200
    notes = answered.get_json()["extension"]["org.oncobone.evaluation"]["notes"]
    assert any(note["resource"] == "fhirServer" and "fhir_servers of the client" in note["reason"] for note in notes)
    lacking = make().post(CALL, json=without(body, "prefetch.conditions"), headers=bearer(CALL))
    assert lacking.status_code == 412
    assert "fhir_servers of the client" in lacking.get_json()["issue"][0]["diagnostics"]
    refused = make(strict=True).post(CALL, json=body, headers=bearer(CALL))
    assert refused.status_code == 403
    assert "fhirServer" in refused.get_json()["issue"][0]["diagnostics"]


def test_a_client_that_calls_too_often_is_told_when_to_come_again(make: Any) -> None:
    client = make(calls_per_second=2)
    answers = [client.get("/cds-services", headers=bearer("/cds-services")) for _ in range(4)]
    assert [answer.status_code for answer in answers][:2] == [200, 200]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_a_refused_call_names_its_field_as_in_open_mode(make: Any) -> None:
    answered = make().post(CALL, json=without(call_body(), "context.patientId"), headers=bearer(CALL))
    assert answered.status_code == 400
    assert "context.patientId" in answered.get_json()["issue"][0]["diagnostics"]
