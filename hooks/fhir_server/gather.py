"""The data of one call: what the prefetch brought, and why the rest did not come."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.delivery.context import Note
from fhir_mapping.terms import decode
from fhir_mapping.terms.decode import OpenedList
from fhir_mapping.terms.queries import templates
from fhir_mapping.terms.site import NO_SITE
from hooks.errors import Refused
from hooks.fhir_server import results
from hooks.fhir_server.addresses import configured_base
from hooks.fhir_server.crowd import CROWD
from hooks.fhir_server.fetch import BREAKERS, fetch_missing, none_of
from hooks.fhir_server.includes import INCLUDES, METADATA
from hooks.fhir_server.reasons import sentence
from hooks.fhir_server.references import unresolved, with_resources
from hooks.fhir_server.scopes import allows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fhir_mapping.terms.decode import Brought, Json
    from fhir_mapping.terms.site import SiteMapping
    from hooks.fhir_server.breaker import Breakers
    from hooks.fhir_server.fetch import Fetched
    from hooks.protocol import Call
    from hooks.settings import Settings
    from hooks.trust.clients import Client

log = logging.getLogger("oncobone.fetch")

NULL = b"null"
NEEDED = ("patient", "conditions")
"""Without these there is no answer (412), except for an order that is in scope by itself."""

_TOKEN = re.compile(r"\{\{context\.(\w+)\}\}")
LARGEST_OUTCOME = 64 * 1024
"""An OperationOutcome in the place of data is small; a list of results is not searched for one."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """
    What is at hand for one call.

    `prefetch`: for each key that we ask for its raw JSON (`b"null"`: looked up, nothing there), its list as it was
    opened, or why it is unavailable. `notes` say what was not done. `fetched` tells what came of each fetch, by key.
    """

    prefetch: Mapping[str, Brought | Unavailable]
    notes: tuple[Note, ...] = ()
    fetched: Mapping[str, str] = field(default_factory=dict)

    def lacking(self) -> tuple[str, ...]:
        """Give the needed keys that are not there."""
        return tuple(
            key
            for key in NEEDED
            if isinstance(self.prefetch[key], Unavailable) or (key == "patient" and self.prefetch[key] == NULL)
        )

    def why(self, keys: Sequence[str]) -> str:
        """Say why keys are not there, each reason once."""
        told = {key: found.reason for key in keys if isinstance(found := self.prefetch[key], Unavailable)}
        return " ".join(dict.fromkeys(sentence(reason, key) for key, reason in told.items()))


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Link(msgspec.Struct):
    relation: str | None = None


class _Bundle(msgspec.Struct):
    type: str | None = msgspec.field(name="resourceType", default=None)
    entry: list[_Entry] | None = None


class _Paged(msgspec.Struct):
    link: list[_Link] | None = None


_BUNDLE = msgspec.json.Decoder(_Bundle)
_PAGED = msgspec.json.Decoder(_Paged)


def gather(asked: Call, settings: Settings, client: Client | None = None, mapping: SiteMapping = NO_SITE) -> Gathered:
    """
    Sort out what the prefetch of a call means, and fetch what is missing where we may.

    Keys that we did not ask for are not looked at; they are named where one of ours is lacking. An unlisted
    `fhirServer` is never contacted: the call is answered from its prefetch, with a note; raises Refused (403) for one
    where the settings are `strict`.
    """
    queries = templates(asked.hook)
    prefetch = {key: delivered(asked.prefetch.get(key)) for key in queries}
    found = _completed(asked, prefetch, queries, settings, client, mapping)
    unasked = tuple(_unasked(asked, found))
    return replace(found, notes=(*found.notes, *unasked)) if unasked else found


def _unasked(asked: Call, found: Gathered) -> Iterator[Note]:
    """Name the keys that we have no template for where one of ours did not come: it may have been renamed."""
    lacking = [
        key for key, body in found.prefetch.items() if key not in asked.prefetch and isinstance(body, Unavailable)
    ]
    unknown = [key for key in asked.prefetch if key not in found.prefetch and _PLAIN_KEY.fullmatch(key)]
    if lacking and unknown:
        yield Note(
            "prefetch",
            f"{', '.join(unknown[:KEYS_NAMED])}: not a key of ours, so not looked at, while {', '.join(lacking)} did"
            " not come. Use the keys of the templates in discovery.",
        )


def _completed(
    asked: Call,
    prefetch: Mapping[str, Brought | Unavailable],
    queries: Mapping[str, str],
    settings: Settings,
    client: Client | None,
    mapping: SiteMapping,
) -> Gathered:
    if asked.fhir_server is None:
        return Gathered(prefetch)
    base = configured_base(asked.fhir_server, settings.fhir_servers if client is None else client.fhir_servers)
    if base is None:
        if settings.strict:
            raise Refused(403, f"fhirServer: {sentence('not-listed')}", field="fhirServer")
        unlisted: dict[str, Brought | Unavailable] = {
            key: Unavailable("not-listed") if isinstance(found, Unavailable) and found.reason == "not-sent" else found
            for key, found in prefetch.items()
        }
        _tell({"fhirServer": "not-listed"})
        return Gathered(unlisted, (Note("fhirServer", f"not-listed: {sentence('not-listed')}"),))
    sent = {key: _in_one_piece(found) for key, found in prefetch.items()}
    found = Reading(asked, base, settings, client, mapping).complete(sent, queries)
    _tell(found.fetched)
    return replace(found, notes=tuple(_said(found.fetched)))


def _in_one_piece(found: Brought | Unavailable) -> bytes | OpenedList | Unavailable:
    """Give its JSON in one piece, unless it is a list that is opened and whole: nothing is added to that."""
    if isinstance(found, Unavailable) or (isinstance(found, OpenedList) and not is_part(found)):
        return found
    return bytes(found)


def _tell(outcomes: Mapping[str, str]) -> None:
    """Give the log each trouble once a call, in a sentence; which keys it was about is in the call's own line."""
    for key, reason in {_subject(key, reason): (key, reason) for key, reason in outcomes.items()}.values():
        if reason not in GOOD:
            log.warning(sentence(reason, key), extra={"component": "fetch", "reason": reason})


def _said(outcomes: Mapping[str, str]) -> Iterator[Note]:
    """Say each trouble once, with the keys that it kept from coming."""
    told: dict[str, list[tuple[str, str]]] = {}
    for key, reason in outcomes.items():
        if reason not in GOOD:
            told.setdefault(_subject(key, reason), []).append((key, reason))
    for listed in told.values():
        key, reason = listed[0]
        yield Note("fhirServer", f"{reason}: {', '.join(name for name, _ in listed)}: {sentence(reason, key)}")


def _subject(key: str, reason: str) -> str:
    return f"{key}:{reason}" if (key, reason) == ("patient", "not-found") else reason


GOOD = frozenset({"ok", "old"})
"""Outcomes of a fetch that need no word."""
PAGE_SIZE = 500
KEYS_NAMED = 5
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
"""What a prefetch key looks like; nothing else that a caller sends as one is repeated to it."""


class Reading:
    """What one call reads from its FHIR server."""

    def __init__(
        self,
        asked: Call,
        base: str,
        settings: Settings,
        client: Client | None,
        mapping: SiteMapping,
        breakers: Breakers = BREAKERS,
    ) -> None:
        self._asked = asked
        self._base = base
        self._breakers = breakers
        self._settings = settings
        self._codes = tuple(row[3] for row in mapping.rows if "Observation" in row[1])
        self._anonymous = settings.fhir_anonymous if client is None else client.fhir_anonymous
        self._token = asked.authorization.token if asked.authorization else None
        self._scope = asked.authorization.scope if asked.authorization else ""
        self._started = time.monotonic()
        self._seconds = settings.fetch_seconds

    def complete(
        self, prefetch: Mapping[str, bytes | OpenedList | Unavailable], queries: Mapping[str, str]
    ) -> Gathered:
        """Fetch what is missing of the prefetch, in the time that the other calls which wait leave to this one."""
        about = hash((self._base, self._asked.patient_id))
        with CROWD.enter(about, self._settings.threads, self._seconds) as self._seconds:
            return self._complete(prefetch, queries)

    def _complete(
        self, prefetch: Mapping[str, bytes | OpenedList | Unavailable], queries: Mapping[str, str]
    ) -> Gathered:
        wanted: dict[str, str | bytes] = {}
        forbidden: list[str] = []
        for key, found in prefetch.items():
            if not isinstance(found, Unavailable) and not is_part(found):
                continue
            query = filled(queries[key], self._asked)
            if query is None:
                continue
            if not allows(self._scope, re.split(r"[/?]", query)[0]):
                forbidden.append(key)
            elif key == results.KEY:
                narrow = results.NARROW.wants_category(self._base)
                how = self._settings.observation_search
                wanted |= results.searches(self._sized(query), how, self._codes, by_category=narrow)
            else:
                goes_on = isinstance(found, bytes) and _has_more(found)
                wanted[key] = found if isinstance(found, bytes) and goes_on else self._sized(query)
        fetched = results.together(self._with_categories(self._fetch(wanted), wanted), prefetch[results.KEY])
        # Of a list whose further pages did not come the delivered part is still good; the mapping sees that it is one.
        usable = {
            key: found
            for key, found in fetched.data.items()
            if not isinstance(found, Unavailable) or isinstance(prefetch[key], Unavailable)
        }
        usable |= {key: Unavailable("scope") for key in forbidden if isinstance(prefetch[key], Unavailable)}
        outcomes = dict(fetched.outcomes) | dict.fromkeys(forbidden, "scope")
        return self._with_references({**prefetch, **usable}, outcomes)

    def _sized(self, query: str) -> str:
        """Ask for large pages, and for the Medications of orders where the server sends them along."""
        if "?" not in query:
            return query
        query = query if "_count=" in query else f"{query}&_count={PAGE_SIZE}"
        return INCLUDES.extended(self._base, query) if allows(self._scope, "Medication") else query

    def _with_categories(self, fetched: Fetched, wanted: Mapping[str, str | bytes]) -> Fetched:
        """Ask for the results category by category where the server refuses to search for all of them."""
        query = wanted.get(results.KEY)
        if not isinstance(query, str) or not results.is_too_wide(fetched):
            return fetched
        results.NARROW.learn(self._base)
        return results.with_categories(fetched, self._fetch(results.in_categories(query)))

    def _fetch(self, wanted: Mapping[str, str | bytes]) -> Fetched:
        if self._seconds == 0:
            return none_of(wanted, "busy")
        until = results.looked_back_to(self._settings.moment().date(), self._settings.site or None)
        return fetch_missing(
            wanted,
            base=self._base,
            token=self._token,
            seconds=self._seconds - (time.monotonic() - self._started),
            breakers=self._breakers,
            anonymous=self._anonymous,
            ca_file=self._settings.ca_file,
            until=results.reaching_back(until) if self._settings.observation_search == "two" else None,
        )

    def _with_references(
        self, together: Mapping[str, bytes | OpenedList | Unavailable], outcomes: dict[str, str]
    ) -> Gathered:
        """Read the Medications that are only referred to."""
        references = unresolved(self._asked.draft_orders, together)
        if not references or not (self._token or self._anonymous):
            return Gathered(together, fetched=outcomes)
        # One word for all: which ones they were is for the mapping's notes, not for labels and logs.
        if not allows(self._scope, "Medication"):
            return Gathered(together, fetched=outcomes | {"medicationReference": "scope"})
        learning = {} if INCLUDES.knows(self._base) else {METADATA: METADATA}
        read = self._fetch({name: name for name in references} | learning)
        if isinstance(statement := read.data.pop(METADATA, None), bytes):
            INCLUDES.learn(self._base, statement)
        read.outcomes.pop(METADATA, None)
        outcomes["medicationReference"] = next((word for word in read.outcomes.values() if word != "ok"), "ok")
        bodies = [body for body in read.data.values() if isinstance(body, bytes)]
        return Gathered(with_resources(together, bodies), fetched=outcomes)


def filled(template: str, asked: Call) -> str | None:
    """Fill a template's tokens from the context; None where an optional field is absent."""
    values = {"patientId": asked.patient_id, "encounterId": asked.encounter_id, "userId": asked.user_id}
    lacking = False

    def value(match: re.Match[str]) -> str:
        nonlocal lacking
        found = values.get(match[1])
        lacking = lacking or found is None
        return quote(found or "", safe="")

    query = _TOKEN.sub(value, template)
    return None if lacking else query


def delivered(raw: Brought | None) -> Brought | Unavailable:
    """Tell missing, null, an error in the place of the data, and data apart (CDS Hooks 2.0.1, prefetch)."""
    if raw is None:
        return Unavailable("not-sent")
    if isinstance(raw, OpenedList):
        is_outcome = len(raw) <= LARGEST_OUTCOME and _is_of_outcomes(raw)
        return Unavailable("operation-outcome") if is_outcome else raw
    if raw == NULL:
        return raw
    if raw[:1] != b"{":
        return Unavailable("no-resource")
    if len(raw) <= LARGEST_OUTCOME and _is_outcome(raw):
        return Unavailable("operation-outcome")
    return raw


def _is_outcome(raw: Json) -> bool:
    """Whether it is an OperationOutcome, or a Bundle of nothing else; mere remarks are an empty list."""
    text = bytes(raw)
    if b"OperationOutcome" not in text and b"\\" not in text:  # nor written with escapes
        return False
    try:
        found = _BUNDLE.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False  # not of a shape that we know: the mapping looks at it entry by entry
    if found.type == "OperationOutcome":
        return True
    return bool(found.entry) and found.type == "Bundle" and _is_of_outcomes(raw)


def _is_of_outcomes(raw: Brought) -> bool:
    """Whether it is a Bundle of OperationOutcomes of an error, and of nothing else."""
    opened = decode.open_key(raw)
    return opened.outcome and not opened.entries


def is_part(found: bytes | OpenedList) -> bool:
    """Tell whether it is a list of which the server has more: it goes on, or its total is larger than what came."""
    if isinstance(found, OpenedList) and not decode.opened(found).truncated:
        return False
    raw = bytes(found)
    return (b'"next"' in raw or b'"total"' in raw) and decode.opened(found).truncated


def _has_more(raw: bytes) -> bool:
    """Whether it is a page of a list that goes on."""
    try:
        found = _PAGED.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return any(link.relation == "next" for link in found.link or ())
