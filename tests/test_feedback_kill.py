"""A server that is killed while it takes feedback: nothing that it acknowledged is lost."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from hooks.store.audit import verified
from hooks.store.store import Store, open_store
from tests.floors import measured
from tests.postgres import Cluster, needed
from tests.stores import issued
from tests.wire import call_body

SERVICE = "oncobone-order-sign"
SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
KILLS = 50 if SOAK else 5
WRITERS = 4


class Stream:
    """Writers that post feedback and calls until the server is gone, and note what was acknowledged."""

    def __init__(self, url: str, cards: list[str]) -> None:
        self._url = url
        self._cards = itertools.cycle(cards)
        self.feedback: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.failures: list[int] = []
        targets = [self._post_feedback] * WRITERS + [self._post_calls]
        self._threads = [threading.Thread(target=target) for target in targets]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _post(self, path: str, body: dict[str, Any]) -> bool:
        """Whether it was acknowledged; raises when the server is gone."""
        status = requests.post(self._url + path, json=body, timeout=10).status_code
        if status != 200:
            self.failures.append(status)
        return status == 200

    def _post_feedback(self) -> None:
        try:
            while True:
                card, at = next(self._cards), datetime.now(UTC).isoformat().replace("+00:00", "Z")
                entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": at}
                if self._post(f"/cds-services/{SERVICE}/feedback", {"feedback": [entry]}):
                    self.feedback.append((card, at))
        except requests.RequestException:
            return

    def _post_calls(self) -> None:
        try:
            while True:
                instance = str(uuid.uuid4())
                if self._post("/cds-services/oncobone-patient-view", call_body(hookInstance=instance)):
                    self.calls.append(instance)
        except requests.RequestException:
            return


def stored_feedback(store: Store) -> set[tuple[str, datetime]]:
    with store._engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT card, outcome_at FROM feedback")).all()
    return {(card, datetime.fromisoformat(at)) for card, at in rows}


@pytest.mark.soak
def test_no_acknowledged_feedback_or_audit_record_is_lost_when_the_server_is_killed(
    database_url: str, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    key = tmp_path / "audit-key"
    store = open_store(database_url, audit_key_file=key)
    cards = [issued(store).uuid for _ in range(20)]
    store.close()
    feedback: list[tuple[str, str]] = []
    calls: list[str] = []
    for _ in range(KILLS):
        server = start_server(ONCOBONE_DATABASE_URL=database_url, ONCOBONE_AUDIT_KEY_FILE=str(key))
        stream = Stream(server.url, cards)
        time.sleep(random.uniform(0.2, 0.8))
        server.stop(signal.SIGKILL)
        stream.join()
        assert not stream.failures
        feedback += stream.feedback
        calls += stream.calls
    store = open_store(database_url, audit_key_file=key)  # no repair by hand
    kept = stored_feedback(store)
    lost = [each for each in feedback if (each[0], datetime.fromisoformat(each[1])) not in kept]
    recorded = "".join(entry.record for entry in store.audit_entries())
    missing = [instance for instance in calls if instance not in recorded]
    assert len(feedback) > 10 * KILLS
    assert calls
    kept_of = f"{len(feedback)} acknowledged entries of feedback and {len(calls)} calls"
    measured(f"{KILLS} kills, {kept_of}: {len(lost)} and {len(missing)} lost")
    assert (lost, missing) == ([], [])
    assert verified(store).problems == []
    store.close()


@pytest.mark.database
def test_calls_are_answered_and_feedback_is_not_while_the_database_is_down(
    tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    needed()
    cluster = Cluster()
    try:
        cluster.start()
        key = tmp_path / "audit-key"
        server = start_server(ONCOBONE_DATABASE_URL=cluster.url, ONCOBONE_AUDIT_KEY_FILE=str(key))
        answer = server.call(call_body())
        card = answer.json()["cards"][0]["uuid"]
        entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
        path = "/cds-services/oncobone-patient-view/feedback"
        cluster.stop()
        assert server.call(call_body()).status_code == 200
        assert server.get("/readyz").status_code == 503
        refused = server.request("POST", path, json={"feedback": [entry]})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        cluster.start()
        for _ in range(100):
            taken = server.request("POST", path, json={"feedback": [entry]})
            if taken.status_code == 200:
                break
            time.sleep(0.05)
        assert taken.status_code == 200
        assert server.get("/readyz").status_code == 200
        assert server.call(call_body()).status_code == 200
        store = open_store(cluster.url, audit_key_file=key)
        result = verified(store)
        assert (result.problems, result.entries) == ([], 3)  # the call made while it was down was written afterwards
        store.close()
    finally:
        cluster.remove()
