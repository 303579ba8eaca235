"""What goes wrong when an EHR is connected: `call` and `doctor` say the same sentence, with the cure in it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hooks.tools.cli import main
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
    quick = tmp_path / "quick.toml"
    quick.write_text("fetch_seconds = 0.6\n", encoding="utf-8")
    with serving(fault) as server:
        called = run("call", "--fhir", server.base, "--patient", "p1", "--token", "t", "--config", str(quick))
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
