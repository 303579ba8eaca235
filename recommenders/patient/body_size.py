"""Weight far from ideal: the adjusted weight, and the clearance and body surface that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.renal import clearance_at
from recommenders.vocabulary import formulas

if TYPE_CHECKING:
    from decimal import Decimal

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Reading


@dataclass(frozen=True, slots=True)
class BodySize:
    """Actual weight as % of the ideal one, adjusted weight in kg, and body surface in m² by both weights."""

    percent_of_ideal: Decimal
    adjusted_kg: Decimal
    surface_m2: Decimal
    adjusted_surface_m2: Decimal


def body_size(case: Case) -> BodySize | None:
    """Give the body size of an adult; None while weight, height or sex is not known, or where no ideal weight is."""
    patient = case.facts.patient
    weight, height, sex = patient.weight, patient.height, patient.sex
    if not (weight.is_known and height.is_known and weight.value and height.value):
        return None
    if not sex.is_known or sex.value not in {"male", "female"}:
        return None
    ideal = formulas.ideal_weight_kg(height.value, female=sex.value == "female")
    if ideal <= 0:
        return None
    adjusted = formulas.adjusted_weight_kg(weight.value, ideal)
    if adjusted <= 0:
        return None
    return BodySize(
        percent_of_ideal=weight.value / ideal * 100,
        adjusted_kg=adjusted,
        surface_m2=formulas.mosteller(height.value, weight.value),
        adjusted_surface_m2=formulas.mosteller(height.value, adjusted),
    )


def adjusted_clearance(case: Case, size: BodySize) -> Reading | None:
    """Give the clearance by Cockcroft-Gault with the adjusted weight; None where creatinine, age or sex is unknown."""
    creatinine = case.cautious().lab.creatinine
    if not creatinine.is_known or creatinine.value is None:
        return None
    return clearance_at(case, creatinine.value, size.adjusted_kg)
