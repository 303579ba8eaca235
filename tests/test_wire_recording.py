"""What a running server keeps of a call: cards for feedback, a chained audit record, and nothing of the patient."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks.store.store import open_store
from tests.wire import call_body, with_

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server

SERVICE = "oncobone-patient-view"
CANARY = "canary-4711"


def entry(card: str, **members: Any) -> dict[str, Any]:
    usual = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    return {"feedback": [usual | members]}


def test_feedback_on_a_card_that_was_shown_is_stored(server: Server) -> None:
    card = server.call(call_body()).json()["cards"][0]["uuid"]
    path = f"/cds-services/{SERVICE}/feedback"
    assert server.request("POST", path, json=entry(card)).json() == {"stored": 1}
    assert server.request("POST", path, json=entry(card)).status_code == 200
    assert 'oncobone_feedback_total{outcome="overridden"}' in server.get("/metrics").text


def test_feedback_on_a_card_of_nobody_or_of_another_service_is_not(server: Server) -> None:
    card = server.call(call_body()).json()["cards"][0]["uuid"]
    unknown = "00000000-0000-4000-8000-000000000000"
    assert server.request("POST", f"/cds-services/{SERVICE}/feedback", json=entry(unknown)).status_code == 404
    assert server.request("POST", "/cds-services/oncobone-order-sign/feedback", json=entry(card)).status_code == 404
    assert server.request("POST", "/cds-services/nope/feedback", json=entry(card)).status_code == 404
    assert server.request("GET", f"/cds-services/{SERVICE}/feedback").status_code == 405


def test_every_call_is_audited_in_a_whole_chain_and_nothing_of_the_patient_is_kept(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    running = start_server()
    body = with_(call_body(hookInstance=CANARY), "context.userId", f"Practitioner/{CANARY}")
    body["context"]["patientId"] = body["prefetch"]["patient"]["id"] = CANARY
    for resource in [
        each["resource"] for key in ("conditions", "observations") for each in body["prefetch"][key]["entry"]
    ]:
        resource["subject"]["reference"] = f"Patient/{CANARY}"
    assert running.call(body).json()["cards"]
    assert running.call(with_(body, "context.patientId", "somebody")).status_code == 400
    assert running.send(b"{").status_code == 400
    assert running.stop() == 0

    database = tmp_path / "oncobone.sqlite"
    store = open_store(f"sqlite:///{database}")
    assert store.verify_audit() == []
    rows = [each.record for each in store.audit_entries()]
    store.close()
    assert len(rows) == 3
    assert '"fired":["' in rows[0]
    assert ['"status":200' in row for row in rows] == [True, False, False]
    with sqlite3.connect(database) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    for kept in (dump, running.log.read_text(encoding="utf-8")):
        assert CANARY not in kept
        assert "o-creatinine" not in kept


def test_a_call_is_answered_while_the_store_is_down(start_server: Callable[..., Server], tmp_path: Path) -> None:
    running = start_server()
    card = running.call(call_body()).json()["cards"][0]["uuid"]
    database = tmp_path / "oncobone.sqlite"
    lock = sqlite3.connect(database, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        assert running.call(call_body()).status_code == 200
        refused = running.request("POST", f"/cds-services/{SERVICE}/feedback", json=entry(card))
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert running.get("/readyz").status_code == 503
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert running.call(call_body()).status_code == 200
