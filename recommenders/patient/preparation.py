"""How to draw up a reduced dose of zoledronic acid, from the concentrate and from the ready-to-use bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.renal import GUIDANCE as RENAL
from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from decimal import Decimal

    from recommenders.patient.advice import Case

GUIDANCE = guidance("preparation")


@dataclass(frozen=True, slots=True)
class Preparation:
    """
    Volumes in mL for one reduced dose.

    `concentrate_ml` of the 4 mg/5 mL concentrate go into 100 mL of diluent; of a ready-to-use 4 mg/100 mL bag
    `replaced_ml` are withdrawn and replaced by the same volume of diluent.
    """

    concentrate_ml: Decimal
    replaced_ml: Decimal


def zoledronic_preparation(case: Case, dose_mg: Decimal | None) -> Preparation | None:
    """Give the label's volumes for a dose of its table, mg; None for the full dose and for any other. Source: X:ZOM."""
    doses, volumes = case.limits(RENAL), case.limits(GUIDANCE)
    table = {
        doses.zoledronic_second_dose.value: (
            volumes.concentrate_ml_for_second_dose,
            volumes.replaced_ml_for_second_dose,
        ),
        doses.zoledronic_third_dose.value: (volumes.concentrate_ml_for_third_dose, volumes.replaced_ml_for_third_dose),
        doses.zoledronic_fourth_dose.value: (
            volumes.concentrate_ml_for_fourth_dose,
            volumes.replaced_ml_for_fourth_dose,
        ),
    }
    found = None if dose_mg is None else table.get(dose_mg)
    return None if found is None else Preparation(found[0].value, found[1].value)
