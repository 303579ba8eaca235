"""Any cancer, now or ever, and what only a cancer beside it explains: a hypercalcaemia."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.diagnoses import tumours
from fhir_mapping.diagnoses.plasma_cells import MM
from fhir_mapping.diagnoses.statements import rule_of, says, settle
from fhir_mapping.diagnoses.tumours import EVER_MALIGNANT, is_of_cancer_chapter
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import replace, stated

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis


def ever(conditions: ConditionReader) -> None:
    """Any malignancy that stands or stood, one in remission included."""
    names: list[str] = []
    for one in conditions.diagnoses:
        if one.state == "refuted" or one.state == "suspected" or tumours.is_doubted(one):
            continue
        concepts = {match.concept for match in one.matches}
        if concepts & EVER_MALIGNANT or is_of_cancer_chapter(one, conditions.context) or _says_malignant(one):
            names.append(one.item.name)
            conditions.use(one)
    if names:
        blank = dictionary.blank_finding("ever.malignancy")
        conditions.changes["ever.malignancy"] = stated(blank, True, resources=tuple(names))


def _says_malignant(one: Diagnosis) -> bool:
    """Tell whether a Condition states a malignancy, in remission or not."""
    return any(
        (claim := says(rule, one, remission_counts=True)) is not None and claim.says in {"present", "historical"}
        for rule in _MALIGNANT
    )


_MALIGNANT = (*(rule for rule in dictionary.DIAGNOSES if rule.malignant or rule.fact == MM.fact), MM)


def active(conditions: ConditionReader) -> None:
    """Any active malignancy, a metastasis included; in situ, a history and the family are none."""
    blank = dictionary.blank_finding("dx.any_cancer")
    told = [(one, tumours.is_cancer(one, conditions.context)) for one in conditions.diagnoses]
    sure = tuple(one.item.name for one, answer in told if answer is True)
    maybe = tuple(one.item.name for one, answer in told if answer is None)
    for one, answer in told:
        if answer is not False:
            conditions.use(one)
    if sure:
        conditions.changes["dx.any_cancer"] = stated(blank, True, resources=sure)
    elif maybe:
        conditions.changes["dx.any_cancer"] = replace(blank, value=None, reason="suspected", resources=maybe)


def hypercalcaemia(conditions: ConditionReader) -> None:
    """A hypercalcaemia is one of malignancy when an active malignancy stands beside it."""
    rule = rule_of("dx.hypercalcaemia_malignancy")
    statements = conditions.statements(rule)
    settled = settle(rule, statements, conditions.context)
    if settled is None:
        return
    own = dictionary.blank_finding("clin.hypercalcaemia")
    conditions.changes["clin.hypercalcaemia"] = replace(settled, name=own.name)
    malignancy = conditions.is_true("dx.any_cancer")
    if malignancy or settled.value is None:
        conditions.changes[rule.fact] = settled
    if malignancy:
        for statement in statements:
            if statement.says in {"present", "historical"}:
                conditions.event("hypercalcaemia", statement.diagnosis, active=statement.says == "present")
