"""What is said of the spinal cord in words: compression seen on imaging, and new weakness of the legs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fhir_mapping.terms import dates, dictionary
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dates import Stamp

_DONE = frozenset({"final", "amended", "corrected", "appended"})
_QUOTED = 80
"""Characters of a report's own words that a card may show."""


def read(reader: ObservationReader, conditions: ConditionReader, reports: Iterable[Item]) -> None:
    """Read both facts; the newest report that speaks of the cord counts, and an entry beats what words tell."""
    _reported(reader, reports)
    _weakness(reader, conditions)


def _reported(reader: ObservationReader, reports: Iterable[Item]) -> None:
    told = [found for item in reports if (found := _of_report(item, reader)) is not None]
    if not told:
        return
    day, name, present, quote = max(told, key=lambda one: (one[0] or dt.date.min, one[1]))
    path = "spine.reported_compression"
    reader.changes[path] = stated(
        dictionary.blank_finding(path), present, date=day, resources=(name,), sent=quote, flags=("from-report",)
    )


def _of_report(item: Item, reader: ObservationReader) -> tuple[dt.date | None, str, bool, str] | None:
    resource = item.copy(reader.context.timezone, reader.notes)
    if resource is None or str(resource.get("status") or "") not in _DONE:
        return None
    stamp = _when(resource, reader)
    conclusion = resource.get("conclusion")
    if not isinstance(conclusion, str) or (stamp is not None and stamp.is_future(reader.context.now)):
        return None
    verdict = assertions.verdict(conclusion, "cord_compression")
    if verdict not in {"present", "absent"}:
        return None
    return stamp.day if stamp else None, item.name, verdict == "present", _quote(conclusion)


def _quote(conclusion: str) -> str:
    """Give the words that speak of the cord, with a little before and after."""
    folded = fold(conclusion)
    found = next((one for one in assertions.said(conclusion) if one.target == "cord_compression"), None)
    if found is None:
        return ""
    begin = max(folded.rfind(mark, 0, found.where[0]) for mark in (".", ";", "。", "；", "，", ",")) + 1
    return folded[begin : begin + _QUOTED].split("。")[0].split(". ")[0].strip(" .;,，；")


def _when(resource: Mapping[str, Any], reader: ObservationReader) -> Stamp | None:
    for told in (resource.get("effectiveDateTime"), resource.get("issued")):
        if (stamp := dates.parse(told, reader.context.timezone)) is not None:
            return stamp
    return None


def _weakness(reader: ObservationReader, conditions: ConditionReader) -> None:
    path = "clin.leg_weakness"
    if path in reader.changes:
        return
    found = [
        one
        for one in conditions.diagnoses
        if one.state == "current" and one.spoken.get("leg_weakness") == "present" and not one.is_trap
    ]
    if not found:
        return
    newest = max(found, key=lambda one: (dates.order(one.since), one.item.name))
    day = newest.since.day if newest.since else None
    reader.changes[path] = stated(
        dictionary.blank_finding(path), True, date=day, resources=(newest.item.name,), flags=("from-text",)
    )
