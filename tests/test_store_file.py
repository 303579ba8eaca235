"""The file of a SQLite database: readable by its owner alone, and missed when it is not the one that was opened."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hooks.store.database import StoreUnavailable
from hooks.store.issued import FeedbackItem
from hooks.store.store import Store, kept_call, open_store
from tests.conftest import Server, wait_until
from tests.stores import issued
from tests.wire import call_body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def on_file(file: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{file}")
    yield opened
    opened.close()


def modes(file: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in file.parent.glob(f"{file.name}*")}


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(StoreUnavailable) as unavailable:
        act()
    return unavailable.value.reason


def test_the_file_and_what_lies_beside_it_are_the_owners_alone(file: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{file}")
        issued(store)
        assert modes(file) == {"store.sqlite": 0o600, "store.sqlite-wal": 0o600, "store.sqlite-shm": 0o600}
        store.close()
    finally:
        os.umask(before)


def test_files_of_an_earlier_version_are_closed_to_others(file: Path) -> None:
    open_store(f"sqlite:///{file}").close()
    other = sqlite3.connect(file)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE x (y)")
    for each in file.parent.glob("store.sqlite*"):
        each.chmod(0o644)
    store = open_store(f"sqlite:///{file}")
    assert set(modes(file).values()) == {0o600}
    store.close()
    other.close()


def item(card: str) -> FeedbackItem:
    return FeedbackItem(card, "overridden", datetime.now(UTC))


def test_a_deleted_file_is_missed_and_no_empty_one_takes_its_place(on_file: Store, file: Path) -> None:
    card = issued(on_file).uuid
    file.unlink()
    assert "deleted or moved" in refused(on_file.check)
    on_file._state.pause_until = 0
    on_file._engine.dispose()
    assert "deleted or moved" in refused(lambda: on_file.add_feedback("open", "s", [item(card)]))
    assert not file.exists()


def test_a_file_that_is_moved_away_is_missed_and_found_again_when_it_is_back(on_file: Store, file: Path) -> None:
    card = issued(on_file)
    file.rename(file.with_name("elsewhere"))
    assert "deleted or moved" in refused(on_file.check)
    file.with_name("elsewhere").rename(file)
    on_file._state.pause_until = 0
    on_file.check()
    assert on_file.add_feedback("open", "oncobone-order-sign", [item(card.uuid)]).stored == 1


def test_tries_that_do_not_wait_say_once_that_the_store_is_down(
    on_file: Store, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last words of a stop try again and again; the log of a stop in an outage is read in a hurry."""
    issued(on_file)
    shutil.move(file, file.with_name("elsewhere"))
    for _ in range(5):
        tried = on_file.hand_in([kept_call("open", {"n": 1})], insist=True)
        refused(lambda tried=tried: on_file.wait(tried, 5.0))  # type: ignore[misc] # mypy knows no defaults of lambdas
    assert [each.getMessage() for each in caplog.records].count("store unavailable") == 1


def test_another_file_in_its_place_is_not_taken_for_it(on_file: Store, file: Path) -> None:
    issued(on_file)
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.replace(file)
    assert "was replaced" in refused(on_file.check)
    on_file._state.pause_until = 0
    assert "was replaced" in refused(lambda: issued(on_file))


def test_a_log_that_is_deleted_is_missed_and_nothing_is_lost_when_the_service_is_stopped(
    on_file: Store, file: Path
) -> None:
    card = issued(on_file)
    file.with_name("store.sqlite-wal").unlink()
    assert "write-ahead log" in refused(on_file.check)
    on_file.close()
    again = open_store(f"sqlite:///{file}")
    assert again.feedback_counts()[0].cards == 1
    assert again.add_feedback("open", "oncobone-order-sign", [item(card.uuid)]).stored == 1
    again.close()


def feedback(server: Server, card: str) -> int:
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    path = "/cds-services/oncobone-patient-view/feedback"
    return server.request("POST", path, json={"feedback": [entry]}).status_code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_whose_file_is_gone_says_so_and_answers_calls(
    start_server: Callable[..., Any], tmp_path: Path, workers: str
) -> None:
    server = start_server("--workers", workers)
    file, away = tmp_path / "oncobone.sqlite", tmp_path / "away"
    card = server.call(call_body()).json()["cards"][0]["uuid"]
    file.rename(away)
    assert feedback(server, card) == 503
    assert server.get("/readyz").status_code == 503
    assert server.call(call_body(hookInstance=str(uuid.uuid4()))).status_code == 200
    assert not file.exists(), "no new file in its place"
    away.rename(file)
    wait_until(lambda: feedback(server, card) == 200, 10)
    wait_until(lambda: server.get("/readyz").status_code == 200, 10)
    assert server.stop(signal.SIGTERM) == 0
    with sqlite3.connect(file) as kept:
        assert kept.execute("SELECT count(*) FROM audit_records").fetchone() == (2,), "and what waited is recorded"
    kept.close()
