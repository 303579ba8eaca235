"""The results of a patient in several searches: under the codes that rules read, all; the rest, the newest first."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

import msgspec

from fhir_mapping.chart import SERIES_DAYS, Unavailable
from fhir_mapping.terms.queries import codes_of_results
from hooks.fhir_server.fetch import Fetched
from hooks.fhir_server.pages import Link, Page, Together
from recommenders.patient.recency import windows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

KEY = "observations"
Search = Literal["two", "all", "coded"]
"""`two`: by code, and the rest as far back as a rule looks; `all`: one search, to its end; `coded`: by code only."""

_CODED = f"{KEY}:"
_PAGE = msgspec.json.Decoder(Page)


def searches(query: str, how: Search, site_codes: tuple[str, ...] = ()) -> dict[str, str]:
    """Give the searches that together bring the results of a patient, each under a key of its own."""
    coded = {f"{_CODED}{n}": f"{query}&code={codes}" for n, codes in enumerate(codes_of_results(site_codes), 1)}
    if how == "all":
        return {KEY: query}
    return coded if how == "coded" else {KEY: query} | coded


def looked_back_to(today: dt.date, site: Mapping[str, Decimal] | None) -> dt.date:
    """Give the day before which no result without a code of ours counts any more: the longest window of all."""
    longest = max((*windows("chart", site).values(), *windows("order", site).values(), SERIES_DAYS))
    return today - dt.timedelta(longest)


def together(fetched: Fetched, page: bytes | Unavailable) -> Fetched:
    """
    Put the searches for results together under their one key.

    The list is whole when the search without codes came to its end, or when it came as far back as rules look and
    those by code to theirs. `page` is what the prefetch brought, a part at most; it adds what nothing else did.
    """
    coded = {key: fetched.data[key] for key in fetched.data if key.startswith(_CODED)}
    rest = fetched.data.get(KEY)
    if not coded or fetched.outcomes.get(KEY) == "ok":
        return _only(fetched, rest)
    all_coded = all(fetched.outcomes[key] == "ok" for key in coded)
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
