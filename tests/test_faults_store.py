"""The store fails under a running server: the disk is full, the file is locked, the database is not there yet."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from hooks.store.audit import verified
from hooks.store.store import open_store
from tests.conftest import Server, wait_until
from tests.postgres import Cluster, needed
from tests.test_wire_serving import children, is_alive
from tests.wire import call_body

PATH = "/cds-services/oncobone-patient-view"


def call(server: Server) -> tuple[int, float]:
    """One call of a new invocation: status and seconds."""
    started = time.monotonic()
    status = server.call(call_body(hookInstance=str(uuid.uuid4()))).status_code
    return status, time.monotonic() - started


def feedback(server: Server, card: str, second: int = 0) -> requests.Response:
    entry: dict[str, Any] = {
        "card": card,
        "outcome": "overridden",
        "outcomeTimestamp": f"2026-11-22T12:00:{second:02}Z",
    }
    entry |= {"overrideReason": {"userComment": "x" * 9000}}
    return server.request("POST", f"{PATH}/feedback", json={"feedback": [entry]})


def whole(path: Path) -> bool:
    with sqlite3.connect(path) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(answer == ("ok",))


def audited(database_url: str, key: Path) -> tuple[list[str], int]:
    store = open_store(database_url, audit_key_file=key)
    result = verified(store)
    store.close()
    return result.problems, result.entries


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux lets one take away the disk of a process")
def test_on_a_full_disk_calls_go_on_and_it_resumes_when_there_is_room(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    card = server.call(call_body()).json()["cards"][0]["uuid"]
    made = 1
    database = tmp_path / "oncobone.sqlite"
    # No file of the process may grow any more: the database, its log of changes, and the server's own log.
    largest = max(path.stat().st_size for path in tmp_path.glob("oncobone.sqlite*"))
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)  # type: ignore[attr-defined,unused-ignore] # Linux
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (largest + 20_000, before[1]))  # type: ignore[attr-defined,unused-ignore]
    statuses = []
    for number in range(40):
        statuses.append(feedback(server, card, number).status_code)
        if statuses[-1] == 503:
            break
    assert statuses[-1] == 503
    wait_until(lambda: server.get("/readyz").status_code == 503)
    for _ in range(5):
        status, took = call(server)
        made += 1
        assert (status, took < 3) == (200, True)
    assert feedback(server, card, 50).headers["Retry-After"] == "5"
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)  # type: ignore[attr-defined,unused-ignore]
    wait_until(lambda: feedback(server, card, 51).status_code == 200, 10)
    wait_until(lambda: server.get("/readyz").status_code == 200, 10)
    assert server.stop() == 0
    assert whole(database)
    problems, entries = audited(f"sqlite:///{database}", tmp_path / "oncobone.audit-key")
    assert (problems, entries) == ([], made), "what was answered on a full disk is recorded afterwards"


def test_while_the_database_is_locked_calls_go_on_and_feedback_comes_again(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    card = server.call(call_body()).json()["cards"][0]["uuid"]
    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = [call(server) for _ in range(6)]
        assert {status for status, _ in answers} == {200}
        assert max(took for _, took in answers) < 3, "a call waits a second for the store at the most"
        assert server.get("/readyz").status_code == 503
        assert feedback(server, card).status_code == 503
        assert 'oncobone_component_up{component="store"} 0.0' in server.get("/metrics").text
        other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: feedback(server, card).status_code == 200, 10)
    wait_until(lambda: server.get("/readyz").status_code == 200, 10)
    assert call(server)[0] == 200
    assert "oncobone_audit_waiting 0.0" in server.get("/metrics").text
    server.stop()
    assert audited(f"sqlite:///{tmp_path / 'oncobone.sqlite'}", tmp_path / "oncobone.audit-key") == ([], 8)


@pytest.mark.database
def test_a_server_that_starts_before_its_database_answers_calls_and_finds_it_later(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    needed()
    cluster = Cluster()
    try:
        server = start_server(ONCOBONE_DATABASE_URL=cluster.url, ONCOBONE_AUDIT_KEY_FILE=str(tmp_path / "key"))
        assert server.get("/readyz").status_code == 503
        assert call(server)[0] == 200
        assert feedback(server, str(uuid.uuid4())).status_code == 503
        cluster.start()
        wait_until(lambda: server.get("/readyz").status_code == 200, 15)
        card = server.call(call_body()).json()["cards"][0]["uuid"]
        assert feedback(server, card).status_code == 200
        server.stop()
        assert audited(cluster.url, tmp_path / "key") == ([], 2)
    finally:
        cluster.remove()


def test_records_that_wait_are_written_when_the_server_stops(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """The store comes back, nobody calls any more, and the server is stopped."""
    server = start_server()
    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [call(server)[0] for _ in range(3)] == [200] * 3
        other.execute("ROLLBACK")
    other.close()
    time.sleep(1.5)  # the pause that follows a failure
    assert server.stop() == 0
    assert audited(f"sqlite:///{tmp_path / 'oncobone.sqlite'}", tmp_path / "oncobone.audit-key") == ([], 3)


def test_records_that_are_lost_at_the_end_are_counted_in_the_log(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server(ONCOBONE_LAST_WORDS_SECONDS="1")
    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [call(server)[0] for _ in range(3)] == [200] * 3
        assert server.stop() == 0
        other.execute("ROLLBACK")
    other.close()
    lost = [line for line in server.lines() if line["event"] == "audit records are lost"]
    assert [line["lost"] for line in lost] == [3]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through Linux's /proc")
def test_records_that_a_killed_process_takes_along_are_counted_in_the_log(
    start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one process at once; of a whole service at its next start, which tidies up after it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def lost(server: Server) -> list[int]:
        return [line["lost"] for line in server.lines() if line["event"].startswith("audit records are lost")]

    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        server = start_server("--workers", "2")
        other.execute("BEGIN IMMEDIATE")
        for _ in range(9):
            with requests.Session() as fresh:
                assert fresh.post(server.url + PATH, json=call_body(hookInstance=str(uuid.uuid4())), timeout=30).ok
        waiting = re.search(r"^oncobone_audit_waiting (\d+)", server.get("/metrics").text, re.MULTILINE)
        assert waiting
        assert waiting[1] == "9"
        victim = max(children(server))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in children(server) and len(children(server)) == 2)
        orphans = children(server)
        server.stop(signal.SIGKILL)
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        wait_until(lambda: not any(is_alive(orphan) for orphan in orphans))
        other.execute("ROLLBACK")
    other.close()
    after = start_server("--workers", "2")
    assert sum(lost(server) + lost(after)) == 9
    assert len(list(tmp_path.glob("oncobone-metrics-*"))) == 1
    assert after.stop() == 0
    assert not list(tmp_path.glob("oncobone-metrics-*"))


def test_many_calls_at_once_while_the_store_is_down_do_not_queue_up(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    answers: list[tuple[int, float]] = []
    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")

        def caller() -> None:
            for _ in range(5):
                started = time.monotonic()
                body = call_body(hookInstance=str(uuid.uuid4()))
                answered = requests.post(server.url + PATH, json=body, timeout=30)
                answers.append((answered.status_code, time.monotonic() - started))

        threads = [threading.Thread(target=caller) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.execute("ROLLBACK")
    other.close()
    assert {status for status, _ in answers} <= {200, 503}
    assert sum(status == 200 for status, _ in answers) > len(answers) * 0.8
    assert max(took for _, took in answers) < 5
