"""A server whose certificate is signed by the hospital's own authority: named as such, and trusted once its file is."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hooks.configuration import load
from hooks.fhir_server.breaker import GONE_CALLS, PAUSE_SECONDS, Breakers, CallHealth
from hooks.fhir_server.fetch import answers, fetch_missing
from hooks.fhir_server.reasons import sentence
from hooks.settings import ClientSettings, Settings, SettingsError
from hooks.tools.cli import main
from hooks.trust.clients import Issuer
from tests import fhir_servers as fhir
from tests.conftest import wait_until
from tests.fhir_servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "ehr.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture(scope="module")
def secure(certificate: Path) -> Iterator[str]:
    """The base of a FHIR server behind that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(fhir.well)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/fhir"
    server.shutdown()
    thread.join()
    server.server_close()


def outcome(base: str, ca_file: str | None) -> str:
    wanted: dict[str, str | bytes] = {"patient": "Patient/p1"}
    found = fetch_missing(wanted, base=base, token="t", seconds=3, breakers=Breakers(), ca_file=ca_file)
    return found.outcomes["patient"]


def test_a_certificate_of_an_authority_nobody_knows_is_named_with_the_cure(secure: str) -> None:
    assert outcome(secure, None) == "certificate"
    assert "ONCOBONE_CA_FILE" in sentence("certificate")


@pytest.mark.usefixtures("day_of_the_tests")
def test_call_and_doctor_name_the_setting_and_work_with_it(
    secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = (["doctor", "--fhir", secure, "--patient", "p1"], ["call", "--fhir", secure, "--patient", "p1"])
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1
        assert "ONCOBONE_CA_FILE" in done.output
    monkeypatch.setenv("ONCOBONE_CA_FILE", str(certificate))
    for command in commands:
        assert "ONCOBONE_CA_FILE" not in CliRunner().invoke(main, command).output


def test_the_file_is_named_in_a_flag_as_well_and_serves_a_service_and_a_key_set(secure: str, certificate: Path) -> None:
    service = secure.removesuffix("/fhir")
    commands = (
        ["doctor", "--fhir", secure, "--patient", "p1"],
        ["call", "--fhir", secure, "--patient", "p1"],
        ["call", "--request", str(ROOT / "fixtures/requests/zoledronic-order-crcl-45.json"), "--url", service],
        ["samples", "--load", secure],
    )
    for command in commands:
        assert "ONCOBONE_CA_FILE" in CliRunner().invoke(main, command).output, command
        trusting = CliRunner().invoke(main, [*command, "--ca-file", str(certificate)]).output
        assert "ONCOBONE_CA_FILE" not in trusting, command
    client = ClientSettings(issuer="i", jku=f"{service}/keys", algorithms=("ES384",))
    for trusted, said in ((None, "ONCOBONE_CA_FILE"), (str(certificate), "a list `keys`")):
        issuer = Issuer(client, lambda: 0.0, trusted)
        assert issuer.find("k") is None
        assert said in " ".join(issuer.faults())


def test_the_file_of_the_authority_makes_it_trusted(secure: str, certificate: Path) -> None:
    assert outcome(secure, str(certificate)) == "ok"


def test_the_setting_is_read_and_a_file_without_certificates_stops_the_start(certificate: Path, tmp_path: Path) -> None:
    assert load({}, {"ONCOBONE_CA_FILE": str(certificate)}).ca_file == str(certificate)
    assert Settings().ca_file is None
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="ONCOBONE_CA_FILE"):
        load({}, {"ONCOBONE_CA_FILE": str(empty)})


def test_whether_such_a_server_is_back_is_asked_with_the_certificates_it_is_trusted_by(
    secure: str, certificate: Path
) -> None:
    now = [0.0]
    breakers = Breakers(lambda: now[0], trial=answers)
    for number in range(GONE_CALLS):
        breakers.tell(secure, number, CallHealth(gone=True))
    now[0] += PAUSE_SECONDS
    fetch_missing({"patient": "Patient/p1"}, base=secure, token="t", breakers=breakers, ca_file=str(certificate))
    wait_until(lambda: breakers.allows(secure, str(certificate)))
