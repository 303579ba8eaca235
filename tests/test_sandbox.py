"""The sandbox: a real FHIR server with the sample patients, and the service that reads from it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import importlib.util
import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from click.testing import CliRunner

from fhir_mapping.delivery.context import KEY_OF
from hooks.reference import samples
from hooks.tools import little_ehr, loading, ports, sandbox
from hooks.tools.cli import main
from tests import fhir_servers as fhir
from tests.conftest import environment, oncobone, start
from tests.fhir_servers import serving
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Server

STORY_DAY = dt.date.fromisoformat(DAY)


def needed() -> None:
    if importlib.util.find_spec(sandbox.SERVER) is None:
        if os.environ.get("CI"):
            pytest.fail("the sandbox's FHIR server must be installed when CI is set (the extra `sandbox`)")
        pytest.skip("the sandbox's FHIR server is not installed (pip install 'oncobone[sandbox]')")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needed()
    with sandbox.fhir_server(tmp_path_factory.mktemp("fhir")) as server:
        loading.load(server.base, STORY_DAY)
        yield server.base


@pytest.fixture(scope="module")
def service(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start((), {"ONCOBONE_FHIR_SERVERS": base}, tmp_path_factory.mktemp("service"))
    yield running
    running.stop()


def get(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=30)


def test_every_sample_patient_is_there_with_all_its_resources(base: str) -> None:
    for sample in samples.samples():
        kinds = [each["resourceType"] for each in sample.resources]
        assert get(f"{base}/Patient/{sample.patient_id}").status_code == 200
        for kind in KEY_OF:
            found = get(f"{base}/{kind}?patient={sample.patient_id}&_count=200").json()
            assert found["total"] == kinds.count(kind), (sample.name, kind)


@pytest.mark.parametrize("name", ["femur-and-cord", "smouldering-high-risk", "nothing-to-say", "hostile-chart"])
def test_fetched_data_give_the_cards_of_prefetched_data(service: Server, base: str, name: str) -> None:
    fetched = service.call(sandbox.request_without_data(samples.sample(name), base)).json()
    sent = service.call(samples.request_for(name)).json()
    told = [(card["summary"], card["indicator"]) for card in fetched["cards"]]
    assert told == [(card["summary"], card["indicator"]) for card in sent["cards"]]
    evaluations = [each["extension"]["org.oncobone.evaluation"] for each in (fetched, sent)]
    assert evaluations[0].get("fired") == evaluations[1].get("fired")


def test_the_command_calls_for_a_patient_on_a_fhir_server(service: Server, base: str) -> None:
    arguments = ["call", "--fhir", base, "--patient", "s11", "--hook", "patient-view", "--json"]
    there = CliRunner().invoke(main, [*arguments, "--url", service.url])
    here = CliRunner().invoke(main, arguments, env={"ONCOBONE_NOW": DAY})
    assert there.exit_code == here.exit_code == 0, here.output + there.output
    summaries = [[card["summary"] for card in json.loads(done.stdout)["cards"]] for done in (there, here)]
    assert summaries[0] == summaries[1]
    assert "ESCC 2" in summaries[0][0]


@pytest.mark.parametrize(
    "arguments", [(), ("--fhir", "http://127.0.0.1:9/fhir"), ("--request", "-", "--fhir", "http://127.0.0.1:9/fhir")]
)
def test_the_command_used_wrongly_says_so(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, ["call", *arguments], input="{}").exit_code == 2


def test_the_doctor_finds_the_sandbox_fit(base: str) -> None:
    done = CliRunner().invoke(main, ["doctor", "--fhir", base, "--sample", "5", "--json"], env={"ONCOBONE_NOW": DAY})
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["fit"]
    assert report["patients"] == 5
    assert report["paging"] == "works"
    assert all(search["offered"] for search in report["searches"])


def test_the_stories_can_be_told_as_of_any_day() -> None:
    later = STORY_DAY + dt.timedelta(400)
    told = samples.request_for("child-ifosfamide", day=later)
    born = [
        dt.date.fromisoformat(each["prefetch"]["patient"]["birthDate"])
        for each in (told, samples.request_for("child-ifosfamide"))
    ]
    assert born[0] - born[1] == dt.timedelta(400)
    assert samples.moved({"a": ["2026-11", "2026-11-22T08:00:00Z", "2951-2", "x 2026-11-22"]}, 31) == {
        "a": ["2026-12", "2026-12-23T08:00:00Z", "2951-2", "x 2026-11-22"]
    }


@pytest.mark.parametrize("option", ["--port", "--fhir-port", "--ehr-port"])
def test_a_port_that_is_taken_is_said_with_its_holder_and_nothing_is_loaded_there(option: str) -> None:
    needed()
    usual = {name: str(ports.free_port(sandbox.HOST)) for name in ("--port", "--fhir-port", "--ehr-port")}
    with serving(fhir.well) as other:
        taken = other.base.rpartition(":")[2].partition("/")[0]
        arguments = [part for pair in (usual | {option: taken}).items() for part in pair]
        done = CliRunner().invoke(main, ["sandbox", *arguments])
        assert other.seen == []
    assert done.exit_code == 1
    assert f"Port {taken} of 127.0.0.1 is in use by " in done.output
    assert f"(process {os.getpid()})" in done.output
    assert re.search(rf"{option} \d+$", done.output.strip())


def test_one_port_for_two_parts_is_refused() -> None:
    port = str(ports.free_port(sandbox.HOST))
    done = CliRunner().invoke(main, ["sandbox", "--port", port, "--fhir-port", port])
    assert done.exit_code == 1
    assert "a port of its own" in done.output


def test_without_the_fhir_server_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SERVER", "no_such_server")
    done = CliRunner().invoke(main, ["sandbox"])
    assert done.exit_code == 1
    assert "pip install 'oncobone[sandbox]'" in done.output


def test_the_command_starts_both_says_what_to_try_and_leaves_nothing_behind(tmp_path: Path) -> None:
    needed()
    own, its_fhir, ehr = (str(ports.free_port(sandbox.HOST)) for _ in range(3))
    command = oncobone("sandbox", "--port", own, "--fhir-port", its_fhir, "--ehr-port", ehr, "--day", DAY)
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment(TMPDIR=str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Stop with Ctrl-C" in line:
                break
        try:
            for port in (own, its_fhir, ehr):
                assert f"http://127.0.0.1:{port}/" in said, "each of its addresses is told"
            assert get(f"http://127.0.0.1:{own}/").status_code == 200, "the console is on"
            launch = html.unescape(re.findall(r'href="([^"]+launch[^"]+)"', get(f"http://127.0.0.1:{ehr}/").text)[0])
            assert launch.startswith(f"http://127.0.0.1:{own}/dossier/launch?iss=")
            assert get(launch).status_code == 200, "the SMART form is on"
            assert "oncobone doctor" in said
            assert "call --url" in said
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    with pytest.raises(requests.ConnectionError):
        get(f"http://127.0.0.1:{its_fhir}/fhir/metadata")
    assert list(tmp_path.iterdir()) == []


def test_every_suggestion_is_accepted_by_a_fhir_server_as_it_is(service: Server, base: str) -> None:
    sent = 0
    with requests.Session() as session:
        session.trust_env = False
        for sample in samples.samples():
            for hook in ("patient-view", "order-sign"):
                for card in service.call(samples.request_for(sample.name, hook)).json()["cards"]:
                    for action in (a for suggestion in card.get("suggestions", ()) for a in suggestion["actions"]):
                        if action["type"] == "delete":  # of the draft that was sent, which no server holds
                            assert action["resourceId"].split("/")[0] in {"MedicationRequest", "ServiceRequest"}
                            continue
                        resource = action["resource"]
                        assert resource["subject"]["reference"] == f"Patient/{sample.patient_id}"
                        url = f"{base}/{resource['resourceType']}"
                        if action["type"] == "update":
                            answered = session.put(f"{url}/{resource['id']}", json=resource, timeout=30)
                        else:
                            assert action["type"] == "create"
                            answered = session.post(url, json=resource, timeout=30)
                        assert answered.status_code in {200, 201}, (sample.name, action["description"], answered.text)
                        sent += 1
    assert sent > 100


def test_the_little_ehr_launches_only_what_it_offered_and_signs_in_only_who_made_the_challenge() -> None:
    app = little_ehr.make_app("http://127.0.0.1:9", "http://127.0.0.1:9/none", "http://127.0.0.1:8")
    client = app.test_client()
    page = client.get("/").get_data(as_text=True)
    launches = re.findall(r"launch=([\w-]+)", page)
    assert len(launches) == len(samples.samples())
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "launch": launches[0],
        "client_id": little_ehr.CLIENT,
        "redirect_uri": "http://127.0.0.1:8/dossier/form",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": "s",
    }
    elsewhere = asked | {"redirect_uri": "http://evil.example/form", "launch": launches[1]}
    assert client.get("/authorize", query_string=elsewhere).status_code == 400
    back = client.get("/authorize", query_string=asked).headers["Location"]
    assert client.get("/authorize", query_string=asked).status_code == 400, "a launch is used once"
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert client.post("/token", data={"code": "other", "code_verifier": verifier}).status_code == 400
    told = client.post("/token", data={"code": code, "code_verifier": verifier}).get_json()
    assert told["patient"] == samples.samples()[0].patient_id
    assert client.post("/token", data={"code": code, "code_verifier": verifier}).status_code == 400
    assert client.get("/fhir/Patient/x").status_code == 401
