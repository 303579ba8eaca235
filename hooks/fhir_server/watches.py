"""What every fetch has: a word for what went wrong, and a watch that ends its connections when its time is over."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Literal

Reason = Literal[
    "no-token",
    "bad-token",
    "paused",  # the circuit breaker is open
    "busy",  # too many calls wait already
    "unauthorized",
    "token-wanted",  # none was sent
    "forbidden",
    "not-found",
    "gone",
    "too-many-requests",
    "server-error",
    "status",  # any other that is not 200
    "redirect",
    "timeout",
    "connection",
    "tls",
    "certificate",  # signed by nobody we trust
    "scope",  # the token does not allow it, so it was not asked
    "truncated",
    "too-large",
    "not-json",
    "too-deep",
    "wrong-type",
    "operation-outcome",
]


class FetchError(Exception):
    """
    A request that brought nothing usable; `reason` is a word, never a URL or a value.

    `retry_after`: so many seconds the server wants to be left alone, if it says so.
    """

    def __init__(self, reason: Reason, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Connections(threading.local):
    """The watch of the thread at hand; set while a thread fetches."""

    watch: Watch | None = None


here = Connections()


class Watch:
    """The connections of one fetch, to be cut off when its time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False

    def add(self, connected: socket.socket) -> None:
        """Takes note of a connection."""
        # A second handle: TLS takes the first one away, but shutting down either ends the connection.
        handle = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._sockets.append(handle)
            if self._over:
                self._end(handle)

    def cut(self) -> None:
        """Ends all connections, also later ones; whoever reads from them gets an error."""
        with self._lock:
            self._over = True
            for handle in self._sockets:
                self._end(handle)

    def close(self) -> None:
        """Gives the handles back."""
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()

    @staticmethod
    def _end(handle: socket.socket) -> None:
        with contextlib.suppress(OSError):  # ended already
            handle.shutdown(socket.SHUT_RDWR)
