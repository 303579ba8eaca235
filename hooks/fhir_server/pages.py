"""Pages of a search: one decoded, several as one Bundle, and from which day on a list that was cut is whole."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.terms.decode import NOT_FOLLOWED, WHOLE_FROM
from hooks.fhir_server.watches import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SORTED = re.compile(r"[?&]_sort=-date(?:&|$)")


class Link(msgspec.Struct):
    """A link of a Bundle."""

    relation: str | None = None
    url: str | None = None


class Page(msgspec.Struct):
    """What an answer must be to be a page of a search, or a resource that was read."""

    type: str | None = msgspec.field(name="resourceType", default=None)
    id: str | None = None
    total: int | None = None
    link: list[Link] | None = None
    entry: list[msgspec.Raw] | None = None


class Together(msgspec.Struct, omit_defaults=True):
    """The pages of a search as one Bundle."""

    resource_type: str = msgspec.field(name="resourceType", default="")
    type: str = ""
    total: int | None = None
    link: list[Link] | None = None
    entry: list[msgspec.Raw] | None = None


class _Period(msgspec.Struct):
    start: str | None = None
    end: str | None = None


class _Dated(msgspec.Struct):
    at: str | None = msgspec.field(name="effectiveDateTime", default=None)
    instant: str | None = msgspec.field(name="effectiveInstant", default=None)
    period: _Period | None = msgspec.field(name="effectivePeriod", default=None)


class _Entry(msgspec.Struct):
    resource: _Dated | None = None


_PAGE = msgspec.json.Decoder(Page)
_DATED = msgspec.json.Decoder(_Entry)


def decoded(body: bytes, resource_type: str) -> Page:
    """Decode an answer; raises `FetchError` for one that is not of the type that was asked for."""
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


def next_link(page: Page) -> str | None:
    """Give the address of the following page."""
    return next((link.url for link in page.link or () if link.relation == "next" and link.url), None)


def is_sorted(url: str | None) -> bool:
    """Tell whether a server's `self` link says that it sorted by date, the newest first."""
    return url is not None and _SORTED.search(url) is not None


def cut_links(whole_from: dt.date | None) -> list[Link]:
    """Give the links of a Bundle that holds less than the server has, and from when on it holds all."""
    links = [Link("next", NOT_FOLLOWED)]
    if whole_from is not None:
        links.append(Link("whole-from", f"{WHOLE_FROM}{whole_from.isoformat()}"))
    return links


class NewestFirst:
    """
    Watches whether entries run from the newest to the oldest, and how far they reach.

    `sorts`: the server says that it sorts; whether it does is seen from the dates. Days are compared as they are
    written, so that zones may shift them by one: what counts as whole begins a day later for that.
    """

    def __init__(self, *, sorts: bool) -> None:
        self.sorts = sorts
        self._oldest: dt.date | None = None

    def look_at(self, entries: Iterable[msgspec.Raw]) -> None:
        """Look at the next entries."""
        for entry in entries if self.sorts else ():
            day = _day(entry)
            if day is None:
                continue
            if self._oldest is not None and day > self._oldest + dt.timedelta(1):
                self.sorts = False
                return
            self._oldest = day if self._oldest is None else min(day, self._oldest)

    @property
    def whole_from(self) -> dt.date | None:
        """The first day from which on nothing is missing; None when that cannot be told."""
        return self._oldest + dt.timedelta(2) if self.sorts and self._oldest is not None else None

    def is_past(self, day: dt.date | None) -> bool:
        """Tell whether all that is still to come is older than a day."""
        return day is not None and self.whole_from is not None and self.whole_from <= day


def _day(entry: msgspec.Raw) -> dt.date | None:
    try:
        resource = _DATED.decode(entry).resource
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if resource is None:
        return None
    period = resource.period or _Period()
    told = resource.at or resource.instant or period.end or period.start
    try:
        return dt.date.fromisoformat(told[:10]) if told and len(told) >= 10 else None
    except ValueError:
        return None
