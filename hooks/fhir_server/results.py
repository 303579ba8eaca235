"""
The results of a patient in several searches: under the codes that rules read, all; the rest, the newest first.

Some servers refuse a search for the rest as too wide (Epic answers 400; US Core promises one by category only): it is
asked for category by category then, and for an hour at once.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.joining.series import SERIES_DAYS
from fhir_mapping.terms.queries import codes_of_results
from hooks.fhir_server.fetch import Fetched
from hooks.fhir_server.pages import Link, Page, Together
from recommenders.patient.recency import windows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from fhir_mapping.terms.decode import OpenedList

KEY = "observations"
Search = Literal["two", "all", "coded"]
"""`two`: by code, and the rest as far back as a rule looks; `all`: one search, to its end; `coded`: by code only."""

CATEGORIES: Final = (
    "laboratory",
    "vital-signs",
    "survey",
    "exam",
    "imaging",
    "procedure",
    "therapy",
    "social-history",
    "activity",
)
"""All of FHIR R4's value set observation-category: whoever insists on a category has one of them."""
REMEMBERED_S: Final = 3600.0
MOST_BASES: Final = 1000

_CODED = f"{KEY}:"
_PAGE = msgspec.json.Decoder(Page)


def searches(query: str, how: Search, site_codes: tuple[str, ...] = (), *, by_category: bool = False) -> dict[str, str]:
    """Give the searches that together bring the results of a patient, each under a key of its own."""
    coded = {f"{_CODED}{n}": f"{query}&code={codes}" for n, codes in enumerate(codes_of_results(site_codes), 1)}
    rest = in_categories(query) if by_category else {KEY: query}
    if how == "all":
        return rest
    return coded if how == "coded" else rest | coded


def in_categories(query: str) -> dict[str, str]:
    """Give the searches that bring all results of a patient category by category."""
    return {f"{_CODED}{category}": f"{query}&category={category}" for category in CATEGORIES}


def reaching_back(until: dt.date) -> dict[str, dt.date]:
    """Give for each search that runs from the newest result to the oldest the day to which it is followed."""
    return dict.fromkeys((KEY, *in_categories("")), until)


def is_too_wide(fetched: Fetched) -> bool:
    """Tell whether the server refused the search for all results of the patient, but not for want of a right."""
    return fetched.outcomes.get(KEY) == "status"


def with_categories(fetched: Fetched, categories: Fetched) -> Fetched:
    """Put what came by category in the place of the search that was refused."""
    data = {key: found for key, found in fetched.data.items() if key != KEY}
    outcomes = {key: word for key, word in fetched.outcomes.items() if key != KEY}
    return Fetched(data | categories.data, outcomes | categories.outcomes)


class Narrow:
    """Which servers want a category, as far as they have shown, for an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def wants_category(self, base: str) -> bool:
        """Tell whether a server has refused a search without a category lately."""
        with self._lock:
            return self._clock() < self._until.get(base, 0.0)

    def learn(self, base: str) -> None:
        """Take note that it did."""
        with self._lock:
            if len(self._until) >= MOST_BASES:
                self._until.clear()
            self._until[base] = self._clock() + REMEMBERED_S


NARROW: Final = Narrow()


def looked_back_to(today: dt.date, site: Mapping[str, Decimal] | None) -> dt.date:
    """Give the day before which no result without a code of ours counts any more: the longest window of all."""
    longest = max((*windows("chart", site).values(), *windows("order", site).values(), SERIES_DAYS))
    return today - dt.timedelta(longest)


def together(fetched: Fetched, page: bytes | OpenedList | Unavailable) -> Fetched:
    """
    Put the searches for results together under their one key.

    The list is whole when the search without codes came to its end, or when it came as far back as rules look and
    those by code to theirs. `page` is what the prefetch brought, a part at most; it adds what nothing else did.
    """
    coded = {key: fetched.data[key] for key in fetched.data if key.startswith(_CODED)}
    rest = fetched.data.get(KEY)
    if not coded or fetched.outcomes.get(KEY) == "ok":
        return _only(fetched, rest)
    all_coded = all(fetched.outcomes[key] in {"ok", "old"} for key in coded)
    came = [body for body in (rest, *coded.values()) if isinstance(body, bytes)]
    if not came:
        return _only(fetched, rest if rest is not None else next(iter(coded.values())))
    whole = all_coded and (rest is None or fetched.outcomes[KEY] == "old")
    links: list[Link] | None = None
    if not whole:
        # Of what the search without codes tells only: one by code passes over results in words.
        links = list(_PAGE.decode(rest).link or ()) if isinstance(rest, bytes) else [Link("next", "urn:oncobone:cut")]
        came += [page] if isinstance(page, bytes) and page != b"null" else []
    entries = list({bytes(entry): entry for body in came for entry in _PAGE.decode(body).entry or ()}.values())
    body = msgspec.json.encode(Together("Bundle", "searchset", None, links, entries or None))
    return _only(fetched, body, "ok" if whole else "cut")


def _only(fetched: Fetched, body: bytes | Unavailable | None, outcome: str | None = None) -> Fetched:
    """Give what was fetched with one body for the results, in the place of their searches."""
    kept = {key: found for key, found in fetched.data.items() if not key.startswith(_CODED)}
    words = {key: word for key, word in fetched.outcomes.items() if not key.startswith(_CODED)}
    if body is not None:
        kept[KEY] = body
        told = outcome or (body.reason if isinstance(body, Unavailable) else words.get(KEY, "ok"))
        words[KEY] = told
    return Fetched(kept, words)
