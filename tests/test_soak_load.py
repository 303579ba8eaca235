"""
A steady load for a while: calls come at fixed times, whether the earlier ones are answered or not.

Short by default (8 s at 12 calls a second); with ONCOBONE_SOAK=1 it is ten minutes at 60 a second, 400 slow sockets
of each kind, and a minute of a hundred callers that never pause. Times are held against what is promised only where
the machine has nothing else to do.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import Server
from tests.floors import cpu_of, measured
from tests.wire import bundle, call_body, observation

SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
SECONDS = 600 if SOAK else 8
PER_SECOND = 60 if SOAK else 12
SLOW = 400 if SOAK else 40
CROWD, CROWD_S = 100, 60 if SOAK else 6
P50_MS, P99_MS = 40, 200
PATH = "/cds-services/oncobone-patient-view"

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 300)]


def held(server: Server) -> tuple[float, int]:
    """Memory (MiB) and open files of a server's process."""
    process = Path(f"/proc/{server.process.pid}")
    status = process.joinpath("status").read_text(encoding="ascii")
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kib / 1024, len(list(process.joinpath("fd").iterdir()))


def usual_body() -> bytes:
    """A chart with some thirty results, under an instance of its own."""
    results = [observation("2160-0", 1.0 + n / 50, "mg/dL", f"o-{n}", day=f"2026-10-{n + 1:02}") for n in range(30)]
    body = call_body(hookInstance=str(uuid.uuid4()))
    body["prefetch"]["observations"] = bundle(*results)
    return json.dumps(body).encode()


def cpu_s(server: Server) -> float:
    """Processor time that a server's process has used."""
    return cpu_of(server.process.pid)


def one_after_the_other(server: Server, calls: int = 100) -> float:
    """The floor of this run: how many calls a second one client gets answered here."""
    with requests.Session() as session:
        started = time.monotonic()
        for _ in range(calls):
            headers = {"Content-Type": "application/json"}
            assert session.post(server.url + PATH, data=usual_body(), headers=headers, timeout=60).status_code == 200
        return calls / (time.monotonic() - started)


def alone_cpu_ms(server: Server, calls: int = 200) -> float:
    """Processor time of a call, in milliseconds, when one client calls."""
    one_after_the_other(server, 20)
    before = cpu_s(server)
    one_after_the_other(server, calls)
    return (cpu_s(server) - before) / calls * 1000


class Load:
    """Calls at fixed times; the time of a call counts from when it should have begun, so that stalls count."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._local = threading.local()
        self.statuses: Counter[int] = Counter()
        self.ms: list[float] = []

    def run(self, seconds: float, per_second: float) -> None:
        """Call for so long, so often."""
        begun = time.monotonic() + 0.2
        with ThreadPoolExecutor(32) as pool:
            for number in range(int(seconds * per_second)):
                due = begun + number / per_second
                time.sleep(max(0.0, due - time.monotonic()))
                pool.submit(self._call, due)

    def _call(self, due: float) -> None:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        headers = {"Content-Type": "application/json"}
        answered = self._local.session.post(self._server.url + PATH, data=usual_body(), headers=headers, timeout=60)
        self.ms.append((time.monotonic() - due) * 1000)
        self.statuses[answered.status_code] += 1

    def percentile(self, share: float) -> float:
        """Milliseconds within which so many of the calls were answered."""
        return sorted(self.ms)[min(len(self.ms) - 1, int(share * len(self.ms)))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at a process through Linux's /proc")
def test_a_steady_load_is_answered_in_time_and_leaves_nothing_behind(start_server: Callable[..., Server]) -> None:
    quiet = os.getloadavg()[0] < 0.5 * (os.cpu_count() or 1)
    server = start_server(ONCOBONE_LOG_LEVEL="warning")
    alone = alone_cpu_ms(server)
    Load(server).run(2, PER_SECOND)
    memory, files = held(server)
    load = Load(server)
    before = cpu_s(server)
    load.run(SECONDS, PER_SECOND)
    cost = (cpu_s(server) - before) / len(load.ms) * 1000
    time.sleep(0.5)
    memory_after, files_after = held(server)
    told = f"p50 {load.percentile(0.5):.0f} ms, p99 {load.percentile(0.99):.0f} ms"
    grown = f"memory {memory:.0f} -> {memory_after:.0f} MiB"
    cpu = f"CPU a call {cost:.1f} ms, {alone:.1f} one after the other"
    told = f"{told}, {cpu}, {grown}, files {files} -> {files_after}, quiet: {quiet}"
    measured(f"{len(load.ms)} calls at {PER_SECOND}/s: {told}")
    assert load.statuses[200] == SECONDS * PER_SECOND, load.statuses
    assert memory_after < memory * 1.1 + 20
    assert files_after <= files + 40  # connections of the load's own clients are still open
    if quiet and SOAK:
        assert load.percentile(0.5) < P50_MS, told
        assert load.percentile(0.99) < P99_MS, told
    # On a machine with other work only the work itself can be judged: a call costs under load what it costs alone.
    assert cost < 2 * alone + 1, cpu


def test_of_far_more_calls_than_can_be_answered_some_are_answered_and_the_others_told_to_come_again(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(ONCOBONE_LOG_LEVEL="error")
    floor = one_after_the_other(server)
    over = threading.Event()
    taken: list[tuple[int, float, str | None]] = []

    def hammer() -> None:
        with requests.Session() as session:
            while not over.is_set():
                started = time.monotonic()
                headers = {"Content-Type": "application/json"}
                answered = session.post(server.url + PATH, data=usual_body(), headers=headers, timeout=60)
                retry = answered.headers.get("Retry-After")
                taken.append((answered.status_code, time.monotonic() - started, retry))

    threads = [threading.Thread(target=hammer) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    time.sleep(CROWD_S)
    over.set()
    for thread in threads:
        thread.join()
    answers = [took for status, took, _ in taken if status == 200]
    assert {status for status, _, _ in taken} <= {200, 503}
    assert all(retry == "1" for status, _, retry in taken if status == 503)
    # The crowd is a hundred threads on the same cores: it takes most of what there is for itself.
    assert len(answers) > CROWD_S * floor / 10, f"{len(answers)} in {CROWD_S} s, alone {floor:.0f} a second"
    # A second in the queue at the most, and eight calls at once on one core; the rest is the crowd's own work.
    assert sorted(answers)[int(0.99 * len(answers))] < 2 + 100 / floor
    assert one_after_the_other(server) > floor / 3, "afterwards it is as quick as before"


def test_slow_sockets_of_each_kind_do_not_hold_up_calls(start_server: Callable[..., Server]) -> None:
    server = start_server()
    floor = one_after_the_other(server)
    where = urlsplit(server.url)
    head = (
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n" % PATH.encode()
    )
    for begun in (b"", head[:60], head + b"\r\n" + b"{" * 100):
        sockets = []
        try:
            for _ in range(SLOW):
                sockets.append(socket.create_connection((where.hostname or "", where.port or 0), timeout=30))
                sockets[-1].sendall(begun)
            assert one_after_the_other(server, 30) > floor / 4
        finally:
            for each in sockets:
                each.close()


def test_small_calls_are_answered_beside_heavy_ones(start_server: Callable[..., Server]) -> None:
    server = start_server()
    floor = one_after_the_other(server)
    heavy = call_body()
    heavy["prefetch"]["observations"] = bundle(
        *(
            observation("2160-0", 1.0, "mg/dL", f"h-{n}", day=f"2026-{n % 11 + 1:02}-{n % 27 + 1:02}")
            for n in range(3000)
        )
    )
    raw = json.dumps(heavy).encode()
    over = threading.Event()
    statuses: list[int] = []

    def burden() -> None:
        while not over.is_set():
            sent = requests.post(server.url + PATH, data=raw, headers={"Content-Type": "application/json"}, timeout=60)
            statuses.append(sent.status_code)

    threads = [threading.Thread(target=burden) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        took = []
        for _ in range(20):
            started = time.monotonic()
            assert server.call(call_body()).status_code in {200, 503}
            took.append(time.monotonic() - started)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(statuses) <= {200, 503}
    # Two heavy ones are at work beside each: what a small one waits for is its own work among theirs, never their end.
    assert sorted(took)[10] < 1 + 30 / floor, took
