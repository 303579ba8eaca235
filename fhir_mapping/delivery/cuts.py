"""What came of one key as a whole: nothing, all of it, or a part, and from which day on that part is whole."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fhir_mapping.delivery.timing import when
from fhir_mapping.terms import dates, heads
from fhir_mapping.terms.exact import ResourceFaultError

if TYPE_CHECKING:
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.delivery.selected import Selected
    from fhir_mapping.terms.decode import Delivered


def tell_of_list(key: str, one: Delivered, timezone: dt.tzinfo, notes: Notes, found: Selected) -> None:
    """Note what came of a key as a whole: nothing, a part of it, or all."""
    if one.outcome:
        found.unavailable.add(key)
        notes.add(f"prefetch/{key}", "unavailable: an OperationOutcome came, or what came cannot be read")
    for fault in one.faults:
        notes.add(f"prefetch/{key}", fault)
    if not one.outcome or one.entries:
        found.delivered.add(key)
    if one.truncated or (one.outcome and one.entries):
        found.truncated.add(key)
        whole_from = _first_whole_day(one, timezone)
        found.cut[key] = whole_from
        since = f", but from {whole_from.isoformat()} on all of it" if whole_from else ""
        notes.add(f"prefetch/{key}", f"list-cut: only a part was delivered{since}; what is not found may still exist")


def _first_whole_day(one: Delivered, timezone: dt.tzinfo) -> dt.date | None:
    """
    Give the first day from which a cut list is whole: the day after the oldest entry of a list that runs
    from the newest to the oldest. That it does is not taken from the server's word alone.
    """
    if one.whole_from is not None:
        stamp = dates.parse(one.whole_from, timezone)
        return stamp.day if stamp else None
    if not one.newest_first or one.outcome:
        return None
    last: dt.date | None = None
    for entry in one.entries:
        try:
            stamp = when(heads.head_of(entry.resource), entry.resource, timezone).stamp
        except ResourceFaultError:
            return None
        if stamp is not None and last is not None and stamp.day > last:
            return None
        last = stamp.last if stamp is not None else last
    return None if last is None else last + dt.timedelta(1)
