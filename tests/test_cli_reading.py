"""Commands that only read make nothing, and say what is wrong: the wrong database, whose patient, which address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import responses
from click.testing import CliRunner, Result

from hooks.reference.samples import request_for
from hooks.store.database import engine_for, migrate
from hooks.tools.calling import service_base
from hooks.tools.cli import main
from tests.stores import recorded

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Engine

READING = [
    ("audit", "verify"),
    ("audit", "who", "p1"),
    ("audit", "head"),
    ("feedback", "report"),
    ("purge", "--older-than", "10y", "--dry-run", "--yes"),
    ("config", "check"),
    ("facts",),
    ("catalogue",),
    ("dossier", "--request", "request.json"),
    ("keys", "explain", "a.b.c", "--endpoint", "/cds-services/x"),
    ("replay", "show", "."),
    ("replay", "diff", ".", "."),
    ("replay", "cohort", ".", "--rule", "BP-001"),
    ("validate", "request.json"),
    ("explain", "--request", "request.json"),
    ("call", "--request", "request.json"),
    ("doctor", "--fhir", "http://127.0.0.1:9/fhir", "--patient", "p1"),
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with one request in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text(json.dumps(request_for("mgus")), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", READING, ids=lambda command: "-".join(command[:2]))
def test_a_command_that_reads_makes_no_database_and_no_key(command: tuple[str, ...], folder: Path) -> None:
    run(*command)
    assert [file.name for file in folder.iterdir()] == ["request.json"]


@pytest.mark.parametrize("command", READING[:5], ids=lambda command: "-".join(command[:2]))
def test_a_database_that_is_not_there_is_no_empty_one(command: tuple[str, ...], folder: Path) -> None:
    done = run(*command)
    assert done.exit_code == 1
    assert "There is no database" in done.output
    assert list(folder.glob("*.sqlite*")) == []


def store_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.sqlite'}"


def test_an_audit_record_without_a_call_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder)))
    for command in READING[:3]:
        done = run(*command)
        assert done.exit_code == 1
        assert "audit record is empty" in done.output


def test_older_tables_are_not_changed_by_a_look_at_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", url := recorded(store_in(folder), "open"))
    engine = engine_for(url)
    migrate(engine, "-1")
    before = tables(engine)
    for command in READING[:5]:
        done = run(*command)
        assert done.exit_code == 1
        assert "oncobone database upgrade" in done.output
    assert tables(engine) == before
    engine.dispose()


def tables(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        return [*connection.exec_driver_sql("SELECT sql FROM sqlite_master ORDER BY name").scalars()]


def test_no_noted_head_is_no_proof(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder), "open"))
    (folder / "heads").write_text("\n", encoding="utf-8")
    done = run("audit", "verify", "--expect-from", "heads")
    assert done.exit_code == 1
    assert "no head was noted" in done.output


def test_a_report_without_a_card_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder), "open"))
    assert "No card was ever shown" in run("feedback", "report").stderr


def test_an_audit_key_that_is_not_there_is_not_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder), "open"))
    (folder / "store.audit-key").unlink()
    done = run("audit", "verify")
    assert done.exit_code == 1
    assert "There is no audit key" in done.output
    assert not (folder / "store.audit-key").exists()


def test_whose_patient_is_asked_where_there_are_several_tenants(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder), "north", "south"))
    asked = run("audit", "who", "p1")
    assert asked.exit_code == 1
    assert "--tenant" in asked.output
    assert "north, south" in asked.output
    mistaken = run("audit", "who", "p1", "--tenant", "nord")
    assert mistaken.exit_code == 1
    assert "none of this name; it has north, south" in mistaken.output
    told = run("audit", "who", "p1", "--tenant", "north")
    assert told.exit_code == 0
    assert "1 calls about this patient, of tenant north" in told.stderr


def test_the_only_tenant_need_not_be_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", recorded(store_in(folder), "north"))
    told = run("audit", "who", "p1")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["hook"] == "patient-view"


# config check


def test_settings_that_would_not_start_are_told_without_starting(folder: Path) -> None:
    (folder / "site.toml").write_text('host = "0.0.0.0"\nauth = "signed"\n', encoding="utf-8")
    done = run("config", "check", "--config", "site.toml")
    assert done.exit_code == 1
    assert "PROBLEM: Refused to start" in done.output
    told = json.loads(run("config", "check", "--config", "site.toml", "--json").output)
    assert told["good"] is False


def test_a_password_in_the_database_url_is_not_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", "postgresql://u:canary@127.0.0.1/x")
    done = run("config", "check")
    assert "canary" not in done.output
    assert "database_url = (set)" in done.output


def test_a_file_of_certificates_that_is_none_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ca.pem").write_text("not a certificate", encoding="utf-8")
    for path in ("ca.pem", "missing.pem"):
        monkeypatch.setenv("ONCOBONE_CA_FILE", path)
        done = run("config", "check")
        assert done.exit_code == 1
        assert "ONCOBONE_CA_FILE" in done.output


# call --url


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080/cds-services", "http://localhost:8080"),
        ("https://cds.example.org/cds-services/", "https://cds.example.org"),
        ("cds.example.org", "https://cds.example.org"),
        ("cds.example.org/onco/cds-services", "https://cds.example.org/onco"),
    ],
)
def test_an_address_is_understood_as_people_write_it(written: str, base: str) -> None:
    assert service_base(written) == base


@responses.activate
def test_a_token_is_spent_on_the_call_alone_and_a_refusal_says_what_to_look_at(folder: Path) -> None:
    service = "https://cds.example.org/cds-services/oncobone-patient-view"
    responses.post(service, json={"cards": []})
    done = run("call", "--request", "request.json", "--url", "cds.example.org", "--token", "a.b.c")
    assert done.exit_code == 0, done.output
    assert [asked.request.url for asked in responses.calls] == [service]
    sent: Any = responses.calls[0].request
    assert sent.headers["Authorization"] == "Bearer a.b.c"
    responses.replace(responses.POST, service, json={"resourceType": "OperationOutcome", "issue": []}, status=401)
    refused = run("call", "--request", "request.json", "--url", "cds.example.org", "--token", "a.b.c")
    assert refused.exit_code == 1
    assert "must be its audience" in refused.output
