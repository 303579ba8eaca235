"""Which earlier results are kept beside the newest, and the creatinine from which a kidney is judged."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from fhir_mapping.diagnoses.plasma_cells import is_of_family
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.dictionary import MYELOMA
from recommenders.vocabulary.facts import Reading, replace
from recommenders.vocabulary.records import BISPHOSPHONATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Courses

_BASELINE_DAYS = 30
SERIES_DAYS = 500
"""A year before the newest myeloma result, which may itself be 120 days old."""
_RECENT_DAYS = 180
_ONSET_DAYS = 90
_RUN_GAP_DAYS = 183
_FAMILY_SERIES = frozenset({"mm.m_protein", "mm.kappa", "mm.lambda_", "mm.flc_ratio_kl", "lab.hb", "lab.creatinine"})
_STAGING_SERIES = frozenset({"mm.b2m", "lab.albumin", "lab.ldh"})
_BONE_MARKERS = frozenset({"bone.ctx", "bone.pinp"})
"""Persistently normal markers speak for a pause in myeloma and smouldering myeloma, and are asked for in no other."""


def wanted_days(
    conditions: ConditionReader, courses: Courses, *, whole: Set[str], whole_series: bool
) -> Callable[[str], Callable[[dt.date], bool] | None]:
    """
    Give, for a fact path, which days a rule can need beside the newest (None: none); see `readings`.

    `whole` are the prefetch keys of which everything is known: where the Conditions are none of them, any may be there.
    """
    today = conditions.context.today
    family = any(is_of_family(one) for one in conditions.diagnoses)
    onset = _first_onset(conditions)
    first = first_dose(courses)

    def wanted(path: str) -> Callable[[dt.date], bool] | None:
        if whole_series or (path in _BONE_MARKERS and (family or "conditions" not in whole)):
            return lambda _: True
        if path == "lab.creatinine" and first is not None:
            return lambda day: (
                dt.timedelta(0) <= first - day <= dt.timedelta(_BASELINE_DAYS)
                or (family and (today - day).days <= SERIES_DAYS)
            )
        if path == "lab.ca_total" and courses.items:
            return lambda day: (today - day).days <= SERIES_DAYS
        if family and path in _FAMILY_SERIES:
            return lambda day: (today - day).days <= SERIES_DAYS
        if family and path in _STAGING_SERIES:
            return lambda day: (
                (today - day).days <= _RECENT_DAYS or (onset is not None and abs((day - onset).days) <= _ONSET_DAYS)
            )
        return None

    return wanted


def baseline(reader: ObservationReader, courses: Courses) -> dict[str, Fact]:
    """The newest creatinine on or up to 30 days before the first bisphosphonate dose."""
    first = first_dose(courses)
    if first is None:
        return {}
    blank = dictionary.blank_reading("lab.creatinine_baseline")
    rule = dictionary.READINGS["lab.creatinine"]
    before = [
        candidate
        for candidate in reader.candidates("lab.creatinine", "reading")
        if candidate.stamp is not None
        and dt.timedelta(0) <= first - candidate.stamp.day <= dt.timedelta(_BASELINE_DAYS)
    ]
    found = next(reader.timeline(before, reader.reader_of(rule)), None)
    if not isinstance(found, Reading):
        return {}
    reader.take("lab.creatinine_baseline", found, before)
    return {"lab.creatinine_baseline": replace(reader.changes["lab.creatinine_baseline"], name=blank.name)}


def first_dose(courses: Courses) -> dt.date | None:
    """Give the first real bisphosphonate dose of the newest run; None when history is cut short before it."""
    own = [course for course in courses if course.drug in BISPHOSPHONATES]
    days = sorted({dose.date for course in own for dose in course.doses if dose.kind != "order-date"})
    if not days or any(course.truncated for course in own):
        return None
    first = days[-1]
    for day in reversed(days):
        if (first - day).days > _RUN_GAP_DAYS:
            break
        first = day
    return first


def _first_onset(conditions: ConditionReader) -> dt.date | None:
    days = [
        one.onset.day
        for one in conditions.diagnoses
        if one.onset is not None and (one.concepts & MYELOMA or one.spoken.get("multiple_myeloma") == "present")
    ]
    return min(days, default=None)


def in_order(events: Sequence[Any]) -> tuple[Any, ...]:
    """Give events or studies from the oldest to the newest, those without a day first."""
    return tuple(sorted(events, key=lambda one: (one.date or dt.date.min, one.resources)))
