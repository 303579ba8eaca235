"""
Hostile requests against a running server: no 5xx, no stall, no stack trace, no echo of markup, no growth.

Short by default (150 for each of the four hooks, one seed); with ONCOBONE_SOAK=1 it is 5 seeds of 1000 for each hook,
20,000 in all.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.fuzzer import ECHOES, FAMILIES, Hostile, echoed, hostile, hostile_feedback
from tests.wire import SERVICE_OF, call_body, check_answer, check_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
from tests.floors import cpu_of, measured

SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
SEEDS = 5 if SOAK else 1
REQUESTS = 1000 if SOAK else 150  # for each hook and seed
FEEDBACK = 2000 if SOAK else 60
MOST_CPU_S = 5.0  # of the server's process, so that what else the machine does counts for nothing
LONGEST_DETAIL = 20_000  # characters of a card
LARGEST_ANSWER = 300_000  # bytes, beside the caller's own orders
GROWTH_MIB = 400 if SOAK else 200

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200 if SOAK else 300)]


def memory_mib(server: Server) -> float:
    """The memory that a server's process holds."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        return 0.0  # only Linux tells
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def send(server: Server, path: str, sent: Hostile, named: object) -> requests.Response:
    """Send it, and hold the answer against what is promised for all of them."""
    headers = {"Content-Type": "application/json"} | sent.headers
    before = cpu_of(server.process.pid)
    response = server.session.post(server.url + path, data=sent.body, headers=headers, timeout=60)
    cost = cpu_of(server.process.pid) - before
    assert cost < MOST_CPU_S, (named, sent.family, cost)
    assert response.status_code < 500, (named, sent.family, response.status_code)
    try:
        body = check_answer(response)
    except AssertionError as error:
        raise AssertionError((named, sent.family)) from error
    assert echoed(body) == echoed(dict(response.headers)) == [], (named, sent.family)
    assert len(response.content) < LARGEST_ANSWER + len(sent.body), (named, sent.family)
    for card in body.get("cards", ()):
        assert len(card["detail"]) < LONGEST_DETAIL, (named, sent.family, len(card["detail"]))
    return response


@pytest.mark.parametrize("hook", list(SERVICE_OF))
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_hostile_request_makes_a_5xx_a_stall_or_an_echo(
    start_server: Callable[..., Server], hook: str, seed: int
) -> None:
    server = start_server(ONCOBONE_LOG_LEVEL="error")
    good = [server.call(call_body(each)).json()["cards"] for each in SERVICE_OF]
    for warm_up in range(30):
        send(server, f"/cds-services/{SERVICE_OF[hook]}", hostile(hook, warm_up), ("warm-up", warm_up))
    before = memory_mib(server)
    statuses: Counter[int] = Counter()
    reached: set[str] = set()
    for number in range(REQUESTS):
        sent = hostile(hook, seed * REQUESTS + number)
        answered = send(server, f"/cds-services/{SERVICE_OF[hook]}", sent, (hook, seed, number))
        assert answered.status_code in {200, 400, 412, 413, 415}, (hook, seed, number, answered.status_code)
        statuses[answered.status_code] += 1
        if answered.status_code == 200:
            reached.add(sent.family)
    grown = memory_mib(server) - before
    measured(f"{REQUESTS} requests to {hook}, seed {seed}: {dict(statuses)}, {grown:.0f} MiB more, none over the limit")
    assert statuses[200] > REQUESTS / 5, "the mutations reach past the envelope"
    assert statuses[400] > 0
    assert "markup_everywhere" in reached
    assert "regex_bait" in reached
    assert grown < GROWTH_MIB
    assert [server.call(call_body(each)).json()["cards"] for each in SERVICE_OF] == good
    assert server.lines() == [], "nothing failed inside, and nothing was caught that should not have been raised"


def test_no_hostile_feedback_makes_a_5xx_a_stall_or_an_echo(server: Server) -> None:
    card = server.call(call_body(hookInstance=str(uuid.uuid4()))).json()["cards"][0]["uuid"]
    path = "/cds-services/oncobone-patient-view/feedback"
    statuses = Counter(
        send(server, path, hostile_feedback(card, number), number).status_code for number in range(FEEDBACK)
    )
    assert statuses[400] > FEEDBACK / 3
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    assert server.request("POST", path, json={"feedback": [entry]}).status_code == 200


def test_every_family_of_mutations_is_sent(server: Server) -> None:
    """The first seeds go through the families one after the other."""
    families = {hostile("patient-view", number).family for number in range(len(FAMILIES))}
    assert families == {family.__name__ for family in FAMILIES}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_another_method_is_refused_in_our_shape(server: Server, method: str) -> None:
    answered = server.session.request(method, f"{server.url}/cds-services/oncobone-patient-view", timeout=10)
    assert answered.status_code in {400, 405, 501}
    if method != "HEAD":
        check_outcome(answered.json())


@pytest.mark.parametrize(
    "path",
    [
        "/cds-services/../../etc/passwd",
        "/cds-services/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/cds-services/%00",
        "/cds-services/<script>alert(1)</script>",
        "/cds-services/oncobone-patient-view%0d%0aX-Evil:1",
        "/cds-services//oncobone-patient-view",
        "/cds-services/oncobone-patient-view/feedback/x",
        "/cds-services/oncobone-patient-view;x=1",
        "/static/../hooks/settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2f..%2fpyproject.toml",
        "/attributes/..%2f..%2fsettings",
        "/attributes/<script>",
        "/" + "a" * 30_000,
        "/%ff%fe",
        "/cds-services/oncobone-patient-view?" + "a=b&" * 5000,
    ],
)
def test_odd_addresses_find_nothing_and_are_not_echoed(server: Server, path: str) -> None:
    prepared = requests.Request("POST", server.url).prepare()
    prepared.url = server.url + path  # as it is: requests would tidy it up
    answered = server.session.send(prepared, timeout=10)
    assert answered.status_code in {400, 404, 405, 414, 415}
    assert not [echo for echo in ECHOES if echo in answered.text.lower()]
    assert "X-Evil" not in answered.headers
    check_answer(answered)
