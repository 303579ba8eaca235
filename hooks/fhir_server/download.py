"""
One GET, and several at once: within its time and its size, whatever the server does.

No redirect is followed, no cookie kept, no proxy and no .netrc asked; what went wrong is a word, never a URL.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Literal, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ReadTimeoutError

log = logging.getLogger("oncobone.fetch")

T = TypeVar("T")

MAX_RESPONSE: Final = 8 * 1024 * 1024  # bytes of one page
CHUNK: Final = 64 * 1024
LAST_WORDS: Final = 0.1  # seconds for a thread to tell what it has, once its connections are cut off

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

_STATUS: Final[Mapping[int, Reason]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    410: "gone",
    429: "too-many-requests",
}


class FetchError(Exception):
    """
    A request that brought nothing usable; `reason` is a word, never a URL or a value.

    `retry_after`: so many seconds the server wants to be left alone, if it says so.
    """

    def __init__(self, reason: Reason, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class _Connections(threading.local):
    """The watch of the thread at hand; set while a thread fetches."""

    watch: Watch | None = None


_here = _Connections()


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


def _watched(connection: HTTPConnection, connected: socket.socket) -> socket.socket:
    address = ipaddress.ip_address(str(connected.getpeername()[0]).partition("%")[0])
    if (getattr(address, "ipv4_mapped", None) or address).is_link_local:
        # Cloud machines serve their credentials there; no FHIR server is.
        connected.close()
        raise NewConnectionError(connection, "a link-local address")
    if _here.watch is not None:
        _here.watch.add(connected)
    return connected


class _WatchedHTTP(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(self, super()._new_conn())


class _WatchedHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(self, super()._new_conn())


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def download(
    url: str,
    headers: Mapping[str, str],
    deadline: float,
    limit: int = MAX_RESPONSE,
    ca_file: str | None = None,
) -> bytes:
    """
    The body of a GET that was answered with 200, at most `limit` bytes of it, before `deadline` (monotonic seconds).

    `ca_file` holds the certificates (PEM) to trust instead of the public ones. Follows no redirect, sends and keeps
    no cookie, asks no proxy and no .netrc. Raises `FetchError`.
    """
    try:
        body = _download(url, headers, deadline, limit, ca_file)
    except FetchError as error:
        failure: FetchError | None = error
    else:
        failure = None
    if time.monotonic() >= deadline:
        # Whatever it looks like: a connection that is cut off among the headers reads like an empty answer.
        raise FetchError("timeout")
    if failure is not None:
        raise failure
    return body


def _download(url: str, headers: Mapping[str, str], deadline: float, limit: int, ca_file: str | None) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchError("timeout")
    # A session of its own for each request: a shared one mixes up headers of parallel calls and keeps cookies.
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(max_retries=0))
        try:
            with session.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "oncobone", **headers},
                timeout=(left, left),
                allow_redirects=False,
                stream=True,
                verify=ca_file or True,
            ) as response:
                _check_status(response)
                return _body(response, deadline, limit)
        except requests.Timeout:
            raise FetchError("timeout") from None
        except requests.exceptions.SSLError as error:
            raise FetchError("certificate" if is_untrusted(error) else "tls") from None
        except requests.exceptions.ChunkedEncodingError:
            raise FetchError("truncated") from None
        except (requests.RequestException, LocationParseError, OSError):
            raise FetchError("connection") from None


def is_untrusted(error: BaseException) -> bool:
    """Tell whether a failed handshake failed over the certificate: the cause lies some wrappings deep."""
    causes: list[object] = [error]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if isinstance(cause, BaseException) and len(causes) < MOST_CAUSES:
            causes += [*cause.args, getattr(cause, "reason", None)]
    return False


MOST_CAUSES: Final = 20


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    if 300 <= status < 400:
        raise FetchError("redirect")
    reason = "server-error" if status >= 500 else _STATUS.get(status, "status")
    told = response.headers.get("Retry-After", "").strip()
    # The form with a date is a matter of hours; a call has seconds.
    raise FetchError(reason, float(told) if told.isascii() and told.isdecimal() and len(told) <= 6 else None)


def _body(response: requests.Response, deadline: float, limit: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise FetchError("not-json")  # asked for as it is; what comes compressed may be a bomb
    announced = response.headers.get("Content-Length", "")
    length = int(announced) if announced.isascii() and announced.isdecimal() else None
    if length is not None and length > limit:
        raise FetchError("too-large")
    body = bytearray()
    try:
        # read1 gives what has arrived: a read of the whole would let a server drip for ever.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise FetchError("too-large")
            if time.monotonic() > deadline:
                raise FetchError("timeout")
    except ReadTimeoutError:
        raise FetchError("timeout") from None
    except HTTPError:
        raise FetchError("truncated") from None
    if length is not None and len(body) < length:
        raise FetchError("truncated")
    return bytes(body)


def in_parallel(jobs: Mapping[str, Callable[[], T]], deadline: float) -> dict[str, T | FetchError]:
    """
    Runs jobs at once, each on a thread of its own, until all are done or the deadline (monotonic seconds) is over.

    Then the connections of those under way are cut off. A job that does not end even so has no result.
    """
    results: dict[str, T | FetchError] = {}
    watches = {key: Watch() for key in jobs}

    def run(key: str) -> None:
        _here.watch = watches[key]
        try:
            outcome: T | FetchError = jobs[key]()
        except FetchError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the thread's last chance to tell; the kind alone, never the text
            log.error("fetch failed", extra={"component": "fetch", "error": type(error).__name__})  # noqa: TRY400
            outcome = FetchError("connection")
        results[key] = outcome
        watches[key].close()

    # Daemon threads: a name server that hangs cannot be interrupted, and must not hold the process.
    threads = {key: threading.Thread(target=run, args=(key,), name=f"fetch-{key}", daemon=True) for key in jobs}
    for key in list(threads):
        try:
            threads[key].start()
        except RuntimeError:  # the machine has no thread left: what could not be asked did not come
            del threads[key]
            results[key] = FetchError("connection")
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    for key, thread in threads.items():
        if thread.is_alive():
            watches[key].cut()
    for thread in threads.values():
        thread.join(max(0.0, deadline + LAST_WORDS - time.monotonic()))
    return dict(results)
