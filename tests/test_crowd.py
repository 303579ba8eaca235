"""Whoever waits for a slow FHIR server leaves threads to the others, and the others their data."""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from hooks.fhir_server.crowd import AT_ONCE_S, LONG_S, OF_ONE_PATIENT, SHORT_S, Crowd
from tests import fhir_servers as fhir
from tests.test_breaker import Clock
from tests.wire import call_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server

THREADS = 8
WHOLE_S = 3.0


@contextlib.contextmanager
def waiting(crowd: Crowd, clock: Clock, *since: float, about: int | None = None) -> Iterator[None]:
    """Calls that have been waiting for so many seconds, each about a patient of its own unless told otherwise."""
    now = clock.now
    with contextlib.ExitStack() as stack:
        for number, seconds in enumerate(since):
            clock.now = now - seconds
            stack.enter_context(crowd.enter(number + 100 if about is None else about, THREADS, WHOLE_S))
        clock.now = now
        yield


def allowed(crowd: Crowd, about: int = 1, threads: int = THREADS) -> float:
    with crowd.enter(about, threads, WHOLE_S) as seconds:
        return seconds


@pytest.mark.parametrize(
    ("since", "seconds"),
    [
        ((), WHOLE_S),
        ([0.1] * 7, WHOLE_S),  # many at once, of a server in good health
        ([2.9] * 5, WHOLE_S),  # threads are not short, however long they wait
        ([LONG_S + 0.1] * 6, SHORT_S),
        ([2.1, *[0.1] * 5], SHORT_S),
        ([1.9, *[0.7] * 5], WHOLE_S),
        ([LONG_S + 0.1] * 7, 0.0),  # the last thread is for calls that wait for nobody
    ],
)
def test_the_more_wait_for_long_the_shorter_the_next_may(since: list[float], seconds: float) -> None:
    clock = Clock()
    clock.now = 100.0
    crowd = Crowd(clock)
    with waiting(crowd, clock, *since):
        assert allowed(crowd) == seconds
    assert allowed(crowd) == WHOLE_S, "when they have ended all is as before"


def test_a_patient_of_whom_calls_wait_is_not_asked_for_again_and_others_are() -> None:
    clock = Clock()
    clock.now = 100.0
    crowd = Crowd(clock)
    with waiting(crowd, clock, *[AT_ONCE_S / 2] * OF_ONE_PATIENT, about=1):
        assert allowed(crowd, about=1) == WHOLE_S, "a chart that is opened makes several calls at once"
    with waiting(crowd, clock, *[AT_ONCE_S / 2] * (THREADS // 2), about=1):
        assert allowed(crowd, about=1) == SHORT_S, "it is not known yet whether it is slow"
    with waiting(crowd, clock, *[AT_ONCE_S * 2] * (OF_ONE_PATIENT - 1), about=1):
        assert allowed(crowd, about=1) == WHOLE_S
    with waiting(crowd, clock, *[AT_ONCE_S * 2] * OF_ONE_PATIENT, about=1):
        assert allowed(crowd, about=1) == 0.0
        assert allowed(crowd, about=2) == WHOLE_S


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 64])
def test_a_call_that_is_alone_has_its_time_with_any_number_of_threads(threads: int) -> None:
    assert allowed(Crowd(), threads=threads) == WHOLE_S


def test_one_slow_patient_called_for_again_and_again_takes_nothing_from_the_others(
    start_server: Callable[..., Server],
) -> None:
    """A dozen calls a second about a chart whose searches hang held all threads: every second other call got 503."""

    def answer(handler: fhir.Handler) -> None:
        if "slow" in handler.path and "?" in handler.path:
            fhir.hang(handler)
            return
        found = re.search(r"(?:Patient/|patient=)([a-z0-9-]+)", handler.path)
        prefetch = call_body()["prefetch"]
        if handler.path.startswith("/fhir/Patient/") and found:
            handler.send(fhir.as_json(prefetch["patient"] | {"id": found[1]}))
        else:
            handler.send(fhir.bundle())

    with fhir.serving(answer) as ehr:
        server = start_server(ONCOBONE_FHIR_SERVERS=ehr.base, ONCOBONE_THREADS=str(THREADS))
        server.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=30))
        over = threading.Event()
        slow: Counter[int] = Counter()

        def call(patient: str | None) -> int:
            body: dict[str, Any] = call_body(hookInstance=str(uuid.uuid4()))
            if patient is not None:
                body["context"]["patientId"] = patient
                body |= {"fhirServer": ehr.base, "prefetch": {}}
            return int(server.session.post(f"{server.url}/cds-services/oncobone-patient-view", json=body).status_code)

        def again() -> None:
            while not over.wait(0.2):
                slow[call("slow")] += 1

        with ThreadPoolExecutor(20) as pool:
            hammers = [pool.submit(again) for _ in range(12)]
            others = [
                pool.submit(call, patient) for n in range(10) for patient in (None, f"other-{n}") if not over.wait(0.1)
            ]
            statuses = Counter(each.result() for each in others)
            over.set()
            for each in hammers:
                each.result()
    assert statuses == {200: 20}
    assert slow[503] == 0
