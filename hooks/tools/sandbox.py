"""A FHIR server in the box, loaded with the sample patients, and the service beside it: for trying and for tests."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
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
from hooks.tools import little_ehr

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


def free_port() -> int:
    """Give a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


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
    port = port or free_port()
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
        _wait_for(f"{base}/metadata", process, log)
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


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    with _session() as session:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
    raise SandboxError(f"The FHIR server did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


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


# --- the sample patients ------------------------------------------------------------------------------------


def as_transaction(sample: samples.Sample, day: dt.date) -> dict[str, Any]:
    """
    Make a transaction Bundle of a sample patient's chart, told as of `day`.

    The patients share ids such as `Observation/obs-5`; on one server each gets the patient's id before it.
    """
    resources = [samples.moved(each, (day - samples.STORY_DAY).days) for each in sample.resources]
    patient = sample.patient_id
    renamed = {
        f"{each['resourceType']}/{each['id']}": f"{each['resourceType']}/{patient}-{each['id']}"
        for each in resources
        if each["resourceType"] != "Patient"
    }
    entries = []
    for each in resources:
        own = renamed.get(f"{each['resourceType']}/{each['id']}", f"Patient/{patient}")
        resource = _renamed(each, renamed) | {"id": own.partition("/")[2]}
        entries.append({"resource": resource, "request": {"method": "PUT", "url": own}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {
            key: names.get(inner, inner) if key == "reference" and isinstance(inner, str) else _renamed(inner, names)
            for key, inner in value.items()
        }
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def load(base: str, day: dt.date, told: Callable[[samples.Sample], None] | None = None) -> int:
    """
    Load all sample patients into a FHIR server; give how many resources went in.

    Raises SandboxError when the server refuses one.
    """
    count = 0
    with _session() as session:
        for sample in samples.samples():
            bundle = as_transaction(sample, day)
            headers = {"Content-Type": "application/fhir+json"}
            answered = session.post(base, data=json.dumps(bundle), headers=headers, timeout=60)
            if answered.status_code >= 300:
                raise SandboxError(f"The FHIR server refused {sample.name} ({answered.status_code}).")
            count += len(bundle["entry"])
            if told is not None:
                told(sample)
    return count


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


@contextmanager
def running(
    port: int, fhir_port: int, day: dt.date, say: Callable[[str], None], ehr_port: int | None = None
) -> Iterator[str]:
    """
    Run the FHIR server with the sample patients, a little EHR before it, and the service; give the service's address.

    Raises SandboxError when either does not start.
    """
    with tempfile.TemporaryDirectory(prefix="oncobone-sandbox-") as name:
        folder = Path(name)
        service = f"http://{HOST}:{port}"
        with (
            fhir_server(folder, fhir_port) as server,
            little_ehr.serving(ehr_port or free_port(), server.base, service) as ehr,
        ):
            say(f"FHIR server at {server.base}; loading the sample patients …")
            count = load(server.base, day)
            say(f"{len(samples.samples())} patients, {count} resources.")
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
                _wait_for(f"http://{HOST}:{port}/cds-services", process, log)
                say(f"A little EHR to launch the dossier from: {ehr}/")
                yield service
            finally:
                _stop(process)
