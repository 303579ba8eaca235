"""
A database that is far away, and an outage of it: everything that was answered meanwhile is stored, once, in order.

Short by default; with ONCOBONE_SOAK=1 ten thousand calls wait.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy.exc import OperationalError

from hooks.store import backlog
from hooks.store.audit import Auditor, verified
from hooks.store.database import StoreUnavailable
from hooks.store.store import CALL_PATIENCE, Store, open_store
from hooks.store.worker import Job
from tests.conftest import wait_until
from tests.floors import measured
from tests.links import Link
from tests.postgres import Cluster
from tests.test_audit import call
from tests.wire import call_body

pytestmark = pytest.mark.database

MANY = 10_000 if os.environ.get("ONCOBONE_SOAK") == "1" else 1_500
# What one call costs on the longest way of these tests, and as much again for a batch that it finds before it.
SLACK_S = 2.0

Far = tuple[Link, str]
not_so_far = pytest.mark.parametrize("far", [0.005], indirect=True, ids=["5 ms"])


@pytest.fixture(params=[0.005, 0.05], ids=["5 ms", "50 ms"])
def far(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Far]:
    """A link of so long a round trip, and the URL of an empty database at its other end."""
    link = Link(cluster.port, request.param / 2)
    url = cluster.fresh(f"t{uuid.uuid4().hex}")
    yield link, url.replace(f":{cluster.port}/", f":{link.port}/")
    link.close()


@pytest.fixture
def far_store(far: Far, tmp_path: Path) -> Iterator[Store]:
    """A store there."""
    opened = open_store(far[1], audit_key_file=tmp_path / "key")
    yield opened
    opened.close()


def numbers(store: Store) -> list[float]:
    """The records in their order, by the number that `call` put in for the time that they took."""
    return [json.loads(entry.record)["ms"] for entry in store.audit_entries()]


def answered(auditor: Auditor, numbered: Sequence[int]) -> list[bool]:
    """Calls that were answered, each with a card: whether each is known to be stored."""
    return [auditor.record(call(milliseconds=float(n)), [(f"c{n}", ["DOSE-003"], [], "1")]) for n in numbered]


@pytest.mark.parametrize("waiting", [311, pytest.param(MANY, marks=pytest.mark.soak)])
def test_after_an_outage_everything_is_stored_once_and_in_order(far: Far, far_store: Store, waiting: int) -> None:
    link, _ = far
    auditor = Auditor(far_store)
    assert answered(auditor, [0]) == [True]
    link.cut()
    time.sleep(0.1)
    assert not any(answered(auditor, range(1, waiting + 1)))
    assert auditor.waiting == waiting
    link.mend()
    started = time.monotonic()
    wait_until(lambda: auditor.waiting == 0, 60)
    took = time.monotonic() - started
    measured(f"{waiting} that waited were stored in {took:.1f} s over a round trip of {2000 * link.delay_s:.0f} ms")
    assert numbers(far_store) == [float(n) for n in range(waiting + 1)]
    assert far_store.verify_audit() == []
    assert sum(count.cards for count in far_store.feedback_counts()) == waiting + 1, "their cards too"
    far_store.check()


def test_the_first_callers_after_an_outage_pay_for_themselves_only(far: Far, far_store: Store) -> None:
    link, _ = far
    auditor = Auditor(far_store)
    answered(auditor, [0])
    started = time.monotonic()
    answered(auditor, [1])
    alone = time.monotonic() - started
    link.cut()
    time.sleep(0.1)
    answered(auditor, range(2, 3000))
    link.mend()
    wait_until(lambda: auditor.waiting < 2900, 10)
    stored: list[bool] = []
    while auditor.waiting > 500:
        started = time.monotonic()
        stored += answered(auditor, [9999])
        # Its own transaction, and at the worst the one that it finds at work.
        assert time.monotonic() - started < 2 * alone + SLACK_S
        time.sleep(0.1)
    # On a machine with other work one may lose its patience; then those of the next second wait in memory with it.
    assert any(stored)


@not_so_far
def test_a_stop_writes_what_waits_whatever_the_store_said_before(far: Far, far_store: Store) -> None:
    link, _ = far
    auditor = Auditor(far_store)
    answered(auditor, [0])
    link.cut()
    time.sleep(0.1)
    answered(auditor, range(1, 312))
    link.mend()
    assert auditor.close(10) == 0
    assert len(numbers(far_store)) == 312


@not_so_far
def test_last_words_have_a_deadline_and_count_what_is_lost(far: Far, far_store: Store) -> None:
    link, _ = far
    auditor = Auditor(far_store)
    answered(auditor, [0])
    link.cut()
    time.sleep(0.1)
    answered(auditor, range(1, 20))
    started = time.monotonic()
    assert auditor.close(1) == 19
    assert time.monotonic() - started < 2


@not_so_far
def test_a_link_that_goes_silent_holds_nobody_and_is_given_up(
    far: Far, far_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BATCH_PATIENCE", 0.8)
    link, _ = far
    auditor = Auditor(far_store)
    answered(auditor, [0])
    link.silent = True
    started = time.monotonic()
    assert not any(answered(auditor, range(1, 101)))
    assert time.monotonic() - started < CALL_PATIENCE + SLACK_S, "one waits, the others know"
    time.sleep(2)
    link.silent = False
    assert auditor.close(20) == 0
    assert sorted(numbers(far_store)) == [float(n) for n in range(101)], "each is there, and none twice"
    assert far_store.verify_audit() == []


@not_so_far
def test_a_batch_that_takes_too_long_is_cut_in_half(
    far: Far, far_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, _ = far
    sizes: list[int] = []
    whole = far_store._trail.write

    def slow(connection: Any, chain: Any, calls: Sequence[Any]) -> None:
        sizes.append(len(calls))
        if len(calls) > 30:
            time.sleep(1.2)  # as over a link that carries little
        whole(connection, chain, calls)

    monkeypatch.setattr(backlog, "BATCH_PATIENCE", 1.0)
    auditor = Auditor(far_store)
    answered(auditor, [0])
    monkeypatch.setattr(far_store._trail, "write", slow)
    link.cut()
    time.sleep(0.1)
    answered(auditor, range(1, 101))
    link.mend()
    assert auditor.close(30) == 0
    largest = max(sizes)
    assert largest > 30
    assert largest // 2 in sizes
    assert sorted(numbers(far_store)) == [float(n) for n in range(101)]


@not_so_far
def test_a_commit_whose_acknowledgement_was_lost_is_not_written_twice(far_store: Store) -> None:
    auditor = Auditor(far_store)
    transaction = far_store._transaction
    lost = [True, True]

    def unheard(jobs: Sequence[Job]) -> list[Any]:
        done = transaction(jobs)
        if any(job.calls for job in jobs) and lost:
            lost.pop()
            raise OperationalError("COMMIT", None, OSError("the line broke"))
        return done

    assert far_store._worker
    far_store._worker._transaction = unheard
    assert answered(auditor, [1]) == [False]
    assert auditor.close(10) == 0
    assert numbers(far_store) == [1.0]
    assert far_store.verify_audit() == []


def test_feedback_on_a_card_that_still_waits_is_told_to_come_again(
    cluster: Cluster, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    link = Link(cluster.port)
    url = cluster.fresh(f"t{uuid.uuid4().hex}").replace(f":{cluster.port}/", f":{link.port}/")
    server = start_server(ONCOBONE_DATABASE_URL=url, ONCOBONE_AUDIT_KEY_FILE=str(tmp_path / "key"))
    try:
        assert server.call(call_body()).status_code == 200
        link.cut()
        card = server.call(call_body(hookInstance=str(uuid.uuid4()))).json()["cards"][0]["uuid"]
        entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}

        def feedback() -> int:
            path = "/cds-services/oncobone-patient-view/feedback"
            status = server.request("POST", path, json={"feedback": [entry]}).status_code
            assert status in {200, 503}, "never 404: the card was shown"
            return int(status)

        assert feedback() == 503
        link.mend()
        wait_until(lambda: feedback() == 200, 10)
    finally:
        server.stop()
        link.close()


def test_feedback_on_a_card_that_waits_in_another_process_is_never_told_that_there_is_none(
    cluster: Cluster, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    """A caller that reads 404 drops what its user said. Which process takes a connection is left to chance."""
    link = Link(cluster.port)
    url = cluster.fresh(f"t{uuid.uuid4().hex}").replace(f":{cluster.port}/", f":{link.port}/")
    key = str(tmp_path / "key")
    server = start_server("--workers", "2", ONCOBONE_DATABASE_URL=url, ONCOBONE_AUDIT_KEY_FILE=key)
    path = f"{server.url}/cds-services/oncobone-patient-view"
    statuses: list[int] = []

    def feedback(card: str) -> int:
        entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
        statuses.append(requests.post(f"{path}/feedback", json={"feedback": [entry]}, timeout=30).status_code)
        return statuses[-1]

    try:
        for _ in range(4):
            link.cut()
            answers = [
                requests.post(path, json=call_body(hookInstance=str(uuid.uuid4())), timeout=30) for _ in range(8)
            ]
            shown = [answer.json()["cards"][0]["uuid"] for answer in answers]
            link.mend()
            wait_until(lambda shown=shown: all(feedback(card) == 200 for card in shown), 20)  # type: ignore[misc]
        assert set(statuses) <= {200, 503}
        unknown = str(uuid.uuid4())
        assert feedback(unknown) == 503, "just after an outage nobody knows"
    finally:
        server.stop()
        link.close()


def test_an_unknown_card_is_unknown_while_nothing_is_wrong(start_server: Callable[..., Any]) -> None:
    server = start_server("--workers", "2")
    entry = {"card": str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    answered = server.request("POST", "/cds-services/oncobone-patient-view/feedback", json={"feedback": [entry]})
    assert answered.status_code == 404


def test_a_server_that_is_stopped_after_an_outage_has_recorded_every_call(
    far: Far, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    link, url = far
    server = start_server(ONCOBONE_DATABASE_URL=url, ONCOBONE_AUDIT_KEY_FILE=str(tmp_path / "key"))
    assert server.call(call_body()).status_code == 200
    link.cut()
    for _ in range(40):
        assert server.call(call_body(hookInstance=str(uuid.uuid4()))).status_code == 200
    assert server.get("/readyz").status_code == 503
    link.mend()
    wait_until(lambda: server.get("/readyz").status_code == 200, 10)
    link.cut()
    for _ in range(20):
        assert server.call(call_body(hookInstance=str(uuid.uuid4()))).status_code == 200
    link.mend()
    assert server.stop(signal.SIGTERM) == 0
    store = open_store(url, audit_key_file=tmp_path / "key")
    result = verified(store)
    store.close()
    assert (result.problems, result.entries) == ([], 61)
    assert not any(line["event"] == "audit records are lost" for line in server.lines())


@not_so_far
def test_a_store_that_is_down_refuses_at_once_while_its_thread_hangs(far: Far, far_store: Store) -> None:
    link, _ = far
    far_store.check()
    link.silent = True
    with pytest.raises(StoreUnavailable):
        far_store.check()
    time.sleep(1.2)  # the pause is over, the thread still waits
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        far_store.check()
    assert time.monotonic() - started < CALL_PATIENCE / 2, "at once: it does not wait for the thread"
    link.silent = False
