"""`oncobone call --url` against services that misbehave; only the foreign service is stood in for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests
import responses
from click.testing import CliRunner

from hooks.reference.samples import request_for
from hooks.tools.cli import main

if TYPE_CHECKING:
    from pathlib import Path

BASE = "http://127.0.0.1:9"
SERVICE = f"{BASE}/cds-services/oncobone-patient-view"
DISCOVERY = {"services": [{"id": "oncobone-patient-view", "hook": "patient-view", "description": "x"}]}


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request_for("mgus")), encoding="utf-8")
    return str(path)


def call(request_file: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["call", "--request", request_file, "--url", BASE])
    return found.exit_code, found.output


@responses.activate
def test_cards_of_a_remote_service_are_shown(request_file: str) -> None:
    card = {"summary": "Remote card", "indicator": "info", "source": {"label": "here"}}
    responses.get(f"{BASE}/cds-services", json=DISCOVERY)
    responses.post(SERVICE, json={"cards": [card]})
    code, said = call(request_file)
    assert code == 0
    assert "Remote card" in said


@responses.activate
def test_what_a_refusal_says_is_shown_and_the_exit_code_is_1(request_file: str) -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "x", "diagnostics": "no key"}],
    }
    responses.get(f"{BASE}/cds-services", json=DISCOVERY)
    responses.post(SERVICE, json=outcome, status=412)
    code, said = call(request_file)
    assert code == 1
    assert "no key" in said


@responses.activate
def test_html_instead_of_json_is_no_stack_trace(request_file: str) -> None:
    responses.get(f"{BASE}/cds-services", json=DISCOVERY)
    responses.post(SERVICE, body="<html>Bad gateway</html>", status=502, content_type="text/html")
    code, said = call(request_file)
    assert code == 1
    assert "Traceback" not in said


@responses.activate
def test_a_service_that_cannot_be_reached_is_said_in_plain_words(request_file: str) -> None:
    responses.get(f"{BASE}/cds-services", body=requests.ConnectionError("refused"))
    code, said = call(request_file)
    assert code == 1
    assert "Traceback" not in said
    assert BASE in said
