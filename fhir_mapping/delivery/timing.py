"""When an Observation or report was true, whether its status lets it count, and which of two versions is newer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.terms import dates, decode
from fhir_mapping.terms.decode import ResourceFaultError

if TYPE_CHECKING:
    import datetime as dt

    import msgspec

    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.decode import Head


_COUNTS = frozenset({"final", "amended", "corrected"})
_PENDING = frozenset({"registered", "preliminary"})


def status_counts(name: str, status: str | None, notes: Notes) -> bool:
    """Tell whether a result of this status counts; one that does not is noted."""
    told = (status or "").strip()
    if told in _COUNTS:
        return True
    if told in _PENDING:
        notes.add(name, f"status: {told}, pending")
    else:
        notes.add(name, f"status: {told if told in _KNOWN_STATUS else 'not one that counts'}")
    return False


_KNOWN_STATUS = frozenset({"entered-in-error", "cancelled", "unknown"})


def when(head: Head, raw: msgspec.Raw | bytes, timezone: dt.tzinfo) -> tuple[Stamp | None, str]:
    """Give when an Observation or report was true, and the element that told; None when nothing tells."""
    period = head.effectivePeriod
    told: list[tuple[str, str | None]] = [
        ("effectiveDateTime", head.effectiveDateTime),
        ("effectivePeriod.end", period.end if period else None),
        ("effectivePeriod.start", period.start if period else None),
        ("effectiveInstant", head.effectiveInstant),
    ]
    for element, value in told:
        if value and (stamp := dates.parse(value, timezone)) is not None:
            return stamp, element
    if head.specimen is not None and (head.specimen.reference or "").startswith("#"):
        collected = _collected(raw, str(head.specimen.reference)[1:], timezone)
        if collected is not None:
            return collected, "specimen.collection"
    stamp = dates.parse(head.issued, timezone)
    return stamp, "issued" if stamp else ""


def _collected(raw: msgspec.Raw | bytes, number: str, timezone: dt.tzinfo) -> Stamp | None:
    try:
        resource = decode.whole(raw)
    except ResourceFaultError:
        return None
    for specimen in decode.listed(resource.get("contained")):
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
        meta = decode.whole(raw).get("meta")
    except ResourceFaultError:
        return "", bytes(raw)
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return told if isinstance(told, str) else "", bytes(raw)
