"""What the rules of bone protection share: the guidance, and what is recent enough to be said unasked."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from recommenders.patient.advice import Case

GUIDANCE = guidance("bone_protection")


def is_new(case: Case, day: dt.date | None) -> bool:
    """Tell whether something of that day is recent enough to be said unasked."""
    span = dt.timedelta(int(case.limits(COMMON).result_is_new.value))
    return day is not None and dt.timedelta(0) <= case.facts.as_of - day <= span


MYELOMA = ("dx.mm", "dx.smm", "dx.mgus")
