"""Fetching what the prefetch did not bring, from a listed FHIR server, as far as the wire sees it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Server, start
from tests.wire import IN_SCOPE, KEYS, PATIENT, RESULTS, bundle, call_body, patient, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "t0ken.of-the-ehr"
CHART: dict[str, Any] = {"Patient": patient(), "Condition": bundle(*IN_SCOPE), "Observation": bundle(*RESULTS)}
TYPES = {
    "patient": "Patient",
    "conditions": "Condition",
    "observations": "Observation",
    "medications": "MedicationRequest",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "medicationAdministrations": "MedicationAdministration",
    "serviceRequests": "ServiceRequest",
}


class Ehr:
    """A FHIR server that counts what it is asked for; `refuse` gives another status for a resource type."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.refuse: dict[str, int] = {}
        self.chart = dict(CHART)
        self.url = ""

    def answer(self, path: str, token: str | None) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        kind = urlsplit(path).path.removeprefix("/fhir/").partition("/")[0]
        self.asked.append(kind)
        self.tokens.add(token)
        if kind in self.refuse:
            return self.refuse[kind], {"resourceType": "OperationOutcome", "issue": []}
        return 200, self.chart.get(kind, bundle())


@contextmanager
def running(ehr: Ehr) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = ehr.answer(self.path, self.headers.get("Authorization"))
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        ehr.url = f"http://127.0.0.1:{server.server_port}/fhir"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def one_ehr() -> Iterator[Ehr]:
    made = Ehr()
    with running(made):
        yield made


@pytest.fixture(scope="module")
def asking(one_ehr: Ehr, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may call the EHR."""
    started = start((), {"ONCOBONE_FHIR_SERVERS": one_ehr.url}, tmp_path_factory.mktemp("asking"))
    yield started
    started.stop()


@pytest.fixture
def ehr(one_ehr: Ehr) -> Ehr:
    """The EHR, as if nobody had asked it anything."""
    one_ehr.asked.clear()
    one_ehr.refuse.clear()
    one_ehr.chart = dict(CHART)
    return one_ehr


def call(ehr: Ehr, hook: str = "patient-view", **members: Any) -> dict[str, Any]:
    authorization = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "x", "subject": "y"}
    return call_body(hook, fhirServer=ehr.url, fhirAuthorization=authorization, **members)


def notes(answered: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = answered.json()["extension"]["org.oncobone.evaluation"].get("notes", [])
    return found


def test_the_same_patient_by_prefetch_and_by_fetch_gives_identical_cards(ehr: Ehr, asking: Server) -> None:
    for hook in ("patient-view", "order-sign"):
        by_prefetch, by_fetch = asking.call(call_body(hook)), asking.call(call(ehr, hook, prefetch={}))
        assert by_fetch.status_code == 200
        assert by_prefetch.json()["cards"]
        assert by_fetch.json()["cards"] == by_prefetch.json()["cards"]
    assert ehr.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("missing", KEYS)
def test_only_what_is_missing_is_fetched(ehr: Ehr, asking: Server, missing: str) -> None:
    assert asking.call(without(call(ehr), f"prefetch.{missing}")).status_code == 200
    assert set(ehr.asked) == {TYPES[missing]}
    assert len(ehr.asked) == 1 or missing == "observations"


def test_nothing_is_fetched_for_null_and_empty(ehr: Ehr, asking: Server) -> None:
    body = call(ehr)
    body["prefetch"]["observations"] = None
    body["prefetch"]["medications"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert asking.call(body).status_code == 200
    assert ehr.asked == []


def test_a_list_whose_total_is_larger_than_what_came_is_asked_for_again(ehr: Ehr, asking: Server) -> None:
    body = call(ehr)
    body["prefetch"]["conditions"]["total"] = len(body["prefetch"]["conditions"]["entry"]) + 1
    answered = asking.call(body)
    assert answered.status_code == 200
    assert ehr.asked == ["Condition"]
    assert not [note for note in notes(answered) if "list-cut" in note["reason"]]


def test_a_trailing_slash_is_no_other_server(ehr: Ehr, asking: Server) -> None:
    assert asking.call(call(ehr, prefetch={}) | {"fhirServer": f"{ehr.url}/"}).status_code == 200


def test_without_a_token_nothing_is_asked_where_that_is_not_allowed(
    ehr: Ehr, start_server: Callable[..., Server]
) -> None:
    body = without(without(call(ehr), "fhirAuthorization"), "prefetch.conditions")
    server = start_server(ONCOBONE_FHIR_SERVERS=ehr.url, ONCOBONE_FHIR_ANONYMOUS="off")
    answered = server.call(body)
    assert answered.status_code == 412
    assert "holds no access token" in answered.json()["issue"][0]["diagnostics"]
    assert ehr.asked == []


def test_on_this_machine_a_listed_server_is_read_without_a_token(ehr: Ehr, asking: Server) -> None:
    body = without(without(call(ehr), "fhirAuthorization"), "prefetch.conditions")
    ehr.tokens.clear()
    assert asking.call(body).status_code == 200
    assert ehr.tokens == {None}


SCOPES = "launch patient/Patient.read patient/Condition.rs user/Observation.read"


def test_what_the_tokens_scopes_forbid_is_not_asked_for(ehr: Ehr, asking: Server) -> None:
    body = call(ehr, prefetch={})
    body["fhirAuthorization"]["scope"] = SCOPES
    answered = asking.call(body)
    assert answered.status_code == 200
    assert set(ehr.asked) == {"Patient", "Condition", "Observation"}
    told = [note["reason"] for note in notes(answered) if note["resource"] == "fhirServer"]
    assert [reason for reason in told if reason.startswith("scope: ")]
    assert all(key in told[0] for key in ("medications", "procedures", "allergies"))


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"Patient": 404}, "does not know this patient"),
        ({"Patient": 403}, "lacks the scope"),
        ({"Patient": 401}, "does not accept the access token"),
        ({"Patient": 410}, "was deleted"),
        ({"Patient": 500}, "The FHIR server failed"),
    ],
)
def test_each_refusal_has_a_sentence_of_its_own_in_the_answer_and_in_the_log(
    ehr: Ehr, asking: Server, refused: dict[str, int], words: str
) -> None:
    ehr.refuse = refused
    answered = asking.call(call(ehr, prefetch={}))
    assert answered.status_code == 412
    assert words in answered.json()["issue"][0]["diagnostics"]
    assert any(words in str(line.get("message", line)) for line in asking.lines())


def test_another_server_is_not_asked(ehr: Ehr, asking: Server) -> None:
    for other in (ehr.url + "x", ehr.url.replace("127.0.0.1", "localhost"), ehr.url.replace("/fhir", "")):
        body = without(call(ehr) | {"fhirServer": other}, "prefetch.conditions")
        assert asking.call(body).status_code == 412
    assert ehr.asked == []


def test_a_fetched_patient_must_be_the_one_of_the_call(ehr: Ehr, asking: Server) -> None:
    ehr.chart["Patient"] = patient("somebody-else")
    answered = asking.call(without(call(ehr), "prefetch.patient"))
    assert answered.status_code == 400
    assert "somebody-else" not in answered.text


def test_the_token_is_nowhere_but_in_its_request(ehr: Ehr, asking: Server) -> None:
    answered = asking.call(call(ehr, prefetch={}))
    assert PATIENT in json.dumps(call(ehr))
    for place in (answered.text, asking.get("/metrics").text, asking.log.read_text(encoding="utf-8")):
        assert TOKEN not in place
    assert any(line.get("fetches", {}).get("patient") == "ok" for line in asking.lines())


@pytest.mark.parametrize("status", [401, 403, 404, 500])
@pytest.mark.parametrize("key", ["conditions", "observations"])
def test_a_refused_fetch_is_unavailable_and_never_empty(ehr: Ehr, asking: Server, key: str, status: int) -> None:
    ehr.refuse[TYPES[key]] = status
    answered = asking.call(without(call(ehr), f"prefetch.{key}"), headers={"Accept-Language": "en"})
    if key == "conditions":
        assert answered.status_code == 412
    else:
        assert answered.status_code == 200
        assert any(
            note["resource"] == f"prefetch/{key}" and "unavailable" in note["reason"] for note in notes(answered)
        )
        assert any("did not come whole" in card["summary"] for card in answered.json()["cards"])
