"""Bytes in, resource heads out: decodes what selection needs, entry by entry, so that one fault spoils nothing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_DEPTH = 64
MAX_DIGITS = 40
MAX_MAGNITUDE = Decimal(1_000_000_000)
MAX_ENTRIES = 20_000
MAX_WORK = 10_000
"""Of one resource, as `work` counts it; an imaging study of thousands of images is below it."""
MAX_WORK_OF_A_CALL = 50_000
"""Of all resources of a call that are read whole: less than a second. A result is 10 to 30."""
NEW_WORDS = 40
"""The work of words that this call has not said before: what they assert is judged once."""
_DOSED = 2.5
"""How much more an element of a medication costs than others: doses, times and rates are computed from it."""
MAX_CODINGS = 50
"""Of one concept; a concept has a handful of translations."""
_SURELY_LITTLE = 2 * MAX_WORK

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise on bytes that are not what they should be (ValidationError is a DecodeError)."""


class TooManyEntriesError(ValueError):
    """More entries than one call may hold (HTTP 413)."""


class ResourceFaultError(ValueError):
    """A resource that would be used and cannot be; the message names the fault, never a value."""


# --- heads --------------------------------------------------------------------------------------------------


class Coding(msgspec.Struct, gc=False):
    """One coding, as sent."""

    system: str | None = None
    code: str | int | None = None
    display: str | None = None


class Codeable(msgspec.Struct, gc=False):
    """A CodeableConcept; a single coding may stand where a list belongs."""

    coding: list[Coding] | Coding | None = None
    text: str | None = None


class Ref(msgspec.Struct, gc=False):
    """A Reference."""

    reference: str | None = None


class Period(msgspec.Struct, gc=False):
    """A Period."""

    start: str | None = None
    end: str | None = None


class _Repeat(msgspec.Struct, gc=False):
    boundsPeriod: Period | None = None  # noqa: N815 - FHIR's own names


class Timing(msgspec.Struct, gc=False):
    """A Timing, as far as it says when something was."""

    event: list[str] | None = None
    repeat: _Repeat | None = None


class Part(msgspec.Struct, gc=False):
    """One component of an Observation."""

    code: Codeable | list[Codeable] | None = None


class Head(msgspec.Struct, gc=False):
    """The elements of a resource that selection and ordering look at."""

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    id: str | int | None = None
    status: str | None = None
    code: Codeable | list[Codeable] | None = None
    subject: Ref | None = None
    patient: Ref | None = None
    component: list[Part] | Part | None = None
    effectiveDateTime: str | None = None  # noqa: N815 - FHIR's own names
    effectivePeriod: Period | None = None  # noqa: N815 - FHIR's own names
    effectiveInstant: str | None = None  # noqa: N815 - FHIR's own names
    effectiveTiming: Timing | None = None  # noqa: N815 - FHIR's own names
    issued: str | None = None
    specimen: Ref | None = None
    modifierExtension: list[msgspec.Raw] | None = None  # noqa: N815 - FHIR's own names
    contained: list[msgspec.Raw] | None = None
    result: list[Ref] | None = None
    hasMember: list[Ref] | None = None  # noqa: N815 - FHIR's own names
    medicationCodeableConcept: Codeable | list[Codeable] | None = None  # noqa: N815 - FHIR's own names


class _Search(msgspec.Struct, gc=False):
    mode: str | None = None


class Entry(msgspec.Struct, gc=False):
    """One entry of a Bundle; the resource stays bytes (none, when it is missing or null)."""

    resource: msgspec.Raw = msgspec.Raw()
    fullUrl: str | None = None  # noqa: N815 - FHIR's own names
    search: _Search | None = None


class _Link(msgspec.Struct, gc=False):
    relation: str | None = None
    url: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - FHIR's own names
    total: int | None = None
    link: list[_Link] | None = None
    entry: list[Entry] | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Delivered:
    """
    What one prefetch key brought.

    `entries` in the order of arrival, `truncated` when the server holds more (`link.next`, `total`); then
    `newest_first` when it says that it sorted by date, `whole_from` the first day from which all is here, where
    whoever fetched it says so. `outcome` when an OperationOutcome of an error came (in place of the list or among
    it), `faults` what could not be read.
    `single` when one resource came in place of a list; `withheld` when some label or code in it says "masked" or
    "redacted", so that the entries must be looked at for it.
    """

    entries: list[Entry] = field(default_factory=list)
    truncated: bool = False
    newest_first: bool = False
    whole_from: str | None = None
    outcome: bool = False
    faults: list[str] = field(default_factory=list)
    single: bool = False
    withheld: bool = False


def is_nothing(raw: msgspec.Raw) -> bool:
    """Tell whether an entry holds no resource."""
    return memoryview(raw).nbytes <= 4 and bytes(raw) in {b"", b"null"}


def head_of(raw: msgspec.Raw | bytes) -> Head:
    """Decode the head of a resource; raise `ResourceFaultError` when it is no resource at all, or too long."""
    _refuse_too_long(raw)
    try:
        return _decode_head(raw)
    except BROKEN:
        return _tolerant_head(raw)


def open_key(raw: bytes) -> Delivered:
    """Open the value of one prefetch key: a Bundle, one resource, a list of resources, or `null`."""
    raw = bytes(raw)
    found = _opened(raw)
    found.withheld = any(word in raw for word in _WITHHELD)
    if found.withheld and not found.single and is_withheld({"meta": _top_meta(raw)}):
        found.truncated = True
        found.faults.append("masked: the list is labelled as redacted")
    return found


_WITHHELD = (b"MASKED", b"REDACTED", b"masked")
_LABELS = frozenset({"MASKED", "REDACTED"})


def _top_meta(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return _plain(_decode_object(raw).get("meta"))
    except BROKEN:
        return None


def is_withheld(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource's security labels say that its content was masked or redacted."""
    meta = resource.get("meta")
    labels = meta.get("security") if isinstance(meta, dict) else None
    listed = labels if isinstance(labels, list) else [labels]
    return any(isinstance(label, dict) and str(label.get("code")) in _LABELS for label in listed)


def _opened(raw: bytes) -> Delivered:
    start = raw.lstrip()[:1]
    if raw.strip() == b"null":
        return Delivered()
    if start == b"[":
        try:
            return _without_outcomes(Delivered(entries=[Entry(resource=item) for item in _decode_list(raw)]))
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
    if b"OperationOutcome" not in raw:
        return _delivered(envelope.entry or [], envelope.total, envelope.link or [])
    return _without_outcomes(_delivered(envelope.entry or [], envelope.total, envelope.link or []))


NOT_FOLLOWED = "urn:oncobone:not-followed"
"""The `next` link of a list of which whoever fetched it has read only a part."""
WHOLE_FROM = "urn:oncobone:whole-from:"
"""With a day after it, beside `NOT_FOLLOWED`: from that day on everything is here."""
_NEWEST_FIRST = re.compile(r"[?&]_sort=-date(?:&|$)")


def _delivered(entries: list[Entry], total: int | None, links: Iterable[_Link]) -> Delivered:
    found = Delivered(entries=entries)
    matches = sum(entry.search is None or entry.search.mode not in {"outcome", "include"} for entry in entries)
    found.truncated = total is not None and total > matches
    for link in links:
        if link.relation == "next":
            found.truncated = True
        elif link.relation == "self":
            found.newest_first = bool(link.url and _NEWEST_FIRST.search(link.url))
        elif link.url and link.url.startswith(WHOLE_FROM):
            found.whole_from = link.url.removeprefix(WHOLE_FROM)
    return found


# --- what a server says beside its answer -------------------------------------------------------------------


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


def _without_outcomes(found: Delivered) -> Delivered:
    """Take remarks out of a list; what is no mere remark makes the list one of which nobody knows what it lacks."""
    kept: list[Entry] = []
    for entry in found.entries:
        as_outcome = entry.search is not None and entry.search.mode == "outcome"
        if as_outcome or _says_outcome(entry.resource):
            if not is_remark(entry.resource, as_outcome=as_outcome):
                found.outcome = True
        else:
            kept.append(entry)
    found.entries = kept
    return found


def _says_outcome(raw: msgspec.Raw) -> bool:
    if b"OperationOutcome" not in bytes(raw):
        return False
    try:
        return _decode_outcome(raw).resourceType == "OperationOutcome"
    except BROKEN:
        return False


def _open_broken(raw: bytes) -> Delivered:
    """Open a Bundle of which some element is not of its type, piece by piece."""
    try:
        members = _decode_object(raw)
    except BROKEN:
        return Delivered(outcome=True, faults=["not JSON"])
    kind = _plain(members.get("resourceType"))
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
        full_url, search = _plain(parts.get("fullUrl")), _plain(parts.get("search"))
        mode = search.get("mode") if isinstance(search, dict) else None
        entries.append(
            Entry(
                resource=parts.get("resource", msgspec.Raw()),
                fullUrl=full_url if isinstance(full_url, str) else None,
                search=_Search(mode) if isinstance(mode, str) else None,
            )
        )
    total, links = _plain(members.get("total")), _plain(members.get("link"))
    links = links if isinstance(links, list) else [links]
    told = [_Link(_string(one.get("relation")), _string(one.get("url"))) for one in links if isinstance(one, dict)]
    found = _without_outcomes(_delivered(entries, total if isinstance(total, int) else None, told))
    found.faults = faults
    return found


def _items(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    if raw is None or bytes(raw).strip() == b"null":
        return []
    try:
        return _decode_list(raw)
    except BROKEN:
        return [raw]  # one object where a list belongs


def _plain(raw: msgspec.Raw | None) -> Any:  # noqa: ANN401 - any JSON
    if raw is None or too_deep(bytes(raw)):
        return None
    try:
        return msgspec.json.decode(raw)
    except BROKEN:
        return None


# --- the tolerant head --------------------------------------------------------------------------------------


def _tolerant_head(raw: msgspec.Raw | bytes) -> Head:
    """Build a head from a resource whose elements are not all of their type."""
    members = _plain(msgspec.Raw(bytes(raw)))
    if not isinstance(members, dict):
        raise ResourceFaultError("not a resource")
    text = {name: _string(members.get(name)) for name in ("resourceType", "status", "issued")}
    number = members.get("id")
    return Head(
        resourceType=text["resourceType"] or "",
        id=number if isinstance(number, str | int) and not isinstance(number, bool) else None,
        status=text["status"],
        code=_codeable(members.get("code")),
        subject=_ref(members.get("subject")),
        patient=_ref(members.get("patient")),
        component=[Part(_codeable(part.get("code"))) for part in listed(members.get("component"))],
        effectiveDateTime=_string(members.get("effectiveDateTime")),
        effectivePeriod=_period(members.get("effectivePeriod")),
        effectiveInstant=_string(members.get("effectiveInstant")),
        effectiveTiming=_timing(members.get("effectiveTiming")),
        issued=text["issued"],
        specimen=_ref(members.get("specimen")),
        modifierExtension=[msgspec.Raw(b"{}")] if members.get("modifierExtension") else None,
        contained=[msgspec.Raw(msgspec.json.encode(item)) for item in listed(members.get("contained"))],
        result=_refs(members.get("result")),
        hasMember=_refs(members.get("hasMember")),
        medicationCodeableConcept=_codeable(members.get("medicationCodeableConcept")),
    )


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def listed(value: object) -> list[dict[str, Any]]:
    """Give the objects of a list; one object instead of a list is read as a list of one, junk is left out."""
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, dict)]


def _codeable(value: object) -> list[Codeable]:
    found: list[Codeable] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            found.append(Codeable(text=item))
        elif isinstance(item, dict):
            codings = [
                Coding(
                    system=_string(coding.get("system")),
                    code=code if isinstance(code := coding.get("code"), str | int) else None,
                    display=_string(coding.get("display")),
                )
                for coding in listed(item.get("coding"))
            ]
            found.append(Codeable(coding=codings, text=_string(item.get("text"))))
    return found


def _ref(value: object) -> Ref | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return Ref(value)
    return Ref(_string(value.get("reference"))) if isinstance(value, dict) else None


def _refs(value: object) -> list[Ref]:
    return [found for item in (value if isinstance(value, list) else [value]) if (found := _ref(item)) is not None]


def _period(value: object) -> Period | None:
    return Period(_string(value.get("start")), _string(value.get("end"))) if isinstance(value, dict) else None


def _timing(value: object) -> Timing | None:
    if not isinstance(value, dict):
        return None
    events, repeat = value.get("event"), value.get("repeat")
    told = [one for one in (events if isinstance(events, list) else [events]) if isinstance(one, str)]
    return Timing(told, _Repeat(_period(repeat.get("boundsPeriod"))) if isinstance(repeat, dict) else None)


def codeables(value: Codeable | list[Codeable] | None) -> Iterator[Codeable]:
    """Yield the CodeableConcepts of a head's element."""
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value


def codings(value: Codeable | list[Codeable] | None) -> Iterator[Coding]:
    """Yield the codings of a head's element."""
    for codeable in codeables(value):
        listed = codeable.coding
        if isinstance(listed, list):
            yield from listed[:MAX_CODINGS]
        elif listed is not None:
            yield listed


def work(raw: msgspec.Raw | bytes) -> int:
    """Tell what a resource costs to read: its objects, each of which is checked, and a little for each element."""
    body = bytes(raw)
    return body.count(b"{") + body.count(b",") // 25


def work_of_a_call(kind: str, raw: msgspec.Raw | bytes) -> int:
    """Tell what reading a resource whole takes of a call's share: its work, and a little for text."""
    text = memoryview(raw).nbytes // 250
    return text + int(work(raw) * (_DOSED if kind.startswith("Medication") else 1))


def _refuse_too_long(raw: msgspec.Raw | bytes) -> None:
    if memoryview(raw).nbytes > _SURELY_LITTLE and work(raw) > MAX_WORK:
        raise ResourceFaultError("too-long: more elements than a resource may hold")


# --- depth --------------------------------------------------------------------------------------------------

_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def too_deep(body: bytes, limit: int = MAX_DEPTH, *, exact: bool = True) -> bool:
    """
    Tell whether JSON nests deeper than `limit`, without walking it.

    Only brackets are kept, and innermost pairs are peeled off layer by layer. Strings are taken out first; with
    `exact=False` (for a whole body of megabytes) only if a rest stays: brackets hidden in strings can then make
    deep nesting look shallow, which the decoders' own recursion guard catches at a thousand levels.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    if not exact and not _peel(body.translate(None, _NOT_BRACKETS), limit):
        return False
    return _peel(_STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS), limit)


def _peel(brackets: bytes, limit: int) -> bool:
    """Tell whether something is left after peeling `limit` layers."""
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"\0").replace(b"[]", b"\0").replace(b"\0", b"")
    return bool(brackets)


# --- whole resources ----------------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ResourceFaultError("duplicate-member: an element is written twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ResourceFaultError("a number of more than 40 digits")
    number = int(text)
    if abs(number) > MAX_MAGNITUDE:
        raise ResourceFaultError("a number larger than 1e9")
    return number


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ResourceFaultError("a number of more than 40 digits")
    number = Decimal(text)
    if number and (number.adjusted() > 9 or number.adjusted() < -MAX_DIGITS or abs(number) > MAX_MAGNITUDE):
        raise ResourceFaultError("a number larger than 1e9")
    return number


def _constant(_: str) -> NoReturn:
    raise ResourceFaultError("not a number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
)


def whole(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """
    Decode a resource that is to be used: decimals exact, lone surrogates replaced.

    Raises `ResourceFaultError` for nesting deeper than 64, an element written twice, or a number out of all bounds.
    """
    _refuse_too_long(raw)
    body = bytes(raw)
    if too_deep(body):
        raise ResourceFaultError(f"nested deeper than {MAX_DEPTH}")
    try:
        found = _DECODER.decode(body.decode("utf-8"))
    except ResourceFaultError:
        raise
    except (ValueError, RecursionError, OverflowError) as error:
        raise ResourceFaultError("not JSON") from error
    if not isinstance(found, dict):
        raise ResourceFaultError("not a resource")
    if b"\\u" in body and _has_surrogates(body):
        cleaned = _without_surrogates(found)
        return cleaned if isinstance(cleaned, dict) else found
    return found


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


def _has_surrogates(body: bytes) -> bool:
    return _SURROGATE.search(body) is not None


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_LONE.sub("\ufffd", name): _without_surrogates(item) for name, item in value.items()}
    return value


def is_number(value: object) -> bool:
    """Tell whether a decoded JSON value is a finite number (a boolean is none)."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int | Decimal):
        return True
    return isinstance(value, float) and math.isfinite(value)
