"""
Fetching what the prefetch did not bring, from the FHIR server of the client that calls.

Only queries of our own are sent, only to a base that stands in the configuration, with the caller's token in the
header of that one request and nowhere else. All keys are fetched at once, and the answer comes within the time
given, whatever the server does: what did not arrive by then is unavailable, with a word for the reason, never empty.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fhir_mapping.chart import Unavailable
from hooks.fhir_server.addresses import next_query
from hooks.fhir_server.download import MAX_RESPONSE, FetchError, Reason, download, in_parallel

log = logging.getLogger("oncobone.fetch")

MAX_PAGES: Final = 10
MAX_ENTRIES: Final = 5_000
MAX_CALL: Final = 4 * MAX_RESPONSE  # bytes of all pages of one call together
MAX_KEYS: Final = 32  # fetched at once
RETRY_ABOVE: Final = 0.4  # of the budget must be left for a second try
BREAKER_FAILURES: Final = 5
BREAKER_SECONDS: Final = 30.0
DEFAULT_SECONDS: Final = 3.0
# The link of a Bundle that holds less than the server has; readers of Bundles know it as "there is more".
NOT_FOLLOWED: Final = "urn:oncobone:not-followed"

# What another try may mend, and what speaks of the server's health.
_TRANSIENT: Final[frozenset[Reason]] = frozenset({"server-error", "timeout", "connection", "truncated"})

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_QUERY = re.compile(r"[A-Z][A-Za-z]{1,63}(/(?!\.+(\?|$))[A-Za-z0-9.-]{1,64})?(\?[\x21-\x7e]*)?")
_READ = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})")


# The circuit breaker


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until: float = 0.0


class Breakers:
    """
    One circuit breaker per base: after five failures in a row nothing is sent for 30 s, then one call tries again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._of: dict[str, _Breaker] = {}

    def allows(self, base: str) -> bool:
        """Whether a call may fetch from this base now."""
        with self._lock:
            breaker = self._of.setdefault(base, _Breaker())
            now = self._clock()
            if breaker.failures < BREAKER_FAILURES:
                return True
            if now < breaker.open_until:
                return False
            breaker.open_until = now + BREAKER_SECONDS  # this call is the trial; the others wait for what it finds
            return True

    def tell(self, base: str, *, healthy: bool) -> None:
        """Takes note of what a request to this base came to."""
        with self._lock:
            breaker = self._of.setdefault(base, _Breaker())
            if healthy:
                breaker.failures = 0
                return
            breaker.failures += 1
            if breaker.failures == BREAKER_FAILURES:
                breaker.open_until = self._clock() + BREAKER_SECONDS


BREAKERS: Final = Breakers()


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
    getter = _Getter(base.rstrip("/"), token, seconds, deadline, breakers)
    keys = list(wanted)
    if len(keys) > MAX_KEYS:
        log.warning("more keys wanted than are fetched", extra={"component": "fetch"})
    jobs = {key: getter.job(wanted[key]) for key in keys[:MAX_KEYS]}
    found = in_parallel(jobs, deadline)
    fetched = _all_unavailable(dict.fromkeys(keys[MAX_KEYS:]), "too-large")
    for key in jobs:
        if key not in found:
            breakers.tell(base, healthy=False)
        result = found.get(key, FetchError("timeout"))
        if isinstance(result, FetchError):
            fetched.outcomes[key] = result.reason
            fetched.data[key] = Unavailable(result.reason)
        else:
            fetched.data[key], fetched.outcomes[key] = result
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

    def __init__(self, base: str, token: str, seconds: float, deadline: float, breakers: Breakers) -> None:
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        self._seconds = seconds
        self._deadline = deadline
        self._breakers = breakers
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
            # A refusal comes from a server in good health.
            self._breakers.tell(self._base, healthy=error.reason not in _TRANSIENT | {"tls"})
            raise
        self._breakers.tell(self._base, healthy=True)
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
