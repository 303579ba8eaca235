"""As many connections as the handbook says are held, and as many as the machine allows where that is less."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from hooks.running.front import CONNECTIONS, FILES_OF_OURS
from tests import conftest
from tests.floors import measured
from tests.wire import call_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at a process through Linux's /proc")


@contextlib.contextmanager
def connected(server: Server, number: int) -> Iterator[list[socket.socket]]:
    """So many connections on which nothing is said."""
    where = urlsplit(server.url)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((where.hostname or "", where.port or 0), timeout=30))
            for _ in range(number)
        ]


def open_files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_two_thousand_connections_are_held_and_a_call_beside_them_is_answered(
    start_server: Callable[..., Server],
) -> None:
    """The server raises its own limit of open files; the usual one, 1024, would be too low for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + FILES_OF_OURS:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        server = start_server()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # our own ends of them
        before = open_files(server)
        with connected(server, CONNECTIONS - 10):
            assert server.call(call_body()).status_code == 200
            held = open_files(server) - before
        measured(f"{held} connections held beside an answered call")
        assert held >= CONNECTIONS - 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_the_machine_allows_fewer_the_number_is_said_and_calls_go_on(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = conftest.oncobone
    limited = ["sh", "-c", 'ulimit -n 300; exec "$@"', "sh"]
    monkeypatch.setattr(conftest, "oncobone", lambda *words: [*limited, *usual(*words)])
    server = start_server()
    (line,) = [line for line in server.lines() if "limit of open files" in line["event"]]
    assert line["connections"] < 300
    with connected(server, 400):
        pass
    assert server.call(call_body()).status_code == 200
    complaints = [line for line in server.lines() if "could not be taken" in line["event"]]
    assert len(complaints) <= 1, "once a minute at the most"
