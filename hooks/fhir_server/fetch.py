"""
Fetching what the prefetch did not bring, from the FHIR server of the client that calls.

Only queries of our own are sent, only to a base that stands in the configuration, with the caller's token in the
header of that one request and nowhere else. All keys are fetched at once, and the answer comes within the time
given, whatever the server does: what did not arrive by then is unavailable, with a word for the reason, never empty.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.terms.decode import NOT_FOLLOWED
from hooks.fhir_server.addresses import next_query
from hooks.fhir_server.breaker import Breakers, CallHealth, about
from hooks.fhir_server.download import MAX_RESPONSE, download, in_parallel
from hooks.fhir_server.includes import METADATA
from hooks.fhir_server.pages import NewestFirst, Together, cut_links, decoded, is_sorted, next_link
from hooks.fhir_server.watches import FetchError, Reason

if TYPE_CHECKING:
    import datetime as dt

log = logging.getLogger("oncobone.fetch")

MAX_PAGES: Final = 100
MAX_ENTRIES: Final = 5_000
MAX_CALL: Final = 4 * MAX_RESPONSE  # bytes of all pages of one call together
MAX_KEYS: Final = 32  # fetched at once
RETRY_ABOVE: Final = 0.4  # of the budget must be left for a second try
LEAST_FOR_A_TRY: Final = 0.2  # seconds that must be left after waiting as long as the server asks for
LEAST_TO_JUDGE: Final = 0.45  # seconds; who does not answer in less may be as quick as any site asks for
TRIAL_SECONDS: Final = 5.0
DEFAULT_SECONDS: Final = 3.0

# What another try may mend.
_TRANSIENT: Final[frozenset[Reason]] = frozenset({"server-error", "timeout", "connection", "truncated"})

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_QUERY = re.compile(r"[A-Z][A-Za-z]{1,63}(/(?!\.+(\?|$))[A-Za-z0-9.-]{1,64})?(\?[\x21-\x7e]*)?")
_READ = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})")


def answers(base: str, ca_file: str | None = None) -> bool:
    """Whether a FHIR server answers at all: its `/metadata`, asked for without a token and not read."""
    deadline = time.monotonic() + TRIAL_SECONDS
    health = CallHealth()
    try:
        download(f"{base}/{METADATA}", {"Accept": "application/fhir+json"}, deadline, 0, ca_file)
    except FetchError as error:
        health.note(error.reason)  # "too-large" is an answer
    return not (health.slow or health.gone)


BREAKERS: Final = Breakers(trial=answers)


# All that is missing


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    What came for each key, and a word for each: `ok`, `cut` (there is more than we may take), `old` (the rest is older
    than anybody asks for), or the reason.
    """

    data: dict[str, bytes | Unavailable] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)


def fetch_missing(
    wanted: Mapping[str, str | bytes],
    *,
    base: str,
    token: str | None,
    seconds: float = DEFAULT_SECONDS,
    breakers: Breakers = BREAKERS,
    anonymous: bool = False,
    ca_file: str | None = None,
    until: Mapping[str, dt.date] | None = None,
) -> Fetched:
    """
    Fetches what is missing, all keys at once, within `seconds` in all.

    `wanted`: for each key a read (`Patient/1`) or search (`Condition?patient=1`) relative to the base; or the raw
    Bundle that was delivered, of which the following pages are wanted. `base` is a configured base, never a sent one.
    Without a token nothing is asked, unless the base may be read anonymously. `until` tells of keys whose list runs
    from the newest result to the oldest to which day it is followed. A Bundle of more than a hundred pages or 5,000
    entries is cut, and keeps a `next` link to say so, with the day from which on it is whole if that is known.
    """
    deadline = time.monotonic() + seconds
    reason = _refused(token, anonymous=anonymous) if wanted else None
    if reason is None and wanted and not breakers.allows(base, ca_file):
        reason = "paused"
    if reason or not wanted:
        return none_of(wanted, reason or "no-token")
    getter = _Getter(base.rstrip("/"), token, seconds, deadline, ca_file)
    keys = list(wanted)
    if len(keys) > MAX_KEYS:
        log.warning("more keys wanted than are fetched", extra={"component": "fetch"})
    jobs = {key: getter.job(wanted[key], (until or {}).get(key)) for key in keys[:MAX_KEYS]}
    found = in_parallel(jobs, deadline)
    fetched = none_of(dict.fromkeys(keys[MAX_KEYS:]), "too-large")
    for key in jobs:
        if key not in found:
            getter.health.note("timeout")
        result = found.get(key, FetchError("timeout"))
        if isinstance(result, FetchError):
            fetched.outcomes[key] = result.reason
            fetched.data[key] = Unavailable(result.reason)
        else:
            fetched.data[key], fetched.outcomes[key] = result
    if seconds < LEAST_TO_JUDGE:
        getter.health.slow = False
    breakers.tell(base, about(wanted.values()), getter.health)
    return fetched


def _refused(token: str | None, *, anonymous: bool) -> Reason | None:
    if not token and not anonymous:
        return "no-token"
    if token and not _TOKEN.fullmatch(token):
        return "bad-token"
    return None


def none_of(wanted: Mapping[str, object], reason: Reason) -> Fetched:
    """Nothing came, for one reason."""
    return Fetched({key: Unavailable(reason) for key in wanted}, dict.fromkeys(wanted, reason))


def of_token(error: FetchError, *, sent: bool) -> FetchError:
    """Tell a server that wants a token from one that refuses the one it got."""
    return FetchError("token-wanted") if error.reason == "unauthorized" and not sent else error


class _Getter:
    """The requests of one call to one base."""

    def __init__(self, base: str, token: str | None, seconds: float, deadline: float, ca_file: str | None) -> None:
        self._base = base
        # A server may answer a search from its cache: a result of this minute would be missing.
        self._headers = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._ca_file = ca_file
        self._seconds = seconds
        self._deadline = deadline
        self.health = CallHealth()
        self._room = MAX_CALL

    def job(self, wanted: str | bytes, until: dt.date | None = None) -> Callable[[], tuple[bytes, str]]:
        """The work for one key: gives its JSON, and a word on it."""
        if isinstance(wanted, bytes):
            return lambda: self._pages(wanted, until)
        if wanted == METADATA:
            return lambda: (self._get(f"/{wanted}"), "ok")
        if not _QUERY.fullmatch(wanted) or ".." in wanted.partition("?")[0] or "#" in wanted:
            raise ValueError("a query is a read or search of our own, relative to the base")
        read = _READ.fullmatch(wanted)
        return lambda: self._read(wanted, read[1]) if read else self._pages(self._get(f"/{wanted}"), until)

    def _read(self, query: str, resource_type: str) -> tuple[bytes, str]:
        body = self._get(f"/{query}")
        decoded(body, resource_type)
        return body, "ok"

    def _pages(self, first: bytes, until: dt.date | None = None) -> tuple[bytes, str]:
        """A search result with its following pages, as one Bundle."""
        page = decoded(first, "Bundle")
        entries, total = list(page.entry or ()), page.total
        order = NewestFirst(sorts=any(link.relation == "self" and is_sorted(link.url) for link in page.link or ()))
        order.look_at(entries)
        following = next_link(page)
        if following is None:
            return first, "ok"
        seen: set[str] = set()
        pages = 1
        while following is not None and not order.is_past(until):
            query = next_query(following, self._base)
            if query is None or query in seen or pages == MAX_PAGES or len(entries) >= MAX_ENTRIES:
                break
            seen.add(query)
            try:
                page = decoded(self._get(query), "Bundle")
            except FetchError:
                break  # what came is kept, and said to be a part
            entries += page.entry or ()
            order.look_at(page.entry or ())
            pages += 1
            following = next_link(page)
        if len(entries) > MAX_ENTRIES:
            entries, following = entries[:MAX_ENTRIES], NOT_FOLLOWED
            order = NewestFirst(sorts=order.sorts)
            order.look_at(entries)
        if following is None:
            return msgspec.json.encode(Together("Bundle", "searchset", total, None, entries or None)), "ok"
        link = cut_links(order.whole_from)
        together = Together("Bundle", "searchset", total, link, entries or None)
        return msgspec.json.encode(together), "old" if order.is_past(until) else "cut"

    def _get(self, query: str) -> bytes:
        """One GET, tried a second time when that can help and there is time for it."""
        try:
            return self._try(query)
        except FetchError as error:
            left = self._deadline - time.monotonic()
            wait = error.retry_after
            if wait is None and (error.reason not in _TRANSIENT or left < RETRY_ABOVE * self._seconds):
                raise
            if wait is not None and wait + LEAST_FOR_A_TRY > left:
                raise  # it said when; there is no time for it
            time.sleep(wait or 0)
        return self._try(query)

    def _try(self, query: str) -> bytes:
        limit = min(MAX_RESPONSE, self._room)
        if limit <= 0:
            raise FetchError("too-large")
        try:
            body = download(self._base + query, self._headers, self._deadline, limit, self._ca_file)
        except FetchError as error:
            self.health.note(error.reason)
            raise of_token(error, sent="Authorization" in self._headers) from None
        self.health.note(None)
        self._room -= len(body)
        return body
