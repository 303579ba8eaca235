"""The sample patients for other people's FHIR servers: valid Bundles, told apart, loaded without harm."""

from __future__ import annotations

import datetime as dt
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner, Result
from fhir.resources.R4B.bundle import Bundle
from flask import Flask, Response, request
from werkzeug.serving import make_server

from hooks.reference import samples
from hooks.tools import loading, sandbox
from hooks.tools.cli import main
from tests import fhir_servers as fhir
from tests.fhir_servers import Answer, serving
from tests.test_sandbox import needed
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORY_DAY = dt.date.fromisoformat(DAY)
TWO = [samples.sample("femur-and-cord"), samples.sample("mgus")]
NAMES = ["--name", "femur-and-cord", "--name", "mgus"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["samples", *arguments])


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "reference" and isinstance(inner, str):
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("own_ids", [True, False])
@pytest.mark.parametrize("sample", samples.samples(), ids=lambda one: one.name)
def test_a_bundle_is_a_valid_transaction_whose_references_stay_inside(sample: samples.Sample, own_ids: bool) -> None:
    bundle = loading.as_transaction(sample, STORY_DAY, own_ids=own_ids)
    Bundle.model_validate(bundle)
    entries = bundle["entry"]
    urls = [entry["fullUrl"] for entry in entries]
    assert len(set(urls)) == len(urls) == len(sample.resources)
    reached = {f"{loading.NOWHERE}/{name}" if own_ids else name for name in references(entries)}
    assert reached <= set(urls)
    for entry in entries:
        resource, asked = entry["resource"], entry["request"]
        kind = resource["resourceType"]
        (known,) = resource["identifier"]
        assert known["system"] == loading.SYSTEM
        if own_ids:
            assert asked == {"method": "PUT", "url": f"{kind}/{resource['id']}"}
            assert entry["fullUrl"].endswith(asked["url"])
        else:
            assert "id" not in resource
            found = f"identifier={loading.SYSTEM}|{known['value']}"
            assert asked == {"method": "POST", "url": kind, "ifNoneExist": found}


def test_no_two_patients_share_an_id_or_an_identifier() -> None:
    seen: list[tuple[str, str]] = []
    for sample in samples.samples():
        for entry in loading.as_transaction(sample, STORY_DAY)["entry"]:
            seen.append((entry["resource"]["resourceType"], entry["resource"]["id"]))
            seen.append((entry["resource"]["resourceType"], f"#{entry['resource']['identifier'][0]['value']}"))
    assert len(seen) == len(set(seen))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needed()
    with sandbox.fhir_server(tmp_path_factory.mktemp("fhir")) as running:
        yield running.base


def total(base: str, query: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return int(session.get(f"{base}/{query}", timeout=30).json()["total"])


def test_loading_twice_is_loading_once_and_a_day_later_moves_the_stories(server: str) -> None:
    for day in (STORY_DAY, STORY_DAY, STORY_DAY + dt.timedelta(1)):
        loaded = loading.load(server, day, TWO)
        assert [(one.patient_id, one.resources) for one in loaded] == [
            (one.patient_id, len(one.resources)) for one in TWO
        ]
    assert total(server, "Patient?_id=s10,s11") == 2
    assert total(server, "Observation?patient=s11") == sum(
        one["resourceType"] == "Observation" for one in TWO[0].resources
    )
    assert total(server, f"Observation?patient=s11&date={STORY_DAY - dt.timedelta(1)}") > 0


@contextmanager
def without_ids_of_clients(base: str, *, says_so: bool) -> Iterator[str]:
    """A FHIR server that gives every id itself, and says so or not, before the one that keeps the data."""
    app = Flask("no-update-as-create")
    session = requests.Session()
    session.trust_env = False

    @app.route("/fhir", methods=["POST"], defaults={"path": ""})
    @app.route("/fhir/<path:path>", methods=["GET", "POST"])
    def passed(path: str) -> Response:
        body = request.get_data()
        if b'"PUT"' in body:
            outcome = {"severity": "error", "code": "processing", "diagnostics": "No resource of this id."}
            told = json.dumps({"resourceType": "OperationOutcome", "issue": [outcome]})
            return Response(told, 405, mimetype="application/fhir+json")
        asked = session.request(
            request.method,
            f"{base}/{path}".rstrip("/"),
            params=request.args.to_dict(flat=False),
            data=body,
            headers={"Content-Type": "application/fhir+json"},
            timeout=30,
        )
        text = asked.text
        if path == "metadata" and says_so:
            text = text.replace('"updateCreate":true', '"updateCreate":false')
            assert '"updateCreate":false' in text
        return Response(text, asked.status_code, mimetype="application/fhir+json")

    listening = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/fhir"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
        session.close()


@pytest.mark.parametrize("says_so", [True, False])
def test_a_server_that_gives_the_ids_itself_gives_each_patient_one(server: str, says_so: bool) -> None:
    others = [samples.sample("painful-rib"), samples.sample("humerus-mirels-8")]
    with without_ids_of_clients(server, says_so=says_so) as base:
        first = loading.load(base, STORY_DAY, others)
        again = loading.load(base, STORY_DAY, others)
    ids = [one.patient_id for one in first]
    assert ids == [one.patient_id for one in again]
    assert not set(ids) & {one.patient_id for one in others}
    for one in first:
        kinds = [each["resourceType"] for each in one.sample.resources]
        assert total(server, f"Observation?patient={one.patient_id}") == kinds.count("Observation")


def test_somebody_elses_patient_is_not_written_over(server: str) -> None:
    other = {
        "resourceType": "Patient",
        "id": "s23",
        "identifier": [{"system": "http://hospital.example", "value": "1"}],
    }
    with requests.Session() as session:
        session.trust_env = False
        assert session.put(f"{server}/Patient/s23", json=other, timeout=30).status_code in {200, 201}
        done = run("--load", server, "--name", "mgus", "--name", "nothing-to-say")
        assert done.exit_code == 1
        assert "patient s23 that is none of our samples" in done.output
        assert "Nothing was loaded" in done.output
        kept = session.get(f"{server}/Patient/s23", timeout=30).json()
    assert kept["identifier"] == other["identifier"]


def test_the_command_loads_lists_and_writes(server: str, tmp_path: Path) -> None:
    listed = run("--json")
    assert [one["patient"] for one in json.loads(listed.stdout)] == [one.patient_id for one in samples.samples()]
    loaded = run("--load", server, *NAMES, "--day", DAY, "--out", str(tmp_path / "bundles"))
    assert loaded.exit_code == 0, loaded.output
    assert f"2 patients are at {server}, as of {DAY}." in loaded.stdout
    written = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "bundles").iterdir()}
    assert written == {one.name: json.loads(json.dumps(loading.as_transaction(one, STORY_DAY))) for one in TWO}
    wrong = run("--name", "nobody")
    assert wrong.exit_code == 2
    assert "there are: " in wrong.output


def test_the_command_writes_the_requests_of_the_stories(tmp_path: Path) -> None:
    done = run("--requests", str(tmp_path / "requests"), *NAMES, "--day", DAY)
    assert done.exit_code == 0, done.output
    for one in TWO:
        written = json.loads((tmp_path / "requests" / f"{one.name}.json").read_text(encoding="utf-8"))
        assert written == samples.request_for(one.name)


FAULTS: list[tuple[Answer, str]] = [
    (fhir.status(401), "--token"),
    (fhir.status(403), "--token"),
    (fhir.html, "no FHIR base"),
    (fhir.redirect_to("https://login.example.org/"), "Configure the base that answers /metadata"),
    (fhir.not_http, "is it running"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_a_server_that_cannot_take_them_is_told_with_the_cure(fault: Answer, words: str) -> None:
    with serving(fault) as other:
        done = run("--load", other.base, *NAMES)
    assert done.exit_code == 1
    assert words in done.output
    assert "Traceback" not in done.output


def test_what_is_no_base_is_refused() -> None:
    for base in ("https://ehr.example.org/fhir?x", "https://u:p@ehr.example.org/fhir", "file:///etc"):
        done = run("--load", base)
        assert done.exit_code == 1
        assert "must be a FHIR base" in done.output


def test_the_token_is_sent_and_told_to_nobody() -> None:
    with serving(fhir.status(401)) as other:
        done = run("--load", other.base, "--token", "secret-token")
        assert other.seen[0][1]["Authorization"] == "Bearer secret-token"
    assert "secret-token" not in done.output
