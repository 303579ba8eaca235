"""HTTP servers of the tests' own, on a free loopback port, each on a thread while it is wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Loopback(ThreadingHTTPServer):
    """Listens on a free loopback port; `over` is set when the test is over, so that nothing goes on hanging."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # of 5, as it is by default, a call that asks for all lists at once overflows

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.over = threading.Event()

    @property
    def origin(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests want."""


S = TypeVar("S", bound=Loopback)


@contextmanager
def running(server: S) -> Iterator[S]:
    """The server, while it serves."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
