"""Names, numbers and tokens planted in everything that is sent: afterwards they stand nowhere but where they may."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import fhir_servers
from tests.conftest import Server
from tests.wire import bundle, call_body, condition, observation, patient, zoledronic_order

NAME = "Zzyzx-Quillfeather"
MRN = "mrn-8842011"
PATIENT_ID = "pat-canary-5519"
TOKEN = "canary.token-of-7731"
BORN = "1931-07-19"
USER = "Practitioner/dr-canary-2214"
COMMENT = "she-told-me-canary-9907"
CANARIES = (NAME, MRN, PATIENT_ID, TOKEN, BORN, USER.partition("/")[2], COMMENT, "enc-canary-1", "cond-canary-3")
PATH = "/cds-services/oncobone-patient-view"


def planted(hook: str = "patient-view", **members: Any) -> dict[str, Any]:
    """A call in which whatever identifies somebody is a canary."""
    about = {"subject": {"reference": f"Patient/{PATIENT_ID}", "display": NAME}}
    person = patient(PATIENT_ID) | {
        "birthDate": BORN,
        "name": [{"family": NAME}],
        "identifier": [{"system": "urn:x", "value": MRN}],
        "telecom": [{"value": MRN}],
    }
    noted = {"note": [{"text": f"{NAME} {MRN}"}]}
    conditions = [condition("C34.11", "cond-canary-1"), condition("C79.51", "cond-canary-3")]
    results = [observation("2160-0", 1.9, "mg/dL", "obs-canary-1"), observation("29463-7", 60, "kg", "obs-canary-2")]
    body = call_body(hook, **members)
    body["context"] |= {"patientId": PATIENT_ID, "userId": USER, "encounterId": "enc-canary-1"}
    if "draftOrders" in body["context"]:
        body["context"]["draftOrders"] = bundle(zoledronic_order() | about | noted)
    if "prefetch" not in members:
        body["prefetch"] |= {
            "patient": person,
            "conditions": bundle(*(each | about | noted for each in conditions)),
            "observations": bundle(*(each | about | noted for each in results)),
        }
    return body


def everything_kept(folder: Path) -> dict[str, bytes]:
    """Every file that a server has written, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("level", ["info", "debug"])
def test_nothing_that_was_planted_is_kept_logged_counted_or_told(
    start_server: Callable[..., Server], tmp_path: Path, level: str
) -> None:
    told: list[str] = []
    with fhir_servers.serving(fhir_servers.status(403)) as ehr:
        server = start_server(ONCOBONE_FHIR_SERVERS=ehr.base, ONCOBONE_LOG_LEVEL=level)
        authorization = {"access_token": TOKEN, "token_type": "Bearer", "scope": "x", "subject": NAME}
        fetching: dict[str, Any] = {"fhirServer": ehr.base, "fhirAuthorization": authorization}
        cards = [server.call(planted(hook)).json()["cards"] for hook in ("patient-view", "order-sign", "order-select")]
        assert all(cards)
        assert server.call(planted(**fetching)).status_code == 200
        # Refusals: each names its field and nothing else.
        refused = [
            server.call(planted(**fetching, prefetch={})),
            server.call(planted() | {"hook": NAME}, "oncobone-patient-view"),
            server.call(planted(hookInstance={"x": NAME}), "oncobone-patient-view"),
            server.call(planted(), NAME),
            server.call(planted(fhirServer=NAME, prefetch={})),
            server.send(json.dumps(planted()).encode()[:-20]),
            server.send(json.dumps(planted()).encode() + TOKEN.encode()),
            server.send(b'{"' + NAME.encode() + b'": NaN}'),
            server.request("POST", PATH, data=NAME, headers={"Content-Type": NAME}),
            server.request("POST", PATH, json=planted(), headers={"Content-Encoding": NAME}),
            server.get(f"/{MRN}?patient={NAME}"),
            server.get(f"/cds-services/{MRN}"),
            server.get("/cds-services", headers={"X-Request-Id": f"{NAME} {MRN}", "Origin": f"https://{NAME}"}),
        ]
        for changed in ({"patientId": f"{PATIENT_ID}/x"}, {"userId": {"name": NAME}}, {"patientId": "other"}):
            body = planted()
            body["context"] |= changed
            refused.append(server.call(body))
        assert {answer.status_code for answer in refused[:-4]} >= {400, 404, 412, 415}
        told += [answer.text + str(answer.headers) for answer in refused]
        # Feedback, good and bad.
        card = cards[0][0]["uuid"]
        reason = {"reason": {"code": "x", "system": "urn:x"}, "userComment": f"{COMMENT} {NAME}"}
        entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
        stored = server.request("POST", f"{PATH}/feedback", json={"feedback": [entry | {"overrideReason": reason}]})
        assert stored.status_code == 200
        wrong = [
            server.request("POST", f"{PATH}/feedback", json={"feedback": [entry | bad]})
            for bad in ({"card": NAME}, {"outcome": NAME}, {"outcomeTimestamp": NAME}, {"acceptedSuggestions": [NAME]})
        ]
        told += [answer.text for answer in (stored, *wrong)]
        told += [server.get(path).text for path in ("/metrics", "/readyz", "/healthz", "/cds-services")]
        assert all(header["Authorization"] == f"Bearer {TOKEN}" for _, header in ehr.seen)
        time.sleep(0.2)
        server.stop()
    for canary in CANARIES:
        assert not [text for text in told if canary in text], canary
    database = next(tmp_path.glob("*.sqlite"))
    with sqlite3.connect(database) as connection:
        # The one place where a user's own words are kept, as documented.
        assert connection.execute("SELECT user_comment FROM feedback").fetchall() == [(f"{COMMENT} {NAME}",)]
        connection.execute("UPDATE feedback SET user_comment = NULL")
        connection.commit()
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    kept = everything_kept(tmp_path)
    assert any(name.endswith(".jsonl") and b'"request"' in content for name, content in kept.items())
    assert any(b"audit_records" in content for content in kept.values())
    for canary in CANARIES:
        found = [name for name, content in kept.items() if canary.encode() in content]
        assert found == [], canary


def test_the_same_instance_of_two_callers_shares_nothing(start_server: Callable[..., Server]) -> None:
    """No answer is kept for the next caller, whatever it has in common with the last."""
    server = start_server()
    instance = str(uuid.uuid4())
    first = server.call(call_body(hookInstance=instance))
    second = server.call(
        call_body(hookInstance=instance, prefetch=call_body()["prefetch"] | {"observations": bundle()})
    )
    third = server.call(call_body(hookInstance=instance))
    assert first.headers["Cache-Control"] == "no-store"
    assert first.json() != second.json()
    assert first.json() == third.json()
