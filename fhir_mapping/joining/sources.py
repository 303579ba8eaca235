"""What a Condition, an Observation and a report say of the same fact: which of them counts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import Finding, replace, stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.facts import Fact


def merged(conditions: Mapping[str, Fact], observed: Mapping[str, Fact]) -> dict[str, Fact]:
    """
    Join what Conditions and Observations say of the same fact: the newer wins.

    An undated Condition is older than any dated entry; on one day, values that differ contradict. A numeric or
    local entry that is unknown never hides a Condition.
    """
    found = dict(conditions) | dict(observed)
    for path in conditions.keys() & observed.keys():
        one, other = conditions[path], observed[path]
        if not isinstance(one, Finding) or not isinstance(other, Finding):
            continue
        if not other.is_known and not other.possible:
            found[path] = one
        elif not one.is_known and one.reason != "contradictory":
            found[path] = other
        elif one.value == other.value:
            found[path] = replace(other, resources=tuple(dict.fromkeys((*one.resources, *other.resources))))
        elif path == "onj.status":
            found[path] = _worse_jaw(one, other)
        elif one.date is not None and one.date == other.date:
            names = tuple(dict.fromkeys((*one.resources, *other.resources)))
            found[path] = replace(one, resources=names).forget("contradictory")
        else:
            found[path] = max((one, other), key=lambda fact: fact.date or dt.date.min)
    return found


_JAW = ("none", "suspected", "confirmed")


def _worse_jaw(condition: Finding, entry: Finding) -> Finding:
    """Of two words on the jaw the worse counts, unless a newer entry says that there is none."""
    if condition.date is not None and entry.date is not None and entry.date > condition.date:
        return entry
    return max((condition, entry), key=lambda fact: _JAW.index(str(fact.value)) if fact.value in _JAW else 0)


def newer_grade(coded: Fact | None, scored: Fact | None) -> Fact | None:
    """Of an ECOG grade coded as a Condition and a score, the newer."""
    if coded is None or scored is None:
        return scored if coded is None else coded
    return coded if (coded.date or dt.date.min) > (scored.date or dt.date.min) else scored


def add_report_of_metastasis(reader: ObservationReader, changes: dict[str, Fact]) -> None:
    """Take what the newest report concludes on bone metastasis, where no Condition tells."""
    known = changes.get("dx.bone_met")
    if not reader.reported_bone_metastasis or (isinstance(known, Finding) and known.reason is None):
        return
    day, name, verdict = max(reader.reported_bone_metastasis)
    told: dict[str, Any] = {"resources": (name,), "flags": ("from-report",)}
    told["date"] = None if day == dt.date.min else day
    blank = dictionary.blank_finding("dx.bone_met")
    if verdict == "present":
        changes["dx.bone_met"] = stated(blank, True, **told)
    elif verdict == "suspected" and known is None:
        changes["dx.bone_met"] = replace(blank, value=None, reason="suspected", **told)
