"""The server as a process: slow clients, overload, several processes, a graceful stop, and the operators' port."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from hooks.application import create_app
from hooks.errors import Refused
from hooks.running import front
from hooks.running.serving import address_of, announce, listen
from hooks.settings import Settings
from hooks.trust.gate import WAITED, TokenBucket, refuse_overload
from tests.conftest import Server, environment, oncobone, wait_until
from tests.floors import measured
from tests.wire import call_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY = json.dumps(call_body()).encode()
HEAD = (
    b"POST /cds-services/oncobone-patient-view HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n" % len(BODY)
)


def connect(server: Server) -> socket.socket:
    where = urlsplit(server.url)
    return socket.create_connection((where.hostname, where.port), timeout=30)


def test_idle_slow_and_half_sent_connections_do_not_hold_up_others(server: Server) -> None:
    sockets = []
    try:
        for number in range(120):
            sockets.append(connect(server))
            sockets[-1].sendall((b"", HEAD[:40], HEAD + b"\r\n" + BODY[:100])[number % 3])
        started = time.monotonic()
        for _ in range(5):
            assert server.call(call_body()).status_code == 200
        assert time.monotonic() - started < 5
    finally:
        for each in sockets:
            each.close()


def test_a_few_large_bodies_at_a_time_are_held_in_memory() -> None:
    held = [front._Large.of(front.LARGE + 1) for _ in range(front.LARGE_AT_ONCE)]
    assert None not in held
    assert front._Large.of(front.LARGE + 1) is None, "the next goes into a file"
    held.clear()
    assert front._Large.of(front.LARGE + 1) is not None


def test_large_bodies_are_read_whole_in_memory_as_from_a_file(server: Server) -> None:
    whole = BODY + b" " * front.LARGE
    head = HEAD.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d\r\nConnection: close" % len(whole))
    sockets = [connect(server) for _ in range(front.LARGE_AT_ONCE + 2)]
    for each in sockets:  # all are under way at once: some must go into files
        each.sendall(head + b"\r\n" + whole[:-1])
    for each in sockets:
        each.sendall(whole[-1:])
        with each, each.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


PLAIN = HEAD.replace(b"Content-Length: %d\r\n" % len(BODY), b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"200"),
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(chunked(BODY)), b"400"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"400"),
        (b"content-length: 5\r\ntransfer-encoding: CHUNKED\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n", b"400"),
        (b"Content-Length: %d\r\nTransfer-Encoding:\r\n" % len(chunked(BODY)), b"400"),
        (b"Content-Length: %d\r\nTransfer_Encoding: chunked\r\n" % len(chunked(BODY)), b"400"),
        (b"Transfer-Encoding: \r\n", b"400"),
    ],
)
def test_a_request_that_says_in_two_ways_how_long_it_is_is_refused(
    server: Server, headers: bytes, status: bytes
) -> None:
    """The body itself is a good call, sent in chunks: only what the headers say of it differs."""
    with connect(server) as raw:
        raw.sendall(PLAIN + headers + b"\r\n" + chunked(BODY))
        assert raw.recv(200).startswith(b"HTTP/1.1 " + status)


def test_a_request_of_http_1_0_has_no_transfer_coding(server: Server) -> None:
    with connect(server) as raw:
        raw.sendall(PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY))
        assert b" 400 " in raw.recv(200)


@pytest.mark.parametrize(
    "start", [b"GARBAGE\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"]
)
def test_what_is_no_http_is_no_harm(server: Server, start: bytes) -> None:
    with connect(server) as raw:
        raw.sendall(start)
        raw.shutdown(socket.SHUT_WR)
        answered = raw.recv(2000)
        assert b" 500 " not in answered
        assert b"Traceback" not in answered
    assert server.get("/healthz").status_code == 200


def test_the_server_does_not_say_what_it_is_made_of(server: Server) -> None:
    for answered in (server.get("/nope"), server.call(call_body())):
        assert "Server" not in answered.headers
        assert "waitress" not in answered.text.lower()


# --- too much at once -----------------------------------------------------------------------------------------


def test_a_call_that_stood_too_long_in_the_queue_is_told_to_come_again() -> None:
    client = create_app(Settings(queue_seconds=0.5)).test_client()
    path = "/cds-services/oncobone-patient-view"
    late = client.post(path, json=call_body(), environ_overrides={WAITED: 0.6})
    assert late.status_code == 503
    assert late.headers["Retry-After"] == "1"
    assert late.get_json()["resourceType"] == "OperationOutcome"
    assert client.post(path, json=call_body(), environ_overrides={WAITED: 0.4}).status_code == 200
    assert client.get("/healthz", environ_overrides={WAITED: 9.0}).status_code == 200


def test_the_server_tells_how_long_a_call_stood_in_the_queue(start_server: Callable[..., Server]) -> None:
    """With one thread and hardly any patience, of many calls at once some are turned away, and none is lost."""
    running = start_server(ONCOBONE_THREADS="1", ONCOBONE_QUEUE_SECONDS="0.02")
    statuses: list[int] = []

    def ask() -> None:
        answered = requests.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30)
        statuses.append(answered.status_code)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 40
    assert set(statuses) == {200, 503}
    assert running.call(call_body()).status_code == 200


def test_an_overload_is_judged_by_the_time_in_the_queue_alone() -> None:
    refuse_overload({}, 1)
    refuse_overload({WAITED: 1.0}, 1)
    with pytest.raises(Refused):
        refuse_overload({WAITED: 1.1}, 1)


def test_a_bucket_lets_through_so_many_a_second() -> None:
    now = [0.0]
    bucket = TokenBucket(10, clock=lambda: now[0])
    assert [bucket.take() for _ in range(10)] == [0.0] * 10
    assert bucket.take() == pytest.approx(0.1)
    now[0] += 0.11
    assert bucket.take() == 0.0
    assert bucket.take() > 0
    now[0] -= 100  # a clock that goes back gives nothing and takes nothing
    assert bucket.take() > 0
    now[0] += 1000
    assert [bucket.take() for _ in range(11)][-1] > 0


# --- stopping -------------------------------------------------------------------------------------------------


def test_a_stop_finishes_the_call_under_way(start_server: Callable[..., Server]) -> None:
    running = start_server()
    with connect(running) as raw:
        raw.sendall(HEAD + b"\r\n" + BODY[:100])
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.6)
        assert running.process.poll() is None
        raw.sendall(BODY[100:])
        answered = b""
        while chunk := raw.recv(65536):
            answered += chunk
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answered
    assert answered.endswith(b"}")
    assert running.process.wait(10) == 0
    assert running.lines()[-1]["event"] == "stopped"


def test_a_stopping_server_says_so_before_it_takes_no_more_calls(start_server: Callable[..., Server]) -> None:
    running = start_server(ONCOBONE_DRAIN_SECONDS="3")
    assert running.get("/readyz").status_code == 200
    running.process.send_signal(signal.SIGTERM)
    wait_until(lambda: running.get("/readyz").status_code == 503)
    assert running.get("/healthz").status_code == 200
    assert running.call(call_body()).status_code == 200
    assert running.process.wait(20) == 0


def test_ctrl_c_stops_it_too(start_server: Callable[..., Server]) -> None:
    assert start_server().stop(signal.SIGINT) == 0


# --- several processes ----------------------------------------------------------------------------------------


def children(server: Server) -> set[int]:
    pid = server.process.pid
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return {int(child) for child in listed}


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through Linux's /proc")


@linux
def test_a_process_that_dies_is_replaced_and_the_others_go_on(start_server: Callable[..., Server]) -> None:
    running = start_server("--workers", "2")
    before = children(running)
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    started = time.monotonic()
    wait_until(lambda: len(children(running) - before) == 1 and len(children(running)) == 2, 5)
    assert time.monotonic() - started < 2
    for _ in range(20):
        with requests.Session() as fresh:
            assert fresh.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30).ok
    assert any(line.get("child") == victim for line in running.lines())
    assert running.stop() == 0
    assert all(not Path(f"/proc/{child}").exists() for child in before)


def answers(running: Server) -> bool:
    with requests.Session() as fresh:
        return fresh.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30).ok


def end_the_newest(running: Server, how: signal.Signals) -> None:
    before = children(running)
    os.kill(max(before), how)
    wait_until(lambda: len(children(running) - before) == 1 and len(children(running)) == 2, 5)


@linux
def test_processes_killed_from_outside_again_and_again_are_replaced_each_time(
    start_server: Callable[..., Server],
) -> None:
    running = start_server("--workers", "2")
    for _ in range(10):
        end_the_newest(running, signal.SIGKILL)
    with requests.Session() as fresh:
        assert fresh.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30).ok
    assert running.stop() == 0


@linux
@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_processes_that_crash_again_and_again_are_replaced_each_time(
    start_server: Callable[..., Server], how: signal.Signals
) -> None:
    running = start_server("--workers", "2")
    for _ in range(7):
        end_the_newest(running, how)
    assert answers(running)
    assert running.stop() == 0


@linux
def test_the_log_says_where_a_process_crashed(start_server: Callable[..., Server]) -> None:
    """By file, line and function; nothing of what it was asked."""
    running = start_server("--workers", "2")
    assert answers(running)
    one = min(children(running))
    wait_until(lambda: answers(running) and is_at_work(one))
    os.kill(one, signal.SIGSEGV)
    wait_until(lambda: any(line["event"] == "a process has crashed" for line in running.lines()))
    (told,) = [line for line in running.lines() if line["event"] == "a process has crashed"]
    assert (told["level"], told["child"]) == ("error", one)
    assert any(re.fullmatch(r"hooks/running/\w+\.py:\d+ \w+", place) for place in told["where"]), told["where"]


@linux
def test_a_service_of_one_process_says_itself_where_it_crashed(start_server: Callable[..., Server]) -> None:
    running = start_server()
    assert answers(running)
    assert running.stop(signal.SIGSEGV) == -signal.SIGSEGV
    assert re.search(r'File ".*front.py", line \d+ in _turn\w*\n', running.log.read_text(encoding="utf-8"))


def is_at_work(process: int) -> bool:
    """Tell whether a process serves, and does not just start: it holds no signal back any more."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return "SigBlk:\t0000000000000000" in status


@linux
@pytest.mark.soak
def test_a_process_that_hangs_is_replaced_in_half_a_minute(start_server: Callable[..., Server]) -> None:
    running = start_server("--workers", "2")
    before = children(running)
    os.kill(min(before), signal.SIGSTOP)
    started = time.monotonic()
    wait_until(lambda: len(children(running) - before) == 1, 30)
    took = time.monotonic() - started
    measured(f"a process that hung was replaced after {took:.1f} s")
    assert took < 30
    assert min(before) not in children(running)
    assert answers(running)
    assert running.stop() == 0


def test_a_call_that_never_ends_makes_its_process_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front of one process, run here, with a call that hangs and one that comes beside it."""
    monkeypatch.setattr(front, "STUCK_S", 1.0)
    app, over = create_app(Settings()), threading.Event()
    app.add_url_rule("/hang", "hang", lambda: str(over.wait(20)))
    listener = listen("127.0.0.1", 0)
    url = address_of(listener)
    one = front.Front(Settings(), app, {"calls": listener})
    served = threading.Thread(target=one.run, args=(one.stuck,))
    served.start()
    statuses: list[int] = []

    def hang() -> None:
        with contextlib.suppress(requests.ConnectionError):
            statuses.append(requests.get(f"{url}/hang", timeout=30).status_code)

    hanging = threading.Thread(target=hang)
    hanging.start()
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    served.join(10)
    assert not served.is_alive(), "it leaves within seconds, however long the call hangs"
    over.set()
    hanging.join(10)
    assert statuses == []


def test_a_body_for_which_there_is_no_memory_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection was closed without a word; one that comes when there is room is answered."""
    stop = threading.Event()
    listener = listen("127.0.0.1", 0)
    url = f"{address_of(listener)}/cds-services/oncobone-patient-view"
    one = front.Front(Settings(drain_seconds=0), create_app(Settings()), {"calls": listener})
    served = threading.Thread(target=one.run, args=(stop.is_set,))
    served.start()

    def sent() -> requests.Response:
        body = BODY + b" " * (front.LARGE + 1)
        return requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=30)

    def no_room(*_: object) -> None:
        raise MemoryError

    try:
        with monkeypatch.context() as short:
            short.setattr(front._Large, "append", no_room)
            refused = sent()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["resourceType"] == "OperationOutcome"
        assert sent().status_code == 200
    finally:
        stop.set()
        served.join(20)


@linux
def test_a_reload_reads_the_settings_again_and_cuts_off_no_call(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    config = tmp_path / "oncobone.toml"
    config.write_text('language = "en"\n', encoding="utf-8")
    running = start_server("--workers", "2", "--config", str(config))
    before = children(running)
    over, statuses = threading.Event(), []

    def ask() -> None:
        while not over.is_set():
            path = f"{running.url}/cds-services/oncobone-patient-view"
            statuses.append(requests.post(path, json=call_body(), timeout=30).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    config.write_text('language = "zh-CN"\n', encoding="utf-8")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children(running)) == 2 and not children(running) & before, 20)
    config.write_text("no_such_setting = 1\n", encoding="utf-8")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("no_such_setting" in line["event"] for line in running.lines()), 20)
    over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    with requests.Session() as fresh:
        answered = fresh.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30)
    assert answered.headers["Content-Language"] == "zh-CN", "the last settings that were good hold"
    assert running.stop() == 0


@linux
def test_a_reload_answers_those_who_call_again_and_again_on_one_connection(start_server: Callable[..., Server]) -> None:
    """A connection between two calls is not closed under the next one: that is answered, and told to be the last."""
    running = start_server("--workers", "2")
    over, broken, answered = threading.Event(), [], []

    def ask(pause: float) -> None:
        with connect_again(running) as raw:
            while not over.wait(pause):
                try:
                    answered.append(raw())
                except (OSError, ValueError) as error:
                    broken.append(repr(error))

    threads = [threading.Thread(target=ask, args=(0.01 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = children(running)
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda before=before: len(children(running)) == 2 and not children(running) & before, 20)  # type: ignore[misc]
    over.set()
    for thread in threads:
        thread.join()
    assert broken == []
    assert set(answered) == {200}


@contextlib.contextmanager
def connect_again(server: Server) -> Iterator[Callable[[], int]]:
    """A caller that keeps its connection until it is told to close it, and never sends a call twice."""
    where = urlsplit(server.url)
    held: list[http.client.HTTPConnection] = []

    def call() -> int:
        if not held:
            held.append(http.client.HTTPConnection(where.hostname or "", where.port, timeout=30))
        held[0].request("POST", "/cds-services/oncobone-patient-view", BODY, {"Content-Type": "application/json"})
        response = held[0].getresponse()
        response.read()
        if response.will_close:
            held.pop().close()
        return response.status

    yield call
    for each in held:
        each.close()


@linux
def test_a_service_that_cannot_start_says_so_and_ends(tmp_path: Path) -> None:
    broken = subprocess.run(  # noqa: S603 - our own command
        oncobone("serve", "--workers", "2", "--port", "0"),
        env=environment(ONCOBONE_DATABASE_URL="mysql://nowhere/x"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert broken.returncode == 1
    assert "Known are sqlite and postgresql" in broken.stderr


@linux
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sockets_that_systemd_holds_open_are_used(tmp_path: Path, workers: str) -> None:
    """Calls that come while no service runs wait in the socket, and are answered when it does."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        code = (
            "import os; os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'};"
            "from hooks.tools.cli import main; main(prog_name='oncobone')"
        )
        answered: list[int] = []
        early = threading.Thread(
            target=lambda: answered.append(requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).status_code)
        )
        early.start()
        service = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", code, "serve", "--workers", workers, "--port", "1"],
            env=environment(ONCOBONE_DATABASE_URL=f"sqlite:///{tmp_path / 'oncobone.sqlite'}"),
            cwd=tmp_path,
            pass_fds=(3,),
            preexec_fn=lambda: os.dup2(held.fileno(), 3),  # noqa: PLW1509 - as systemd does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        early.join()
        service.terminate()
        assert service.wait(20) == 0
        assert answered == [200]


@pytest.mark.parametrize("console", [True, False])
def test_a_person_is_told_what_to_open(capsys: pytest.CaptureFixture[str], console: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        announce({"calls": listener}, console=console)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    said = capsys.readouterr().out.splitlines()
    assert said == [f"OncoBone answers at {address}/cds-services", f"To try it out open {address}"][: 1 + console]


@linux
def test_processes_whose_parent_was_killed_do_not_live_on(start_server: Callable[..., Server]) -> None:
    running = start_server("--workers", "2")
    orphans = children(running)
    running.stop(signal.SIGKILL)
    wait_until(lambda: not any(is_alive(orphan) for orphan in orphans))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@linux
def test_the_counts_of_all_processes_are_added_up(start_server: Callable[..., Server]) -> None:
    running = start_server("--workers", "2")
    for _ in range(30):
        with requests.Session() as fresh:  # a connection of its own, so that both processes get some
            assert fresh.post(f"{running.url}/cds-services/oncobone-patient-view", json=call_body(), timeout=30).ok
    wanted = 'oncobone_calls_total{service="oncobone-patient-view",status="200"} 30.0'
    assert wanted in running.get("/metrics").text


def counted(running: Server) -> float:
    """How many calls were answered, as the metrics of the whole service say."""
    lines = [line for line in running.get("/metrics").text.splitlines() if line.startswith("oncobone_calls_total{")]
    return sum(float(line.split()[-1]) for line in lines if 'status="200"' in line)


@linux
def test_what_a_process_that_has_ended_counted_is_kept_and_its_files_are_not(
    start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies again and again would leave files that every scrape reads."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    running = start_server("--workers", "2")
    (folder,) = tmp_path.glob("oncobone-metrics-*")
    for number in range(1, 7):
        assert answers(running)
        assert counted(running) == number
        (folder / f"counter_{max(children(running))}.db").touch()  # as by one that dies when it has just made its file
        end_the_newest(running, signal.SIGKILL)
    assert counted(running) == 6
    files = {path.name for path in folder.glob("*.db")}
    lives = {str(pid) for pid in (running.process.pid, *children(running))}
    assert {path.rpartition("_")[2].removesuffix(".db") for path in files} <= lives | {"ended"}
    assert running.stop() == 0
    assert not folder.exists()


@linux
def test_each_process_says_of_a_component_what_it_finds_itself(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    running = start_server("--workers", "2")

    def found() -> set[str]:
        told = set()
        for _ in range(12):
            with requests.Session() as fresh:  # a connection of its own, so that both processes are asked
                text = fresh.get(f"{running.url}/metrics", timeout=30).text
            told |= set(re.findall(r"^oncobone_component_up.*", text, re.MULTILINE))
            assert text.count("\noncobone_disk_free_share{") == 1
        return told

    assert found() == {'oncobone_component_up{component="store"} 1.0'}
    with sqlite3.connect(tmp_path / "oncobone.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert found() == {'oncobone_component_up{component="store"} 0.0'}
        other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: found() == {'oncobone_component_up{component="store"} 1.0'})


# --- the operators' port --------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_on_this_machine_metrics_are_on_the_same_port(server: Server) -> None:
    answered = server.get("/metrics")
    assert answered.status_code == 200
    assert answered.headers["Content-Type"].startswith("text/plain")


def test_elsewhere_metrics_are_on_the_operators_port_only(start_server: Callable[..., Server]) -> None:
    port = free_port()
    running = start_server(
        "--host", "0.0.0.0",  # noqa: S104 - what the test is about
        ONCOBONE_AUTH="open", ONCOBONE_ALLOW_OPEN="on", ONCOBONE_OPERATOR_PORT=str(port),
    )  # fmt: skip
    running.url = running.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the same
    assert running.get("/metrics").status_code == 404
    assert running.get("/healthz").status_code == 200
    operators = f"http://127.0.0.1:{port}"
    assert "oncobone_calls_total" in requests.get(f"{operators}/metrics", timeout=10).text
    assert requests.get(f"{operators}/readyz", timeout=10).status_code == 200
    assert (
        requests.post(f"{operators}/cds-services/oncobone-patient-view", json=call_body(), timeout=10).status_code
        == 404
    )
