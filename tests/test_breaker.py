"""One slow patient does not blind the hospital; a FHIR server that is down is left alone, and found again."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

from hooks.fhir_server.breaker import (
    DIFFERENT_CALLS,
    GONE_CALLS,
    PAUSE_SECONDS,
    SLOW_CALLS,
    Breakers,
    CallHealth,
    about,
)
from hooks.fhir_server.fetch import Fetched, answers, fetch_missing
from tests import fhir_servers as fhir
from tests.conftest import wait_until
from tests.fhir_servers import Handler, Server, serving

PAUSED = {"patient": "paused", "conditions": "paused"}
BOTH = {"patient": "ok", "conditions": "ok"}


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """The seconds on it."""
        return self.now


def call(server: Server, patient: str, breakers: Breakers, **other: Any) -> dict[str, str]:
    """One call about a patient, and a word for what came of each key."""
    wanted: dict[str, str | bytes] = {"patient": f"Patient/{patient}", "conditions": f"Condition?patient={patient}"}
    options: dict[str, Any] = {"base": server.base, "token": "t", "seconds": 0.5, "breakers": breakers} | other
    fetched: Fetched = fetch_missing(wanted, **options)
    return fetched.outcomes


def slow_for(patient: str) -> fhir.Answer:
    """A server that has everything but one large chart at hand."""

    def answer(handler: Handler) -> None:
        found = re.search(r"(?:Patient/|patient=)(\w+)", handler.path)
        if found and found[1] == patient:
            time.sleep(1)
            handler.close_connection = True
        elif found and handler.path.startswith("/fhir/Patient/"):
            handler.send(fhir.as_json(fhir.patient(id=found[1])))
        else:
            handler.send(fhir.bundle())

    return answer


def test_one_slow_patient_blinds_nobody() -> None:
    breakers = Breakers()
    with serving(slow_for("slow")) as server:
        for _ in range(SLOW_CALLS + 2):
            assert set(call(server, "slow", breakers).values()) == {"timeout"}
        assert call(server, "other", breakers) == BOTH


def test_the_keys_of_one_call_count_once() -> None:
    breakers = Breakers()
    with serving(fhir.hang) as server:
        wanted: dict[str, str | bytes] = {f"key{n}": "Condition?patient=p1" for n in range(12)}
        fetch_missing(wanted, base=server.base, token="t", seconds=0.5, breakers=breakers)
        assert breakers.allows(server.base)


@pytest.mark.parametrize("calls", [SLOW_CALLS - 1, SLOW_CALLS])
def test_a_server_that_hangs_is_left_alone_after_calls_about_several_patients(calls: int) -> None:
    breakers = Breakers()
    with serving(fhir.hang) as server:
        for number in range(calls):
            call(server, f"p{number}", breakers, seconds=0.5)
        asked = len(server.seen)
        assert breakers.allows(server.base) is (calls < SLOW_CALLS)
        if calls == SLOW_CALLS:
            assert call(server, "p9", breakers) == PAUSED
            assert len(server.seen) == asked


@pytest.mark.parametrize("calls", [GONE_CALLS - 1, GONE_CALLS])
def test_a_server_that_is_gone_is_left_alone_sooner(calls: int) -> None:
    breakers = Breakers()
    with serving(fhir.status(500)) as server:
        for number in range(calls):
            call(server, f"p{number}", breakers)
        assert breakers.allows(server.base) is (calls < GONE_CALLS)


@pytest.mark.parametrize("patients", [DIFFERENT_CALLS - 1, DIFFERENT_CALLS])
def test_the_same_patients_again_and_again_are_not_several(patients: int) -> None:
    breakers = Breakers()
    for number in range(30):
        breakers.tell("base", about([f"Patient/p{number % patients}"]), CallHealth(gone=True))
    assert breakers.allows("base") is (patients < DIFFERENT_CALLS)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429])
def test_a_refusal_is_no_failure_of_the_server(status: int) -> None:
    breakers = Breakers()
    with serving(fhir.status(status)) as server:
        for number in range(SLOW_CALLS + 1):
            call(server, f"p{number}", breakers)
        assert breakers.allows(server.base)


def test_one_answer_in_a_call_speaks_for_the_server() -> None:
    breakers = Breakers()
    for number in range(20):
        breakers.tell("base", number, CallHealth(answered=True, slow=True, gone=True))
    assert breakers.allows("base")


def test_a_question_of_our_own_finds_out_whether_it_is_back_and_costs_no_call_anything() -> None:
    clock = Clock()
    breakers = Breakers(clock, trial=answers)
    with serving(fhir.status(500)) as server:
        for number in range(GONE_CALLS):
            call(server, f"p{number}", breakers)
        clock.now += PAUSE_SECONDS - 1
        assert call(server, "p1", breakers) == PAUSED
        asked = len(server.seen)
        clock.now += 1
        assert call(server, "p1", breakers) == PAUSED, "the call does not wait for the trial"
        wait_until(lambda: len(server.seen) == asked + 1)
        path, headers = server.seen[-1]
        assert path == "/fhir/metadata"
        assert "Authorization" not in headers
        time.sleep(0.2)
        assert call(server, "p1", breakers) == PAUSED, "it still fails: the pause goes on"
        server.answer = fhir.well
        clock.now += PAUSE_SECONDS
        assert call(server, "p1", breakers) == PAUSED
        wait_until(lambda: breakers.allows(server.base))
        assert call(server, "p1", breakers) == BOTH


def test_a_machine_without_a_thread_to_spare_costs_data_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    breakers = Breakers(clock, trial=answers)
    start = threading.Thread.start

    def refuses(thread: threading.Thread) -> None:
        if thread.name.startswith("fetch-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with serving(fhir.well) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuses)
            for number in range(GONE_CALLS):
                assert set(call(server, f"p{number}", breakers).values()) == {"connection"}
            for number in range(GONE_CALLS):
                breakers.tell(server.base, number, CallHealth(gone=True))
            clock.now += PAUSE_SECONDS
            assert call(server, "p1", breakers) == PAUSED, "no thread for the trial either"
        assert call(server, "p1", breakers) == PAUSED
        wait_until(lambda: breakers.allows(server.base))
        assert call(server, "p1", breakers) == BOTH


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (fhir.well, True),
        (fhir.status(401), True),
        (fhir.status(404), True),
        (fhir.huge, True),
        (fhir.status(503), False),
        (fhir.reset, False),
    ],
)
def test_whatever_is_answered_but_5xx_shows_that_a_server_is_there(answer: fhir.Answer, *, well: bool) -> None:
    with serving(answer) as server:
        assert answers(server.base) is well


def test_what_is_kept_says_nothing_of_a_patient() -> None:
    breakers = Breakers()
    breakers.tell("base", about(["Patient/canary", "Condition?patient=canary"]), CallHealth(slow=True))
    assert "canary" not in repr(breakers._of)
    same = {about([query]) for query in ("Patient/p1", "Condition?patient=p1", "Condition?_count=5&patient=Patient/p1")}
    assert len(same) == 1
