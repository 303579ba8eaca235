"""Bytes in, entries out: opens what one prefetch key brought, entry by entry, so that one fault spoils nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.terms.exact import BROKEN, MOST_OBJECTS, are_too_many, plainly
from fhir_mapping.terms.heads import Meta, meta_of, string

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = bytes | memoryview
"""JSON as it came: by itself, or where it stands in a body of megabytes, which is not copied."""
MAX_ENTRIES = 20_000


class TooManyEntriesError(ValueError):
    """More entries than one call may hold (HTTP 413)."""


class _Search(msgspec.Struct, gc=False):
    mode: str | None = None


class Entry(msgspec.Struct, gc=False):
    """One entry of a Bundle; the resource stays bytes (none, when it is missing or null)."""

    resource: msgspec.Raw
    fullUrl: str | None = None  # noqa: N815 - FHIR's own names
    search: _Search | None = None


class _Link(msgspec.Struct, gc=False):
    relation: str | None = None
    url: str | None = None


class Envelope(msgspec.Struct, gc=False):
    """What is read of a Bundle, or of a resource that came in its place."""

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    meta: Meta | None = None
    total: int | None = None
    link: list[_Link] | None = None
    entry: list[Entry] | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class OpenedList:
    """A Bundle that was opened as the body it came in was read; `text` are the pieces of its JSON as it came."""

    envelope: Envelope
    text: tuple[Json, ...]

    def __len__(self) -> int:
        """Give the length of its JSON."""
        return sum(map(len, self.text))

    def __bytes__(self) -> bytes:
        """Give its JSON in one piece."""
        return b"".join(self.text)


Brought = Json | OpenedList
"""What one prefetch key brought, before it is looked at."""


class Delivered(msgspec.Struct):
    """
    What one prefetch key brought.

    `entries` in the order of arrival, `truncated` when the server holds more (`link.next`, `total`); then
    `newest_first` when it says that it sorted by date, `whole_from` the first day from which all is here, where
    whoever fetched it says so. `outcome` when an OperationOutcome of an error came (in place of the list or among
    it), `faults` what could not be read.
    `single` when one resource came in place of a list.
    """

    entries: list[Entry] = []
    truncated: bool = False
    newest_first: bool = False
    whole_from: str | None = None
    outcome: bool = False
    faults: list[str] = []
    single: bool = False


def is_nothing(raw: msgspec.Raw) -> bool:
    """Tell whether an entry holds no resource."""
    return memoryview(raw).nbytes <= 4 and bytes(raw) in {b"", b"null"}


def open_key(raw: Brought) -> Delivered:
    """
    Open the value of one prefetch key: a Bundle, one resource, a list of resources, or `null`.

    Raises `TooManyEntriesError` for one that holds a million objects.
    """
    found = opened(raw)
    take_out_outcomes(found, found.entries)
    return found


def opened(raw: Brought) -> Delivered:
    """Open the value of one prefetch key as `open_key` does; an OperationOutcome among its entries is left there."""
    if isinstance(raw, OpenedList):
        return _delivered(raw.envelope)
    if len(raw) > LARGEST_OPENED:
        _refuse_too_many(raw)
    start = bytes(raw[:_BLANKS]).lstrip()[:1] or bytes(raw).lstrip()[:1]
    if start == b"n" and bytes(raw).strip() == b"null":
        return Delivered()
    if start == b"[":
        _refuse_too_many(raw)
        try:
            return Delivered(entries=[Entry(resource=item) for item in _decode_list(raw)])
        except BROKEN:
            return Delivered(outcome=True, faults=["not JSON"])
    if start != b"{":
        return Delivered(outcome=True, faults=["neither a Bundle nor a resource"])
    try:
        envelope = _decode_envelope(raw)
    except BROKEN:
        return _open_broken(raw)
    if envelope.resourceType == "OperationOutcome":
        return Delivered(outcome=True, faults=["an OperationOutcome came in its place"])
    if envelope.resourceType != "Bundle":
        return Delivered(entries=[Entry(resource=msgspec.Raw(raw))], single=True)
    return _delivered(envelope)


_BLANKS = 64
"""So many may stand before a value, usually."""
_SMALLEST_ENTRY = len(b'{"resource":{}},')
"""Bytes of an entry that is decoded at once."""
LARGEST_OPENED = MOST_OBJECTS * _SMALLEST_ENTRY
"""Bytes that cannot hold more entries than objects are borne with; of more the objects are counted first."""


def _refuse_too_many(raw: Json) -> None:
    if are_too_many((raw,)):
        raise TooManyEntriesError(f"More than {MOST_OBJECTS} objects and lists in one list; send fewer at a time.")


NOT_FOLLOWED = "urn:oncobone:not-followed"
"""The `next` link of a list of which whoever fetched it has read only a part."""
WHOLE_FROM = "urn:oncobone:whole-from:"
"""With a day after it, beside `NOT_FOLLOWED`: from that day on everything is here."""
_NEWEST_FIRST = re.compile(r"[?&]_sort=-date(?:&|$)")


def _delivered(envelope: Envelope) -> Delivered:
    entries, total, meta = envelope.entry or [], envelope.total, envelope.meta
    found = Delivered(entries=entries)
    beside = [entry for entry in entries if entry.search is not None and entry.search.mode in {"outcome", "include"}]
    found.truncated = total is not None and total > len(entries) - len(beside)
    for link in envelope.link or ():
        if link.relation == "next":
            found.truncated = True
        elif link.relation == "self":
            found.newest_first = bool(link.url and _NEWEST_FIRST.search(link.url))
        elif link.url and link.url.startswith(WHOLE_FROM):
            found.whole_from = link.url.removeprefix(WHOLE_FROM)
    if meta is not None and meta.is_withheld:
        found.truncated = True
        found.faults.append("masked: the list is labelled as redacted")
    return found


class _Coding(msgspec.Struct, gc=False):
    code: str | None = None


class _Details(msgspec.Struct, gc=False):
    coding: list[_Coding] | None = None


class _Issue(msgspec.Struct, gc=False):
    severity: str | None = None
    code: str | None = None
    details: _Details | None = None


class _Outcome(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - FHIR's own names
    issue: list[_Issue] | None = None


_decode_outcome = msgspec.json.Decoder(_Outcome).decode
_WITHHELD_ISSUES = frozenset(
    {"suppressed", "security", "login", "forbidden", "expired", "timeout", "throttled", "incomplete", "too-costly"}
)
"""Issue types that say, however mildly, that something was kept back."""
_NOTHING_FOUND = frozenset({"4101"})
"""What EHRs answer in place of an empty list (4101: "Resource request returns no results", Epic)."""


def is_remark(raw: msgspec.Raw | bytes, *, as_outcome: bool) -> bool:
    """
    Tell whether a resource is an OperationOutcome that only remarks on an answer which is otherwise whole.

    So it is when nothing in it is graver than a warning, nothing was kept back, and it stands where remarks stand
    (`as_outcome`: `search.mode` is `outcome`) or says that nothing was found.
    """
    try:
        outcome = _decode_outcome(raw)
    except BROKEN:
        return False
    issues = outcome.issue or []
    if outcome.resourceType != "OperationOutcome" or not issues:
        return False
    if any(one.severity not in {"information", "warning"} or one.code in _WITHHELD_ISSUES for one in issues):
        return False
    codes = {coding.code for one in issues if one.details for coding in one.details.coding or ()}
    return as_outcome or bool(codes & _NOTHING_FOUND)


def take_out_outcomes(found: Delivered, among: Sequence[Entry]) -> frozenset[int]:
    """
    Take remarks out of a list; what is no mere remark makes the list one of which nobody knows what it lacks.

    They are looked for `among` some of its entries; gives the identities of those that were taken out.
    """
    if not any(b"OperationOutcome" in bytes(entry.resource) for entry in among):
        return frozenset()
    outcomes: set[int] = set()
    for entry in among:
        as_outcome = entry.search is not None and entry.search.mode == "outcome"
        if as_outcome or _says_outcome(entry.resource):
            outcomes.add(id(entry))
            found.outcome = found.outcome or not is_remark(entry.resource, as_outcome=as_outcome)
    found.entries = [entry for entry in found.entries if id(entry) not in outcomes]
    return frozenset(outcomes)


def _says_outcome(raw: msgspec.Raw) -> bool:
    if b"OperationOutcome" not in bytes(raw):
        return False
    try:
        return _decode_outcome(raw).resourceType == "OperationOutcome"
    except BROKEN:
        return False


def _open_broken(raw: Json) -> Delivered:
    """Open a Bundle of which some element is not of its type, piece by piece."""
    _refuse_too_many(raw)
    try:
        members = _decode_object(raw)
    except BROKEN:
        return Delivered(outcome=True, faults=["not JSON"])
    kind = plainly(members.get("resourceType"))
    if kind == "OperationOutcome":
        return Delivered(outcome=True, faults=["an OperationOutcome came in its place"])
    if kind != "Bundle":
        return Delivered(entries=[Entry(resource=msgspec.Raw(raw))], single=True)
    listed = members.get("entry")
    faults: list[str] = []
    entries: list[Entry] = []
    for number, item in enumerate(_items(listed)):
        try:
            parts = _decode_object(item)
        except BROKEN:
            faults.append(f"entry[{number}] is not an object")
            continue
        full_url, search = plainly(parts.get("fullUrl")), plainly(parts.get("search"))
        mode = search.get("mode") if isinstance(search, dict) else None
        entries.append(
            Entry(
                resource=parts.get("resource", msgspec.Raw()),
                fullUrl=full_url if isinstance(full_url, str) else None,
                search=_Search(mode) if isinstance(mode, str) else None,
            )
        )
    total, links = plainly(members.get("total")), plainly(members.get("link"))
    links = links if isinstance(links, list) else [links]
    told = [_Link(string(one.get("relation")), string(one.get("url"))) for one in links if isinstance(one, dict)]
    meta = meta_of(plainly(members.get("meta")))
    found = _delivered(Envelope("Bundle", meta, total if isinstance(total, int) else None, told, entries))
    found.faults = faults + found.faults
    return found


def _items(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    if raw is None or bytes(raw).strip() == b"null":
        return []
    try:
        return _decode_list(raw)
    except BROKEN:
        return [raw]  # one object where a list belongs
