"""The pathological fracture: which Conditions state one, and which of several is the one that is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.diagnoses.statements import Statement, rule_of, says, settle
from fhir_mapping.terms import dates, dictionary
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis
    from recommenders.vocabulary.records import Event


def read(conditions: ConditionReader) -> None:
    """Settle whether there is one now; what is left of an old one is history, and each is an event."""
    rule = rule_of("pathological_fracture.current")
    statements: list[Statement] = []
    for one in conditions.diagnoses:
        found = says(rule, one)
        if found is None:
            continue
        conditions.use(one)
        if found.says == "present" and _is_sequela(one):
            conditions.notes.add(one.item.name, "sequela of a fracture: history")
            found = Statement("historical", one, found.from_text)
        statements.append(found)
        if found.says in {"present", "historical"}:
            conditions.event("pathological-fracture", one, active=found.says == "present")
    settled = settle(rule, statements, conditions.context)
    if settled is None:
        return
    conditions.changes[rule.fact] = settled
    if settled.value is True:
        conditions.fractured = [one.diagnosis for one in statements if one.says == "present"]


def choose(conditions: ConditionReader, procedures: Sequence[Event]) -> None:
    """
    Name bone and side of the current fracture: of several the newest, one that was not operated on before others.

    `procedures` are the events of surgery.
    """
    current = conditions.changes.get("pathological_fracture.current")
    if not conditions.fractured or current is None:
        return
    newest = max(
        conditions.fractured,
        key=lambda one: (not _was_operated(one, procedures, conditions), dates.order(one.since), one.item.name),
    )
    place = conditions.place_of(newest)
    common: dict[str, Any] = {"date": current.date, "resources": (newest.item.name,)}
    for part, word in (("bone", place.site), ("side", place.side), ("level", place.level)):
        if word is not None:
            path = f"pathological_fracture.{part}"
            conditions.changes[path] = stated(dictionary.blank_finding(path), word, **common)
    for one in conditions.fractured:
        other = conditions.place_of(one)
        if one is not newest and other.bone != place.bone:
            conditions.notes.add(one.item.name, "another current fracture: only one is judged, see the other one")


def _was_operated(one: Diagnosis, procedures: Sequence[Event], conditions: ConditionReader) -> bool:
    place, since = conditions.place_of(one), one.since
    return any(
        event.type == "bone-surgery"
        and event.date is not None
        and (since is None or event.date >= since.day)
        and same_bone(event.bone, place.bone) is True
        for event in procedures
    )


def _is_sequela(one: Diagnosis) -> bool:
    """The seventh character of an ICD-10-CM fracture code is S for what is left of an old one."""
    codes = [match.code.replace(".", "") for match in one.matches if match.concept.startswith("pathological_fracture")]
    return any(len(code) == 7 and code.endswith("S") for code in codes)
