"""
Fetching what the prefetch did not bring, from the FHIR server of the client that calls.

Only queries of our own are sent, only to a base that stands in the configuration, with the caller's token in the
header of that one request and nowhere else. All keys are fetched at once, and the answer comes within the time
given, whatever the server does: what did not arrive by then is unavailable, with a word for the reason, never empty.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ReadTimeoutError
from urllib3.util import parse_url

from fhir_mapping.chart import Unavailable
from hooks.fhir_server.breaker import Breakers, CallHealth, about

log = logging.getLogger("oncobone.fetch")

T = TypeVar("T")

MAX_RESPONSE: Final = 8 * 1024 * 1024  # bytes of one page
MAX_PAGES: Final = 10
MAX_ENTRIES: Final = 5_000
MAX_CALL: Final = 4 * MAX_RESPONSE  # bytes of all pages of one call together
MAX_KEYS: Final = 32  # fetched at once
CHUNK: Final = 64 * 1024
RETRY_ABOVE: Final = 0.4  # of the budget must be left for a second try
LAST_WORDS: Final = 0.1  # seconds for a thread to tell what it has, once its connections are cut off
TRIAL_SECONDS: Final = 5.0
DEFAULT_SECONDS: Final = 3.0
LONGEST_URL: Final = 8 * 1024
# The link of a Bundle that holds less than the server has; readers of Bundles know it as "there is more".
NOT_FOLLOWED: Final = "urn:oncobone:not-followed"

Reason = Literal[
    "no-token",
    "bad-token",
    "paused",  # the circuit breaker is open
    "unauthorized",
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
# What another try may mend.
_TRANSIENT: Final[frozenset[Reason]] = frozenset({"server-error", "timeout", "connection", "truncated"})

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_QUERY = re.compile(r"[A-Z][A-Za-z]{1,63}(/(?!\.+(\?|$))[A-Za-z0-9.-]{1,64})?(\?[\x21-\x7e]*)?")
_READ = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})")
# Refused before any parser sees them: they are what parsers disagree about.
_ODD = re.compile(r"[^\x21-\x7e]|[\\@#%]|\.\.")


class FetchError(Exception):
    """A request that brought nothing usable; `reason` is a word, never a URL or a value."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


# Which server


class Base(NamedTuple):
    """A FHIR base, taken apart: scheme and host in lower case, the port written out, the path without end slash."""

    scheme: str
    host: str
    port: int
    path: str


def base_of(url: str) -> Base | None:
    """Takes a FHIR base apart; None for anything that is not plainly a http(s) base."""
    parts = _parts(url)
    if parts is None or "?" in url:
        return None
    base, _ = parts
    return base


def configured_base(sent: str, bases: Iterable[str]) -> str | None:
    """
    The configured base that a sent `fhirServer` names, or None.

    The caller goes on with the configured text; the one that was sent is never used.
    """
    wanted = base_of(sent)
    if wanted is None:
        return None
    return next((base.rstrip("/") for base in bases if base_of(base) == wanted), None)


def _parts(url: str) -> tuple[Base, str] | None:
    """Scheme, host, port and path of a URL, and its query; None for one that is not plain."""
    head, _, query = url.partition("?")
    if len(url) > LONGEST_URL or _ODD.search(head) or re.search(r"[^\x21-\x7e]|[\\#]", query):
        return None
    try:
        # urllib3's parser, since it is urllib3 that connects: a check with another one would check another host.
        parsed = parse_url(head)
    except LocationParseError:
        return None
    scheme = (parsed.scheme or "").lower()
    if scheme not in {"http", "https"} or not parsed.host or parsed.auth is not None:
        return None
    port = parsed.port if parsed.port is not None else {"http": 80, "https": 443}[scheme]
    return Base(scheme, parsed.host.lower(), port, (parsed.path or "").rstrip("/")), query


def next_query(link: str, base: str) -> str | None:
    """
    What a Bundle's `next` link asks for, as a part to append to the configured base; None when it leads elsewhere.
    """
    ours = base_of(base)
    if ours is None:
        return None
    if "://" not in link and not link.startswith("/"):
        link = f"{base}/{link}" if not link.startswith("?") else f"{base}{link}"
    parts = _parts(link)
    if parts is None:
        return None
    (scheme, host, port, path), query = parts
    if (scheme, host, port) != ours[:3] or not (path == ours.path or path.startswith(f"{ours.path}/")):
        return None
    return path[len(ours.path) :] + (f"?{query}" if query else "")


# One request


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


def download(url: str, headers: Mapping[str, str], deadline: float, limit: int = MAX_RESPONSE) -> bytes:
    """
    The body of a GET that was answered with 200, at most `limit` bytes of it, before `deadline` (monotonic seconds).

    Follows no redirect, sends and keeps no cookie, asks no proxy and no .netrc. Raises `FetchError`.
    """
    try:
        body = _download(url, headers, deadline, limit)
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


def _download(url: str, headers: Mapping[str, str], deadline: float, limit: int) -> bytes:
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
            ) as response:
                _check_status(response)
                return _body(response, deadline, limit)
        except requests.Timeout:
            raise FetchError("timeout") from None
        except requests.exceptions.SSLError:
            raise FetchError("tls") from None
        except requests.exceptions.ChunkedEncodingError:
            raise FetchError("truncated") from None
        except (requests.RequestException, LocationParseError, OSError):
            raise FetchError("connection") from None


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    if 300 <= status < 400:
        raise FetchError("redirect")
    raise FetchError("server-error" if status >= 500 else _STATUS.get(status, "status"))


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
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    for key, thread in threads.items():
        if thread.is_alive():
            watches[key].cut()
    for thread in threads.values():
        thread.join(max(0.0, deadline + LAST_WORDS - time.monotonic()))
    return dict(results)


def answers(base: str) -> bool:
    """Whether a FHIR server answers at all: its `/metadata`, asked for without a token and not read."""
    health = CallHealth()
    try:
        download(f"{base}/metadata", {"Accept": "application/fhir+json"}, time.monotonic() + TRIAL_SECONDS, 0)
    except FetchError as error:
        health.note(error.reason)  # "too-large" is an answer
    return not (health.slow or health.gone)


BREAKERS: Final = Breakers(trial=answers)


# All that is missing


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came for each key, and a word for each: `ok`, `cut` (there is more than we may take), or the reason."""

    data: dict[str, bytes | Unavailable] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)


class _Link(msgspec.Struct):
    relation: str | None = None
    url: str | None = None


class _Page(msgspec.Struct):
    type: str | None = msgspec.field(name="resourceType", default=None)
    id: str | None = None
    total: int | None = None
    link: list[_Link] | None = None
    entry: list[msgspec.Raw] | None = None


_PAGE = msgspec.json.Decoder(_Page)


class _Together(msgspec.Struct, omit_defaults=True):
    """The pages of a search as one Bundle."""

    resource_type: str = msgspec.field(name="resourceType", default="")
    type: str = ""
    total: int | None = None
    link: list[_Link] | None = None
    entry: list[msgspec.Raw] | None = None


def fetch_missing(
    wanted: Mapping[str, str | bytes],
    *,
    base: str,
    token: str | None,
    seconds: float = DEFAULT_SECONDS,
    breakers: Breakers = BREAKERS,
) -> Fetched:
    """
    Fetches what is missing, all keys at once, within `seconds` in all.

    `wanted`: for each key a read (`Patient/1`) or search (`Condition?patient=1`) relative to the base; or the raw
    Bundle that was delivered, of which the following pages are wanted. `base` is a configured base, never a sent one.
    A Bundle of more than ten pages or 5,000 entries is cut, and keeps a `next` link to say so.
    """
    deadline = time.monotonic() + seconds
    reason = _refused(base, token, breakers) if wanted else None
    if reason or token is None:
        return _all_unavailable(wanted, reason or "no-token")
    getter = _Getter(base.rstrip("/"), token, seconds, deadline)
    keys = list(wanted)
    if len(keys) > MAX_KEYS:
        log.warning("more keys wanted than are fetched", extra={"component": "fetch"})
    jobs = {key: getter.job(wanted[key]) for key in keys[:MAX_KEYS]}
    found = in_parallel(jobs, deadline)
    fetched = _all_unavailable(dict.fromkeys(keys[MAX_KEYS:]), "too-large")
    for key in jobs:
        if key not in found:
            getter.health.note("timeout")
        result = found.get(key, FetchError("timeout"))
        if isinstance(result, FetchError):
            fetched.outcomes[key] = result.reason
            fetched.data[key] = Unavailable(result.reason)
        else:
            fetched.data[key], fetched.outcomes[key] = result
    breakers.tell(base, about(wanted.values()), getter.health)
    return fetched


def _refused(base: str, token: str | None, breakers: Breakers) -> Reason | None:
    if not token:
        return "no-token"  # nothing is asked for anonymously
    if not _TOKEN.fullmatch(token):
        return "bad-token"
    return None if breakers.allows(base) else "paused"


def _all_unavailable(wanted: Mapping[str, object], reason: Reason) -> Fetched:
    return Fetched({key: Unavailable(reason) for key in wanted}, dict.fromkeys(wanted, reason))


class _Getter:
    """The requests of one call to one base."""

    def __init__(self, base: str, token: str, seconds: float, deadline: float) -> None:
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        self._seconds = seconds
        self._deadline = deadline
        self.health = CallHealth()
        self._room = MAX_CALL

    def job(self, wanted: str | bytes) -> Callable[[], tuple[bytes, str]]:
        """The work for one key: gives its JSON, and a word on it."""
        if isinstance(wanted, bytes):
            return lambda: self._pages(wanted)
        if not _QUERY.fullmatch(wanted) or ".." in wanted.partition("?")[0] or "#" in wanted:
            raise ValueError("a query is a read or search of our own, relative to the base")
        read = _READ.fullmatch(wanted)
        return lambda: self._read(wanted, read[1]) if read else self._pages(self._get(f"/{wanted}"))

    def _read(self, query: str, resource_type: str) -> tuple[bytes, str]:
        body = self._get(f"/{query}")
        _decoded(body, resource_type)
        return body, "ok"

    def _pages(self, first: bytes) -> tuple[bytes, str]:
        """A search result with its following pages, as one Bundle."""
        page = _decoded(first, "Bundle")
        entries, total = list(page.entry or ()), page.total
        following = _next(page)
        if following is None:
            return first, "ok"
        seen: set[str] = set()
        pages = 1
        while following is not None:
            query = next_query(following, self._base)
            if query is None or query in seen or pages == MAX_PAGES or len(entries) >= MAX_ENTRIES:
                break
            seen.add(query)
            try:
                page = _decoded(self._get(query), "Bundle")
            except FetchError:
                break  # what came is kept, and said to be a part
            entries += page.entry or ()
            pages += 1
            following = _next(page)
        if len(entries) > MAX_ENTRIES:
            entries, following = entries[:MAX_ENTRIES], NOT_FOLLOWED
        link = [_Link("next", NOT_FOLLOWED)] if following is not None else None
        together = _Together("Bundle", "searchset", total, link, entries or None)
        return msgspec.json.encode(together), "ok" if link is None else "cut"

    def _get(self, query: str) -> bytes:
        """One GET, tried a second time when that can help and there is time for it."""
        try:
            return self._try(query)
        except FetchError as error:
            left = self._deadline - time.monotonic()
            if error.reason not in _TRANSIENT or left < RETRY_ABOVE * self._seconds:
                raise
        return self._try(query)

    def _try(self, query: str) -> bytes:
        limit = min(MAX_RESPONSE, self._room)
        if limit <= 0:
            raise FetchError("too-large")
        try:
            body = download(self._base + query, self._headers, self._deadline, limit)
        except FetchError as error:
            self.health.note(error.reason)
            raise
        self.health.note(None)
        self._room -= len(body)
        return body


def _decoded(body: bytes, resource_type: str) -> _Page:
    try:
        page = _PAGE.decode(body)
    except RecursionError:
        raise FetchError("too-deep") from None
    except msgspec.ValidationError:
        raise FetchError("wrong-type") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FetchError("not-json") from None
    if page.type == "OperationOutcome":
        raise FetchError("operation-outcome")
    if page.type != resource_type:
        raise FetchError("wrong-type")
    return page


def _next(page: _Page) -> str | None:
    return next((link.url for link in page.link or () if link.relation == "next" and link.url), None)
