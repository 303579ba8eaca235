"""Who may call from a browser: anybody in open mode on this machine, else the configured origins only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hooks.application import create_app
from hooks.settings import Settings
from tests.wire import call_body

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.conftest import Server

ORIGIN = "https://sandbox.example.org"
PATHS = ("/cds-services", "/cds-services/oncobone-patient-view", "/cds-services/oncobone-patient-view/feedback")
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


def elsewhere(**settings: object) -> FlaskClient:
    """A server that other machines can reach, which trusts one origin."""
    made = Settings.model_validate(
        {"host": "0.0.0.0", "auth": "open", "allow_open": True, "cors_origins": [ORIGIN]} | settings  # noqa: S104 - not opened
    )
    return create_app(made).test_client()


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_without_a_token(server: Server, path: str) -> None:
    answered = server.request("OPTIONS", path, headers=PREFLIGHT)
    assert answered.status_code == 204
    assert answered.headers["Access-Control-Allow-Origin"] == "*"
    assert {"authorization", "content-type"} <= set(answered.headers["Access-Control-Allow-Headers"].split(", "))
    assert "POST" in answered.headers["Access-Control-Allow-Methods"]
    assert not answered.content


def test_answers_and_errors_alike_carry_the_headers(server: Server) -> None:
    sent = {"Origin": ORIGIN}
    for answered in (
        server.get("/cds-services", headers=sent),
        server.call(call_body(), headers=sent),
        server.call(call_body() | {"hook": "x"}, "oncobone-patient-view", headers=sent),
        server.call(call_body(), "nope", headers=sent),
        server.request("DELETE", "/cds-services", headers=sent),
        server.send(b"x" * 20_000_000, Origin=ORIGIN),
    ):
        assert answered.headers["Access-Control-Allow-Origin"] == "*", answered.status_code
        assert "Access-Control-Allow-Credentials" not in answered.headers


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/nope", "/cds-servicesx"])
def test_nothing_else_can_be_read_by_a_foreign_page(server: Server, path: str) -> None:
    assert "Access-Control-Allow-Origin" not in server.request("GET", path, headers={"Origin": ORIGIN}).headers


@pytest.mark.parametrize("path", PATHS[:2])
def test_elsewhere_only_a_configured_origin_is_let_in(path: str) -> None:
    client = elsewhere()
    assert client.options(path, headers=PREFLIGHT).headers["Access-Control-Allow-Origin"] == ORIGIN
    for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "null", ORIGIN.upper(), f"{ORIGIN}:443"):
        answered = client.options(path, headers=PREFLIGHT | {"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answered.headers
        assert "Origin" in answered.headers["Vary"]


def test_elsewhere_nobody_is_let_in_by_default() -> None:
    answered = elsewhere(cors_origins=[]).get("/cds-services", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answered.headers


def test_a_sandbox_on_the_internet_may_ask_this_machine_in_open_mode_only() -> None:
    ask = PREFLIGHT | {"Access-Control-Request-Private-Network": "true"}
    here = create_app(Settings()).test_client().options(PATHS[1], headers=ask)
    assert here.headers["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Private-Network" not in elsewhere().options(PATHS[1], headers=ask).headers
