"""How the patient is, as the problem list has it: distress, pregnancy, an encephalopathy, the ECOG grade."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import exactly, replace, stated

if TYPE_CHECKING:
    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.diagnoses.diagnosis import Diagnosis

_DISTRESS_DAYS = 730
PREGNANCY_DAYS = 280
"""40 weeks."""


def distress(conditions: ConditionReader) -> None:
    """An illness of the mind before a mere distress; an old entry is unknown."""
    blank = dictionary.blank_finding("psych.distress")
    ill = [one for one in conditions.diagnoses if one.concepts & {"depression", "anxiety", "adjustment_disorder"}]
    uneasy = [one for one in conditions.diagnoses if "distress" in one.concepts]
    for listed, word in ((ill, "clinical-diagnosis"), (uneasy, "present-subclinical")):
        standing = [one for one in listed if one.state == "current"]
        for one in listed:
            conditions.use(one)
        if not standing:
            if any(one.state == "suspected" for one in listed):
                conditions.changes["psych.distress"] = replace(blank, value=None, reason="suspected")
            continue
        stamps = [one.recorded or one.onset for one in standing]
        fresh = [stamp is None or (conditions.context.today - stamp.day).days <= _DISTRESS_DAYS for stamp in stamps]
        day = max((stamp.day for stamp in stamps if stamp), default=None)
        names = tuple(one.item.name for one in standing)
        if any(fresh):
            conditions.changes["psych.distress"] = stated(blank, word, date=day, resources=names)
            return
        conditions.changes["psych.distress"] = replace(blank, value=None, reason="stale", date=day, resources=names)


def pregnancy(conditions: ConditionReader) -> None:
    """A pregnancy lasts 40 weeks: an older entry is unknown."""
    blank = dictionary.blank_finding("patient.pregnant")
    for one in conditions.diagnoses:
        term = one.spoken.get("pregnancy") if not one.concepts else None
        if "pregnancy" not in one.concepts and term not in {"present", "suspected"}:
            continue
        conditions.use(one)
        stamp = one.recorded or one.onset
        if one.state == "current" and (stamp is None or (conditions.context.today - stamp.day).days <= PREGNANCY_DAYS):
            doubtful = term == "suspected"
            conditions.changes["patient.pregnant"] = replace(
                blank,
                value=None if doubtful else True,
                reason="suspected" if doubtful else None,
                date=stamp.day if stamp else None,
                resources=(one.item.name,),
            )
        elif one.state == "current":
            conditions.changes.setdefault(
                "patient.pregnant", replace(blank, reason="stale", resources=(one.item.name,))
            )


def encephalopathy(conditions: ConditionReader) -> None:
    """An encephalopathy by ifosfamide, now or once, is told in words alone."""
    for one in conditions.diagnoses:
        said = one.spoken.get("ifosfamide_encephalopathy")
        if said is None or one.state == "refuted":
            continue
        conditions.use(one)
        blank = dictionary.blank_finding("ever.ifosfamide_encephalopathy")
        if said == "suspected" or one.state == "suspected":
            conditions.changes.setdefault(
                "ever.ifosfamide_encephalopathy",
                replace(blank, value=None, reason="suspected", resources=(one.item.name,)),
            )
        elif said in {"present", "historical"}:
            conditions.changes["ever.ifosfamide_encephalopathy"] = stated(
                blank, True, resources=(one.item.name,), flags=("from-text",)
            )


def ecog(conditions: ConditionReader) -> None:
    """Some charts keep the ECOG grade as a finding on the problem list: the code itself is the grade."""
    graded: list[tuple[dt.date, str, Diagnosis]] = []
    for one in conditions.diagnoses:
        grades = sorted(concept[-1] for concept in one.concepts if concept.startswith("ecog_answer_"))
        if len(grades) == 1 and one.state == "current":
            conditions.use(one)
            stamp = one.recorded or one.onset
            graded.append((stamp.day if stamp else dt.date.min, grades[0], one))
    if graded:
        day, grade, one = max(graded, key=lambda found: (found[0], found[1]))
        conditions.changes["status.ecog"] = exactly(
            dictionary.blank_reading("status.ecog"),
            Decimal(grade),
            date=day if day != dt.date.min else None,
            resources=(one.item.name,),
        )
