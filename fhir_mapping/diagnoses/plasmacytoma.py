"""The plasmacytoma that pathology proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.diagnoses.statements import rule_of, says
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words import assertions
from recommenders.vocabulary.facts import stated

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis


def read(conditions: ConditionReader) -> None:
    """A plasmacytoma that stands and whose evidence is pathology was proven by biopsy."""
    rule = rule_of("dx.plasmacytoma")
    for one in conditions.diagnoses:
        statement = says(rule, one)
        if statement is None or statement.says != "present" or not _has_pathology(one, conditions):
            continue
        stamp = one.recorded or one.onset
        blank = dictionary.blank_finding("mm.plasmacytoma_biopsy")
        day = stamp.day if stamp else None
        conditions.changes["mm.plasmacytoma_biopsy"] = stated(blank, True, date=day, resources=(one.item.name,))


def _has_pathology(one: Diagnosis, conditions: ConditionReader) -> bool:
    said: list[str] = []
    for evidence in one.resource.get("evidence", ()):
        said += [name for coded in evidence.get("code", ()) for name in texts_of(coded)]
        for detail in evidence.get("detail", ()):
            said.append(str(detail.get("display") or ""))
            found = conditions.context.resolve(str(detail.get("reference") or "#"), one.resource) or {}
            said += texts_of(found.get("code"))
    return any(assertions.verdict(name, "pathology") == "present" for name in said)
