"""One patient's delivered lines as the prefetch of a call at a moment."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from fhir_mapping.chart import PREFETCH_KEYS, Unavailable
from fhir_mapping.delivery.context import KEY_OF as OWN_KEY_OF
from fhir_mapping.delivery.known import Known, as_known
from fhir_mapping.terms import dates, exact, heads
from hooks.replay.sources import PART

KEY_OF: Mapping[str, str] = {
    **OWN_KEY_OF,
    "Patient": "patient",
    "DiagnosticReport": "observations",
    "ImagingStudy": "observations",
    "BodyStructure": "observations",
    "MedicationStatement": "medications",
    "MedicationDispense": "medications",
    "Medication": "medications",
    "Encounter": "procedures",
}
"""The prefetch key under which each resource type is delivered, also those that have no list of their own."""

FIRST_OF: Mapping[str, frozenset[str]] = {
    "patient": frozenset({"Patient"}),
    "conditions": frozenset({"Condition"}),
    "observations": frozenset({"Observation"}),
    "medications": frozenset({"MedicationRequest", "MedicationStatement"}),
    "procedures": frozenset({"Procedure"}),
    "allergies": frozenset({"AllergyIntolerance"}),
    "medicationAdministrations": frozenset({"MedicationAdministration"}),
    "serviceRequests": frozenset({"ServiceRequest"}),
}
"""Types of which one must have come for a key to be delivered: reports alone are no list of results."""


class _Meta(msgspec.Struct, gc=False):
    lastUpdated: str | None = None  # noqa: N815 - FHIR's own name


class _Version(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    id: str | int | None = None
    meta: _Meta | None = None


_version = msgspec.json.Decoder(_Version).decode
_LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One resource as delivered, with the address it had in its Bundle and when it was last updated."""

    kind: str
    name: str
    address: str
    raw: bytes
    updated: dt.datetime


@dataclass(slots=True)
class Chart:
    """
    All lines of one patient; versions of one resource stand together, oldest first.

    `partial` are keys of which something could not be read.
    """

    patient: str
    versions: list[list[Line]] = field(default_factory=list)
    partial: frozenset[str] = frozenset()

    def of(self, *kinds: str) -> Iterable[Line]:
        """Yield the newest version of each resource of some types."""
        return (lines[-1] for lines in self.versions if lines[-1].kind in kinds)


def chart_of(patient: str, lines: Iterable[tuple[str, bytes]], zone: dt.tzinfo) -> Chart:
    """Put a patient's lines together; the same line twice counts once, in whichever order they come."""
    by_name: dict[tuple[str, str], set[tuple[dt.datetime, bytes, str]]] = {}
    partial: set[str] = set()
    for address, raw in lines:
        if address == PART:
            key = KEY_OF.get(raw.decode())
            partial |= {key} if key else set(PREFETCH_KEYS) - {"patient"}
            continue
        kind, name, updated = _read(raw, zone)
        by_name.setdefault((kind, name), set()).add((updated, raw, address))
    versions = [
        _without_twins([Line(kind, name, address, raw, updated) for updated, raw, address in sorted(found)])
        for (kind, name), found in sorted(by_name.items())
    ]
    return Chart(patient, versions, frozenset(partial))


def _without_twins(lines: list[Line]) -> list[Line]:
    """The same bytes under two addresses are one version."""
    return [line for number, line in enumerate(lines) if number == 0 or line.raw != lines[number - 1].raw]


def _read(raw: bytes, zone: dt.tzinfo) -> tuple[str, str, dt.datetime]:
    """Give type, name (without an id: the bytes themselves) and the time of the last update."""
    try:
        found = _version(raw)
    except exact.BROKEN:
        try:
            head = heads.head_of(raw)
        except exact.ResourceFaultError:
            return "", raw.decode("utf-8", "replace"), _LONG_AGO
        return head.resourceType, str(head.id), _LONG_AGO
    stamp = dates.parse(found.meta.lastUpdated, zone) if found.meta is not None else None
    moment = stamp.moment if stamp is not None and stamp.moment is not None else _LONG_AGO
    name = str(found.id) if found.id is not None else raw.decode("utf-8", "replace")
    return found.resourceType, name, moment


@dataclass(frozen=True, slots=True)
class Delivery:
    """The prefetch of one call, and how sure it is that it was like this then."""

    prefetch: Mapping[str, bytes | Unavailable]
    counts: Counter[str]


def delivery(
    chart: Chart,
    delivered: frozenset[str],
    moment: dt.datetime | None,
    *,
    without: frozenset[str] = frozenset(),
) -> Delivery:
    """
    Give the prefetch at a moment (None: as it was delivered), without some resources (`Type/id`: those being ordered).

    A key of which no type came is unavailable, never empty; one that came in part says so.
    """
    entries: dict[str, list[bytes]] = {key: [] for key in PREFETCH_KEYS}
    counts: Counter[str] = Counter()
    for versions in chart.versions:
        line = versions[-1]
        key = KEY_OF.get(line.kind)
        if key is None or f"{line.kind}/{line.name}" in without:
            continue
        if moment is None:
            raw: bytes | None = line.raw
        else:
            known, line = _at(versions, moment)
            counts[known.why] += 1
            raw = known.raw
        if raw is not None:
            address = b'"fullUrl":%s,' % msgspec.json.encode(line.address) if line.address else b""
            entries[key].append(b'{%s"resource":%s}' % (address, raw))
    prefetch: dict[str, bytes | Unavailable] = {}
    for key, listed in entries.items():
        came = bool(FIRST_OF[key] & delivered)
        if not came and not listed:
            prefetch[key] = Unavailable("not-delivered")
            continue
        more = b"" if came and key not in chart.partial else b'"link":[{"relation":"next"}],'
        prefetch[key] = b'{"resourceType":"Bundle","type":"searchset",%s"entry":[%s]}' % (more, b",".join(listed))
    return Delivery(prefetch, counts)


def _at(versions: Sequence[Line], moment: dt.datetime) -> tuple[Known, Line]:
    """Give the version of a moment: the newest up to it; where only later ones came, the oldest, with hindsight."""
    past = [line for line in versions if line.updated <= moment]
    for line in [*reversed(past), *(versions[:1] if not past else ())]:
        known = as_known(line.raw, moment)
        if known.raw is not None:
            if len(versions) > 1 and not past and known.why in {"known", "assumed"}:
                return Known(known.raw, "hindsight"), line
            return known, line
    return Known(None, "later"), versions[-1]
