"""A FHIR server in the box, loaded with the sample patients, and the service beside it: for trying and for tests."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from hooks.reference import samples
from hooks.tools import little_ehr, loading
from hooks.tools.ports import free_port, holder_of, is_free

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

SERVER = "sekmet"
"""The package of the FHIR server (`sekmet-fhir`), in our optional part `sandbox`."""

HOST = "127.0.0.1"
START_S = 60.0
TOKEN = "sandbox"  # noqa: S105 - the server asks for none, and we ask no server without one
_START = "from sekmet.cli import app; app()"


class SandboxError(RuntimeError):
    """The sandbox cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FhirServer:
    """A running FHIR server: its base, and its process."""

    base: str
    process: subprocess.Popen[bytes]


@contextmanager
def fhir_server(folder: Path, port: int | None = None) -> Iterator[FhirServer]:
    """
    Run a FHIR R4 server on loopback, its data in `folder`, its simulator off, until the end of the block.

    Raises SandboxError when it is not installed or does not start.
    """
    if importlib.util.find_spec(SERVER) is None:
        raise SandboxError(
            "The sandbox needs a FHIR server, which is not installed. Install it with: pip install 'oncobone[sandbox]'"
        )
    port = port or free_port(HOST)
    base = f"http://{HOST}:{port}/fhir"
    settings = folder / "settings.yaml"
    settings.write_text(_settings(base, port, folder), encoding="utf-8")
    log = folder / "fhir-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, fixed arguments
            [sys.executable, "-c", _START, "serve", "--config", str(settings), "--host", HOST, "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(),
        )
    try:
        _wait_for("FHIR server", f"{base}/metadata", process, log)
        yield FhirServer(base, process)
    finally:
        _stop(process)


def _settings(base: str, port: int, folder: Path) -> str:
    # JSON is YAML; no simulator that invents results, no log of what was sent, no open door to other machines.
    return json.dumps(
        {
            "base_url": base,
            "host": HOST,
            "port": port,
            "data_dir": str(folder / "data"),
            "own_private_key_path": str(folder / "key.pem"),
            "validation": {"inbound": "off"},
            "simulator": {"enabled": False},
            "log_inbound": False,
        }
    )


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("SEKMET_", "ONCOBONE_"))}


def _wait_for(what: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    with _session() as session:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
    raise SandboxError(f"The {what} did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # it is on this machine: no proxy
    return session


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def request_without_data(sample: samples.Sample, base: str, hook: str | None = None) -> dict[str, Any]:
    """Make the request of an EHR that sends no prefetch: the service has to fetch everything itself."""
    made = samples.request_for(sample.name, hook)
    del made["prefetch"]
    made["fhirServer"] = base
    made["fhirAuthorization"] = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": "oncobone",
    }
    return made


# --- both together ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers: the service, the FHIR base, and the little EHR to launch the dossier from."""

    service: str
    fhir: str
    ehr: str


def refuse_busy(ports: Mapping[str, int]) -> None:
    """
    Make sure that ports are free, each by the option that chooses it.

    Raises SandboxError: what already answers there is somebody else's, and must not be taken for ours.
    """
    for option, port in ports.items():
        if list(ports.values()).count(port) > 1:
            raise SandboxError(f"{option} {port}: each part of the sandbox needs a port of its own.")
        if not is_free(HOST, port):
            holder = holder_of(port) or "another process"
            raise SandboxError(
                f"Port {port} of {HOST} is in use by {holder}. Stop it, or choose another one, such as:"
                f" {option} {free_port(HOST)}"
            )


@contextmanager
def running(
    port: int, fhir_port: int, day: dt.date, say: Callable[[str], None], ehr_port: int | None = None
) -> Iterator[Addresses]:
    """
    Run the FHIR server with the sample patients, a little EHR before it, and the service; give their addresses.

    Raises SandboxError when a port is taken or one of them does not start.
    """
    ehr_port = ehr_port or free_port(HOST)
    refuse_busy({"--port": port, "--fhir-port": fhir_port, "--ehr-port": ehr_port})
    with tempfile.TemporaryDirectory(prefix="oncobone-sandbox-") as name:
        folder = Path(name)
        service = f"http://{HOST}:{port}"
        with (
            fhir_server(folder, fhir_port) as server,
            little_ehr.serving(ehr_port, server.base, service) as ehr,
        ):
            say(f"FHIR server at {server.base}; loading the sample patients …")
            loaded = loading.load(server.base, day)
            say(f"{len(loaded)} patients, {sum(one.resources for one in loaded)} resources.")
            settings = {
                "ONCOBONE_HOST": HOST,
                "ONCOBONE_PORT": str(port),
                "ONCOBONE_AUTH": "open",
                "ONCOBONE_CONSOLE": "on",
                "ONCOBONE_FHIR_SERVERS": f"{server.base},{ehr}/fhir",
                "ONCOBONE_SMART_CLIENT_ID": little_ehr.CLIENT,
                "ONCOBONE_PUBLIC_URL": service,
                "ONCOBONE_DATABASE_URL": f"sqlite:///{folder / 'oncobone.sqlite'}",
                "ONCOBONE_NOW": f"{day.isoformat()}",
            }
            kept = {key: value for key, value in os.environ.items() if not key.startswith("ONCOBONE_")}
            log = folder / "service.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-c", "from hooks.tools.cli import main; main(prog_name='oncobone')", "serve"],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=kept | settings,
                )
            try:
                _wait_for("service", f"{service}/cds-services", process, log)
                yield Addresses(service, server.base, ehr)
            finally:
                _stop(process)
