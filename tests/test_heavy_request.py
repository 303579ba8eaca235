"""
One request of fifteen megabytes, whatever stands in it: a second's work at the most, and what was not read is said.

The work is CPU time of this process, in seconds of a quiet core (`tests/floors.py`): what else the machine does counts
for nothing.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks import application
from hooks.application import FORM_BYTES
from hooks.configuration import load
from hooks.errors import Refused
from hooks.running.collecting import COLLECT_AFTER
from hooks.trust.gate import Strangers
from tests.conftest import Server
from tests.floors import measured, seconds_of
from tests.wire import DAY, bundle, call_body, observation

if TYPE_CHECKING:
    from flask.testing import FlaskClient

JSON = {"Content-Type": "application/json"}
MB = 1_000_000
SIZE = 15 * MB
CPU_S = 1.0
MEMORY = 300 * MB
ABOUT = {"reference": "Patient/p-1"}
DOSAGE = {
    "text": "4 mg every 4 weeks",
    "timing": {"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}},
    "doseAndRate": [{"doseQuantity": {"value": 4, "unit": "mg"}}],
}
ZOLEDRONIC = {"coding": [{"system": "http://www.whocc.no/atc", "code": "M05BA08"}]}


def form_client() -> FlaskClient:
    environment = {"ONCOBONE_NOW": DAY, "ONCOBONE_SMART_CLIENT_ID": "form"}
    settings = load({}, environment | {"ONCOBONE_FHIR_SERVERS": "https://ehr.example/fhir"})
    return application.create_app(settings).test_client()


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    made = form_client()
    made.post("/cds-services/oncobone-patient-view", json=call_body())
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)  # as a serving process has it
    yield made
    gc.set_threshold(*usual)
    gc.unfreeze()


def creatinine(name: str, **members: Any) -> dict[str, Any]:
    return observation("2160-0", 1.0, "mg/dL", name, day="2026-11-18") | members


def order(number: int, **members: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"status": "active", "intent": "order", "subject": ABOUT, "authoredOn": "2026-10-01"}
    return (
        {"resourceType": "MedicationRequest", "id": f"m{number}", "medicationCodeableConcept": ZOLEDRONIC}
        | told
        | members
    )


def diagnosis(number: int) -> dict[str, Any]:
    said = {"text": f"metastasis to left femur {number}"}
    return {"resourceType": "Condition", "id": f"c{number}", "subject": ABOUT, "code": said}


def with_(key: str, *resources: dict[str, Any]) -> bytes:
    body = call_body()
    body["prefetch"][key] = bundle(*resources)
    return json.dumps(body).encode()


def with_results(*results: dict[str, Any]) -> bytes:
    return with_("observations", *results)


CODING = {"system": "http://loinc.org", "code": "2160-0"}
PART = {"code": {"coding": [CODING]}, "valueQuantity": {"value": 1, "unit": "mg/dL"}}
MARK = b'"status": "final"'


def inside(text: bytes) -> bytes:
    """A result with one more member, written as it is."""
    whole = with_results(creatinine("o1"))
    assert MARK in whole
    return whole.replace(MARK, MARK + b', "x": ' + text, 1)


def bundled(entry: bytes) -> bytes:
    """Results that are so many times this entry."""
    return with_results().replace(b'"entry": []', b'"entry": [' + b",".join([entry] * (SIZE // 3)) + b"]", 1)


SHAPES: dict[str, Callable[[], bytes]] = {
    "codings of one result": lambda: with_results(creatinine("o1", code={"coding": [CODING] * (SIZE // 60)})),
    "codings of many results": lambda: with_results(
        *(creatinine(f"o{n}", code={"coding": [CODING] * 7000}) for n in range(35))
    ),
    "components of one result": lambda: with_results(creatinine("o1", component=[PART] * (SIZE // 140))),
    "components of many results": lambda: with_results(
        *(creatinine(f"o{n}", component=[PART] * 2000) for n in range(50))
    ),
    "notes of one result": lambda: with_results(creatinine("o1", note=[{"text": "fracture"}] * (SIZE // 25))),
    "notes of many results": lambda: with_results(
        *(creatinine(f"o{n}", note=[{"text": "fracture"}] * 8000) for n in range(70))
    ),
    "interpretations of many results": lambda: with_results(
        *(creatinine(f"o{n}", interpretation=[{"coding": [CODING] * 20}] * 90) for n in range(135))
    ),
    "dosages of many orders": lambda: with_(
        "medications", *(order(n, dosageInstruction=[DOSAGE] * 700) for n in range(110))
    ),
    "notes of many orders": lambda: with_(
        "medications", *(order(n, note=[{"text": "zoledronic acid 4 mg " * 20}] * 300) for n in range(100))
    ),
    "diagnoses in words of their own": lambda: with_("conditions", *(diagnosis(n) for n in range(4990))),
    "numbers": lambda: inside(b"[" + b"1," * (SIZE // 2) + b"1]"),
    "members": lambda: inside(b"{" + b",".join(b'"m%d":1' % n for n in range(SIZE // 12)) + b"}"),
    "digits": lambda: inside(b"1" * SIZE),
    "brackets": lambda: inside(b"[" * (SIZE // 2) + b"]" * (SIZE // 2)),
    "brackets side by side": lambda: inside(b"[" + b",".join([b"[" * 60 + b"]" * 60] * (900_000 // 60)) + b"]"),
    "members of the context": lambda: json.dumps(
        call_body() | {"context": call_body()["context"] | {f"m{n}": 1 for n in range(SIZE // 13)}}
    ).encode(),
    "entries of nothing": lambda: bundled(b"{}"),
    "entries that are no objects": lambda: bundled(b"[]"),
    "lists in many results of odd shape": lambda: with_results(
        *(creatinine(f"o{n}", subject="Patient/p-1", x="@") for n in range(800))
    ).replace(b'"@"', b"[" + b",".join([b"[" * 60 + b"]" * 60] * 150) + b"]"),
    "prefetch keys": lambda: json.dumps(
        call_body() | {"prefetch": {f"m{n}": None for n in range(SIZE // 16)}}
    ).encode(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_request_of_fifteen_megabytes_costs_a_second_at_the_most(client: FlaskClient, shape: str) -> None:
    body = SHAPES[shape]()
    answers = []

    def asked() -> None:
        answers.append(client.post("/cds-services/oncobone-patient-view", data=body, headers=JSON))

    cost = seconds_of(asked, CPU_S)
    answered = answers[-1]
    assert answered.status_code in {200, 400, 413}
    measured(f"{shape}: {cost:.2f} s of CPU, {len(body) / MB:.0f} MB")
    assert cost <= CPU_S, f"{cost:.2f} s"
    if answered.status_code == 200 and shape.startswith(("codings", "components", "notes", "dosages", "diagnoses")):
        notes = answered.get_json()["extension"]["org.oncobone.evaluation"]["notes"]
        assert any("too-long" in note["reason"] for note in notes), "what was not read is said"


@pytest.mark.parametrize(
    "shape", ["entries of nothing", "entries that are no objects", "lists in many results of odd shape"]
)
def test_more_objects_than_can_mean_anything_are_refused_as_too_large(client: FlaskClient, shape: str) -> None:
    answered = client.post("/cds-services/oncobone-patient-view", data=SHAPES[shape](), headers=JSON)
    assert answered.status_code == 413
    assert "objects and lists" in answered.get_json()["issue"][0]["diagnostics"]


def peak(server: Server) -> int:
    """The most memory that a server's process has held, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at a process through Linux's /proc")
def test_it_takes_no_more_memory_than_was_promised(start_server: Callable[..., Server]) -> None:
    server = start_server()
    server.call(call_body())
    before = peak(server)
    for shape in ("codings of many results", "notes of many results", "members"):
        server.send(SHAPES[shape]())
    measured(f"{(peak(server) - before) / MB:.0f} MB more at the most")
    assert peak(server) - before < MEMORY


def test_a_chart_of_thousands_of_usual_results_is_read_to_its_end(client: FlaskClient) -> None:
    results = [creatinine(f"o{n}") for n in range(3000)]
    answered = client.post(
        "/cds-services/oncobone-patient-view",
        data=with_results(*results),
        headers={"Content-Type": "application/json"},
    ).get_json()
    notes = answered["extension"]["org.oncobone.evaluation"]["notes"]
    assert not any("too-long" in note["reason"] for note in notes)


def test_the_rules_page_is_made_once(client: FlaskClient) -> None:
    first = client.get("/rules").data

    def asked() -> None:
        for _ in range(20):
            assert client.get("/rules").data == first

    assert seconds_of(asked, 0.2) <= 0.2
    assert client.get("/rules?lang=zh").data != first


def test_strangers_ask_the_form_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "FORM_PER_SECOND", 0.01)
    made = form_client()
    assert [made.get("/ask/questionnaire").status_code for _ in range(3)] == [200, 429, 429]
    assert int(made.post("/ask/questions", json={}).headers["Retry-After"]) > 1
    assert made.get("/ask").status_code == 200, "the page itself costs nothing"
    assert made.post("/cds-services/oncobone-patient-view", json=call_body()).status_code == 200


def test_strangers_have_so_much_room_at_once_and_give_it_back() -> None:
    strangers = Strangers(1000, 2)
    for _ in range(3):
        strangers.enter()
        strangers.enter()
        with pytest.raises(Refused):
            strangers.enter()
        strangers.leave()
        strangers.leave()


def test_a_chart_for_the_form_has_a_size_of_its_own(client: FlaskClient) -> None:
    time.sleep(1)
    body = b'{"patient": "p1", "prefetch": {}, "keep": ["' + b"x" * FORM_BYTES + b'"]}'
    answered = client.post("/ask/questions", data=body, headers={"Content-Type": "application/json"})
    assert answered.status_code == 413
