"""Metastatic disease on the problem list: in which organs, and how far."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.diagnoses import tumours
from fhir_mapping.diagnoses.statements import rule_of, says
from fhir_mapping.diagnoses.tumours import DOUBTS, METASTATIC, ORGAN_TERMS
from fhir_mapping.terms import dictionary
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.facts import Finding, exactly, replace, stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis

_ORGANS = "dx.visceral_met_organs"
_MOST_ORGANS = Decimal(100)
"""The most that there may be where the list of diagnoses did not come whole."""


def read(conditions: ConditionReader) -> None:
    """Read in how many organs, whether at all, and how far; a history and what was refuted say nothing."""
    standing = [one for one in conditions.diagnoses if one.state not in {"history", "refuted"}]
    _organs(standing, conditions)
    _at_all(standing, conditions)
    _stated_extent(conditions)


def _organs(standing: Sequence[Diagnosis], conditions: ConditionReader) -> None:
    """Count the organs: those that are sure at least, and at most those as well of which there is doubt."""
    sure: dict[str, list[str]] = {}
    maybe: set[str] = set()
    for one in standing:
        organs = tumours.organs(one)
        if organs:
            conditions.use(one)
        if "metastasis_elsewhere" in one.concepts:
            maybe.update(match.code for match in one.matches if match.concept == "metastasis_elsewhere")
        if _is_doubtful(one):
            maybe |= organs
        else:
            for organ in organs:
                sure.setdefault(organ, []).append(one.item.name)
    blank, context = dictionary.blank_reading(_ORGANS), conditions.context
    names = tuple(sorted({name for listed in sure.values() for name in listed}))
    whole = "conditions" in context.delivered and "conditions" not in context.truncated
    least, most = Decimal(len(sure)), Decimal(len(sure) + len(maybe - set(sure)))
    if whole and least == most:
        conditions.changes[_ORGANS] = exactly(blank, least, resources=names, date=context.today)
    elif sure or maybe:
        most = most if whole else _MOST_ORGANS
        conditions.changes[_ORGANS] = replace(
            blank, low=least, high=most, reason=None, resources=names, date=context.today
        )


def _at_all(standing: Sequence[Diagnosis], conditions: ConditionReader) -> None:
    """A metastasis anywhere, that of a bone included, says metastatic; "not" is told by nobody here."""
    metastatic = [one for one in standing if not _is_doubtful(one) and _names_metastasis(one)]
    for one in metastatic:
        conditions.use(one)
    bone = conditions.changes.get("dx.bone_met")
    if metastatic or conditions.is_true("dx.bone_met"):
        of_bone = bone.resources if isinstance(bone, Finding) and bone.is_known else ()
        names = tuple(dict.fromkeys((*(one.item.name for one in metastatic), *of_bone)))
        conditions.changes["dx.metastatic"] = stated(dictionary.blank_finding("dx.metastatic"), True, resources=names)


def _is_doubtful(one: Diagnosis) -> bool:
    """Tell whether a metastasis that a Condition names is suspected, told by the patient, or doubted in its words."""
    return (
        one.state == "suspected"
        or one.reported
        or any(one.spoken.get(term) in DOUBTS for term in ("bone_metastasis", *ORGAN_TERMS))
    )


def _names_metastasis(one: Diagnosis) -> bool:
    return bool(one.concepts & METASTATIC or tumours.organs(one) or tumours.at_stage_iv(one))


_MYELOMA = re.compile(r"multiple myeloma|多发性骨髓瘤")


def _stated_extent(conditions: ConditionReader) -> None:
    """Words like "multiple" or "diffuse" beside a bone metastasis."""
    rule = rule_of("dx.bone_met")
    for one in conditions.diagnoses:
        statement = says(rule, one)
        if statement is None or statement.says != "present":
            continue
        said = " ".join((*one.words, *(note.get("text", "") for note in one.resource.get("note", ()))))
        rest = _MYELOMA.sub("", fold(said))
        spoken = assertions.verdicts(rest)
        for term, path in (("multiple", "dx.multiple_stated"), ("diffuse", "dx.diffuse_metastases")):
            if spoken.get(term) == "present":
                conditions.changes[path] = stated(
                    dictionary.blank_finding(path),
                    True,
                    resources=(one.item.name,),
                    date=one.recorded.day if one.recorded else None,
                    flags=("from-text",),
                )
