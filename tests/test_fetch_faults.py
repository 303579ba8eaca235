"""Fetching: what a good server brings, what a bad one comes to, and whom we never call."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_mapping.chart import Unavailable
from hooks.fhir_server.addresses import configured_base, next_query
from hooks.fhir_server.breaker import Breakers
from hooks.fhir_server.fetch import (
    MAX_ENTRIES,
    MAX_PAGES,
    Fetched,
    fetch_missing,
)
from tests import fhir_servers as fhir
from tests.fhir_servers import Answer, Server, bundle, condition, serving

TOKEN = "canary-token-7Qx"
WANTED = {"patient": "Patient/p1", "conditions": "Condition?patient=p1"}
BUDGET = 0.6
SLACK = 0.25  # the promise: an answer at the latest this much after the budget, on a quiet machine
FLOORS = 5
"""And so many times what a good server takes in the same run: what else the machine does counts there too."""


def fetch(server: Server, wanted: dict[str, str | bytes] | None = None, **other: Any) -> Fetched:
    arguments: dict[str, Any] = {"base": server.base, "token": TOKEN, "seconds": BUDGET, "breakers": Breakers()}
    return fetch_missing(wanted or dict(WANTED), **(arguments | other))


def found(fetched: Fetched, key: str) -> Any:
    data = fetched.data[key]
    assert isinstance(data, bytes), data
    return json.loads(data)


# A good server


def test_what_is_missing_comes_with_the_token_on_every_request() -> None:
    with serving(fhir.well) as server:
        fetched = fetch(server)
    assert found(fetched, "patient")["id"] == "p1"
    assert [entry["resource"]["id"] for entry in found(fetched, "conditions")["entry"]] == ["c1"]
    assert fetched.outcomes == {"patient": "ok", "conditions": "ok"}
    assert sorted(path for path, _ in server.seen) == ["/fhir/Condition?patient=p1", "/fhir/Patient/p1"]
    for path, headers in server.seen:
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert headers["Accept-Encoding"] == "identity"
        assert headers["Cache-Control"] == "no-cache"
        assert "Cookie" not in headers
        assert TOKEN not in path


def test_all_keys_are_fetched_at_once() -> None:
    together = threading.Barrier(8)  # nobody is answered before all have asked

    def in_company(handler: fhir.Handler) -> None:
        together.wait(timeout=8)
        fhir.well(handler)

    with serving(in_company) as server:
        fetched = fetch(server, {f"key{n}": f"Condition?patient={n}" for n in range(8)}, seconds=8)
    assert set(fetched.outcomes.values()) == {"ok"}


def test_a_server_without_findings_is_known_to_be_empty() -> None:
    with serving(lambda handler: handler.send(bundle())) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"})
    assert found(fetched, "conditions")["total"] == 0


def test_nothing_wanted_nothing_sent() -> None:
    with serving(fhir.well) as server:
        assert fetch_missing({}, base=server.base, token=TOKEN) == Fetched()
    assert server.connections == 0


def test_tokens_of_parallel_calls_are_never_mixed() -> None:
    def echo(handler: fhir.Handler) -> None:
        assert handler.headers["Authorization"] == f"Bearer {handler.path.rsplit('=', 1)[1]}"
        handler.send(bundle(condition(1)), Set_Cookie="tenant=a")

    with serving(echo) as server, ThreadPoolExecutor(12) as pool:
        calls = list(
            pool.map(
                lambda n: fetch(server, {"conditions": f"Condition?patient=t{n}"}, token=f"t{n}", seconds=5), range(60)
            )
        )
    assert {call.outcomes["conditions"] for call in calls} == {"ok"}
    assert all("Cookie" not in headers for _, headers in server.seen)


def test_settings_of_the_machine_are_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(fhir.well) as canary, serving(fhir.well) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, canary.base)
        assert fetch(server).outcomes["patient"] == "ok"
    assert canary.connections == 0
    assert {headers["Authorization"] for _, headers in server.seen} == {f"Bearer {TOKEN}"}


# Pages


def paged(pages: int, *, each: int = 2, link: str = "{base}?page={n}") -> Answer:
    def answer(handler: fhir.Handler) -> None:
        n = int(handler.path.rpartition("page=")[2]) if "page=" in handler.path else 0
        following = link.format(base=handler.server.base, n=n + 1) if n + 1 < pages else None
        handler.send(bundle(*(condition(n * each + m) for m in range(each)), following=following))

    return answer


@pytest.mark.parametrize("link", ["{base}?page={n}", "{base}/Condition?page={n}", "?page={n}", "Condition?page={n}"])
def test_pages_are_put_together(link: str) -> None:
    with serving(paged(3, link=link)) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"}, seconds=3)
    together = found(fetched, "conditions")
    assert [entry["resource"]["id"] for entry in together["entry"]] == [f"c{n}" for n in range(6)]
    assert "link" not in together
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in server.seen)


def test_a_delivered_bundle_is_continued_and_kept_as_it_was_when_that_fails() -> None:
    with serving(paged(3)) as server:
        first = bundle(condition(100), following=f"{server.base}?page=1")
        fetched = fetch(server, {"conditions": first}, seconds=3)
        assert [e["resource"]["id"] for e in found(fetched, "conditions")["entry"]] == ["c100", "c2", "c3", "c4", "c5"]
        server.answer = fhir.status(403)
        fetched = fetch(server, {"conditions": first}, seconds=3)
    assert [entry["resource"]["id"] for entry in found(fetched, "conditions")["entry"]] == ["c100"]
    assert fetched.outcomes == {"conditions": "cut"}
    assert found(fetched, "conditions")["link"][0]["relation"] == "next"


def test_endless_pages_end_after_a_hundred_and_are_marked_incomplete() -> None:
    with serving(paged(10**9)) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"}, seconds=5)
    assert len(server.seen) == MAX_PAGES
    assert fetched.outcomes["conditions"] == "cut"
    assert found(fetched, "conditions")["link"][0]["relation"] == "next"


def test_exactly_a_hundred_pages_are_complete() -> None:
    with serving(paged(MAX_PAGES)) as server:
        assert fetch(server, {"conditions": "Condition?patient=p1"}, seconds=5).outcomes["conditions"] == "ok"


def test_a_page_that_leads_back_to_itself_is_read_once() -> None:
    with serving(
        lambda handler: handler.send(bundle(condition(1), following=f"{handler.server.base}?page=0"))
    ) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"}, seconds=5)
    assert len(server.seen) == 2
    assert fetched.outcomes["conditions"] == "cut"


@pytest.mark.parametrize(("each", "outcome"), [(MAX_ENTRIES // 2, "ok"), (MAX_ENTRIES // 2 + 1, "cut")])
def test_more_entries_than_five_thousand_are_cut(each: int, outcome: str) -> None:
    with serving(paged(2, each=each)) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"}, seconds=8)
    assert len(found(fetched, "conditions")["entry"]) == MAX_ENTRIES
    assert fetched.outcomes["conditions"] == outcome


def test_pages_that_came_before_time_ran_out_are_kept() -> None:
    def answer(handler: fhir.Handler) -> None:
        (fhir.drip_headers if "page=" in handler.path else paged(3))(handler)

    with serving(answer) as server:
        fetched = fetch(server, {"conditions": "Condition?patient=p1"})
    assert [entry["resource"]["id"] for entry in found(fetched, "conditions")["entry"]] == ["c0", "c1"]
    assert fetched.outcomes["conditions"] == "cut"


# Bad servers

FAULTS: list[tuple[Answer, str]] = [
    (fhir.status(401), "unauthorized"),
    (fhir.status(403), "forbidden"),
    (fhir.status(404), "not-found"),
    (fhir.status(410), "gone"),
    (fhir.status(418), "status"),
    (fhir.status(204), "status"),
    (fhir.status(429, Retry_After="120"), "too-many-requests"),
    (fhir.status(500), "server-error"),
    (fhir.status(503, Retry_After="120"), "server-error"),
    (fhir.reset, "connection"),
    (fhir.hang, "timeout"),
    (fhir.drip, "timeout"),
    (fhir.drip_headers, "timeout"),
    (fhir.drip_chunks, "timeout"),
    (fhir.truncate, "truncated"),
    (fhir.truncate_chunks, "truncated"),
    (fhir.html, "not-json"),
    (fhir.gzip_bomb, "not-json"),
    (fhir.wrong_type, "wrong-type"),
    (fhir.an_outcome, "operation-outcome"),
    (fhir.deep, "too-deep"),
    (fhir.huge, "too-large"),
    (fhir.huge_announced, "too-large"),
    (fhir.not_http, "connection"),
    (fhir.many_headers, "connection"),
    (lambda handler: handler.send(b""), "not-json"),
    (lambda handler: handler.send(b"[]"), "wrong-type"),
    (lambda handler: handler.send(b"{}"), "wrong-type"),
    (lambda handler: handler.send(b'{"resourceType": 7}'), "wrong-type"),
    (lambda handler: handler.send(b'{"resourceType": "Bun'), "not-json"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_a_fault_is_named_and_is_never_an_empty_answer(
    fault: Answer, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(handler: fhir.Handler) -> None:
        (fhir.well if handler.path.startswith("/fhir/Patient/") else fault)(handler)

    budget = 3.0 if reason == "too-large" else BUDGET
    with serving(answer) as server, caplog.at_level(logging.INFO):
        start = time.monotonic()
        fetched = fetch(server, seconds=budget)
        took = time.monotonic() - start
    with serving(fhir.well) as server:
        start = time.monotonic()
        fetch(server)
        floor = time.monotonic() - start
    assert fetched.data["conditions"] == Unavailable(reason)
    assert fetched.outcomes == {"patient": "ok", "conditions": reason}
    assert took < budget + SLACK + FLOORS * floor
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(fetched)


@pytest.mark.parametrize("fault", [fhir.drip_headers, fhir.drip, fhir.hang])
def test_no_thread_stays_behind_when_time_is_over(fault: Answer) -> None:
    with serving(fault) as server:
        fetch(server)
        deadline = time.monotonic() + 2
        while [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/fhir"
        fetched = fetch_missing(WANTED, base=base, token=TOKEN, seconds=BUDGET, breakers=Breakers())
    assert set(fetched.outcomes.values()) == {"connection"}


def test_a_server_without_tls_where_tls_is_configured_is_named() -> None:
    with serving(fhir.well) as server:
        fetched = fetch(server, base=server.base.replace("http:", "https:"))
    assert set(fetched.outcomes.values()) == {"tls"}
    assert server.seen == []


def test_a_failing_request_is_tried_once_more_while_there_is_time() -> None:
    failed: list[str] = []

    def once(handler: fhir.Handler) -> None:
        if handler.path in failed:
            fhir.well(handler)
        else:
            failed.append(handler.path)
            fhir.status(503)(handler)

    with serving(once) as server:
        assert fetch(server, seconds=3).outcomes == {"patient": "ok", "conditions": "ok"}
        assert len(server.seen) == 4


def test_a_failing_request_is_tried_twice_at_most_and_a_refusal_once() -> None:
    for number, requests in ((500, 2), (401, 1), (403, 1), (404, 1), (429, 1)):
        with serving(fhir.status(number)) as server:
            fetch(server, {"patient": "Patient/p1"}, seconds=3)
            assert len(server.seen) == requests


def test_a_server_that_says_when_to_come_again_is_asked_again_then_if_there_is_time() -> None:
    for number in (429, 503):
        asked: list[float] = []

        def busy(handler: fhir.Handler, number: int = number, asked: list[float] = asked) -> None:
            asked.append(time.monotonic())
            (fhir.status(number, Retry_After="1") if len(asked) == 1 else fhir.well)(handler)

        with serving(busy) as server:
            assert fetch(server, {"patient": "Patient/p1"}, seconds=3).outcomes == {"patient": "ok"}
        assert 1 <= asked[1] - asked[0] < 3, "inside the budget"


def test_a_server_that_wants_to_be_left_alone_for_longer_is_left_alone() -> None:
    for number in (429, 503):
        with serving(fhir.status(number, Retry_After="2")) as server:
            start = time.monotonic()
            fetch(server, {"patient": "Patient/p1"}, seconds=2)
            assert len(server.seen) == 1
            assert time.monotonic() - start < 2, "what it says is longer than the budget: nobody waits for it"


def test_without_a_token_a_server_is_read_only_where_that_is_allowed() -> None:
    with serving(fhir.well) as server:
        assert fetch(server, token=None, anonymous=True).outcomes == {"patient": "ok", "conditions": "ok"}
        assert all("Authorization" not in headers for _, headers in server.seen)
        assert set(fetch(server, token="a b", anonymous=True).outcomes.values()) == {"bad-token"}


def test_a_late_failure_is_not_tried_again() -> None:
    def late(handler: fhir.Handler) -> None:
        time.sleep(0.65)
        fhir.status(503)(handler)

    with serving(late) as server:
        fetch(server, {"patient": "Patient/p1"}, seconds=1)  # 35 % left, less than the 40 % a second try needs
        assert len(server.seen) == 1


# Whom we call


@pytest.fixture
def canary() -> Iterator[Server]:
    """A server that must never be contacted."""
    with serving(fhir.well) as server:
        yield server
        assert server.connections == 0


def spellings(port: int) -> list[str]:
    """Ways to write the canary's address, or to make a parser believe it is the listed one."""
    listed = "http://ehr.example/fhir"
    hosts = ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1",
             "017700000001", "0177.0.0.1", "127.0.0.1.", "0", "0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
             "[::ffff:7f00:1]",
             "[64:ff9b::7f00:1]", "[0:0:0:0:0:0:0:1]", "１２７.０.０.１", "127。0。0。1", "ⓛocalhost", "127.0.0.1%00",
             "127.0.0.1%2f", "localhost%00.ehr.example", "[::1%25lo]", "169.254.169.254", "[fe80::1]",
             "ehr.example@127.0.0.1", "user:password@127.0.0.1", "127.0.0.1#@ehr.example", "127.0.0.1?@ehr.example",
             "127.0.0.1\\@ehr.example", "127.0.0.1 ehr.example", "127.0.0.1\t", "127.0.0.1\r\nHost: ehr.example",
             "ehr.example.127.0.0.1.nip.example", "ehr.exаmple"]  # fmt: skip # the last one holds a Cyrillic letter
    return [
        *(f"http://{host}:{port}/fhir" for host in hosts),
        *(f"http://{host}/fhir" for host in ("ehr.example.evil.test", "evil-ehr.example", "ehr.example:81")),
        *(f"{scheme}://127.0.0.1:{port}/fhir" for scheme in ("https", "ftp", "file", "gopher", "HTTP ", "")),
        f"//127.0.0.1:{port}/fhir",
        f"\\\\127.0.0.1:{port}\\fhir",
        f"http:/\\127.0.0.1:{port}/fhir",
        f"http:127.0.0.1:{port}/fhir",
        f"http:////127.0.0.1:{port}/fhir",
        f" http://127.0.0.1:{port}/fhir",
        f"http://127.0.0.1:{port}\\@ehr.example/fhir",
        f"{listed}@127.0.0.1:{port}",
        f"{listed}/../../127.0.0.1:{port}",
        f"{listed}?x=http://127.0.0.1:{port}",
        f"{listed}#127.0.0.1:{port}",
        f"{listed}/..",
        f"{listed}/%2e%2e/admin",
        f"{listed}/other",
        f"{listed}2",
        "http://ehr.example",
        "http://ehr.example/FHIR",
        "https://ehr.example/fhir",
        "",
        "javascript:alert(1)",
        "http://",
        "http://ehr.example/fhir\x00",
        "http://ehr.example/fhir" + "/" * 9000 + "x",
    ]  # fmt: skip


def test_no_spelling_of_another_address_is_taken_for_a_listed_server(canary: Server) -> None:
    sent = spellings(canary.server_address[1])
    assert len(sent) >= 60
    for url in sent:
        assert configured_base(url, ["http://ehr.example/fhir"]) is None, url


@pytest.mark.parametrize(
    "sent",
    ["http://ehr.example/fhir", "http://ehr.example/fhir/", "HTTP://EHR.example/fhir", "http://ehr.example:80/fhir"],
)
def test_a_listed_server_is_called_by_its_configured_name(sent: str) -> None:
    assert configured_base(sent, ["https://other.example/r4", "http://ehr.example/fhir/"]) == "http://ehr.example/fhir"


def test_a_page_elsewhere_is_never_fetched(canary: Server) -> None:
    port = canary.server_address[1]
    for url in [*spellings(port), f"http://127.0.0.1:{port}/fhir?page=1", "/../admin?x=1", "/etc/passwd"]:
        body = bundle(condition(1), following=url)
        with serving(lambda handler, body=body: handler.send(body)) as server:  # type: ignore[misc] # a default binds it
            fetched = fetch(server, {"conditions": "Condition?patient=p1"}, seconds=3)
            others = [path for path, _ in server.seen if not path.startswith("/fhir")]
        assert not others
        if url:  # no link at all is the end
            assert fetched.outcomes["conditions"] == "cut", url


def test_a_redirect_is_never_followed(canary: Server) -> None:
    for url in (canary.base, f"//127.0.0.1:{canary.server_address[1]}/", "/fhir/Patient/p2"):
        with serving(fhir.redirect_to(url)) as server:
            assert set(fetch(server).outcomes.values()) == {"redirect"}
            assert len(server.seen) == 2


def test_addresses_within_data_are_never_fetched(canary: Server) -> None:
    loud = fhir.patient(
        photo=[{"url": f"{canary.base}/photo"}],
        managingOrganization={"reference": f"{canary.base}/Organization/1"},
        link=[{"other": {"reference": f"{canary.base}/Patient/2"}}],
    )
    with serving(lambda handler: handler.send(fhir.as_json(loud))) as server:
        assert fetch(server, {"patient": "Patient/p1"}).outcomes == {"patient": "ok"}


def test_without_a_usable_token_nobody_is_asked(canary: Server) -> None:
    for token, reason in ((None, "no-token"), ("", "no-token"), ("a\r\nX: y", "bad-token"), ("a b", "bad-token"),
                          ("é", "bad-token"), ("x" * 20_000, "bad-token")):  # fmt: skip
        assert set(fetch(canary, token=token).outcomes.values()) == {reason}


@pytest.mark.parametrize(
    "query",
    ["Patient/..", "Patient/.", "../Patient/1", "/Patient/1", "http://evil.test/", "Patient/1/../2", "Patient/1 2",
     "Patient/1#x", "patient/1", "Patient/1/_history", "Patient/" + "x" * 65, ""],
)  # fmt: skip
def test_only_plain_reads_and_searches_are_sent(query: str, canary: Server) -> None:
    with pytest.raises(ValueError, match="relative to the base"):
        fetch(canary, {"key": query})


def test_a_link_is_rebuilt_from_the_configured_base() -> None:
    base = "https://ehr.example/fhir"
    assert next_query("HTTPS://EHR.EXAMPLE:443/fhir/Condition?page=2", base) == "/Condition?page=2"
    assert next_query("https://ehr.example/fhir?_getpages=a%7Cb", base) == "?_getpages=a%7Cb"
    assert next_query("https://ehr.example/fhirx?page=2", base) is None
