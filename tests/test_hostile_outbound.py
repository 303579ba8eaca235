"""One server that must never be contacted, and the ways in which a caller or a FHIR server may lead us there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner

from hooks.tools.cli import main
from hooks.trust.keys import new_key, public_jwk, signed_token
from tests import fhir_servers
from tests.conftest import Server, start
from tests.floors import measured
from tests.site import ISSUER, KEY, PUBLIC
from tests.wire import IN_SCOPE, bundle, call_body, check_outcome, patient

PATH = "/cds-services/oncobone-patient-view"
TOKEN = "canary-token-of-the-ehr"


@pytest.fixture(scope="module")
def canary() -> Iterator[fhir_servers.Server]:
    """Nobody may come here. It would answer like a good FHIR server, and has a key set of the attacker's."""
    attacker = new_key("ES384")

    def answer(handler: fhir_servers.Handler) -> None:
        keys = {"keys": [public_jwk(attacker, "ES384", "k1")]}
        handler.send(fhir_servers.as_json(keys) if "jwks" in handler.path else fhir_servers.bundle())

    with fhir_servers.serving(answer) as server:
        server.attacker = attacker  # type: ignore[attr-defined] # its private key, for tokens that name its key set
        yield server


@pytest.fixture(scope="module")
def listed() -> Iterator[fhir_servers.Server]:
    """The FHIR server that may be called; `answer` is what a test makes of it."""
    with fhir_servers.serving(fhir_servers.well) as server:
        yield server


@pytest.fixture(scope="module")
def opened(listed: fhir_servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in open mode."""
    running = start((), {"ONCOBONE_FHIR_SERVERS": listed.base}, tmp_path_factory.mktemp("open"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def signed(listed: fhir_servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in signed mode, whose client publishes its keys at the listed server too."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "keys.json").write_text(json.dumps({"keys": [public_jwk(KEY, "ES384", "k1")]}), encoding="utf-8")
    (folder / "site.toml").write_text(
        f'auth = "signed"\npublic_url = "{PUBLIC}"\n[[clients]]\nissuer = "{ISSUER}"\n'
        f'keys_file = "{folder / "keys.json"}"\nfhir_servers = ["{listed.base}"]\n',
        encoding="utf-8",
    )
    running = start((), {"ONCOBONE_CONFIG": str(folder / "site.toml")}, folder)
    yield running
    running.stop()


@pytest.fixture(params=["open", "signed"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Ask a service in either mode."""
    server: Server = request.getfixturevalue("opened" if request.param == "open" else "signed")

    def asked(body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {bearer()}"} if request.param == "signed" else {}
        return server.call(body, headers=headers)

    asked.mode = request.param  # type: ignore[attr-defined] # for the test to know
    return asked


def bearer(key: Any = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": PUBLIC + PATH, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())}
    return jwt.encode(usual | claims, key, algorithm="ES384", headers={"kid": "k1", "typ": "JWT"} | (header or {}))


def fetching(server: str, **members: Any) -> dict[str, Any]:
    authorization = {"access_token": TOKEN, "token_type": "Bearer", "scope": "x", "subject": "y"}
    return call_body(fhirServer=server, fhirAuthorization=authorization, **members)


def spellings(listed: fhir_servers.Server, canary: fhir_servers.Server) -> list[str]:
    """Sixty ways to write an address that is not the listed one, most of them meant to look like it."""
    port, ours = canary.server_address[1], listed.base.removeprefix("http://")
    host = f"127.0.0.1:{port}"
    machines = str.split(
        "2130706433 0x7f000001 0x7f.0.0.1 017700000001 0177.0.0.1 127.1 127.0.1 0 0.0.0.0 [::1] [::ffff:127.0.0.1]"
        " [::ffff:7f00:1] [64:ff9b::7f00:1] localhost LOCALHOST localhost. 127.0.0.1. ①②⑦.0.0.1 127。0。0。1"
        " １２７.０.０.１ loc\u00adalhost 127.0.0.1.nip.io [::] 127.000.000.001"
    )
    found = [f"http://{machine}:{port}/fhir" for machine in machines]
    found += [
        f"http://{host}/fhir", f"http://{host}", f"https://{host}/fhir", f"HTTP://{host}/fhir", f"//{host}/fhir",
        f"http:{host}",
        f"http:/{host}/fhir", f"http:///{host}/fhir", f"http:\\\\{host}\\fhir", f"http://{host}\\@{ours}", f"http://{host}\\\\@{ours}",
        f"http://{ours}@{host}/fhir", f"http://{host}#@{ours}", f"http://{host}?@{ours}", f"http://{host};@{ours}",
        f"http://user:pw@{ours}", f"http://{ours}%40{host}", f"http://{host}%2f@{ours}", f"http://{host}/../{ours}",
        f"http://{ours}/../../", f"http://{ours}/..;/", f"http://{ours}/%2e%2e/", f"http://{ours}?x=http://{host}", f"http://{ours}#",
        f" http://{host}/fhir", f"http://{host}/fhir ", f"http://{host}\r\nHost: {ours}", f"http://{host}\t/fhir", f"http://{host}\x00/fhir",
        f"\ufeffhttp://{host}/fhir", f"ftp://{host}/fhir", f"file:///etc/passwd#{host}", f"gopher://{host}/_GET", f"jar:http://{host}!/x",
        f"unix://{host}", f"http+unix://{host}", f"data:,{host}", "http://169.254.169.254/latest", f"{host}/fhir", "", "http://",
    ]  # fmt: skip
    return found


def test_no_spelling_leads_to_a_server_that_is_not_listed(
    ask: Any, listed: fhir_servers.Server, canary: fhir_servers.Server
) -> None:
    listed.answer = fhir_servers.well
    asked_before = listed.connections
    tried = spellings(listed, canary)
    assert len(tried) >= 60
    for server in tried:
        body = fetching(server)
        del body["prefetch"]["observations"]
        answered = ask(body)
        assert answered.status_code in {200, 400}, server
        if answered.status_code == 400:
            check_outcome(answered.json())
        assert TOKEN not in answered.text
    assert canary.connections == 0
    assert listed.connections == asked_before
    measured(f"{len(tried)} spellings tried, {canary.connections} contacts outside of the list")


def test_no_redirect_is_followed(ask: Any, listed: fhir_servers.Server, canary: fhir_servers.Server) -> None:
    for status in (301, 302, 303, 307, 308):
        for location in (canary.base + "/Observation", f"//127.0.0.1:{canary.server_address[1]}/", "/fhir/elsewhere"):
            listed.answer = lambda handler, status=status, location=location: handler.send(
                b"", status, Location=location
            )  # type: ignore[misc]
            listed.seen.clear()
            body = fetching(listed.base)
            del body["prefetch"]["observations"]
            assert ask(body).status_code == 200
            assert "/fhir/elsewhere" not in [path for path, _ in listed.seen]
    assert canary.connections == 0


def test_no_address_within_data_is_opened(ask: Any, listed: fhir_servers.Server, canary: fhir_servers.Server) -> None:
    """Links to further pages, in what was delivered and in what was fetched; references, pictures, identifiers."""
    url = canary.base
    lure = patient() | {
        "photo": [{"url": f"{url}/photo"}],
        "managingOrganization": {"reference": f"{url}/Organization/1"},
        "identifier": [{"system": f"{url}/id", "value": "1"}],
        "meta": {"profile": [f"{url}/profile"], "source": url},
        "implicitRules": f"{url}/rules",
        "extension": [{"url": f"{url}/extension", "valueUrl": url}],
        "text": {"status": "generated", "div": f'<div><img src="{url}/x.png"/></div>'},
    }
    links = [
        f"{url}/Condition?page=2",
        f"//127.0.0.1:{canary.server_address[1]}/fhir",
        url.upper(),
        f"{listed.base}@{url}",
    ]
    order: dict[str, Any] = {"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order"}
    order |= {"subject": {"reference": "Patient/p-1"}, "medicationReference": {"reference": f"{url}/Medication/1"}}
    for link in links:
        page = bundle(*IN_SCOPE) | {"link": [{"relation": "next", "url": link}], "total": 500}
        whole = dict(call_body()["prefetch"])
        whole |= {"patient": lure, "conditions": page, "medications": bundle(order)}
        assert ask(fetching(listed.base, prefetch=whole)).status_code == 200
        listed.answer = lambda handler, page=page: handler.send(  # type: ignore[misc]
            fhir_servers.as_json(
                lure if "/Patient/" in handler.path else page if "Condition" in handler.path else bundle()
            )
        )
        assert ask(fetching(listed.base, prefetch={})).status_code == 200
    assert canary.connections == 0


def test_no_token_leads_to_a_key_set_of_its_own_choice(signed: Server, canary: fhir_servers.Server) -> None:
    attacker = canary.attacker  # type: ignore[attr-defined] # see above
    jwks = f"{canary.base}/jwks.json"
    public = public_jwk(attacker, "ES384", "k1")
    headers: list[dict[str, Any]] = [
        {"jku": jwks}, {"x5u": jwks}, {"jwk": public}, {"x5c": ["MIIB"]}, {"jku": jwks, "kid": "k2"}, {"kid": jwks},
        {"kid": "../../../../etc/passwd"}, {"kid": "' OR 1=1 --"}, {"jku": f"{ISSUER}@127.0.0.1"}, {"x5t": "x"},
        {"jku": jwks, "crit": ["x"], "x": 1}, {"jku": f"{jwks}#{ISSUER}"},
    ]  # fmt: skip
    for key in (attacker, KEY):
        for header in headers:
            for issuer in (ISSUER, canary.base):
                token = bearer(key, header, iss=issuer)
                answered = signed.call(call_body(), headers={"Authorization": f"Bearer {token}"})
                unharmed = key is KEY and issuer == ISSUER and not {"kid", "crit", "jku"} & set(header)
                assert answered.status_code == (200 if unharmed else 401), (header, issuer)
    assert canary.connections == 0


ASKED = {
    "Condition",
    "Observation",
    "MedicationRequest",
    "Procedure",
    "AllergyIntolerance",
    "MedicationAdministration",
    "ServiceRequest",
}


def test_an_id_that_is_a_path_asks_for_nothing(ask: Any, listed: fhir_servers.Server) -> None:
    listed.answer = fhir_servers.well
    listed.seen.clear()
    for bad in ("..", ".", "../Patient", "p-1/../..", "p-1?x=y", "p-1#x", "p%2f1", "p 1", "p\n1", "", "*", "p-1|x"):
        body = fetching(listed.base, prefetch={})
        body["context"]["patientId"] = bad
        assert ask(body).status_code == 400, bad
    assert listed.seen == []


def test_the_token_goes_to_the_listed_server_alone_and_only_as_a_header(ask: Any, listed: fhir_servers.Server) -> None:
    listed.answer = fhir_servers.well
    listed.seen.clear()
    body = fetching(listed.base, prefetch={})
    body["context"]["patientId"] = "p1"
    assert ask(body).status_code == 200
    assert {path.rpartition("/")[2].partition("?")[0] for path, _ in listed.seen if "Patient/" not in path} == ASKED
    for path, headers in listed.seen:
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in path
        assert "Cookie" not in headers
        assert not any(TOKEN in value for name, value in headers.items() if name != "Authorization")


def test_a_host_header_is_not_believed(opened: Server, signed: Server, canary: fhir_servers.Server) -> None:
    evil = {"Host": f"127.0.0.1:{canary.server_address[1]}", "X-Forwarded-Host": "evil.example"}
    for server in (opened, signed):
        for path in ("/cds-services", "/openapi.json", "/rules"):
            answered = server.session.get(server.url + path, headers=evil, timeout=10)
            assert "evil.example" not in answered.text + str(answered.headers)
            assert str(canary.server_address[1]) not in answered.text + str(answered.headers)


def test_a_proxy_of_the_environment_is_not_asked(
    listed: fhir_servers.Server, canary: fhir_servers.Server, tmp_path: Path
) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{canary.server_address[1]}")
    listed.answer = fhir_servers.well
    running = start((), {"ONCOBONE_FHIR_SERVERS": listed.base, "NO_PROXY": "", "no_proxy": "", **proxies}, tmp_path)
    try:
        body = fetching(listed.base, prefetch={})
        body["context"]["patientId"] = "p1"
        assert running.call(body).status_code == 200
    finally:
        running.stop()
    assert canary.connections == 0


def test_the_canary_sings_when_somebody_comes(canary: fhir_servers.Server) -> None:
    """The proof that the tests above could fail: the canary counts those who come."""
    import requests  # noqa: PLC0415 - for this one visit

    before = canary.connections
    assert requests.get(canary.base, timeout=5).status_code == 200
    assert canary.connections == before + 1


def test_call_from_the_command_line_works_against_a_signed_service(signed: Server, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(call_body()), encoding="utf-8")
    token = signed_token(KEY, ISSUER, f"{PUBLIC}{PATH}", kid="k1")
    address = f"{signed.url.removeprefix('http://')}/cds-services"
    done = CliRunner().invoke(main, ["call", "--request", str(file), "--url", address, "--token", token])
    assert done.exit_code == 0, done.output
    assert "fired:" in done.output
    again = CliRunner().invoke(main, ["call", "--request", str(file), "--url", address, "--token", token])
    assert again.exit_code == 1
    assert "each call needs a new one" in again.output
