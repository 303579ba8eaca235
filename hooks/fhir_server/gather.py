"""The data of one call: what the prefetch brought, and why the rest did not come."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.delivery.context import Note
from fhir_mapping.terms.queries import templates
from hooks.errors import Refused
from hooks.fhir_server.fetch import configured_base, fetch_missing
from hooks.fhir_server.references import unresolved, with_resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.protocol import Call
    from hooks.settings import Settings
    from hooks.trust.clients import Client

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

    `prefetch`: for each key that we ask for its raw JSON (`b"null"`: looked up, nothing there), or why it is
    unavailable. `notes` say what was not done. `fetched` tells what came of each fetch, by key.
    """

    prefetch: Mapping[str, bytes | Unavailable]
    notes: tuple[Note, ...] = ()
    fetched: Mapping[str, str] = field(default_factory=dict)

    def lacking(self) -> tuple[str, ...]:
        """Give the needed keys that are not there."""
        return tuple(
            key
            for key in NEEDED
            if isinstance(self.prefetch[key], Unavailable) or (key == "patient" and self.prefetch[key] == NULL)
        )


class _Resource(msgspec.Struct):
    type: str | None = msgspec.field(name="resourceType", default=None)


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Link(msgspec.Struct):
    relation: str | None = None


class _Bundle(msgspec.Struct):
    type: str | None = msgspec.field(name="resourceType", default=None)
    entry: list[_Entry] | None = None


class _Paged(msgspec.Struct):
    link: list[_Link] | None = None


_BUNDLE = msgspec.json.Decoder(_Bundle)
_PAGED = msgspec.json.Decoder(_Paged)


def gather(asked: Call, settings: Settings, client: Client | None = None) -> Gathered:
    """
    Sort out what the prefetch of a call means, and fetch what is missing where we may.

    Keys that we did not ask for are not looked at. An unlisted `fhirServer` is never contacted; raises Refused
    (403) for one in signed mode.
    """
    queries = templates(asked.hook)
    prefetch = {key: delivered(asked.prefetch.get(key)) for key in queries}
    if asked.fhir_server is None:
        return Gathered(prefetch)
    base = configured_base(asked.fhir_server, settings.fhir_servers if client is None else client.fhir_servers)
    if base is not None:
        return _with_fetched(asked, prefetch, queries, base, settings)
    if settings.auth == "signed":
        raise Refused(403, "fhirServer is not one of this client's FHIR servers.", field="fhirServer")
    return Gathered(prefetch, (Note("fhirServer", "not-listed"),))


def _with_fetched(
    asked: Call,
    prefetch: Mapping[str, bytes | Unavailable],
    queries: Mapping[str, str],
    base: str,
    settings: Settings,
) -> Gathered:
    started = time.monotonic()
    wanted: dict[str, str | bytes] = {}
    for key, found in prefetch.items():
        if isinstance(found, Unavailable):
            query = filled(queries[key], asked)
            if query is not None:
                wanted[key] = query
        elif _has_more(found):
            wanted[key] = found
    token = asked.authorization.token if asked.authorization else None
    fetched = fetch_missing(wanted, base=base, token=token, seconds=settings.fetch_seconds)
    # Of a list whose further pages did not come the delivered part is still good; the mapping sees that it is a part.
    usable = {
        key: found
        for key, found in fetched.data.items()
        if not isinstance(found, Unavailable) or isinstance(prefetch[key], Unavailable)
    }
    outcomes = dict(fetched.outcomes)
    together = {**prefetch, **usable}
    if token and (references := unresolved(asked.draft_orders, together)):
        left = settings.fetch_seconds - (time.monotonic() - started)
        read = fetch_missing({name: name for name in references}, base=base, token=token, seconds=left)
        together = with_resources(together, [body for body in read.data.values() if isinstance(body, bytes)])
        # One word for all: which ones they were is for the mapping's notes, not for labels and logs.
        outcomes["medicationReference"] = next((word for word in read.outcomes.values() if word != "ok"), "ok")
    return Gathered(together, fetched=outcomes)


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


def delivered(raw: bytes | None) -> bytes | Unavailable:
    """Tell missing, null, an error in the place of the data, and data apart (CDS Hooks 2.0.1, prefetch)."""
    if raw is None:
        return Unavailable("not-sent")
    if raw == NULL:
        return raw
    if raw[:1] != b"{":
        return Unavailable("no-resource")
    if len(raw) <= LARGEST_OUTCOME and _is_outcome(raw):
        return Unavailable("operation-outcome")
    return raw


def _is_outcome(raw: bytes) -> bool:
    """Whether it is an OperationOutcome, or a Bundle of nothing else."""
    try:
        found = _BUNDLE.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False  # not of a shape that we know: the mapping looks at it entry by entry
    if found.type == "OperationOutcome":
        return True
    types = [entry.resource.type for entry in found.entry or () if entry.resource is not None]
    return bool(types) and set(types) == {"OperationOutcome"}


def _has_more(raw: bytes) -> bool:
    """Whether it is a page of a list that goes on."""
    try:
        found = _PAGED.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return any(link.relation == "next" for link in found.link or ())
