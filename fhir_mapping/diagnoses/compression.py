"""Compression of the cord, the cauda or a nerve on the problem list, and the deficit that it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.diagnoses.statements import rule_of, says
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader


def read(conditions: ConditionReader) -> None:
    """A cord or cauda compression is an event, a nerve compression and a deficit; undated, it counts as now."""
    for rule in dictionary.DIAGNOSES:
        if rule.fact in {"clin.nerve_compression", "spine.neuro_deficit"}:
            found = conditions.settle(rule)
            if found is not None and found.value is True and found.date is None and rule.yes_only:
                conditions.changes[rule.fact] = replace(
                    found, date=conditions.context.today, flags=(*found.flags, "date-not-told")
                )
    rule = rule_of("spine.neuro_deficit")
    for one in conditions.diagnoses:
        statement = says(rule, one)
        if statement is None or one.concepts & rule.concepts == {"paraplegia"}:
            continue  # a paraplegia alone does not tell what caused it
        if statement.says in {"present", "historical"}:
            conditions.event("spinal-cord-compression", one, active=statement.says == "present")
