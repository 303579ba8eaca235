"""When an Observation or report was true, whether its status lets it count, and which of two versions is newer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fhir_mapping.terms import dates, exact
from fhir_mapping.terms.exact import ResourceFaultError

if TYPE_CHECKING:
    import datetime as dt

    import msgspec

    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.heads import Head


COUNTS = frozenset({"final", "amended", "corrected"})
PENDING = frozenset({"registered", "preliminary", "partial"})


def status_counts(name: str, status: str | None, notes: Notes) -> bool:
    """Tell whether a result of this status counts; one that does not is noted."""
    told = (status or "").strip()
    if told in COUNTS:
        return True
    if told in PENDING:
        notes.add(name, f"status: {told}, pending")
    else:
        notes.add(name, f"status: {told if told in _KNOWN_STATUS else 'not one that counts'}")
    return False


_KNOWN_STATUS = frozenset({"entered-in-error", "cancelled", "unknown"})


class Dated(NamedTuple):
    """When something was, which element told, and whether it is written as FHIR has it."""

    stamp: Stamp | None
    by: str = ""
    respelled: bool = False


def when(head: Head, raw: msgspec.Raw | bytes, timezone: dt.tzinfo) -> Dated:
    """Tell when an Observation or report was true; dates that are not written as FHIR has it come last."""
    told = _told(head)
    for element, value in told:
        if (stamp := dates.parse(value, timezone)) is not None:
            return Dated(stamp, element)
    for element, value in told:
        if (stamp := dates.written(value, timezone)) is not None:
            return Dated(stamp, element, respelled=True)
    if head.specimen is not None and (head.specimen.reference or "").startswith("#"):
        collected = _collected(raw, str(head.specimen.reference)[1:], timezone)
        if collected is not None:
            return Dated(collected, "specimen.collection")
    issued = dates.parse(head.issued, timezone)
    if issued is None and head.issued:
        issued = dates.written(head.issued, timezone)
    return Dated(issued, "issued") if issued else Dated(None)


def _told(head: Head) -> list[tuple[str, str]]:
    """Give the elements that tell when, the best first; of several events the last counts."""
    period, timing = head.effectivePeriod, head.effectiveTiming
    bounds = timing.repeat.boundsPeriod if timing and timing.repeat else None
    found = [
        ("effectiveDateTime", head.effectiveDateTime),
        ("effectivePeriod.end", period.end if period else None),
        ("effectivePeriod.start", period.start if period else None),
        ("effectiveInstant", head.effectiveInstant),
        ("effectiveTiming.event", max(timing.event, default=None) if timing and timing.event else None),
        ("effectiveTiming.repeat.boundsPeriod", bounds.end or bounds.start if bounds else None),
    ]
    return [(element, value) for element, value in found if value]


def _collected(raw: msgspec.Raw | bytes, number: str, timezone: dt.tzinfo) -> Stamp | None:
    try:
        resource = exact.whole(raw)
    except ResourceFaultError:
        return None
    for specimen in exact.listed(resource.get("contained")):
        if specimen.get("id") == number:
            collection = specimen.get("collection")
            if isinstance(collection, dict):
                period = collection.get("collectedPeriod")
                ends = (period.get("end"), period.get("start")) if isinstance(period, dict) else ()
                for value in (collection.get("collectedDateTime"), *ends):
                    if (stamp := dates.parse(value, timezone)) is not None:
                        return stamp
    return None


def version(raw: msgspec.Raw | bytes) -> tuple[str, bytes]:
    """Order two versions of one resource: by when they were last updated, then by their bytes."""
    try:
        meta = exact.whole(raw).get("meta")
    except ResourceFaultError:
        return "", bytes(raw)
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return told if isinstance(told, str) else "", bytes(raw)
