"""Settings: which one wins, which are refused and in which words, and when the server will not start."""

from __future__ import annotations

import datetime as dt
import subprocess
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from hooks.configuration import VARIABLES, load
from hooks.settings import Settings, SettingsError, is_loopback, refuse_unsafe_start
from tests.conftest import environment, oncobone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the tests are about
FIXED_NAMES = {
    "ONCOBONE_HOST",
    "ONCOBONE_PORT",
    "ONCOBONE_NOW",
    "ONCOBONE_TIMEZONE",
    "ONCOBONE_LANGUAGE",
    "ONCOBONE_AUTH",
    "ONCOBONE_ALLOW_OPEN",
    "ONCOBONE_CORS_ORIGINS",
    "ONCOBONE_OPERATOR_PORT",
    "ONCOBONE_MAX_BODY_MB",
    "ONCOBONE_FHIR_SERVERS",
    "ONCOBONE_DATABASE_URL",
    "ONCOBONE_WORKERS",
    "ONCOBONE_CONSOLE",
    "ONCOBONE_PUBLIC_URL",
}


def made(toml: str = "", *, folder: Path | None = None, flags: dict[str, Any] | None = None, **env: str) -> Settings:
    """Settings from a file, flags and environment."""
    if folder is not None:
        (folder / "site.toml").write_text(toml, encoding="utf-8")
        env["ONCOBONE_CONFIG"] = str(folder / "site.toml")
    return load(flags, env)


def test_the_names_of_the_contract_are_there() -> None:
    assert set(VARIABLES) >= FIXED_NAMES


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = made()
    assert (settings.host, settings.port, settings.timezone, settings.language) == ("127.0.0.1", 8080, "UTC", "en")
    assert (settings.auth, settings.console, settings.max_body_bytes, settings.workers) == ("open", True, 16 << 20, 1)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    toml = 'port = 1001\nlanguage = "zh-CN"\nmax_body_mb = 1'
    settings = made(
        toml, folder=tmp_path, flags={"port": 1003, "host": None}, ONCOBONE_PORT="1002", ONCOBONE_LANGUAGE="en"
    )
    assert (settings.port, settings.language, settings.max_body_mb) == (1003, "en", 1)
    assert made(toml, folder=tmp_path, ONCOBONE_PORT="1002").port == 1002
    assert made(toml, folder=tmp_path).port == 1001


def test_a_variable_that_is_set_to_nothing_counts_as_not_set() -> None:
    assert made(ONCOBONE_PORT="", ONCOBONE_NOW="  ").port == 8080


def test_lists_are_written_with_commas() -> None:
    servers = made(ONCOBONE_FHIR_SERVERS="https://a.example/fhir, http://b.example:8080/r4").fhir_servers
    assert servers == ("https://a.example/fhir", "http://b.example:8080/r4")


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False), ("true", True), ("0", False)])
def test_switches_are_on_or_off(text: str, value: bool) -> None:
    assert made(ONCOBONE_ALLOW_OPEN=text).allow_open is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONCOBONE_PORT", "canary"),
        ("ONCOBONE_PORT", "70000"),
        ("ONCOBONE_WORKERS", "0"),
        ("ONCOBONE_LANGUAGE", "canary"),
        ("ONCOBONE_TIMEZONE", "Mars/Canary"),
        ("ONCOBONE_TIMEZONE", "../../etc/canary"),
        ("ONCOBONE_NOW", "canary"),
        ("ONCOBONE_NOW", "2026-11-22T08:00:00"),
        ("ONCOBONE_NOW", "2026-02-30"),
        ("ONCOBONE_AUTH", "canary"),
        ("ONCOBONE_ALLOW_OPEN", "canary"),
        ("ONCOBONE_MAX_BODY_MB", "-1"),
        ("ONCOBONE_FHIR_SERVERS", "ftp://canary"),
        ("ONCOBONE_FHIR_SERVERS", "https://a.example/../canary"),
        ("ONCOBONE_FHIR_SERVERS", "http://127.0.0.1:1\\@canary/"),
        ("ONCOBONE_CORS_ORIGINS", "*"),
        ("ONCOBONE_CORS_ORIGINS", "https://canary.example/path"),
        ("ONCOBONE_PUBLIC_URL", "canary"),
        ("ONCOBONE_FETCH_SECONDS", "9"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_without_the_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load({}, {name: value})
    assert "canary" not in str(caught.value).lower()


def test_an_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="ONCOBONE_PROT is not a setting"):
        made(ONCOBONE_PROT="8080")


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("prot = 1", "prot in"),
        ("port = 'x'", "port in"),
        ("port = ", "is not TOML"),
        ("[[services]]\nid = 'a'\nhook = 'patient-view'\ncolour = 'red'", "colour"),
        ("[[services]]\nid = 'a b'\nhook = 'patient-view'", "services in"),
        ("[[services]]\nid = 'a'\nhook = 'appointment-book'", "services in"),
        ("[[services]]\nid = 'a'\nhook = 'patient-view'\nrecommenders = ['x']", "services in"),
        ("[[services]]\nid = 'a'\nhook = 'patient-view'\nrecommenders = []", "leave it out"),
        ("[[services]]\nid = 'a'\nhook = 'patient-view'\n" * 2, "same id and hook"),
        ("[site.common]\nhypercalcaemia = 2.6", "source's own"),
        ("[site.common]\nnothing = 1", "no such limit"),
        ("[site.windows]\n'lab.nothing' = 1", "no such window"),
        ("[mapping]\nnothing = 1", "mapping in"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(tmp_path: Path, toml: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        made(toml, folder=tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        made(ONCOBONE_CONFIG=str(tmp_path / "none.toml"))


def test_a_site_may_choose_what_is_ours_to_choose(tmp_path: Path) -> None:
    settings = made('[site.common]\nnewly_diagnosed = 200\n[site.windows]\n"lab.creatinine" = 10', folder=tmp_path)
    assert {key: int(value) for key, value in settings.site.items()} == {
        "common.newly_diagnosed": 200,
        "windows.lab.creatinine": 10,
    }


def test_settings_do_not_change_once_made() -> None:
    with pytest.raises(ValidationError):
        made().port = 1


# --- the clock ------------------------------------------------------------------------------------------------


def test_a_day_is_read_as_noon_and_a_moment_as_it_stands() -> None:
    assert made(ONCOBONE_NOW="2026-11-22").moment() == dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    moment = made(ONCOBONE_NOW="2026-11-22T23:30:00-05:00").moment()
    assert moment == dt.datetime(2026, 11, 23, 4, 30, tzinfo=dt.UTC)


def test_the_day_is_that_of_the_time_zone() -> None:
    settings = made(ONCOBONE_NOW="2026-11-22T20:00:00Z", ONCOBONE_TIMEZONE="Asia/Shanghai")
    assert settings.moment().date() == dt.date(2026, 11, 23)
    assert settings.zone == ZoneInfo("Asia/Shanghai")


def test_without_a_fixed_moment_the_clock_goes_on() -> None:
    assert abs(made().moment() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_the_day_of_the_answer_is_that_of_the_server(server: Server) -> None:
    from tests.wire import call_body  # noqa: PLC0415 - for this one test

    assert server.call(call_body()).json()["extension"]["org.oncobone.evaluation"]["as_of"] == "2026-11-22"


# --- who may reach it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine_only(host: str) -> None:
    assert is_loopback(host)
    assert made(ONCOBONE_HOST=host).auth == "open"
    assert refuse_unsafe_start(made(ONCOBONE_HOST=host)) is None


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.1", "ehr.example", "127.0.0.1.example", "0"])
def test_other_machines_too(host: str) -> None:
    assert not is_loopback(host)
    settings = made(ONCOBONE_HOST=host)
    assert settings.auth == "signed"
    assert settings.console is False


def test_open_mode_elsewhere_refuses_to_start_and_says_what_would_do() -> None:
    with pytest.raises(SettingsError, match="ONCOBONE_ALLOW_OPEN=on"):
        refuse_unsafe_start(made(ONCOBONE_HOST=EVERYWHERE, ONCOBONE_AUTH="open"))


def test_open_mode_elsewhere_starts_with_a_warning_when_it_is_meant() -> None:
    settings = made(ONCOBONE_HOST=EVERYWHERE, ONCOBONE_AUTH="open", ONCOBONE_ALLOW_OPEN="on")
    assert "open mode" in str(refuse_unsafe_start(settings))


def test_signed_mode_without_clients_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="clients and public_url"):
        refuse_unsafe_start(made(ONCOBONE_HOST=EVERYWHERE))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ONCOBONE_HOST": EVERYWHERE}, "Refused to start"),
        ({"ONCOBONE_HOST": EVERYWHERE, "ONCOBONE_AUTH": "open"}, "ONCOBONE_ALLOW_OPEN=on"),
        ({"ONCOBONE_PROT": "1"}, "ONCOBONE_PROT"),
        ({"ONCOBONE_DATABASE_URL": "mysql://x"}, "ONCOBONE_DATABASE_URL"),
        ({"ONCOBONE_HOST": "203.0.113.1", "ONCOBONE_AUTH": "open", "ONCOBONE_ALLOW_OPEN": "on"}, "cannot be had"),
    ],
)
def test_a_server_that_may_not_start_ends_with_1_and_the_reason(
    settings: dict[str, str], told: str, tmp_path: Path
) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        oncobone("serve", "--port", "0"),
        env=environment(**settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    done = subprocess.run(  # noqa: S603 - our own command
        oncobone("serve", "--port", port),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"port {port} cannot be had" in done.stderr


def test_the_warning_stands_in_the_log_at_each_start(start_server: Callable[..., Server]) -> None:
    started = start_server("--host", EVERYWHERE, ONCOBONE_AUTH="open", ONCOBONE_ALLOW_OPEN="on")
    assert any(line["level"] == "warning" and "open mode" in line["event"] for line in started.lines())


def test_allow_open_alone_means_open_mode_elsewhere_unless_clients_are_named() -> None:
    assert made(ONCOBONE_HOST=EVERYWHERE).auth == "signed"
    assert made(ONCOBONE_HOST=EVERYWHERE, ONCOBONE_ALLOW_OPEN="off").auth == "signed"
    assert made(ONCOBONE_HOST=EVERYWHERE, ONCOBONE_ALLOW_OPEN="on").auth == "open"
    client = {"issuer": "https://ehr.example", "jku": "https://ehr.example/jwks.json"}
    assert Settings(host=EVERYWHERE, allow_open=True, clients=(client,)).auth == "signed"  # type: ignore[arg-type] # as TOML has it
