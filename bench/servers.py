"""
Tries the servers that could stand in front of the application, on what a hospital would notice.

Each runs the same application with two processes of eight threads. CPU and memory are those of all its processes
(PSS, so that shared memory counts once); a process is killed, stopped without warning, and all are reloaded, while
four clients call; and 64 clients send half a body and wait.

Usage: python bench/servers.py [NAME ...]      (granian is tried where it is installed)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from bodies import body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = "2026-11-22"
PATH = "/cds-services/oncobone-patient-view"
CALLS = 300
SLOW = 64
LONGEST_S = 45
FACTORY = """
from hooks.watching import observability
from hooks.running.warming import make_app
from hooks.configuration import load
observability.start_logging("error")
app = make_app(load())
"""
RUN = [sys.executable, "-c", "from hooks.tools.cli import main; main(prog_name='oncobone')"]
COMMANDS = {
    "waitress under gunicorn": [*RUN, "serve", "--workers", "2", "--port", "{port}"],
    "gunicorn gthread": [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--worker-class", "gthread",
                         "--threads", "8", "--timeout", "20", "--bind", "127.0.0.1:{port}", "made:app"],
    "granian": [sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "8",
                "--respawn-failed-workers", "--port", "{port}", "made:app"],
}  # fmt: skip


@dataclass
class Trial:
    """One server while it is tried."""

    process: subprocess.Popen[bytes]
    port: int
    call: bytes = field(default_factory=lambda: body(30)[0])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> set[int]:
        """Its processes but the first; helpers of Python's own are none."""
        found = set()
        for pid in _children(self.process.pid):
            with contextlib.suppress(OSError):
                if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(pid)
        return found

    def ask(self, seconds: float = 10) -> str:
        """One call on a connection of its own; its status, or the name of what went wrong."""
        try:
            answered = requests.post(
                self.url + PATH, data=self.call, headers={"Content-Type": "application/json"}, timeout=seconds
            )
        except requests.RequestException as error:
            return type(error).__name__
        return str(answered.status_code)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cpu_s(pids: set[int]) -> float:
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(parts[11]) + int(parts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _pss_mib(pids: set[int]) -> float:
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[Trial]:
    """Start a server and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "made.py").write_text(FACTORY, encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONCOBONE_")}
        root = str(Path(__file__).parent.parent)
        env = kept | {"ONCOBONE_NOW": DAY, "ONCOBONE_LOG_LEVEL": "error", "PYTHONPATH": f"{root}:{folder}"}
        filled = [part.format(port=port) for part in command]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(filled, cwd=folder, env=env, stdout=log, stderr=log)
        trial = Trial(process, port)
        try:
            _until(lambda: trial.ask() == "200", 60)
            yield trial
        finally:
            left = {process.pid, *trial.workers()}
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _until(what: Callable[[], bool], seconds: float) -> float | None:
    """How long it took, or None when it did not come about."""
    since = time.monotonic()
    while not what():
        if time.monotonic() - since > seconds:
            return None
        time.sleep(0.05)
    return time.monotonic() - since


@contextlib.contextmanager
def load(trial: Trial, clients: int = 4) -> Iterator[Counter[str]]:
    """Call all the time, and count what comes."""
    statuses: Counter[str] = Counter()
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            statuses[trial.ask()] += 1

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _failed(statuses: Counter[str]) -> int:
    return sum(statuses.values()) - statuses["200"]


def _cost(trial: Trial) -> dict[str, str]:
    with requests.Session() as session:
        before = _cpu_s({trial.process.pid, *trial.workers()})
        for _ in range(CALLS):
            session.post(trial.url + PATH, data=trial.call, headers={"Content-Type": "application/json"}, timeout=10)
    processes = {trial.process.pid, *trial.workers()}
    return {
        "CPU a call": f"{(_cpu_s(processes) - before) / CALLS * 1000:.1f} ms",
        "memory": f"{_pss_mib(processes):.0f} MiB",
    }


def _replaced(trial: Trial, how: signal.Signals) -> tuple[str, int]:
    """One process is hit; how long until another is in its place, and how many calls failed meanwhile."""
    before = trial.workers()
    victim = max(before)
    with load(trial) as statuses:
        time.sleep(0.5)
        os.kill(victim, how)
        took = _until(lambda: victim not in trial.workers() and len(trial.workers()) == len(before), LONGEST_S)
        time.sleep(0.5)
    if took is None:
        os.kill(victim, signal.SIGCONT)
    return ("never" if took is None else f"{took:.1f} s"), _failed(statuses)


def _reload(trial: Trial) -> tuple[str, int]:
    before = trial.workers()
    with load(trial) as statuses:
        time.sleep(0.5)
        trial.process.send_signal(signal.SIGHUP)
        took = _until(lambda: len(trial.workers()) == len(before) and not trial.workers() & before, LONGEST_S)
        time.sleep(0.5)
    return ("never" if took is None else f"{took:.1f} s"), _failed(statuses)


def _slow(trial: Trial) -> str:
    head = (
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{"
        % PATH.encode()
    )
    sockets = [socket.create_connection(("127.0.0.1", trial.port), 10) for _ in range(SLOW)]
    try:
        for each in sockets:
            each.sendall(head)
        time.sleep(0.3)
        return f"{sum(trial.ask(3) != '200' for _ in range(5))} of 5 fail"
    finally:
        for each in sockets:
            each.close()


def main() -> None:
    """Try each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(COMMANDS))
    for name in parser.parse_args().names:
        if name == "granian" and importlib.util.find_spec("granian") is None:
            print("granian: not installed")
            continue
        with started(COMMANDS[name]) as trial:
            found = _cost(trial) | {f"{SLOW} slow clients": _slow(trial)}
            took, failed = _replaced(trial, signal.SIGKILL)
            found |= {"killed": f"replaced in {took}, {failed} calls failed"}
            took, failed = _reload(trial)
            found |= {"reload": f"{took}, {failed} calls failed"}
            took, failed = _replaced(trial, signal.SIGSTOP)
            found |= {"hangs": f"replaced in {took}, {failed} calls failed"}
        print(json.dumps({"server": name} | found), flush=True)


if __name__ == "__main__":
    main()
