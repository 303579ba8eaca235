"""What goes wrong when an EHR is connected: `call` and `doctor` say the same sentence, with the cure in it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hooks.tools.cli import main
from hooks.trust import keys
from tests import fhir_servers as fhir
from tests.fhir_servers import Answer, serving
from tests.wire import call_body, without

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("day_of_the_tests")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


FAULTS: list[tuple[Answer, str]] = [
    (fhir.status(401), "does not accept the access token"),
    (fhir.status(403), "lacks the scope"),
    (fhir.status(404), "does not know this patient"),
    (fhir.status(410), "was deleted"),
    (fhir.status(429), "asks to be left alone"),
    (fhir.status(500), "Its own log says why"),
    (fhir.redirect_to("https://login.example.org/"), "Configure the base that answers /metadata"),
    (fhir.html, "such as a web page"),
    (fhir.wrong_type, "another kind of resource"),
    (fhir.an_outcome, "OperationOutcome in the place of the data"),
    (fhir.not_http, "cannot be reached"),
    (fhir.hang, "did not answer within the time"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_each_fault_of_a_server_has_its_own_sentence(fault: Answer, words: str, tmp_path: Path) -> None:
    config = tmp_path / "oncobone.toml"
    config.write_text(f"fetch_seconds = {0.6 if fault is fhir.hang else 8}\n", encoding="utf-8")
    with serving(fault) as server:
        called = run("call", "--fhir", server.base, "--patient", "p1", "--token", "t", "--config", str(config))
        assert called.exit_code == 1
        assert words in called.stderr, called.output
        if fault is not fhir.hang:  # to which the doctor gives a minute
            examined = run("doctor", "--fhir", server.base, "--patient", "p1", "--token", "t")
            assert examined.exit_code == 1
            assert words in examined.stdout, examined.output


def test_a_server_that_is_not_running_is_said_to_be_out_of_reach() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/fhir"
        for done in (run("call", "--fhir", base, "--patient", "p1"), run("doctor", "--fhir", base, "--patient", "p1")):
            assert done.exit_code == 1
            assert "is it running" in done.output


def test_a_server_without_tls_under_https_is_said_so() -> None:
    with serving(fhir.well) as server:
        done = run("call", "--fhir", server.base.replace("http:", "https:"), "--patient", "p1")
    assert done.exit_code == 1
    assert "speaks no TLS" in done.output


def test_a_server_that_is_not_listed_is_named_with_the_setting(tmp_path: Path) -> None:
    body = without(call_body(fhirServer="https://other.example/fhir"), "prefetch.conditions")
    file = tmp_path / "request.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    done = run("call", "--request", str(file))
    assert done.exit_code == 1
    assert "ONCOBONE_FHIR_SERVERS" in done.output


def test_what_was_neither_sent_nor_can_be_read_names_the_template(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(without(call_body(), "prefetch.conditions")), encoding="utf-8")
    done = run("call", "--request", str(file))
    assert done.exit_code == 1
    assert "no fhirServer to read it from" in done.output


def test_a_prefetch_key_under_another_name_is_named_beside_the_one_that_is_lacking(tmp_path: Path) -> None:
    body = call_body()
    body["prefetch"]["labs"] = body["prefetch"].pop("observations")
    body["prefetch"]["<b>"] = {}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    done = run("call", "--request", str(file))
    assert "note: prefetch: labs: not a key of ours, so not looked at, while observations did not come." in done.output
    assert "<b>" not in done.output


# --- settings that cannot be right: `config check` names the cure -----------------------------------------------

SIGNED = 'auth = "signed"\npublic_url = "https://cds.example.org"\n'
CLIENT = '[[clients]]\nissuer = "https://ehr.example.org"\n'
KEYS = 'keys_file = "jwks.json"\n'

WRONG: list[tuple[str, dict[str, str], str]] = [
    (SIGNED, {}, "[[clients]]"),
    (SIGNED.replace("public", "#public") + CLIENT + KEYS, {}, "ONCOBONE_PUBLIC_URL"),
    (SIGNED + CLIENT, {}, "needs keys_file or jku"),
    (SIGNED + CLIENT + 'keys_file = "nothing.json"\n', {}, "nothing.json cannot be read"),
    (SIGNED + CLIENT + 'keys_file = "key.pem"\n', {}, "oncobone keys new writes such a file"),
    (SIGNED + CLIENT + 'keys_file = "one.json"\n', {}, "a list `keys`"),
    (SIGNED + CLIENT + 'keys_file = "private.json"\n', {}, "must be public"),
    (SIGNED + CLIENT + 'keys_file = "empty.json"\n', {}, "holds no usable key"),
    (
        SIGNED + CLIENT + 'key_file = "jwks.json"\n',
        {},
        "entry 1: key_file is not a key that it knows; perhaps keys_file",
    ),
    (SIGNED + CLIENT.replace("[[clients]]", "[clients]") + KEYS, {}, "[[clients]], with two brackets"),
    (SIGNED + CLIENT + KEYS + CLIENT + KEYS, {}, "`tenants` of their own"),
    (SIGNED + CLIENT + KEYS + 'fhir_servers = "https://ehr.example.org/fhir"\n', {}, 'must be a list, such as ["…"]'),
    (SIGNED + CLIENT + KEYS + 'fhir_servers = ["ehr.example.org/fhir"]\n', {}, "must be plain https URLs"),
    (SIGNED + CLIENT + KEYS + 'fhir_servers = ["https://e.org/fhir/metadata"]\n', {}, "leave /metadata out"),
    (SIGNED + CLIENT + KEYS + 'jku = "http://ehr.example.org/keys"\n', {}, "http is for this machine only"),
    (SIGNED.replace(".org", ".org/cds-services") + CLIENT + KEYS, {}, "the address before /cds-services"),
    (SIGNED.replace("https://", "") + CLIENT + KEYS, {}, "such as https://cds.example.org"),
    ("", {"ONCOBONE_FHIR_SERVER": "https://e.org/fhir"}, "perhaps ONCOBONE_FHIR_SERVERS"),
    ("", {"ONCOBONE_FHIR_SERVERS": "e.org/fhir"}, "such as https://ehr.example.org/fhir"),
    ("", {"ONCOBONE_HOST": "0.0.0.0"}, "ONCOBONE_ALLOW_OPEN=on"),  # noqa: S104 - not opened
    ("", {"ONCOBONE_STRICT": "maybe"}, "must be on or off"),
    ("", {"ONCOBONE_CA_FILE": "jwks.json"}, "certificates in PEM form"),
    ("", {"ONCOBONE_DATABASE_URL": "mysql://u:secret@h/db"}, "Known are sqlite and postgresql"),
    ("", {"ONCOBONE_TIMEZONE": "China"}, "Asia/Shanghai"),
    ("", {"ONCOBONE_PORT": "80800"}, "ONCOBONE_PORT: must be at most 65535"),
    ("", {"ONCOBONE_PORT": "http"}, "ONCOBONE_PORT: must be a whole number"),
    ("", {"ONCOBONE_THREADS": "0"}, "ONCOBONE_THREADS: must be at least 1"),
    ("", {"ONCOBONE_AUTH": "jwt"}, "ONCOBONE_AUTH: must be 'open' or 'signed'"),
    ("port = [1]\n", {}, "must be a whole number"),
    ("", {"ONCOBONE_WORKERS": "2", "ONCOBONE_DATABASE_URL": "sqlite://"}, "ONCOBONE_WORKERS=1"),
    ("fhir_server = []\n", {}, "perhaps fhir_servers"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with key files, right and wrong, as the one in which a server would be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONCOBONE_NOW")
    key = keys.new_key("ES384")
    public = keys.public_jwk(key, "ES384", "k1")
    files = {
        "jwks": {"keys": [public]},
        "one": public,
        "private": {"keys": [public | {"d": "AA"}]},
        "empty": {"keys": []},
    }
    for name, held in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(held), encoding="utf-8")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("text", "variables", "words"), WRONG, ids=range(len(WRONG)))
def test_a_setting_that_cannot_be_right_is_named_with_its_cure(
    text: str, variables: dict[str, str], words: str, folder: Path
) -> None:
    (folder / "oncobone.toml").write_text(text, encoding="utf-8")
    given = variables | ({"ONCOBONE_CONFIG": "oncobone.toml"} if text else {})
    done = CliRunner().invoke(main, ["config", "check"], env=given)
    assert done.exit_code == 1, done.output
    assert words in done.output
    assert "secret" not in done.output
    assert "Input should" not in done.output


REMARKS: list[tuple[dict[str, str], str]] = [
    ({"ONCOBONE_SMART_CLIENT_ID": "x"}, "the dossier is off: no FHIR server is listed"),
    (
        {"ONCOBONE_SMART_CLIENT_ID": "x", "ONCOBONE_FHIR_SERVERS": "https://e.org/fhir"},
        "no card links to the dossier: ONCOBONE_PUBLIC_URL",
    ),
    ({"ONCOBONE_PUBLIC_URL": "http://cds.example.org"}, "Put TLS in front"),
    ({}, "No FHIR server is listed"),
    ({"ONCOBONE_NOW": "2026-11-22"}, "for tests and replays only"),
]


@pytest.mark.parametrize(("variables", "words"), REMARKS)
def test_what_starts_and_is_probably_not_meant_is_remarked(variables: dict[str, str], words: str, folder: Path) -> None:
    done = CliRunner().invoke(main, ["config", "check"], env=variables)
    assert done.exit_code == 0, done.output
    assert words in done.output


@pytest.mark.parametrize("command", [("doctor",), ("call", "--patient", "p1")])
@pytest.mark.parametrize("written", ["{host}/fhir", "{host}/fhir/", "http://{host}/fhir/metadata"])
def test_a_fhir_base_is_understood_as_people_write_it(command: tuple[str, ...], written: str) -> None:
    with serving(fhir.status(404)) as server:
        host = server.base.removeprefix("http://").removesuffix("/fhir")
        done = run(
            *command, "--fhir", written.format(host=host), *(["--patient", "p1"] if command == ("doctor",) else [])
        )
        assert "does not know this patient" in done.output
        assert all(path.startswith("/fhir/") and "metadata/" not in path for path, _ in server.seen)


def test_a_server_that_wants_a_token_and_got_none_is_told_from_one_that_refuses_it() -> None:
    with serving(fhir.status(401)) as server:
        for command in (("doctor",), ("call",)):
            without_one = run(*command, "--fhir", server.base, "--patient", "p1")
            assert "wants an access token (401), and none was sent" in without_one.output
            with_one = run(*command, "--fhir", server.base, "--patient", "p1", "--token", "t")
            assert "does not accept the access token" in with_one.output


def test_an_address_that_is_no_service_is_asked_about() -> None:
    with serving(fhir.status(404)) as server:
        file = json.dumps(call_body())
        done = CliRunner().invoke(main, ["call", "--url", server.base, "--request", "-"], input=file)
    assert done.exit_code == 1
    assert "the address of the service" in done.output or "no CDS Hooks service" in done.output


READING = (
    ("config", "check"),
    ("facts",),
    ("samples",),
    ("validate", "-"),
    ("explain", "--request", "-"),
    ("call", "--request", "-"),
    ("dossier", "--request", "-"),
    ("audit", "verify"),
    ("audit", "head"),
    ("audit", "who", "p"),
    ("feedback", "report"),
    ("keys", "explain", "a.b.c", "--endpoint", "/cds-services/x"),
    ("purge", "--older-than", "1y", "--dry-run"),
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_command_that_only_looks_makes_no_database_no_key_and_no_file(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, list(command), input=json.dumps(call_body()))
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.output
    assert list(tmp_path.iterdir()) == []
    if command[0] in {"audit", "feedback", "purge"}:
        assert done.exit_code == 1
        assert "There is no database" in done.output
