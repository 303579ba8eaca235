"""Bisphosphonates and the kidney: the dose that a clearance allows, and when creatinine has risen too far."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from recommenders.vocabulary import formulas
from recommenders.vocabulary.facts import exactly
from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.guidance import Limit
    from recommenders.vocabulary.logic import Criterion

GUIDANCE = guidance("renal")
ADULT = 18
"""Years; Cockcroft-Gault was made for adults."""


def zoledronic_dose(case: Case, crcl: Reading) -> Decimal | None:
    """
    Give the single dose of zoledronic acid, in mg, that the label's table has for a clearance in mL/min.

    None below 30 mL/min and on dialysis (not recommended), and when the clearance is unknown or spans two
    bands. Not for hypercalcaemia of malignancy, where the label does not reduce. Source: X:ZOM.
    """
    if not crcl.is_known or case.facts.other.dialysis.criterion().yes:
        return None
    limits = case.limits(GUIDANCE)
    if (crcl > limits.zoledronic_full_dose_above).yes:
        return limits.zoledronic_full_dose.value
    if ((crcl >= limits.zoledronic_second_band_from) & (crcl <= limits.zoledronic_full_dose_above)).yes:
        return limits.zoledronic_second_dose.value
    if ((crcl >= limits.zoledronic_third_band_from) & (crcl < limits.zoledronic_second_band_from)).yes:
        return limits.zoledronic_third_dose.value
    if ((crcl >= limits.zoledronic_lowest_clearance) & (crcl < limits.zoledronic_third_band_from)).yes:
        return limits.zoledronic_fourth_dose.value
    return None


def ibandronate_dose(case: Case, crcl: Reading) -> Decimal | None:
    """
    Give the single intravenous dose of ibandronate, in mg, for a clearance in mL/min.

    Below 30 mL/min and on haemodialysis it is the largest one at all acceptable: 2 mg, or not recommended.
    None when the clearance is unknown or spans two bands. Source: X:IBA.
    """
    limits = case.limits(GUIDANCE)
    if case.facts.other.dialysis.criterion().yes:
        return limits.ibandronate_lowest_dose.value
    if not crcl.is_known:
        return None
    if (crcl < limits.ibandronate_lowest_clearance).yes:
        return limits.ibandronate_lowest_dose.value
    if (crcl >= limits.ibandronate_full_dose_from).yes:
        return limits.ibandronate_full_dose.value
    if ((crcl >= limits.ibandronate_lowest_clearance) & (crcl < limits.ibandronate_full_dose_from)).yes:
        return limits.ibandronate_reduced_dose.value
    return None


def renal_deterioration(case: Case, facts: Facts) -> Criterion:
    """
    Tell whether creatinine has risen since its baseline by more than the zoledronic acid label allows.

    `facts` are the case's, or `case.cautious()` for a safety rule. Whole µmol/L: +44 from a baseline below
    124, +88 from one of 124 or more. Unknown without a baseline. Source: X:ZOM.
    """
    limits = case.limits(GUIDANCE)
    baseline, rise = facts.lab.creatinine_baseline, facts.lab.creatinine_rise
    from_normal = (baseline < limits.normal_baseline_below) & (rise >= limits.rise_from_normal)
    from_raised = (baseline >= limits.normal_baseline_below) & (rise >= limits.rise_from_raised)
    return from_normal | from_raised


def lowest_clearance(case: Case, drug: str | None, dose_mg: Decimal) -> tuple[Decimal, bool] | None:
    """
    Give the lowest clearance in mL/min at which a dose in mg is not above the drug's table.

    With it whether the clearance has to be above that value, not just at it. None for a drug without a table, for a
    dose above its highest, and for one that no clearance makes too high.
    """
    limits = case.limits(GUIDANCE)
    bands: tuple[tuple[Limit, Limit, bool], ...] = ()
    if drug == "zoledronic":
        bands = (
            (limits.zoledronic_fourth_dose, limits.zoledronic_lowest_clearance, False),
            (limits.zoledronic_third_dose, limits.zoledronic_third_band_from, False),
            (limits.zoledronic_second_dose, limits.zoledronic_second_band_from, False),
            (limits.zoledronic_full_dose, limits.zoledronic_full_dose_above, True),
        )
    elif drug == "ibandronate" and dose_mg > limits.ibandronate_lowest_dose.value:
        bands = (
            (limits.ibandronate_reduced_dose, limits.ibandronate_lowest_clearance, False),
            (limits.ibandronate_full_dose, limits.ibandronate_full_dose_from, False),
        )
    return next(((clearance.value, above) for dose, clearance, above in bands if dose_mg <= dose.value), None)


def creatinine_limit_umol_l(case: Case, drug: str | None, dose_mg: Decimal | None) -> Decimal | None:
    """Give the highest whole creatinine, µmol/L, up to which a dose in mg is right for this adult; None if unknown."""
    patient = _adult(case)
    band = None if dose_mg is None else lowest_clearance(case, drug, dose_mg)
    if patient is None or band is None or patient.weight_kg is None:
        return None
    found = formulas.highest_creatinine_umol_l(patient.age, patient.weight_kg, band[0], female=patient.female)
    whole = found.to_integral_value(ROUND_FLOOR)
    return whole if _reaches(clearance_at(case, whole), band) else whole - 1


def weight_limit_kg(case: Case, drug: str | None, dose_mg: Decimal | None) -> Decimal | None:
    """Give the lowest whole weight, kg, from which a dose in mg is right for this adult; None if unknown."""
    patient = _adult(case)
    creatinine = case.cautious().lab.creatinine
    band = None if dose_mg is None else lowest_clearance(case, drug, dose_mg)
    if patient is None or band is None or not creatinine.is_known or not creatinine.value:
        return None
    found = formulas.lowest_weight_kg(patient.age, creatinine.value, band[0], female=patient.female)
    if found is None:
        return None
    whole = found.to_integral_value(ROUND_CEILING)
    return whole if _reaches(clearance_at(case, creatinine.value, whole), band) else whole + 1


def _reaches(crcl: Reading | None, band: tuple[Decimal, bool]) -> bool:
    """Tell whether a clearance is high enough, rounded as it is compared; at the very limit it may not be."""
    clearance, above = band
    return crcl is not None and (crcl > clearance if above else crcl >= clearance).yes


def clearance_at(case: Case, creatinine_umol_l: Decimal, weight_kg: Decimal | None = None) -> Reading | None:
    """
    Give this adult's clearance by Cockcroft-Gault for another creatinine, or another weight than the one on record.

    None where age, sex or weight are not known, and under 18.
    """
    patient = _adult(case)
    weight = weight_kg if weight_kg is not None else patient.weight_kg if patient is not None else None
    if patient is None or weight is None or not creatinine_umol_l:
        return None
    found = formulas.cockcroft_gault(patient.age, weight, creatinine_umol_l, female=patient.female)
    return exactly(case.facts.lab.crcl, found, flags=("calculated",))


@dataclass(frozen=True, slots=True)
class _Adult:
    """What Cockcroft-Gault asks of an adult beside creatinine: age in years, sex, weight in kg where it is known."""

    age: Decimal
    female: bool
    weight_kg: Decimal | None


def _adult(case: Case) -> _Adult | None:
    patient = case.facts.patient
    age, sex = patient.age.rounded, patient.sex.value
    if age is None or not (patient.age >= ADULT).yes or not patient.sex.is_known or sex not in {"male", "female"}:
        return None
    return _Adult(age, sex == "female", patient.weight.value if patient.weight.is_known else None)
