"""Starts the service and its floor for the benches, asks them, and tells what their processes took."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

DAY = "2026-11-22"
BARE_PATH = "/cds-services/bare"
OUR_PATH = "/cds-services/oncobone-patient-view"
BARE = """
from flask import Flask, request
app = Flask("bare")
CARD = {"summary": "One card", "indicator": "info", "source": {"label": "bare"}}
@app.post("/cds-services/bare")
def bare():
    request.get_json()
    return {"cards": [CARD]}
"""
"""What any service in Python must do at least: decode the body, answer a card."""
BARE_SERVER = {
    "waitress": "from waitress import serve\nfrom bare import app\n"
    "serve(app, host='127.0.0.1', port={port}, threads=8, max_request_body_size=64 * 2**20)",
    "gunicorn": "import sys\nfrom gunicorn.app.wsgiapp import run\n"
    "sys.argv = ['gunicorn', '-w', '{workers}', '-k', 'gthread', '--threads', '8', '-b', '127.0.0.1:{port}',"
    " '--log-level', 'error', 'bare:app']\nrun()",
}
HOUSE = Path(__file__).parent.parent
PACKAGES = ("recommenders", "fhir_mapping", "hooks")
OWN_VARIABLES = ("ONCOBONE_", "PYTHONDONTWRITEBYTECODE")
"""What of this environment is none of a site's."""
OURS = "from hooks.tools.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: its first process, its port, and the path that is asked."""

    process: subprocess.Popen[bytes]
    port: int
    path: str
    ready_s: float

    def connect(self) -> HTTPConnection:
        """Open a connection that is kept."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def workers(self) -> list[int]:
        """The processes that answer: the children, or the one that has none."""
        found = [pid for pid in _children(self.process.pid) if b"resource_tracker" not in _command(pid)]
        return found or [self.process.pid]

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(_cpu_s(pid) for pid in {self.process.pid, *self.workers()})

    def pss_mb(self) -> float:
        """Memory of its largest process; what processes share is counted in parts."""
        return max(_pss_mb(pid) for pid in self.workers())


@contextlib.contextmanager
def ours(workers: int, folder: Path, **settings: str) -> Iterator[Running]:
    """Start the service as a site does: its modules compiled, as an installation leaves them, its store in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    subprocess.run([sys.executable, "-m", "compileall", "-q", *PACKAGES], check=True, cwd=HOUSE, env=kept)
    environment = kept | {
        "ONCOBONE_NOW": DAY,
        "ONCOBONE_DATABASE_URL": f"sqlite:///{folder}/oncobone-bench-{os.getpid()}-{workers}.sqlite",
        "ONCOBONE_WORKERS": str(workers),
        "ONCOBONE_LOG_LEVEL": "error",
        "PYTHONPATH": str(HOUSE),
        **settings,
    }
    with _started([sys.executable, "-c", OURS, "serve", "--port", "{port}"], environment, OUR_PATH) as running:
        yield running


@contextlib.contextmanager
def bare(workers: int, kind: str) -> Iterator[Running]:
    """Start the floor: as many processes as ours have; waitress has one, so several of it are gunicorn's."""
    program = BARE_SERVER[kind if workers == 1 else "gunicorn"].replace("{workers}", str(workers))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(BARE, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": folder}
        with _started([sys.executable, "-c", program], environment, BARE_PATH) as running:
            yield running


@contextlib.contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str], path: str) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    filled = [part.replace("{port}", str(port)) for part in command]
    since = time.monotonic()
    process = subprocess.Popen(filled, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield Running(process, port, path, time.monotonic() - since)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call took by the clock, what came, and the milliseconds of the steps that the service tells."""

    seconds: float
    body: bytes
    steps: Mapping[str, float]


def ask(connection: HTTPConnection, path: str, payload: bytes) -> Answer:
    """Post once; anything but 200 is an error."""
    start = time.perf_counter()
    connection.request("POST", path, payload, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    took = time.perf_counter() - start
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}: {answer[:200]!r}")
    told = (step.split(";dur=") for step in (response.getheader("Server-Timing") or "").split(", ") if step)
    return Answer(took, answer, {name: float(took_ms) for name, took_ms in told})


def percentile(series: Sequence[float], share: float) -> float:
    """Give the value that so large a share does not exceed."""
    return sorted(series)[min(len(series) - 1, int(share * len(series)))]


@contextlib.contextmanager
def store_folder(*, in_memory: bool) -> Iterator[Path]:
    """
    Give a folder for the store: on a disk, as a site's is, or in memory.

    Each call's record is on the disk before its answer goes out (`synchronous=FULL`); in memory that costs nothing,
    on a disk a few milliseconds.
    """
    place = "/dev/shm" if in_memory else "/var/tmp"  # of the two only the first is never a disk, /tmp may be either
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


# --- what processes took ------------------------------------------------------------------------------------


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)  # the clock of that process (clock_getcpuclockid)
    return 0.0


def _pss_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
