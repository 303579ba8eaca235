"""What a tumour is made of: the histology of a lung cancer, the subtype of a soft-tissue sarcoma."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.diagnoses import tumours
from fhir_mapping.diagnoses.statements import rule_of, says
from recommenders.vocabulary.facts import Finding, replace

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis


def of_lung(conditions: ConditionReader) -> None:
    """Take the histology that the lung cancers tell, where they tell one."""
    rule = rule_of("dx.lung_cancer")
    found: dict[str, list[str]] = {}
    for one in conditions.diagnoses:
        statement = says(rule, one)
        if statement is None or statement.says not in {"present", "suspected"}:
            continue
        word = tumours.lung_histology(one)
        if word is not None:
            found.setdefault(word, []).append(one.item.name)
    if len(found) > 1:
        found = tumours.more_telling(found)
    conditions.set_word("dx.lung_histology", found)


def take(conditions: ConditionReader, diagnosis: Diagnosis, value: object, name: str) -> bool:
    """Take a histology Observation about one Condition, where the Condition itself tells none."""
    found = conditions.context.concepts(value)
    diagnosis.matches = (*diagnosis.matches, *found)
    diagnosis.concepts = diagnosis.concepts | {match.concept for match in found if not match.is_trap}
    known = conditions.changes.get("dx.lung_histology")
    if (known is None or not known.is_known) and "dx.lung_cancer" in conditions.changes:
        of_lung(conditions)
        now = conditions.changes.get("dx.lung_histology")
        if isinstance(now, Finding) and now.is_known:
            conditions.changes["dx.lung_histology"] = replace(now, resources=(*now.resources, name))
            return True
    return False


def of_sarcoma(conditions: ConditionReader) -> None:
    """C49 alone tells no subtype; C48.0 and C47 tell no sarcoma without histology or words."""
    rule = rule_of("dx.sts")
    for one in conditions.diagnoses:
        codes = {match.code for match in one.matches if match.concept == "soft_tissue_sarcoma"}
        if codes and all(code.startswith("C48") for code in codes) and not tumours.names_sarcoma(one):
            one.concepts = (one.concepts - {"soft_tissue_sarcoma"}) | {"other_solid_cancer"}
    conditions.settle(rule)
    conditions.settle(rule_of("dx.other_solid_cancer"))
    found: dict[str, list[str]] = {}
    for one in conditions.diagnoses:
        statement = says(rule, one)
        if statement is not None and statement.says == "present" and (word := tumours.subtype(one)) is not None:
            found.setdefault(word, []).append(one.item.name)
    conditions.set_word("dx.sts_subtype", found)
